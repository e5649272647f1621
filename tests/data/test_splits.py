"""Splits: whole groups, close to the shares of both classes, by names and seed only."""

import random
from collections import Counter

import pytest

from avkd.data.manifest import FAKE, REAL
from avkd.data.splits import count_labels, join_people, split_groups

SEVEN_TWO_ONE = {"val": 0.2, "test": 0.1}
SIX_TWO_TWO = {"val": 0.2, "test": 0.2}


def shares(groups, sides):
    """Share of each label's samples on each side."""
    total, found = Counter(), Counter()
    for name, counts in groups.items():
        for label, count in counts.items():
            total[label] += count
            found[sides[name], label] += count
    return {(side, label): count / total[label] for (side, label), count in found.items()}


def test_groups_of_one_class_are_dealt_out_close_to_their_share():
    groups = {f"g{number}": {REAL: 1 + number % 7} for number in range(100)}
    for seed in range(5):
        sides = split_groups(groups, fractions=SEVEN_TWO_ONE, seed=seed)
        total = sum(counts[REAL] for counts in groups.values())
        for side, share in SEVEN_TWO_ONE.items():
            count = sum(counts[REAL] for name, counts in groups.items() if sides[name] == side)
            assert share * total - 1 <= count <= share * total


@pytest.mark.parametrize("fractions", [SEVEN_TWO_ONE, SIX_TWO_TWO])
def test_single_files_are_dealt_out_exactly_in_both_classes(fractions):
    groups = {
        f"{label}/{n}": {label: 1} for label, many in ((REAL, 30), (FAKE, 170)) for n in range(many)
    }
    found = shares(groups, split_groups(groups, fractions=fractions, seed=3))
    for side, share in fractions.items():
        assert found[side, REAL] == pytest.approx(share)
        assert found[side, FAKE] == pytest.approx(share)


@pytest.mark.parametrize("seed", range(5))
def test_originals_with_uneven_numbers_of_forgeries_keep_both_shares(seed):
    """With shares of the whole alone, the few reals would go where the dice fall."""
    dice = random.Random(seed)
    groups = {f"g{n}": {REAL: int(n % 5 > 0), FAKE: dice.randrange(1, 12)} for n in range(600)}
    found = shares(groups, split_groups(groups, fractions=SEVEN_TWO_ONE, seed=seed))
    for side, share in {**SEVEN_TWO_ONE, "train": 0.7}.items():
        assert found[side, REAL] == pytest.approx(share, abs=0.01)
        assert found[side, FAKE] == pytest.approx(share, abs=0.01)


def test_rare_class_reaches_every_side_while_it_lasts():
    groups = {f"f{n}": {FAKE: 1} for n in range(100)} | {f"r{n}": {REAL: 1} for n in range(3)}
    sides = split_groups(groups, fractions={"val": 0.1, "test": 0.1}, seed=0)
    assert {sides[f"r{n}"] for n in range(3)} == {"train", "val", "test"}
    del groups["r1"], groups["r2"]
    assert split_groups(groups, fractions={"val": 0.1, "test": 0.1}, seed=0)["r0"] == "train"


def test_split_depends_on_names_and_seed_only():
    groups = {f"g{n}": {n % 2: 1 + n % 3} for n in range(50)}
    backwards = dict(reversed(groups.items()))
    one = split_groups(groups, fractions=SEVEN_TWO_ONE, seed=1)
    assert split_groups(backwards, fractions=SEVEN_TWO_ONE, seed=1) == one
    assert any(split_groups(groups, fractions=SEVEN_TWO_ONE, seed=n) != one for n in range(2, 5))


def test_a_side_without_a_share_gets_nothing():
    groups = {f"g{n}": {n % 2: 1} for n in range(20)}
    sides = split_groups(groups, fractions={"val": 0.2, "test": 0}, seed=0)
    assert Counter(sides.values()) == {"train": 16, "val": 4}


@pytest.mark.parametrize("fractions", [{"val": -0.1}, {"val": 1.0}, {"val": 0.5, "test": 0.5}])
def test_impossible_shares_are_refused(fractions):
    with pytest.raises(ValueError, match="each from 0 to below 1, in sum below 1"):
        split_groups({"a": {REAL: 1}}, fractions=fractions, seed=0)


def test_too_few_groups_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"2 separate people .* cannot fill 3 sides.*to 0"):
        split_groups({"a": {REAL: 5}, "b": {FAKE: 5}}, fractions=SIX_TWO_TWO, seed=0)


def test_labels_are_counted_by_group():
    counts = count_labels(["a", "b", "a", "a"], [REAL, FAKE, FAKE, FAKE])
    assert counts == {"a": {REAL: 1, FAKE: 2}, "b": {FAKE: 1}}


def test_people_who_meet_are_joined_over_any_number_of_others():
    joined = join_people([("d", "c"), ("a",), ("c", "b"), ("y", "x"), ()])
    assert joined == {"a": "a", "b": "b", "c": "b", "d": "b", "x": "x", "y": "x"}
