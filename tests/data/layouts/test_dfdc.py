"""DFDC: words are translated by name, numbers by table, and a forgery never leaves its original."""

import json
from collections import Counter
from pathlib import Path

import pytest

from avkd.data.layouts import dfdc
from avkd.data.manifest import FAKE, REAL


def part(plant, number, rows, *, without=(), more=()) -> Path:
    folder = f"dfdc_train_part_{number}"
    root = plant(f"{folder}/{name}" for name in [*rows, *more] if name not in without)
    (root / folder / "metadata.json").write_text(json.dumps(rows))
    return root


def real():
    return {"label": "REAL", "split": "train", "original": None}


def fake(original):
    return {"label": "FAKE", "split": "train", "original": f"{original}.mp4"}


def family(name, fakes=4):
    return {
        f"{name}.mp4": real(),
        **{f"{name}f{n}.mp4": fake(name) for n in range(fakes)},
    }


def families(first, last):
    return {file: row for n in range(first, last) for file, row in family(f"v{n}").items()}


def test_forgeries_stay_with_their_original_across_parts(plant):
    part(plant, 0, families(0, 20) | {f"cross{n}.mp4": fake(f"v{n}") for n in range(20, 40)})
    root = part(plant, 1, families(20, 40))
    manifest = dfdc.find_train(root, val_fraction=0.2, test_fraction=0.1)
    samples = {Path(sample.path).stem: sample for sample in manifest.samples}
    assert manifest.check_identities() == 0
    assert samples["cross33"].source_id == "dfdc_train/real/v33"
    assert samples["cross33"].identities == samples["v33"].identities == ("dfdc/v33",)
    counts = Counter((s.split, s.label) for s in manifest.samples)
    assert [counts[split, REAL] for split in ("train", "val", "test")] == [28, 8, 4]
    assert {s.path.split("/")[0] for s in manifest.of_split("val").samples} == {
        "dfdc_train_part_0",
        "dfdc_train_part_1",
    }


def test_labels_of_the_parts_are_words(plant):
    manifest = dfdc.find_train(part(plant, 0, families(0, 10)))
    assert {s.label for s in manifest.samples if "f" in Path(s.path).stem} == {FAKE}
    assert {s.label for s in manifest.samples if "f" not in Path(s.path).stem} == {REAL}
    assert "real: 10 found, 19154 official, difference -19144" in manifest.notes
    assert "parts: 1 found, 50 official, difference -49" in manifest.notes


def test_one_part_alone_can_be_the_root_and_gives_the_same_samples(plant):
    root = part(plant, 3, families(0, 10))
    whole, alone = dfdc.find_train(root), dfdc.find_train(root / "dfdc_train_part_3")
    assert [s.sample_id for s in whole.samples] == [s.sample_id for s in alone.samples]
    assert [s.split for s in whole.samples] == [s.split for s in alone.samples]


def test_forgeries_of_an_absent_original_stay_together_without_a_source(plant):
    rows = families(0, 10) | {f"orphan{n}.mp4": fake("gone") for n in range(4)}
    orphans = [s for s in dfdc.find_train(part(plant, 0, rows)).samples if "orphan" in s.path]
    assert {s.source_id for s in orphans} == {None}
    assert len({s.split for s in orphans}) == 1
    assert {s.identities for s in orphans} == {("dfdc/gone",)}


def test_seed_deals_out_anew(plant):
    root = part(plant, 0, families(0, 20))
    one = dfdc.find_train(root, seed=1)
    assert one.samples == dfdc.find_train(root, seed=1).samples
    assert any(dfdc.find_train(root, seed=n).samples != one.samples for n in range(2, 5))


def test_what_table_or_folder_lack_is_told(plant):
    root = part(plant, 0, families(0, 10), without=["v3.mp4"], more=["stranger.mp4"])
    manifest = dfdc.find_train(root)
    assert len(manifest) == 49
    notes = "\n".join(manifest.notes)
    assert "dfdc_train_part_0: left out, listed but missing: 1: 'v3.mp4'" in notes
    assert "left out, without a row, so of unknown label: 1: 'stranger.mp4'" in notes


def test_part_without_a_table_is_refused(plant):
    part(plant, 0, families(0, 10))
    root = plant(["dfdc_train_part_1/a.mp4"])
    with pytest.raises(ValueError, match=r"part_1/metadata\.json is missing, .* has a label"):
        dfdc.find_train(root)


def test_same_video_in_two_parts_is_refused(plant):
    part(plant, 0, families(0, 10))
    with pytest.raises(ValueError, match=r"part_0/v9\.mp4' and 'dfdc_train_part_1/v9\.mp4' are"):
        dfdc.find_train(part(plant, 1, family("v9")))


