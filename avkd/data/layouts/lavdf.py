"""LAV-DF and AV-Deepfake1M: short stretches of speech changed in the picture, the sound or both.

A video counts as fake if any part of it is. Where in it the change lies is not read: avkd judges
whole clips. Videos made from one original belong together and count as one identity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avkd.data import inventory
from avkd.data.layouts.held_out import keep_apart
from avkd.data.layouts.json_tables import read_json
from avkd.data.layouts.table_notes import compare_labels, compare_with_table, count_sides
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split

LAVDF_TABLES = ("metadata.json", "metadata.min.json")
AVDEEPFAKE1M_TABLES: dict[Split, str] = {
    "train": "train_metadata.json",
    "val": "val_metadata.json",
}
# Cai et al., DICTA 2022, and Cai et al., ACM Multimedia 2024. Labels of the test side of
# AV-Deepfake1M are not published.
OFFICIAL_LAVDF = {REAL: 36_431, FAKE: 99_873}
OFFICIAL_LAVDF_SPLIT: dict[Split, int] = {"train": 78_703, "val": 31_501, "test": 26_100}
OFFICIAL_AVDEEPFAKE1M = {REAL: 200_901, FAKE: 602_619}
OFFICIAL_AVDEEPFAKE1M_SPLIT: dict[Split, int] = {"train": 746_180, "val": 57_340}

_SIDE_OF_NAME: dict[str, Split] = {"train": "train", "dev": "val", "test": "test"}
_METHODS = {(True, True): "both", (True, False): "visual", (False, True): "audio"}
_MODIFY_TYPES = {
    "real": (False, False),
    "visual_modified": (True, False),
    "audio_modified": (False, True),
    "both_modified": (True, True),
}
_SOUND_ONLY = "audio: the picture is genuine; who judges the picture alone cannot tell it"


@dataclass(frozen=True)
class _Row:
    path: str
    """Below the root."""
    modified: tuple[bool, bool]
    """Whether the picture is, and the sound."""
    side: Split
    name: str
    """How the table calls it."""
    original: str | None
    """How the table calls the video it was made from."""


def find_lavdf(root: Path, *, dataset: str = "lavdf") -> Manifest:
    """Find the videos of LAV-DF; the table tells the side, its ``dev`` is our val.

    Args:
        root: Folder with the table and the folders train, dev and test.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, a broken table, or a row that contradicts itself.
    """
    name = next((name for name in LAVDF_TABLES if (root / name).is_file()), None)
    if name is None:
        raise inventory.wrong_root(
            root,
            expected=f"{LAVDF_TABLES[0]}, train, dev and test",
            recognises=lambda near: any((near / name).is_file() for name in LAVDF_TABLES),
        )
    rows = [_lavdf_row(where, row) for where, row in _rows_of(root / name)]
    return _find(root, rows, dataset, official=OFFICIAL_LAVDF, official_split=OFFICIAL_LAVDF_SPLIT)


def find_avdeepfake1m(root: Path, *, dataset: str = "avdeepfake1m") -> Manifest:
    """Find the training and validation videos of AV-Deepfake1M; what lies in test has no labels.

    Speakers may be on both sides: an original, not a speaker, is what the sides do not share. A
    note counts them.

    Args:
        root: Folder with the two tables and the folders train and val, or one table and its folder.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, a broken table, or a row that contradicts itself.
    """
    tables = {s: root / name for s, name in AVDEEPFAKE1M_TABLES.items() if (root / name).is_file()}
    if not tables:
        raise inventory.wrong_root(
            root,
            expected=f"{' or '.join(AVDEEPFAKE1M_TABLES.values())}, and the folders train and val",
            recognises=lambda near: any(
                (near / name).is_file() for name in AVDEEPFAKE1M_TABLES.values()
            ),
        )
    rows = [
        _avdeepfake1m_row(where, row, side)
        for side, table in tables.items()
        for where, row in _rows_of(table)
    ]
    manifest = _find(
        root,
        rows,
        dataset,
        official=OFFICIAL_AVDEEPFAKE1M,
        official_split=OFFICIAL_AVDEEPFAKE1M_SPLIT,
    )
    sides = defaultdict(set)
    for row in rows:
        sides[row.name.partition("/")[0]].add(row.side)
    shared = sum(len(found) > 1 for found in sides.values())
    note = f"speakers on both sides: {shared} of {len(sides)}; each original is on one side only"
    return Manifest(root, manifest.samples, (*manifest.notes, note))


def _rows_of(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a table that is a list, each with its place for the error message."""
    rows = read_json(table)
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{table}: not a list of videos; download it again")
    for number, row in enumerate(rows):
        where = f"{table}, entry {number}"
        if not isinstance(row, dict) or not isinstance(row.get("file"), str):
            raise ValueError(f"{where}: has no file name; download the table again")
        yield where, row


