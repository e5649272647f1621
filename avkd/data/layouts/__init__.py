"""One file per dataset: walk its folder tree as downloaded, yield a Manifest; decodes no media.

The first argument is the folder of the download; the options are those of `LayoutConfig`, which
says what each does. Errors are `ValueError` with the place and the cure.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from avkd.data.layouts import (
    celebdf,
    deeperforensics,
    deepfakebench,
    dfdc,
    faceforensics,
    fakeavceleb,
    lavdf,
    lrw,
    real_fake,
    talking_faces,
    wilddeepfake,
)
from avkd.data.manifest import Manifest

LAYOUTS: Mapping[str, Callable[..., Manifest]] = {
    "lrw": lrw.find,
    "faceforensics": faceforensics.find,
    "faceshifter": faceforensics.find_faceshifter,
    "celebdf": celebdf.find,
    "dfdc_train": dfdc.find_train,
    "dfdc_test": dfdc.find_test,
    "dfdc_preview": dfdc.find_preview,
    "deeperforensics": deeperforensics.find,
    "fakeavceleb": fakeavceleb.find,
    "lavdf": lavdf.find_lavdf,
    "avdeepfake1m": lavdf.find_avdeepfake1m,
    "deepfakebench": deepfakebench.find,
    "talking_faces": talking_faces.find,
    "real_fake": partial(real_fake.find_sorted, real_fake.VIDEOS),
    "manifest": real_fake.find_listed,
    "kaggle_deepfake_dataset": partial(
        real_fake.find_collection, real_fake.KAGGLE_DEEPFAKE_DATASET
    ),
    "kaggle_140k": partial(real_fake.find_collection, real_fake.KAGGLE_140K),
    "kaggle_real_images": partial(real_fake.find_collection, real_fake.KAGGLE_REAL_IMAGES),
    "deepfake_faces": dfdc.find_faces,
    "wilddeepfake": wilddeepfake.find,
    "redface": partial(real_fake.find_sorted, real_fake.REDFACE),
    "real_fake_images": partial(real_fake.find_sorted, real_fake.IMAGES),
}
"""Every layout by the name that its samples carry as their dataset."""


def options_of(layout: str) -> set[str]:
    """Names of the settings that a layout takes."""
    return set(inspect.signature(LAYOUTS[layout]).parameters) - {"root"}


def read_tree(layout: str, source: Path, options: Mapping[str, Any]) -> Manifest:
    """Walk a dataset by a key of `LAYOUTS`; for `manifest` the ``source`` may be the file.

    Raises:
        ValueError: the tree is not of that layout, or an option has no effect on it.
    """
    accepted = options_of(layout)
    if useless := sorted(set(options) - accepted):
        raise ValueError(
            f"options.{useless[0]} has no effect on layout {layout}; remove it "
            f"(its options: {', '.join(sorted(accepted)) or 'none'})"
        )
    if layout == "manifest" and source.is_file():
        return Manifest.load(source)
    return LAYOUTS[layout](source, **options)
