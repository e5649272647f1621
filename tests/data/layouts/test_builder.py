"""What every layout does the same way."""

import pytest

from avkd.data.layouts import builder
from avkd.data.manifest import FAKE, REAL


def sample(path, label=REAL, **fields):
    return builder.make_sample(path, dataset="d", label=label, **fields)


def test_ids_and_identities_are_plain_ascii_and_reversible():
    found = sample("a b/%.mp4", FAKE, method="M 1", identities=["d/x y"], original="o \u00fc")
    assert (found.sample_id, found.path) == ("d/M%201/a%20b/%25.mp4", "a b/%.mp4")
    assert found.identities == ("d/x%20y",)
    assert found.source_id == "d/real/o%20%C3%BC"


def test_a_real_sample_has_neither_a_forgery_method_nor_a_source():
    found = sample("a.mp4", method="Deepfakes", original="b")
    assert (found.sample_id, found.method, found.source_id) == ("d/real/a.mp4", "real", None)


def test_sources_that_are_not_there_or_not_real_are_forgotten(tmp_path):
    samples = [
        sample("a"),
        sample("b", FAKE, original="a"),
        sample("c", FAKE, original="gone"),
        sample("real", FAKE, method="x", original="b"),
    ]
    manifest = builder.build(tmp_path, samples, [])
    assert [s.source_id for s in manifest.samples] == [None, "d/real/a", None, None]


def test_every_split_is_counted_after_the_other_notes(tmp_path):
    samples = [sample("a", split="val"), sample("b", FAKE, split="val"), sample("c", FAKE)]
    assert builder.build(tmp_path, samples, ["first"]).notes == (
        "first",
        "train: 0 real, 0 fake",
        "val: 1 real, 1 fake",
        "test: 0 real, 0 fake",
    )


def test_a_method_called_fake_is_counted_once():
    found = builder.count([sample("a", FAKE, split="test"), sample("b", FAKE, method="x")])
    assert (found["files"], found["fake"], found["x"], found["test fake"]) == (2, 2, 1, 1)


@pytest.mark.parametrize(("there", "listed"), [(["a"], ["b"]), (["a"], [])])
def test_table_that_shares_no_name_with_the_files_is_refused(there, listed):
    with pytest.raises(ValueError, match=r"t\.csv: 1 files and . rows, but no file is called"):
        builder.compare_with_table("t.csv", there, listed)
