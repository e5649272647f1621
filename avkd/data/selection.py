"""Under-sampling: fewer samples of the class there are too many of, and fewer in all.

Nothing is ever shown twice; which samples stay depends on their ids and a seed only.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Sample
from avkd.data.splits import seeded_rank

Item = TypeVar("Item")


def undersample(
    items: Iterable[Item],
    *,
    ratio: tuple[int, int] | None,
    size: int | None,
    seed: int,
    key: Callable[[Any], Sample] = lambda sample: sample,
) -> list[Item]:
    """Leave samples out until the classes stand in a ratio and the whole has a size.

    Methods keep their shares among the fake as nearly as whole samples allow. A ratio of real:fake,
    e.g. (1, 2), is reached by leaving out of the class there are too many of; the seed chooses
    which. Those that stay keep their order. ``key`` gives the sample of an item.

    Raises:
        ValueError: a class is missing or has too few for the ratio, or there are fewer than
            ``size``.
    """
    items = list(items)
    if ratio is None and size is None:
        return items
    samples = [key(item) for item in items]
    labels = Counter(sample.label for sample in samples)
    num_real, num_fake = _class_sizes(labels[REAL], labels[FAKE], ratio, size)
    methods = Counter(sample.method for sample in samples if sample.label == FAKE)
    room = {REAL_METHOD: num_real, **_quotas(methods, num_fake)}
    kept = set()
    ranked = sorted(range(len(items)), key=lambda i: seeded_rank(samples[i].sample_id, seed))
    for index in ranked:
        if room[samples[index].method]:
            room[samples[index].method] -= 1
            kept.add(index)
    return [item for index, item in enumerate(items) if index in kept]


def _class_sizes(
    num_real: int, num_fake: int, ratio: tuple[int, int] | None, size: int | None
) -> tuple[int, int]:
    """How many real and how many fake ones stay."""
    there = f"there are {num_real} real and {num_fake} fake"
    if not (num_real and num_fake):
        raise ValueError(f"{there}: add samples of the other class, or select by neither")
    real_parts, fake_parts = ratio or (num_real, num_fake)
    most_real = min(num_real, num_fake * real_parts // fake_parts)
    most_fake = min(num_fake, num_real * fake_parts // real_parts)
    if not (most_real and most_fake):
        raise ValueError(
            f"{there}: too few for real:fake = {real_parts}:{fake_parts}; add samples, or ask for "
            "a ratio nearer to 1:1"
        )
    most = most_real + most_fake
    if size is None:
        return most_real, most_fake
    if not 2 <= size <= most:
        at_ratio = f", {most} of them at {real_parts}:{fake_parts}" if ratio else ""
        raise ValueError(f"size {size}: {there}{at_ratio}; ask for 2 to {most}, or give no size")
    wanted = round(size * real_parts / (real_parts + fake_parts))
    num_real = min(max(wanted, size - most_fake, 1), most_real, size - 1)
    return num_real, size - num_real


def _quotas(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """``total`` shared out in proportion to ``counts``, by largest remainders."""
    whole = sum(counts.values())
    quotas = {name: total * count // whole for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: (-(total * counts[name] % whole), name))
    for name in by_remainder[: total - sum(quotas.values())]:
        quotas[name] += 1
    return quotas


def evenly_spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` items, evenly over the list, so that every speaker stays in."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]
