"""One file per dataset: walk its folder tree as downloaded, yield a Manifest; decodes no media."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from avkd.data.layouts import (
    celebdf,
    deeperforensics,
    deepfake_faces,
    deepfakebench,
    dfdc,
    dfdc_preview,
    faceforensics,
    fakeavceleb,
    kaggle_faces,
    lavdf,
    lrw,
    real_fake,
    redface,
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
    "dfdc_preview": dfdc_preview.find,
    "deeperforensics": deeperforensics.find,
    "fakeavceleb": fakeavceleb.find,
    "lavdf": lavdf.find_lavdf,
    "avdeepfake1m": lavdf.find_avdeepfake1m,
    "deepfakebench": deepfakebench.find,
    "talking_faces": talking_faces.find,
    "real_fake": real_fake.find,
    "manifest": real_fake.find_listed,
    "kaggle_deepfake_dataset": kaggle_faces.find_deepfake_dataset,
    "kaggle_140k": kaggle_faces.find_140k,
    "kaggle_real_images": kaggle_faces.find_real_images,
    "deepfake_faces": deepfake_faces.find,
    "wilddeepfake": wilddeepfake.find,
    "redface": redface.find,
    "real_fake_images": real_fake.find_images,
}


def options_of(layout: str) -> set[str]:
    """Names of the settings that a layout takes."""
    return set(inspect.signature(LAYOUTS[layout]).parameters) - {"root", "dataset"}


def read_tree(layout: str, source: Path, options: Mapping[str, Any]) -> Manifest:
    """Walk a dataset by its layout.

    Args:
        layout: Key of `LAYOUTS`.
        source: Its folder, or for `manifest` also the file.
        options: Settings of the layout.

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
