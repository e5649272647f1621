"""Under-sampling: the ratio and the size asked for, methods in proportion, by ids and seed only."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from avkd.data.manifest import FAKE, REAL, Sample
from avkd.data.selection import undersample


def made_up(**counts):
    return [
        Sample(
            sample_id=f"d/{method}/{n}",
            path=f"{method}/{n}",
            kind="image",
            label=REAL if method == "real" else FAKE,
            dataset="d",
            method=method,
        )
        for method, count in counts.items()
        for n in range(count)
    ]


def methods(samples):
    return Counter(sample.method for sample in samples)


def test_without_ratio_and_size_all_stay():
    samples = made_up(real=3)
    assert undersample(samples, ratio=None, size=None, seed=0) == samples


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        ((1, 1), {"real": 30, "a": 20, "b": 10}),
        ((1, 2), {"real": 30, "a": 40, "b": 20}),
        ((1, 4), {"real": 22, "a": 60, "b": 30}),
    ],
)
def test_ratio_is_reached_by_dropping_from_the_larger_class_only(ratio, expected):
    kept = undersample(made_up(real=30, a=60, b=30), ratio=ratio, size=None, seed=0)
    assert methods(kept) == expected


@pytest.mark.parametrize(
    ("ratio", "size", "expected"),
    [
        (None, 40, {"real": 10, "a": 20, "b": 10}),
        (None, 120, {"real": 30, "a": 60, "b": 30}),
        ((1, 1), 20, {"real": 10, "a": 7, "b": 3}),
        ((1, 1), 60, {"real": 30, "a": 20, "b": 10}),
        ((3, 1), 2, {"real": 1, "a": 1}),
        ((1, 2), 5, {"real": 2, "a": 2, "b": 1}),
    ],
)
def test_size_is_met_exactly_and_keeps_the_proportions(ratio, size, expected):
    kept = undersample(made_up(real=30, a=60, b=30), ratio=ratio, size=size, seed=0)
    assert methods(kept) == expected


def test_largest_size_is_possible_where_the_ratio_does_not_come_out_even():
    samples = made_up(real=5, a=100)
    most = len(undersample(samples, ratio=(2, 3), size=None, seed=0))
    assert methods(undersample(samples, ratio=(2, 3), size=most, seed=0)) == {"real": 5, "a": 7}


def test_choice_depends_on_ids_and_seed_and_the_order_stays():
    samples = made_up(real=20, a=40, b=21)
    kept = undersample(samples, ratio=(1, 1), size=18, seed=4)
    shuffled = random.Random(0).sample(samples, len(samples))
    again = undersample(shuffled, ratio=(1, 1), size=18, seed=4)
    assert set(again) == set(kept)
    assert kept == [sample for sample in samples if sample in set(kept)]
    assert set(undersample(samples, ratio=(1, 1), size=18, seed=5)) != set(kept)


def test_anything_that_has_a_sample_can_be_thinned_out():
    @dataclass(frozen=True)
    class Item:
        sample: Sample

    items = [Item(sample) for sample in made_up(real=4, a=10)]
    kept = undersample(items, ratio=(1, 1), size=None, seed=0, key=lambda item: item.sample)
    assert methods(item.sample for item in kept) == {"real": 4, "a": 4}


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ({"a": 5}, {"ratio": (1, 1), "size": None}, "0 real and 5 fake: add samples of the other"),
        ({}, {"ratio": None, "size": 4}, "0 real and 0 fake"),
        ({"real": 5, "a": 9}, {"ratio": (1, 1), "size": 11}, "10 of them at 1:1; ask for 2 to 10"),
        ({"real": 5, "a": 9}, {"ratio": None, "size": 15}, "size 15: .*; ask for 2 to 14"),
        ({"real": 5, "a": 9}, {"ratio": None, "size": 1}, "ask for 2 to 14"),
        ({"real": 5, "a": 1}, {"ratio": (1, 3), "size": None}, "too few for real:fake = 1:3"),
    ],
)
def test_impossible_wishes_are_refused_with_the_cure(counts, options, message):
    with pytest.raises(ValueError, match=message):
        undersample(made_up(**counts), seed=0, **options)
