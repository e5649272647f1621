"""Which side of a split a group of samples belongs to: whole groups, by seed, both classes alike.

A group is what must not stand on two sides: a person, people who meet in forgeries, a source video.
Knows names and labels only, no files.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from avkd.data import inventory
from avkd.data.manifest import Split

SIDE_NAMES: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What datasets call the sides of their split, in lower case."""


def split_groups(
    groups: Mapping[str, Mapping[int, int]], *, fractions: Mapping[Split, float], seed: int
) -> dict[str, Split]:
    """Deal whole groups out to the sides, so that no group stands on two.

    Groups come in an order that depends on their names and ``seed`` only. A side takes each group
    that still fits into its share of every label; then, of those that fit into one label's share,
    whichever brings the side nearest to its shares of all; last, the smallest with a label it
    lacks, if another group has that label too. Train gets the rest.

    Args:
        groups: Of each group, the number of samples by label.
        fractions: Share of the samples for each side but train, each in [0, 1): 0.2 and 0.1 deal
            out 7:2:1, 0.2 and 0.2 deal out 6:2:2.
        seed: Shuffles the groups.

    Raises:
        ValueError: a share out of range, or too few groups to fill every side.
    """
    if any(not 0 <= share < 1 for share in fractions.values()) or sum(fractions.values()) >= 1:
        raise ValueError(f"fractions {dict(fractions)}: each from 0 to below 1, in sum below 1")
    total: Counter[int] = Counter()
    for counts in groups.values():
        total.update(counts)
    waiting = sorted(groups, key=lambda name: seeded_rank(name, seed))
    sides: dict[str, Split] = {}
    for side, share in fractions.items():
        taken = _take({name: groups[name] for name in waiting}, total, share) if share else []
        if taken and len(taken) == len(waiting):
            raise ValueError(
                f"{len(groups)} separate people or groups of people cannot fill "
                f"{1 + sum(map(bool, fractions.values()))} sides of a split with fractions "
                f"{dict(fractions)}: add data, or set the fractions of unneeded sides to 0"
            )
        sides |= dict.fromkeys(taken, side)
        waiting = [name for name in waiting if name not in sides]
    return sides | dict.fromkeys(waiting, "train")


def _take(
    waiting: Mapping[str, Mapping[int, int]], total: Mapping[int, int], share: float
) -> list[str]:
    """The groups of one side, out of those that wait in their order."""
    room = {label: share * count for label, count in total.items()}
    taken: dict[str, None] = {}

    def take(name: str) -> None:
        taken[name] = None
        for label, count in waiting[name].items():
            room[label] -= count

    def gain(counts: Mapping[int, int]) -> float:
        """How much nearer the side comes to its shares, each as a part of its label's total."""
        return sum(
            (abs(room[label]) - abs(room[label] - count)) / total[label]
            for label, count in counts.items()
        )

    for name, counts in waiting.items():
        if all(count <= room[label] for label, count in counts.items()):
            take(name)
    while True:
        fitting_one = (
            name
            for name, counts in waiting.items()
            if name not in taken and any(count <= room[label] for label, count in counts.items())
        )
        best = max(fitting_one, key=lambda name: gain(waiting[name]), default=None)
        if best is None or gain(waiting[best]) <= 0:
            break
        take(best)
    for label in sorted(total):
        having = [name for name, counts in waiting.items() if counts.get(label)]
        if having and taken.keys().isdisjoint(having) and (len(having) > 1 or not taken):
            take(min(having, key=lambda name: sum(waiting[name].values())))
    return list(taken)


def count_labels(groups: Sequence[str], labels: Sequence[int]) -> dict[str, Counter[int]]:
    """What `split_groups` takes, from the group and the label of every sample."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        counts[group][label] += 1
    return dict(counts)


def join_people(meetings: Iterable[Sequence[str]]) -> dict[str, str]:
    """For everyone the alphabetically first of all people joined to them by common samples.

    Args:
        meetings: Of each sample, everyone seen in it.
    """
    first: dict[str, str] = {}

    def find_first(person: str) -> str:
        while first.setdefault(person, person) != person:
            first[person] = first[first[person]]  # shorten the way for the next one
            person = first[person]
        return person

    for people in meetings:
        for person in people:
            one, other = sorted((find_first(people[0]), find_first(person)))
            first[other] = one
    return {person: find_first(person) for person in list(first)}


def seeded_rank(name: str, seed: int) -> bytes:
    """Place of a name in an order that depends on nothing but the name and ``seed``."""
    return hashlib.sha256(f"{seed}:{inventory.plain_id(name)}".encode()).digest()
