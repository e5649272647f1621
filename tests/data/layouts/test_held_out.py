"""Sides that share people: what is evaluated on stays whole, what trains gives way."""

from avkd.data.layouts.held_out import keep_apart
from avkd.data.manifest import FAKE, REAL, Sample, check_identities


def sample(name, side, *people, label=REAL) -> Sample:
    method = "real" if label == REAL else "x"
    shared = {"path": name, "kind": "video", "dataset": "d", "method": method, "label": label}
    return Sample(sample_id=name, identities=people, split=side, **shared)


def test_the_more_held_out_side_keeps_its_people():
    samples = [
        sample("a", "train", "p/1"),
        sample("b", "train", "p/2", "p/9", label=FAKE),
        sample("c", "train", "p/3"),
        sample("d", "val", "p/2"),
        sample("e", "val", "p/1", label=FAKE),
        sample("f", "test", "p/1"),
        sample("g", "train"),
    ]
    apart, notes = keep_apart(samples)
    assert [s.sample_id for s in apart] == list("abcdefg")
    assert [s.split for s in apart] == [None, None, "train", "val", None, "test", "train"]
    check_identities(apart)
    assert [note.partition(":")[2] for note in notes] == [
        " 0 real, 1 fake; left: 1 real, 0 fake",
        " 1 real, 1 fake; left: 2 real, 0 fake",
    ]


def test_who_lost_a_side_holds_nobody_out():
    """p/2 is only in a val clip that itself gave way to test, so p/2 may train."""
    apart, _ = keep_apart(
        [sample("a", "train", "p/2"), sample("b", "val", "p/1", "p/2"), sample("c", "test", "p/1")]
    )
    assert [s.split for s in apart] == ["train", None, "test"]


def test_sides_that_share_nobody_stay_without_a_word():
    samples = [sample("a", "train", "p/1"), sample("b", "test", "p/2"), sample("c", None, "p/2")]
    assert keep_apart(samples) == (samples, [])
