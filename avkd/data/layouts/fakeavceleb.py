"""FakeAVCeleb: 500 celebrities, of whom the face, the voice or both are forged.

A table tells everything; its last column has no name and holds the folder. There is no official
split. Nothing is opened here, so nothing is known of the silence that fakes begin with.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avkd.data import inventory
from avkd.data.layouts.csv_rows import read_rows
from avkd.data.layouts.table_notes import compare_with_table, count_sides
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split
from avkd.data.splits import count_labels, join_people, split_groups

TABLE = "meta_data.csv"
# Khalid et al., "FakeAVCeleb", NeurIPS 2021 (datasets track), version 1.2: kind -> its letter and
# number of videos.
KINDS = {
    "RealVideo-RealAudio": ("A", 500),
    "RealVideo-FakeAudio": ("B", 500),
    "FakeVideo-RealAudio": ("C", 9_709),
    "FakeVideo-FakeAudio": ("D", 10_857),
}
REAL_KIND = "RealVideo-RealAudio"

_FOLDER = ""  # the nameless column
_COLUMNS = ("source", "target1", "target2", "method", "category", "type", "path", _FOLDER)
_PERSON = re.compile(r"id\d+")
_EXPECTED = f"{TABLE}, {', '.join(KINDS)}"


@dataclass(frozen=True)
class _Row:
    path: str
    """Below the root."""
    kind: str
    maker: str
    """The column ``method``: which programs forged it."""
    people: tuple[str, ...]
    """The person of the video first, then whose face or voice was put in."""


def find(
    root: Path,
    *,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    dataset: str = "fakeavceleb",
) -> Manifest:
    """Find the videos that have a row; the kind of forgery is the method.

    All are on the test side unless fractions are given; then whole people are dealt out, together
    with everyone they meet in forgeries. The numbers of the people are those of VoxCeleb2,
    ``voxceleb2/id00076``.

    Args:
        root: Folder that holds the table.
        val_fraction: Share of the videos for val; None = none, and all for test.
        test_fraction: Share for test; both or neither are to be given.
        seed: Chooses who is held out; None = 0.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, a broken table or one that contradicts itself, a setting without
            effect, or too few separate people for the sides.
    """
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    fractions = _fractions(val_fraction, test_fraction, seed)
    rows, num_doubled = _read_table(root / TABLE)
    listing = inventory.list_videos(root)
    present = [rows[path] for path in listing.files if path in rows]
    remarks = compare_with_table(root / TABLE, listing.files, rows)
    reals = _only_reals(present, dataset)
    samples = [_sample(row, dataset, reals) for row in present]
    if fractions is not None:
        samples = _deal_out(samples, fractions, seed or 0)
        split_note = f"dealt out by people who meet in forgeries, with seed {seed or 0}"
    else:
        split_note = "all on the test side"
    notes = [
        *_compare(present),
        f"no official split: {split_note}",
        *count_sides(samples),
        "RealVideo-FakeAudio: the picture is genuine; who judges the picture alone cannot tell it",
        "fakes begin with a short silence that reals lack (AVH-Align, arXiv 2412.00175): a score "
        "that hears it measures that; trim it before comparing sound",
        *remarks,
        *listing.notes(),
    ]
    if num_doubled:
        notes.append(f"rows that name a video again, in the same words: {num_doubled}")
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _recognises(folder: Path) -> bool:
    return (folder / TABLE).is_file()


def _fractions(
    val_fraction: float | None, test_fraction: float | None, seed: int | None
) -> dict[Split, float] | None:
    """Shares of the sides; None = all is test."""
    if val_fraction is None and test_fraction is None:
        if seed is not None:
            raise ValueError(
                "seed has no effect while all is on the test side; remove it, or give "
                "val_fraction and test_fraction"
            )
        return None
    if val_fraction is None or test_fraction is None:
        raise ValueError("give val_fraction and test_fraction, or neither for all on the test side")
    return {"val": val_fraction, "test": test_fraction}


def _read_table(path: Path) -> tuple[dict[str, _Row], int]:
    """Row of every listed video by its path, and how many rows only repeat one."""
    rows: dict[str, _Row] = {}
    num_doubled = 0
    for line, values in read_rows(path, _COLUMNS):
        where = f"{path}, line {line}"
        row = _parse_row(where, values)
        known = rows.setdefault(row.path, row)
        if known is not row:
            if known != row:
                raise ValueError(
                    f"{where}: {row.path!r} is listed before with another kind, maker or other "
                    "people; download the table again"
                )
            num_doubled += 1
    return rows, num_doubled


def _parse_row(where: str, values: Mapping[str, str]) -> _Row:
    """Take a row whose type, letter and folder say the same."""
    kind, letter = values["type"].strip(), values["category"].strip()
    # The folder begins with the name of the dataset, without the version the download carries.
    _, _, folder = values[_FOLDER].strip().replace("\\", "/").rstrip("/").partition("/")
    name = values["path"].strip()
    if kind not in KINDS:
        raise ValueError(f"{where}: type {kind!r}; expected one of {', '.join(KINDS)}")
    if letter != KINDS[kind][0] or folder.partition("/")[0] != kind or not name:
        raise ValueError(
            f"{where}: type {kind!r}, category {letter!r} and folder {values[_FOLDER]!r} "
            "contradict one another; download the table again"
        )
    told = (values["source"], values["target1"], values["target2"])
    people = dict.fromkeys(name for name in map(str.strip, told) if _PERSON.fullmatch(name))
    return _Row(f"{folder}/{name}", kind, values["method"].strip(), tuple(people))


def _only_reals(rows: Sequence[_Row], dataset: str) -> dict[str, str]:
    """Sample id of the real video of every person who has exactly one."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        if row.kind == REAL_KIND and row.people:
            ids.setdefault(row.people[0], []).append(_sample_id(row, dataset))
    return {person: found[0] for person, found in ids.items() if len(found) == 1}


def _sample_id(row: _Row, dataset: str) -> str:
    method = REAL_METHOD if row.kind == REAL_KIND else row.kind
    return f"{dataset}/{method}/{inventory.plain_id(row.path.partition('/')[2])}"


def _sample(row: _Row, dataset: str, reals: Mapping[str, str]) -> Sample:
    label = REAL if row.kind == REAL_KIND else FAKE
    source = reals.get(row.people[0]) if label == FAKE and row.people else None
    return Sample(
        sample_id=_sample_id(row, dataset),
        path=row.path,
        kind="video",
        label=label,
        dataset=dataset,
        method=REAL_METHOD if label == REAL else row.kind,
        identities=tuple(f"voxceleb2/{person}" for person in row.people),
        split="test",
        source_id=source,
    )


def _deal_out(
    samples: Sequence[Sample], fractions: Mapping[Split, float], seed: int
) -> list[Sample]:
    group_of = join_people(sample.identities for sample in samples)
    groups = [
        # A blank cannot be in an identity, so a file never falls together with a person.
        group_of[sample.identities[0]] if sample.identities else f"file {sample.path}"
        for sample in samples
    ]
    counts = count_labels(groups, [sample.label for sample in samples])
    sides = split_groups(counts, fractions=fractions, seed=seed)
    return [replace(s, split=sides[group]) for s, group in zip(samples, groups, strict=True)]


def _compare(rows: Sequence[_Row]) -> list[str]:
    found = Counter(row.kind for row in rows)
    makers = Counter(row.maker for row in rows)
    notes = [inventory.compare(kind, found[kind], number) for kind, (_, number) in KINDS.items()]
    counts = ", ".join(f"{number} {maker}" for maker, number in sorted(makers.items()))
    return [*notes, f"made by: {counts}"]
