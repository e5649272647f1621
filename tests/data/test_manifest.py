"""Manifest: one label convention, a lossless file, and nobody in two splits of a split."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from avkd.data.manifest import (
    FAKE,
    REAL,
    Manifest,
    Sample,
    check_identities,
    label_or_none,
)


def sample(sample_id="made/real/a", **fields) -> Sample:
    given = {"path": "a.mp4", "kind": "video", "label": REAL, "dataset": "made", "method": "real"}
    return Sample(sample_id=sample_id, **(given | fields))


def fake(sample_id="made/swap/a", **fields) -> Sample:
    return sample(sample_id, **({"label": FAKE, "method": "swap"} | fields))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    manifest = Manifest(tmp_path, (sample(), fake(path="b.mp4")), notes=("a note",))
    manifest.save(tmp_path / "manifest.jsonl")
    return tmp_path / "manifest.jsonl"


def rewrite(path: Path, number: int, text: str) -> None:
    """Replace line ``number`` (from 1)."""
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("real", REAL),
        ("REAL", REAL),
        (" Original ", REAL),
        ("pristine", REAL),
        ("Fake", FAKE),
        ("manipulated", FAKE),
    ],
)
def test_names_become_labels(name, label):
    assert label_or_none(name) == label


@pytest.mark.parametrize("name", ["0", "1", "", "unreal", "real fake"])
def test_numbers_and_unknown_names_never_become_labels(name):
    assert label_or_none(name) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label": FAKE}, "method 'real' contradicts label 1"),
        ({"method": "swap"}, "method 'swap' contradicts label 0"),
        ({"label": 2}, "label 2 is neither"),
        ({"label": "fake"}, "label 'fake' is neither"),
        ({"kind": "film"}, "unknown kind 'film'"),
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"path": "/etc/passwd"}, "leaves the manifest's folder"),
        ({"path": "a/../../b.mp4"}, "leaves the manifest's folder"),
    ],
)
def test_contradictions_are_refused_and_name_the_sample(fields, message):
    with pytest.raises(ValueError, match=f"made/real/a: .*{message}"):
        sample(**fields)


def test_doubled_ids_are_refused_and_named(tmp_path):
    with pytest.raises(ValueError, match="1 sample ids occur twice, first 'made/real/a'"):
        Manifest(tmp_path, (sample(), sample(path="b.mp4")))


def test_saving_and_loading_keeps_everything(tmp_path):
    manifest = Manifest(
        tmp_path,
        (
            sample(identities=("made/p1",), split="val", num_frames=29, has_audio=False),
            fake(identities=("made/p1", "made/p2"), source_id="made/real/a", kind="crops"),
        ),
        notes=("first note", "zweite: \u00fcber"),
    )
    manifest.save(tmp_path / "manifest.jsonl")
    loaded = Manifest.load(tmp_path / "manifest.jsonl")
    assert loaded == manifest
    assert loaded.fingerprint == manifest.fingerprint


@pytest.mark.parametrize(
    "name",
    [
        "a b.mp4",
        "line\nbreak.mp4",
        "carriage\rreturn.mp4",
        "line\u2028separator\x85next.mp4",
        "100%.mp4",
        "-rf.mp4",
        "quote\"and'comma,.mp4",
        "\u4f60\u597d \U0001f600.mp4",
        "back\\slash.mp4",
        os.fsdecode(b"caf\xe9\xff.mp4"),
    ],
)
def test_odd_names_survive_the_file(tmp_path, name):
    manifest = Manifest(tmp_path, (sample(f"made/real/{name}", path=name),))
    manifest.save(tmp_path / "manifest.jsonl")
    assert Manifest.load(tmp_path / "manifest.jsonl") == manifest


def test_root_can_be_given_and_does_not_change_the_fingerprint(saved, tmp_path):
    there = Manifest.load(saved)
    elsewhere = Manifest.load(saved, root=tmp_path / "other")
    assert there.root == tmp_path
    assert elsewhere.absolute_path(elsewhere.samples[0]) == tmp_path / "other" / "a.mp4"
    assert elsewhere.fingerprint == there.fingerprint


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Sample)])
def test_every_field_changes_the_fingerprint(tmp_path, field):
    other = {
        "sample_id": "made/real/b",
        "path": "b.mp4",
        "kind": "frames",
        "label": FAKE,
        "dataset": "other",
        "method": "swap",
        "identities": ("made/p",),
        "split": "val",
        "source_id": "made/real/c",
        "num_frames": 1,
        "has_audio": True,
    }
    change = {field: other[field]}
    if field in ("label", "method"):
        change = {"label": FAKE, "method": "swap"}
    changed = dataclasses.replace(sample(), **change)
    assert Manifest(tmp_path, (changed,)).fingerprint != Manifest(tmp_path, (sample(),)).fingerprint


def test_byte_order_mark_and_foreign_line_ends_are_read_over(saved):
    text = saved.read_text()
    saved.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(Manifest.load(saved)) == 2


def test_file_cut_short_is_noticed(saved):
    saved.write_text("".join(saved.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match=r"manifest\.jsonl: holds 1 samples but announces 2"):
        Manifest.load(saved)


def test_file_cut_within_a_line_names_the_line(saved):
    saved.write_text(saved.read_text()[:-20])
    with pytest.raises(ValueError, match=r"manifest\.jsonl, line 3: "):
        Manifest.load(saved)


@pytest.mark.parametrize(
    "row",
    [
        "{",
        "[]",
        "5",
        "null",
        '"text"',
        "",
        '{"sample_id": "a"}',
        '{"unknown": 1}',
        '{"identities": 5}',
    ],
)
def test_broken_row_names_file_and_line(saved, row):
    rewrite(saved, 3, row)
    with pytest.raises(ValueError, match=r"manifest\.jsonl, line 3: "):
        Manifest.load(saved)


def test_contradicting_row_names_its_line(saved):
    row = json.loads(saved.read_text().splitlines()[1])
    rewrite(saved, 2, json.dumps(row | {"label": FAKE}))
    with pytest.raises(ValueError, match=r"line 2: .*contradicts label 1"):
        Manifest.load(saved)


@pytest.mark.parametrize(
    "header", ["", "{}", "[]", '{"format": "avkd-manifest-0"}', "sample,label"]
)
def test_other_files_are_not_taken_for_a_manifest(saved, header):
    rewrite(saved, 1, header)
    with pytest.raises(ValueError, match="not an avkd manifest"):
        Manifest.load(saved)


def test_empty_file_is_not_a_manifest_and_absent_file_is_absent(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match="not an avkd manifest"):
        Manifest.load(tmp_path / "empty.jsonl")
    with pytest.raises(FileNotFoundError):
        Manifest.load(tmp_path / "absent.jsonl")


def test_selection_keeps_order_root_and_notes(saved):
    manifest = Manifest.load(saved)
    fakes = manifest.where(lambda one: one.label == FAKE)
    assert [one.method for one in fakes.samples] == ["swap"]
    assert (fakes.root, fakes.notes) == (manifest.root, manifest.notes)
    assert len(manifest.of_split("train")) == 0


def test_identity_on_two_splits_is_named_with_both_files(tmp_path):
    manifest = Manifest(
        tmp_path,
        (
            sample("made/real/a", identities=("made/p1",), split="train"),
            fake("made/swap/b", identities=("made/p2", "made/p1"), split="test"),
        ),
    )
    with pytest.raises(
        ValueError, match=r"'made/p1' .*2 splits.*test: made/swap/b; train: made/real/a"
    ):
        manifest.check_identities()


def test_identity_on_two_splits_is_found_across_manifests():
    one = sample("one/real/a", identities=("grid/s1",), split="train")
    two = sample("two/real/a", identities=("grid/s1",), split="val")
    assert check_identities([one]) == check_identities([two]) == 0
    with pytest.raises(ValueError, match="'grid/s1'"):
        check_identities([one, two])


def test_samples_without_a_split_may_show_anybody_and_unknown_people_are_counted():
    samples = [
        sample("a", identities=("made/p1",), split="train"),
        sample("b", identities=("made/p1",)),
        sample("c", split="test"),
        sample("d"),
    ]
    assert check_identities(samples) == 1
