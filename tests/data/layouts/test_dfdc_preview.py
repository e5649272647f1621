"""DFDC preview: the table's test split stays whole, and val parts nobody who meets in a forgery."""

import json
from pathlib import Path

import pytest

from avkd.data.layouts import dfdc
from avkd.data.manifest import FAKE, REAL


def real(actor, split, clip="001"):
    return {f"original_videos/{actor}/{actor}_{clip}.mp4": {"label": "real", "set": split}}


def fake(actor, other, split, method="A"):
    name = f"method_{method}/{actor}/{actor}_{method}/{other}_{actor}_{method}_001.mp4"
    return {name: {"label": "fake", "set": split, "augmentations": []}}


def build(plant, *rows, without=()) -> Path:
    table = {path: row for part in rows for path, row in part.items()}
    root = plant(path for path in table if path not in without)
    (root / "dataset.json").write_text(json.dumps(table))
    return root


def pairs(first, last):
    """Actors who meet two by two, so that each pair is one group."""
    for actor in range(first, last, 2):
        yield from (real(actor, "train"), real(actor + 1, "train"))
        yield fake(actor, actor + 1, "train")


def test_labels_splits_methods_and_actors_are_read(plant):
    root = build(
        plant,
        real(1234567, "train"),
        fake(1234567, 7654, "train", "B"),
        fake(20003, 20004, "test"),
    )
    manifest = dfdc.find_preview(root)
    assert [(s.label, s.method, s.split, s.identities) for s in manifest.samples] == [
        (FAKE, "method_A", "test", ("dfdcp/20003", "dfdcp/20004")),
        (FAKE, "method_B", "train", ("dfdcp/1234567", "dfdcp/7654")),
        (REAL, "real", "train", ("dfdcp/1234567",)),
    ]
    assert "fake: 2 found, 4113 official, difference -4111" in manifest.notes


def test_val_is_carved_from_train_by_groups_of_actors(plant):
    root = build(plant, *pairs(1000, 1040), real(5000, "test"), fake(5000, 5001, "test"))
    before, after = dfdc.find_preview(root), dfdc.find_preview(root, val_fraction=0.2)
    assert not before.of_split("val").samples
    assert len(after.of_split("val")) == 12
    assert after.of_split("test").samples == before.of_split("test").samples
    assert after.check_identities() == 0
    assert any(
        dfdc.find_preview(root, val_fraction=0.2, seed=n).samples != after.samples
        for n in range(1, 4)
    )


def test_actors_of_the_test_split_are_kept_out_of_training(plant):
    """Mutation to catch: taking the table's splits as they are, with an actor on both."""
    root = build(plant, real(1000, "train"), real(2000, "train"), fake(3000, 1000, "test"))
    manifest = dfdc.find_preview(root)
    assert {s.path.split("/")[1]: s.split for s in manifest.samples} == {
        "1000": None,
        "2000": "train",
        "3000": "test",
    }
    assert manifest.check_identities() == 0
    assert any("kept out of train" in n and "1 real, 0 fake; left: 1" in n for n in manifest.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": 1, "set": "train"}, "label 1 and set 'train'; expected"),
        ({"label": "fake", "set": "hidden"}, "label 'fake' and set 'hidden'; expected"),
        ({"label": "fake", "set": "train"}, "'fake' contradicts the folder 'original_videos'"),
        (None, "label None and set None; expected"),
    ],
)
def test_broken_row_is_named(plant, row, message):
    root = build(plant, {"original_videos/1000/1000_001.mp4": row})
    with pytest.raises(ValueError, match=rf"dataset\.json, .*1000_001\.mp4': {message}"):
        dfdc.find_preview(root)


def test_missing_videos_are_told_and_windows_separators_are_read(plant):
    root = build(plant, *pairs(1000, 1004), without=["original_videos/1000/1000_001.mp4"])
    table = json.loads((root / "dataset.json").read_text())
    windows = {path.replace("/", "\\"): row for path, row in table.items()}
    (root / "dataset.json").write_text(json.dumps(windows))
    manifest = dfdc.find_preview(root)
    assert len(manifest) == 5
    assert any("listed but missing: 1: 'original_videos/1000/" in note for note in manifest.notes)


def test_wrong_root_names_the_right_one(plant):
    root = build(plant, *pairs(1000, 1004))
    with pytest.raises(ValueError, match=r"expected original_videos, .*Did you mean .*root\?"):
        dfdc.find_preview(root / "method_A")
