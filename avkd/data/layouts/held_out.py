"""Sides of a dataset's own split that share people, made disjoint by leaving out of training.

What is evaluated on stays as published. Knows samples only, no dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from avkd.data.manifest import FAKE, REAL, Sample, Split

_MOST_HELD_OUT_FIRST: tuple[Split, ...] = ("test", "val", "train")


def keep_apart(samples: Iterable[Sample]) -> tuple[list[Sample], list[str]]:
    """Take the side from every sample that shows someone of a side that is held out more.

    Test stays whole; val loses who is in test, train who is in test or val. Samples nobody is
    known of stay where they are.

    Returns:
        All samples in their order, and a note for each side that lost some.
    """
    samples = list(samples)
    held_out: set[str] = set()
    notes = []
    for side in _MOST_HELD_OUT_FIRST:
        places = [place for place, sample in enumerate(samples) if sample.split == side]
        stay = [place for place in places if held_out.isdisjoint(samples[place].identities)]
        lost = Counter(samples[place].label for place in set(places) - set(stay))
        for place in set(places) - set(stay):
            samples[place] = replace(samples[place], split=None)
        if lost:
            kept = Counter(samples[place].label for place in stay)
            notes.append(
                f"kept out of {side} because someone in them is held out for a later side: "
                f"{lost[REAL]} real, {lost[FAKE]} fake; left: {kept[REAL]} real, {kept[FAKE]} fake"
            )
        held_out.update(name for place in stay for name in samples[place].identities)
    return samples, notes
