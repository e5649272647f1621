"""What the notes of a layout say about a table that lists the dataset's videos by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.manifest import FAKE, REAL, Sample, Split

_NAMES = {REAL: "real", FAKE: "fake"}


def compare_with_table(
    where: Path | str, there: Collection[str], listed: Collection[str]
) -> list[str]:
    """Notes on videos that are not listed, and on listed ones that are not there.

    Raises:
        ValueError: there are videos and rows, but they have no name in common.
    """
    missing = sorted(set(listed) - set(there))
    unknown = sorted(set(there) - set(listed))
    if len(unknown) == len(there):
        raise ValueError(
            f"{where}: {len(there)} videos and {len(listed)} rows, but no video is called like a "
            f"row such as {missing[0] if missing else 'none'!r}; download both again"
        )
    notes = []
    if missing:
        notes.append(
            f"left out, listed but missing: {len(missing)}: {inventory.name_some(missing)}"
        )
    if unknown:
        notes.append(
            f"left out, videos without a row, so of unknown label: {len(unknown)}: "
            f"{inventory.name_some(unknown)}"
        )
    return notes


def compare_labels(samples: Sequence[Sample], official: Mapping[int, int]) -> list[str]:
    """Reals and fakes held against the official inventory."""
    found = Counter(sample.label for sample in samples)
    return [
        inventory.compare(_NAMES[label], found[label], number) for label, number in official.items()
    ]


def count_sides(samples: Sequence[Sample]) -> list[str]:
    """How many reals and fakes each side has."""
    notes = []
    for side in get_args(Split):
        labels = Counter(sample.label for sample in samples if sample.split == side)
        notes.append(f"{side}: {labels[REAL]} real, {labels[FAKE]} fake")
    return notes