def _lavdf_row(where: str, row: Mapping[str, Any]) -> _Row:
    name = row["file"].replace("\\", "/")
    side = _SIDE_OF_NAME.get(str(row.get("split")))
    modified = (row.get("modify_video"), row.get("modify_audio"))
    if side is None or not all(isinstance(flag, bool) for flag in modified):
        raise ValueError(
            f"{where}: split {row.get('split')!r}, modify_video {modified[0]!r}, modify_audio "
            f"{modified[1]!r}; expected train, dev or test, and true or false"
        )
    if _SIDE_OF_NAME.get(name.partition("/")[0]) != side:
        raise ValueError(f"{where}: {name!r} does not lie in its split, {row['split']!r}")
    modified = (bool(modified[0]), bool(modified[1]))
    _check_stretches(where, modified, row.get("n_fakes"))
    return _Row(name, modified, side, name, _name_of_original(row))


def _avdeepfake1m_row(where: str, row: Mapping[str, Any], side: Split) -> _Row:
    name = row["file"].replace("\\", "/")
    told = str(row.get("modify_type"))
    # The authors' own reader spells one of them with a hyphen.
    modified = _MODIFY_TYPES.get(told.replace("-", "_"))
    if modified is None:
        raise ValueError(f"{where}: modify_type {told!r}; known: {', '.join(_MODIFY_TYPES)}")
    if row.get("split", side) != side:
        raise ValueError(f"{where}: split {row['split']!r} in the table of {side}")
    stretches = row.get("fake_segments")
    _check_stretches(where, modified, len(stretches) if isinstance(stretches, list) else None)
    return _Row(f"{side}/{name}", modified, side, name, _name_of_original(row))


def _check_stretches(where: str, modified: tuple[bool, bool], number: int | None) -> None:
    """Hold the kind of change against the number of changed stretches, where the row tells both."""
    if number is not None and (number > 0) != any(modified):
        raise ValueError(
            f"{where}: {number} changed stretches contradict picture and sound changed = "
            f"{modified}; download the table again"
        )


def _name_of_original(row: Mapping[str, Any]) -> str | None:
    original = row.get("original")
    return original.replace("\\", "/") if isinstance(original, str) and original else None


def _find(
    root: Path,
    rows: Sequence[_Row],
    dataset: str,
    *,
    official: Mapping[int, int],
    official_split: Mapping[Split, int],
) -> Manifest:
    row_of: dict[str, _Row] = {}
    for row in rows:
        if row.path in row_of:
            raise ValueError(f"{root}: {row.path!r} is listed a second time in its table")
        row_of[row.path] = row
    listing = inventory.list_videos(root)
    present = [row_of[path] for path in listing.files if path in row_of]
    remarks = compare_with_table(root, listing.files, row_of)
    real_of = {row.name: _sample_id(row, dataset) for row in present if not any(row.modified)}
    samples, overlap = keep_apart(_sample(row, dataset, real_of) for row in present)
    notes = compare_labels(samples, official)
    for side, number in official_split.items():
        found = sum(row.side == side for row in present)
        notes.append(inventory.compare(side, found, number))
    if any(row.modified == (False, True) for row in present):
        notes.append(_SOUND_ONLY)
    notes += [*overlap, *count_sides(samples), *remarks, *listing.notes()]
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _method(row: _Row) -> str:
    return _METHODS.get(row.modified, REAL_METHOD)


def _sample_id(row: _Row, dataset: str) -> str:
    return f"{dataset}/{_method(row)}/{inventory.plain_id(row.path)}"


def _sample(row: _Row, dataset: str, real_of: Mapping[str, str]) -> Sample:
    label = FAKE if any(row.modified) else REAL
    original = row.original if label == FAKE and row.original else row.name
    return Sample(
        sample_id=_sample_id(row, dataset),
        path=row.path,
        kind="video",
        label=label,
        dataset=dataset,
        method=_method(row),
        identities=(f"{dataset}/{inventory.plain_id(original)}",),
        split=row.side,
        source_id=real_of.get(original) if label == FAKE else None,
    )
