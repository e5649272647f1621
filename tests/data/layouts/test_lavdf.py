"""LAV-DF and AV-Deepfake1M: any change makes a fake, and an original keeps what was made of it."""

import json
from pathlib import Path

import pytest

from avkd.data.layouts import lavdf
from avkd.data.manifest import FAKE, REAL


def entry(file, video=False, audio=False, original=None, **more):
    known = {"file": file, "split": file.partition("/")[0], "original": original}
    return known | {"modify_video": video, "modify_audio": audio} | more


def build(plant, rows, name="metadata.json", without=()) -> Path:
    root = plant(row["file"].replace("\\", "/") for row in rows if row["file"] not in without)
    (root / name).write_text(json.dumps(rows))
    return root


FAMILY = [
    entry("train/0.mp4", n_fakes=0),
    entry("train/1.mp4", True, False, "train/0.mp4", n_fakes=1),
    entry("train/2.mp4", False, True, "train/0.mp4", n_fakes=2),
    entry("train/3.mp4", True, True, "train/0.mp4"),
    entry("dev/4.mp4"),
    entry("test/5.mp4"),
]


@pytest.mark.parametrize("table", ["metadata.json", "metadata.min.json"])
def test_any_change_makes_a_fake_and_its_kind_the_method(plant, table):
    manifest = lavdf.find_lavdf(build(plant, FAMILY, table))
    assert {s.path: (s.label, s.method, s.split) for s in manifest.samples} == {
        "train/0.mp4": (REAL, "real", "train"),
        "train/1.mp4": (FAKE, "visual", "train"),
        "train/2.mp4": (FAKE, "audio", "train"),
        "train/3.mp4": (FAKE, "both", "train"),
        "dev/4.mp4": (REAL, "real", "val"),
        "test/5.mp4": (REAL, "real", "test"),
    }
    notes = "\n".join(manifest.notes)
    assert "val: 1 found, 31501 official, difference -31500" in notes
    assert "fake: 3 found, 99873 official" in notes
    assert "audio: the picture is genuine" in notes


def test_original_is_identity_and_source(plant):
    manifest = lavdf.find_lavdf(build(plant, FAMILY))
    made = [s for s in manifest.samples if s.label == FAKE]
    assert {s.identities for s in made} == {("lavdf/train/0.mp4",)}
    assert {s.source_id for s in made} == {"lavdf/real/train/0.mp4"}
    assert manifest.check_identities() == 0


def test_forgery_on_another_split_than_its_original_is_kept_out(plant):
    rows = [entry("test/0.mp4"), entry("train/1.mp4", True, original="test/0.mp4")]
    manifest = lavdf.find_lavdf(build(plant, rows))
    assert {s.path: s.split for s in manifest.samples} == {
        "test/0.mp4": "test",
        "train/1.mp4": None,
    }
    assert any("kept out of train" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (entry("train/0.mp4", True, n_fakes=0), "0 fake segments contradict"),
        (entry("train/0.mp4", n_fakes=1), "1 fake segments contradict"),
        (entry("train/0.mp4", 1), "modify_video 1, modify_audio False; expected"),
        (entry("train/0.mp4", "False"), "modify_video 'False'"),
        (entry("train/0.mp4") | {"split": "hidden"}, "split 'hidden'"),
        (entry("train/0.mp4") | {"split": "test"}, "does not lie in its split, 'test'"),
        ({"name": "train/0.mp4"}, "has no file name"),
    ],
)
def test_broken_row_is_named(plant, row, message):
    root = plant(["train/0.mp4"])
    (root / "metadata.json").write_text(json.dumps([entry("train/9.mp4"), row]))
    with pytest.raises(ValueError, match=rf"metadata\.json, entry 1: .*{message}"):
        lavdf.find_lavdf(root)


