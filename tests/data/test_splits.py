"""Splits: whole groups, close to the shares of both classes, by names and seed only."""

import random
from collections import Counter

import pytest

from avkd.data.manifest import FAKE, REAL, Sample, check_identities
from avkd.data.splits import connected_identities, drop_overlap, split_connected, split_groups

SEVEN_TWO_ONE = {"val": 0.2, "test": 0.1}
SIX_TWO_TWO = {"val": 0.2, "test": 0.2}


def shares(groups, splits):
    """Share of each label's samples in each split."""
    total, found = Counter(), Counter()
    for name, counts in groups.items():
        for label, count in counts.items():
            total[label] += count
            found[splits[name], label] += count
    return {(split, label): count / total[label] for (split, label), count in found.items()}


def test_groups_of_one_class_are_dealt_out_close_to_their_share():
    groups = {f"g{number}": {REAL: 1 + number % 7} for number in range(100)}
    for seed in range(5):
        splits = split_groups(groups, fractions=SEVEN_TWO_ONE, seed=seed)
        total = sum(counts[REAL] for counts in groups.values())
        for split, share in SEVEN_TWO_ONE.items():
            count = sum(counts[REAL] for name, counts in groups.items() if splits[name] == split)
            assert share * total - 1 <= count <= share * total


@pytest.mark.parametrize("fractions", [SEVEN_TWO_ONE, SIX_TWO_TWO])
def test_single_files_are_dealt_out_exactly_in_both_classes(fractions):
    groups = {
        f"{label}/{n}": {label: 1} for label, many in ((REAL, 30), (FAKE, 170)) for n in range(many)
    }
    found = shares(groups, split_groups(groups, fractions=fractions, seed=3))
    for split, share in fractions.items():
        assert found[split, REAL] == pytest.approx(share)
        assert found[split, FAKE] == pytest.approx(share)


@pytest.mark.parametrize("seed", range(5))
def test_originals_with_uneven_numbers_of_forgeries_keep_both_shares(seed):
    """With shares of the whole alone, the few reals would go where the dice fall."""
    dice = random.Random(seed)
    groups = {f"g{n}": {REAL: int(n % 5 > 0), FAKE: dice.randrange(1, 12)} for n in range(600)}
    found = shares(groups, split_groups(groups, fractions=SEVEN_TWO_ONE, seed=seed))
    for split, share in {**SEVEN_TWO_ONE, "train": 0.7}.items():
        assert found[split, REAL] == pytest.approx(share, abs=0.01)
        assert found[split, FAKE] == pytest.approx(share, abs=0.01)


def test_rare_class_reaches_every_split_while_it_lasts():
    groups = {f"f{n}": {FAKE: 1} for n in range(100)} | {f"r{n}": {REAL: 1} for n in range(3)}
    splits = split_groups(groups, fractions={"val": 0.1, "test": 0.1}, seed=0)
    assert {splits[f"r{n}"] for n in range(3)} == {"train", "val", "test"}
    del groups["r1"], groups["r2"]
    assert split_groups(groups, fractions={"val": 0.1, "test": 0.1}, seed=0)["r0"] == "train"


def test_split_depends_on_names_and_seed_only():
    groups = {f"g{n}": {n % 2: 1 + n % 3} for n in range(50)}
    backwards = dict(reversed(groups.items()))
    one = split_groups(groups, fractions=SEVEN_TWO_ONE, seed=1)
    assert split_groups(backwards, fractions=SEVEN_TWO_ONE, seed=1) == one
    assert any(split_groups(groups, fractions=SEVEN_TWO_ONE, seed=n) != one for n in range(2, 5))


def test_a_split_without_a_share_gets_nothing():
    groups = {f"g{n}": {n % 2: 1} for n in range(20)}
    splits = split_groups(groups, fractions={"val": 0.2, "test": 0}, seed=0)
    assert Counter(splits.values()) == {"train": 16, "val": 4}


@pytest.mark.parametrize("fractions", [{"val": -0.1}, {"val": 1.0}, {"val": 0.5, "test": 0.5}])
def test_impossible_shares_are_refused(fractions):
    with pytest.raises(ValueError, match="each from 0 to below 1, in sum below 1"):
        split_groups({"a": {REAL: 1}}, fractions=fractions, seed=0)


def test_too_few_groups_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"2 groups of .* cannot fill 3 splits.*to 0"):
        split_groups({"a": {REAL: 5}, "b": {FAKE: 5}}, fractions=SIX_TWO_TWO, seed=0)


def sample(name, split, *people, label=REAL) -> Sample:
    method = "real" if label == REAL else "x"
    shared = {"path": name, "kind": "video", "dataset": "d", "method": method, "label": label}
    return Sample(sample_id=name, identities=people, split=split, **shared)


def test_identities_that_meet_are_connected_over_any_number_of_others():
    connected = connected_identities([("d", "c"), ("a",), ("c", "b"), ("y", "x"), ()])
    assert connected == {"a": "a", "b": "b", "c": "b", "d": "b", "x": "x", "y": "x"}


def test_connected_samples_are_split_as_their_groups_by_number_and_label():
    links = [(f"p{n}", f"q{n}") if n < 30 else (f"p{n % 30}",) for n in range(60)]
    samples = [sample(str(n), None, label=FAKE if n < 30 else REAL) for n in range(60)]
    done = split_connected(samples, links, fractions=SEVEN_TWO_ONE, seed=5)
    groups = {f"p{n}": {REAL: 1, FAKE: 1} for n in range(30)}
    split_of = split_groups(groups, fractions=SEVEN_TWO_ONE, seed=5)
    assert [s.split for s in done] == [split_of[names[0]] for names in links]
    assert [s.sample_id for s in done] == [s.sample_id for s in samples]


def test_samples_without_a_link_keep_their_split():
    samples = [sample(str(n), "test" if n < 5 else None) for n in range(20)]
    links = [() if n < 5 else (str(n),) for n in range(20)]
    done = split_connected(samples, links, fractions={"val": 0.2}, seed=0)
    assert Counter(s.split for s in done) == {"test": 5, "val": 3, "train": 12}
    assert done[:5] == samples[:5]


def test_the_more_held_out_split_keeps_its_people():
    samples = [
        sample("a", "train", "p/1"),
        sample("b", "train", "p/2", "p/9", label=FAKE),
        sample("c", "train", "p/3"),
        sample("d", "val", "p/2"),
        sample("e", "val", "p/1", label=FAKE),
        sample("f", "test", "p/1"),
        sample("g", "train"),
    ]
    apart, notes = drop_overlap(samples)
    assert [s.sample_id for s in apart] == list("abcdefg")
    assert [s.split for s in apart] == [None, None, "train", "val", None, "test", "train"]
    check_identities(apart)
    assert [note.partition(":")[2] for note in notes] == [
        " 0 real, 1 fake; left: 1 real, 0 fake",
        " 1 real, 1 fake; left: 2 real, 0 fake",
    ]


def test_who_lost_a_split_holds_nobody_out():
    """p/2 is only in a val clip that itself gave way to test, so p/2 may train."""
    apart, _ = drop_overlap(
        [sample("a", "train", "p/2"), sample("b", "val", "p/1", "p/2"), sample("c", "test", "p/1")]
    )
    assert [s.split for s in apart] == ["train", None, "test"]


def test_splits_that_share_nobody_stay_without_a_word():
    samples = [sample("a", "train", "p/1"), sample("b", "test", "p/2"), sample("c", None, "p/2")]
    assert drop_overlap(samples) == (samples, [])
