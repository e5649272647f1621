"""RedFace: forgeries from commercial platforms, pictures and videos.

**The true tree is not known here**: the publication (arXiv 2510.08067) and its README document
none, and the archives were never seen. So labels are read by a pattern that the user can change.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from avkd.data.inventory import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from avkd.data.layouts import real_fake
from avkd.data.manifest import Manifest

FOLDER_NAMES = (
    r"(?i)(^|/)(?P<label>real|original|fake|forged|manipulated|synthetic)(?![a-z])[^/]*/"
    r"((?P<platform>[^/]+)/)?"
)
"""A folder whose name begins with a class name, and the folder below it as the platform."""


def find(
    root: Path,
    *,
    label_pattern: str = FOLDER_NAMES,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    dataset: str = "redface",
) -> Manifest:
    """Find pictures and videos by a pattern in their path; the rest as in `real_fake.find`.

    Args:
        root: The folder.
        label_pattern: Regular expression searched in the path below ``root``, with the group
            ``label`` (a name such as real or fake) and, if the paths tell them, ``platform``,
            ``method``, ``identity`` and ``split``. Default: `FOLDER_NAMES`.
        val_fraction: Share of the files for val, where there are no folders of the split.
        test_fraction: The same for test.
        seed: Chooses what is held out.
        dataset: Name the samples carry.

    Raises:
        ValueError: no file matches, or as in `real_fake.find`.
    """
    manifest = real_fake.find_files(
        root,
        suffixes=PICTURE_SUFFIXES | VIDEO_SUFFIXES,
        identity_pattern=None,
        label_pattern=label_pattern,
        fractions={"val": val_fraction, "test": test_fraction},
        seed=seed,
        dataset=dataset,
    )
    note = "the tree of RedFace is not documented: check these counts, and set label_pattern"
    return dataclasses.replace(manifest, notes=(*manifest.notes, note))
