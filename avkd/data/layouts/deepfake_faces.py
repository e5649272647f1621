"""dagnelies/deepfake-faces on Kaggle: one face picture of each of 95,634 videos, and a table.

The table names the video every forgery was made from. There is no official split.
"""

from __future__ import annotations

from pathlib import Path

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts import builder
from avkd.data.layouts.tables import read_csv
from avkd.data.manifest import FAKE, Manifest, label_or_none
from avkd.data.splits import split_connected

PICTURE_FOLDER = "faces_224"
TABLE = "metadata.csv"
OFFICIAL = {"real": 16_293, "fake": 79_341}

_COLUMNS = ("videoname", "label", "original")


def find(
    root: Path, *, val_fraction: float = 0.1, test_fraction: float = 0.1, seed: int = 0
) -> Manifest:
    """Find the pictures that have a row in the table.

    A real picture and all forgeries of it are in one split, and count as one identity: who is seen
    is not known. Each split gets its share of both classes as nearly as that allows.

    Args:
        root: Folder of the download.
        val_fraction: Share of the pictures for val.
        test_fraction: The same for test; 0.2 and 0.1 make 7:2:1.
        seed: Chooses who is held out.

    Raises:
        ValueError: not that tree, a broken table, a bad fraction, or too few originals.
    """
    inventory.check_root(
        root,
        f"{PICTURE_FOLDER}/<video>.jpg and {TABLE}",
        lambda near: (near / PICTURE_FOLDER).is_dir() and (near / TABLE).is_file(),
    )
    listing = inventory.list_files(root, PICTURE_FOLDER, suffixes=PICTURE_SUFFIXES, recursive=False)
    path_of = builder.by_name(root, listing.files)
    rows = _read_table(root / TABLE)
    remarks = builder.compare_with_table(root / TABLE, path_of, rows)
    samples, links = [], []
    for name, (label, original) in rows.items():
        if name in path_of:
            links.append((name, original))
            samples.append(
                builder.make_sample(
                    path_of[name],
                    dataset="deepfake_faces",
                    label=label,
                    name=name,
                    kind="image",
                    identities=[f"deepfake_faces/{original}"],
                    original=original,
                )
            )
    samples = split_connected(
        samples, links, fractions={"val": val_fraction, "test": test_fraction}, seed=seed
    )
    notes = [
        *builder.compare_counts(builder.count(samples), OFFICIAL),
        f"no official split: split by original with seed {seed}; an original stands for the "
        "identity, which is not known",
        *remarks,
        *listing.notes(),
    ]
    return builder.build(root, samples, notes)


def _read_table(path: Path) -> dict[str, tuple[int, str]]:
    """(label, the video it was made from, else its own name) of every video."""
    rows: dict[str, tuple[int, str]] = {}
    for line, values in read_csv(path, _COLUMNS):
        name = inventory.stem_of(values["videoname"])
        label = label_or_none(values["label"])
        if label is None or not name:
            raise ValueError(
                f"{path}, line {line}: {values['videoname']!r} is {values['label']!r}; expected a "
                "name such as aagfhgtpmv.mp4 and FAKE or REAL; download the table again"
            )
        if name in rows:
            raise ValueError(f"{path}, line {line}: {name!r} is listed a second time")
        original = inventory.stem_of(values["original"]) if label == FAKE else ""
        rows[name] = (label, original or name)
    return rows