@pytest.mark.parametrize("table", [{}, [], "x"])
def test_table_that_is_no_list_is_refused(plant, table):
    root = plant(["train/0.mp4"])
    (root / "metadata.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match="not a list of videos"):
        lavdf.find_lavdf(root)


def test_video_listed_twice_is_refused(plant):
    with pytest.raises(ValueError, match=r"'train/0\.mp4' is listed a second time"):
        lavdf.find_lavdf(build(plant, [entry("train/0.mp4"), entry("train/0.mp4", True)]))


def test_missing_videos_and_windows_separators(plant):
    rows = [row | {"file": row["file"].replace("/", "\\")} for row in FAMILY]
    root = build(plant, rows, without=["train\\3.mp4"])
    manifest = lavdf.find_lavdf(root)
    assert len(manifest) == 5
    assert any("listed but missing: 1: 'train/3.mp4'" in note for note in manifest.notes)


CLIP = "id00012/_raOc3-IRsw/00110"


def row_1m(file, kind, split, original=None, **more):
    return {"file": file, "modify_type": kind, "split": split, "original": original} | more


def build_1m(plant, tables, **files) -> Path:
    root = plant(f"{split}/{row['file']}" for split, rows in tables.items() for row in rows)
    for split, rows in tables.items():
        (root / f"{split}_metadata.json").write_text(json.dumps(rows))
    return root


def family_1m(split, clip=CLIP):
    real = f"{clip}/real.mp4"
    yield row_1m(real, "real", split, fake_segments=[])
    yield row_1m(f"{clip}/fake_video_real_audio.mp4", "visual_modified", split, real)
    yield row_1m(f"{clip}/real_video_fake_audio.mp4", "audio_modified", split, real)
    yield row_1m(f"{clip}/fake_video_fake_audio.mp4", "both-modified", split, real)


def test_modify_type_is_label_and_method(plant):
    tables = {"train": list(family_1m("train")), "val": list(family_1m("val", "id00012/x/00001"))}
    manifest = lavdf.find_avdeepfake1m(build_1m(plant, tables))
    found = {s.path: (s.label, s.method) for s in manifest.of_split("train").samples}
    assert found == {
        f"train/{CLIP}/real.mp4": (REAL, "real"),
        f"train/{CLIP}/fake_video_real_audio.mp4": (FAKE, "visual"),
        f"train/{CLIP}/real_video_fake_audio.mp4": (FAKE, "audio"),
        f"train/{CLIP}/fake_video_fake_audio.mp4": (FAKE, "both"),
    }
    assert len(manifest.of_split("val")) == 4
    assert manifest.check_identities() == 0
    sources = {s.source_id for s in manifest.of_split("train").samples if s.label == FAKE}
    assert sources == {f"avdeepfake1m/real/train/{CLIP}/real.mp4"}
    assert any("speakers in both splits: 1 of 1" in note for note in manifest.notes)


def test_videos_without_published_labels_are_left_out_and_told(plant):
    root = build_1m(plant, {"train": list(family_1m("train"))})
    plant(["test/000001.mp4"])
    manifest = lavdf.find_avdeepfake1m(root)
    assert {s.split for s in manifest.samples} == {"train"}
    assert any("unknown label: 1: 'test/000001.mp4'" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (row_1m("a.mp4", "forged", "train"), "modify_type 'forged'; known: real"),
        (row_1m("a.mp4", "real", "val"), "split 'val' in the table of train"),
        (row_1m("a.mp4", "real", "train", fake_segments=[[0, 1]]), "1 fake segments"),
        (row_1m("a.mp4", "both_modified", "train", fake_segments=[]), "0 fake segments"),
    ],
)
def test_broken_row_of_the_second_is_named(plant, row, message):
    with pytest.raises(ValueError, match=rf"train_metadata\.json, entry 0: {message}"):
        lavdf.find_avdeepfake1m(build_1m(plant, {"train": [row]}))


def test_wrong_root_names_the_right_one(plant):
    root = build(plant, FAMILY)
    with pytest.raises(ValueError, match=r"expected metadata\.json, .*Did you mean .*root\?"):
        lavdf.find_lavdf(root / "train")
    with pytest.raises(ValueError, match=r"expected train_metadata\.json or val_metadata"):
        lavdf.find_avdeepfake1m(root)