@pytest.mark.parametrize("row", [{"label": 1}, {"label": "1"}, {"is_fake": 1}, "FAKE", None])
def test_label_that_is_no_word_is_refused(plant, row):
    with pytest.raises(ValueError, match=r"metadata\.json: 'a\.mp4' has the label"):
        dfdc.find_train(part(plant, 0, {"a.mp4": row}))


def test_broken_table_is_named(plant):
    root = part(plant, 0, families(0, 3))
    (root / "dfdc_train_part_0/metadata.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"metadata\.json: not JSON"):
        dfdc.find_train(root)


def test_train_root_one_folder_too_high_names_the_right_one(plant):
    root = part(plant, 0, families(0, 3))
    with pytest.raises(ValueError, match=r"expected dfdc_train_part_.*Did you mean .*root\?"):
        dfdc.find_train(root.parent)


def plant_test_set(plant, labels, *, metadata=True, table=False) -> Path:
    root = plant(f"{name}.mp4" for name in labels)
    if metadata:
        rows = {f"{n}.mp4": {"augmentations": {}, "is_fake": v} for n, v in labels.items()}
        (root / "metadata.json").write_text(json.dumps(rows))
    if table:
        lines = [f"{name}.mp4,{value}" for name, value in labels.items()]
        (root / "labels.csv").write_text("\n".join(["filename,label", *lines]) + "\n")
    return root


@pytest.mark.parametrize("tables", [(True, False), (False, True), (True, True)])
def test_numbers_of_the_test_set_mean_one_is_fake(plant, tables):
    metadata, table = tables
    root = plant_test_set(plant, {"a": 0, "b": 1}, metadata=metadata, table=table)
    manifest = dfdc.find_test(root)
    assert {s.path: (s.label, s.split) for s in manifest.samples} == {
        "a.mp4": (REAL, "test"),
        "b.mp4": (FAKE, "test"),
    }
    assert "files: 2 found, 5000 official, difference -4998" in manifest.notes


def test_tables_of_the_test_set_that_contradict_one_another_are_refused(plant):
    root = plant_test_set(plant, {"a": 0, "b": 1}, table=True)
    (root / "labels.csv").write_text("filename,label\na.mp4,1\nb.mp4,1\n")
    with pytest.raises(ValueError, match=r"labels\.csv: 'a\.mp4' is 1 here, and the opposite"):
        dfdc.find_test(root)


@pytest.mark.parametrize("value", [2, "FAKE", True, None])
def test_number_that_is_neither_0_nor_1_is_refused(plant, value):
    with pytest.raises(ValueError, match=r"'a\.mp4' has .* for 0 \(real\) or 1 \(fake\)"):
        dfdc.find_test(plant_test_set(plant, {"a": value}))


def test_evaluation_list_keeps_what_it_names_and_tells_the_rest(plant, tmp_path):
    root = plant_test_set(plant, {"a": 0, "b": 1, "c": 1})
    chosen = tmp_path / "one_clear_face.csv"
    chosen.write_text("filename,label\na.avi 1\n\nc.avi,0\ngone.avi 0\n")
    manifest = dfdc.find_test(root, video_list=chosen)
    # Its labels, here the opposite of the truth, are never read.
    assert {s.path: s.label for s in manifest.samples} == {"a.mp4": REAL, "c.mp4": FAKE}
    notes = "\n".join(manifest.notes)
    assert "one_clear_face.csv: 2 of 3 listed videos are here; 1 others left out" in notes
    assert "listed but missing: 1: 'gone'" in notes


@pytest.mark.parametrize(
    ("text", "message"),
    [("x\n", "none of its 1 videos is here"), ("a\na.mp4\n", "line 2: 'a' is listed a second")],
)
def test_evaluation_list_of_other_videos_is_refused(plant, tmp_path, text, message):
    root = plant_test_set(plant, {"a": 0, "b": 1})
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        dfdc.find_test(root, video_list=tmp_path / "list.txt")
    with pytest.raises(ValueError, match="nowhere is not a file"):
        dfdc.find_test(root, video_list=Path("nowhere"))


def test_two_test_videos_of_one_name_are_refused(plant):
    root = plant_test_set(plant, {"a": 0, "b": 1})
    plant(["more/a.mp4"])
    with pytest.raises(ValueError, match=r"'a\.mp4' and 'more/a\.mp4' are the same video"):
        dfdc.find_test(root)


def test_table_of_other_videos_is_refused(plant):
    root = plant_test_set(plant, {"a": 0})
    (root / "a.mp4").rename(root / "z.mp4")
    with pytest.raises(ValueError, match="1 files and 1 rows, but no file is called like"):
        dfdc.find_test(root)
