"""dagnelies/deepfake-faces on Kaggle: one face picture of each of 95,634 videos, and a table.

The table names the video every forgery was made from. The two must not be parted, and there is no
official split, so one is dealt out here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts.csv_rows import read_rows
from avkd.data.layouts.real_fake import METHOD_NOT_TOLD, label_of
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split
from avkd.data.splits import count_labels, join_people, split_groups

PICTURE_FOLDER = "faces_224"
TABLE = "metadata.csv"
OFFICIAL_PICTURES = {REAL: 16_293, FAKE: 79_341}

_COLUMNS = ("videoname", "label", "original")
_EXPECTED = f"{PICTURE_FOLDER}/<video>.jpg and {TABLE}"


@dataclass(frozen=True)
class _Row:
    name: str
    label: int
    original: str
    """The video it was made from; of a real, or where the table tells none, its own name."""


def find(
    root: Path,
    *,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    dataset: str = "deepfake_faces",
) -> Manifest:
    """Find the pictures that have a row in the table.

    A real and all forgeries of it stand on one side, and count as one identity: who is seen is not
    known. Each side gets its share of the reals and of the fakes as nearly as that allows.

    Args:
        root: Folder of the download.
        val_fraction: Share of the pictures for val.
        test_fraction: The same for test; 0.2 and 0.1 deal out 7:2:1.
        seed: Chooses who is held out.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, a broken table, a bad fraction, or too few originals.
    """
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    listing = inventory.list_files(root, PICTURE_FOLDER, suffixes=PICTURE_SUFFIXES, recursive=False)
    pictures: dict[str, str] = {}
    for path in listing.files:
        name = inventory.stem_of(path)
        if name in pictures:
            raise ValueError(f"{root}: {pictures[name]!r} and {path!r} are of the same video")
        pictures[name] = path
    rows = _read_table(root / TABLE)
    present = [row for row in rows.values() if row.name in pictures]
    if not present:
        raise ValueError(
            f"{root}: {len(pictures)} pictures in {PICTURE_FOLDER}, {len(rows)} rows in {TABLE}, "
            "but no picture is called like a row; download both again"
        )
    group_of = join_people((row.name, row.original) for row in present)
    groups = [group_of[row.name] for row in present]
    sides = split_groups(
        count_labels(groups, [row.label for row in present]),
        fractions={"val": val_fraction, "test": test_fraction},
        seed=seed,
    )
    reals = {row.name for row in present if row.label == REAL}
    samples = tuple(
        _sample(row, pictures[row.name], sides[group], dataset, reals)
        for row, group in zip(present, groups, strict=True)
    )
    notes = [*_describe(samples, rows, pictures, seed), *listing.notes()]
    return Manifest(root=root, samples=samples, notes=tuple(notes))


def _recognises(folder: Path) -> bool:
    return (folder / PICTURE_FOLDER).is_dir() and (folder / TABLE).is_file()


def _read_table(path: Path) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    for line, values in read_rows(path, _COLUMNS):
        name = inventory.stem_of(values["videoname"])
        label = label_of(values["label"])
        if label is None or not name:
            raise ValueError(
                f"{path}, line {line}: {values['videoname']!r} is {values['label']!r}; expected a "
                "name such as aagfhgtpmv.mp4 and FAKE or REAL; download the table again"
            )
        if name in rows:
            raise ValueError(f"{path}, line {line}: {name!r} is listed a second time")
        original = inventory.stem_of(values["original"]) if label == FAKE else ""
        rows[name] = _Row(name, label, original or name)
    return rows


def _sample(row: _Row, path: str, side: Split, dataset: str, reals: set[str]) -> Sample:
    method = METHOD_NOT_TOLD if row.label == FAKE else REAL_METHOD
    original = inventory.plain_id(row.original)
    has_source = row.label == FAKE and row.original in reals
    return Sample(
        sample_id=f"{dataset}/{method}/{inventory.plain_id(row.name)}",
        path=path,
        kind="image",
        label=row.label,
        dataset=dataset,
        method=method,
        identities=(f"{dataset}/{original}",),
        split=side,
        source_id=f"{dataset}/{REAL_METHOD}/{original}" if has_source else None,
    )


def _describe(
    samples: tuple[Sample, ...], rows: dict[str, _Row], pictures: dict[str, str], seed: int
) -> list[str]:
    found = Counter(sample.label for sample in samples)
    notes = [
        inventory.compare("real", found[REAL], OFFICIAL_PICTURES[REAL]),
        inventory.compare("fake", found[FAKE], OFFICIAL_PICTURES[FAKE]),
        f"no official split: dealt out by original with seed {seed}; an original stands for the "
        "identity, which is not known",
    ]
    for side in get_args(Split):
        labels = Counter(sample.label for sample in samples if sample.split == side)
        notes.append(f"{side}: {labels[REAL]} real, {labels[FAKE]} fake")
    without_picture = sorted(rows.keys() - pictures.keys())
    without_row = sorted(pictures.keys() - rows.keys())
    if without_picture:
        notes.append(
            f"left out, rows without a picture: {len(without_picture)}: "
            f"{inventory.name_some(without_picture)}"
        )
    if without_row:
        notes.append(
            f"left out, pictures without a row, so of unknown label: {len(without_row)}: "
            f"{inventory.name_some(without_row)}"
        )
    return notes
