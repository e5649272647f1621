"""Which split a sample belongs to: whole groups of connected identities, by seed, classes alike."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from avkd.data import inventory
from avkd.data.manifest import FAKE, REAL, Sample, Split

SPLIT_NAMES: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What datasets call their splits, in lower case."""

_MOST_HELD_OUT_FIRST: tuple[Split, ...] = ("test", "val", "train")


def split_connected(
    samples: Sequence[Sample],
    links: Sequence[Sequence[str]],
    *,
    fractions: Mapping[Split, float],
    seed: int,
) -> list[Sample]:
    """Split samples so that those which share a name, also through others, stay together.

    ``links`` are of each sample the names that connect it, of people or files; one without any
    keeps the split it has. The rest, and what it raises, is as of `split_groups`.
    """
    first_of = connected_identities(links)
    groups = [first_of[names[0]] if names else None for names in links]
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for sample, group in zip(samples, groups, strict=True):
        if group is not None:
            counts[group][sample.label] += 1
    split_of = split_groups(counts, fractions=fractions, seed=seed)
    return [
        sample if group is None else replace(sample, split=split_of[group])
        for sample, group in zip(samples, groups, strict=True)
    ]


def split_groups(
    groups: Mapping[str, Mapping[int, int]], *, fractions: Mapping[Split, float], seed: int
) -> dict[str, Split]:
    """Assign whole groups to splits, so that no group is in two.

    Groups come in an order that depends on their names and ``seed`` only. A split takes each group
    that still fits into its share of every label; then, of those that fit into one label's share,
    whichever brings it nearest to its shares of all; last, the smallest with a label it lacks, if
    another group has that label too. Train gets the rest.

    Args:
        groups: Of each group, the number of samples by label.
        fractions: Share of the samples for each split but train, each in [0, 1): 0.2 and 0.1 make
            7:2:1, 0.2 and 0.2 make 6:2:2.
        seed: Shuffles the groups.

    Raises:
        ValueError: a share out of range, or too few groups to fill every split.
    """
    if any(not 0 <= share < 1 for share in fractions.values()) or sum(fractions.values()) >= 1:
        raise ValueError(f"fractions {dict(fractions)}: each from 0 to below 1, in sum below 1")
    total: Counter[int] = Counter()
    for counts in groups.values():
        total.update(counts)
    waiting = sorted(groups, key=lambda name: seeded_rank(name, seed))
    split_of: dict[str, Split] = {}
    for split, share in fractions.items():
        taken = _take({name: groups[name] for name in waiting}, total, share) if share else []
        if taken and len(taken) == len(waiting):
            raise ValueError(
                f"{len(groups)} groups of connected identities (or of files, where nobody is "
                f"known) cannot fill {1 + sum(map(bool, fractions.values()))} splits with "
                f"fractions {dict(fractions)}: add data, or set the fractions of unneeded splits "
                "to 0"
            )
        split_of |= dict.fromkeys(taken, split)
        waiting = [name for name in waiting if name not in split_of]
    return split_of | dict.fromkeys(waiting, "train")


def _take(
    waiting: Mapping[str, Mapping[int, int]], total: Mapping[int, int], share: float
) -> list[str]:
    """The groups of one split, out of those that wait in their order."""
    room = {label: share * count for label, count in total.items()}
    taken: dict[str, None] = {}

    def take(name: str) -> None:
        taken[name] = None
        for label, count in waiting[name].items():
            room[label] -= count

    def gain(counts: Mapping[int, int]) -> float:
        """How much nearer the split comes to its shares, each as a part of its label's total."""
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


def connected_identities(links: Iterable[Sequence[str]]) -> dict[str, str]:
    """For every name the alphabetically first of all names connected to it by common samples.

    ``links`` are of each sample everyone seen in it.
    """
    first: dict[str, str] = {}

    def find_first(name: str) -> str:
        while first.setdefault(name, name) != name:
            first[name] = first[first[name]]  # shorten the way for the next one
            name = first[name]
        return name

    for names in links:
        for name in names:
            one, other = sorted((find_first(names[0]), find_first(name)))
            first[other] = one
    return {name: find_first(name) for name in list(first)}


def drop_overlap(samples: Iterable[Sample]) -> tuple[list[Sample], list[str]]:
    """Take out of a published split who is also in one that is held out more.

    Test stays whole; val loses who is in test, train who is in test or val. Samples nobody is
    known of stay where they are.

    Returns:
        All samples in their order, some of them now without a split, and a note for each split
        that lost some.
    """
    samples = list(samples)
    held_out: set[str] = set()
    notes = []
    for split in _MOST_HELD_OUT_FIRST:
        own = [sample for sample in samples if sample.split == split]
        stay = [sample for sample in own if held_out.isdisjoint(sample.identities)]
        if len(stay) < len(own):
            lost = set(own).difference(stay)
            gone, left = (Counter(sample.label for sample in part) for part in (lost, stay))
            notes.append(
                f"kept out of {split} because someone in them is held out for a later split: "
                f"{gone[REAL]} real, {gone[FAKE]} fake; left: {left[REAL]} real, {left[FAKE]} fake"
            )
            samples = [replace(s, split=None) if s in lost else s for s in samples]
        held_out.update(name for sample in stay for name in sample.identities)
    return samples, notes


def seeded_rank(name: str, seed: int) -> bytes:
    """Place of a name in an order that depends on nothing but the name and ``seed``."""
    return hashlib.sha256(f"{seed}:{inventory.plain_id(name)}".encode()).digest()
