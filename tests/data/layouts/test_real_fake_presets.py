"""Kaggle collections: labels by name, official splits unless told otherwise, no table trusted;
RedFace: its tree is unknown, so the pattern decides, and every guess is told."""

import json
from collections import Counter

import pytest
from PIL import Image

from avkd.cli import main
from avkd.data.layouts import LAYOUTS
from avkd.data.manifest import FAKE, REAL, Manifest

find_deepfake_dataset = LAYOUTS["kaggle_deepfake_dataset"]
find_140k = LAYOUTS["kaggle_140k"]
find_real_images = LAYOUTS["kaggle_real_images"]
find_redface = LAYOUTS["redface"]

CSV = ",original_path,id,label,label_str,path\n"


def tree(splits=("train", "valid", "test"), kinds=("Fake", "Real"), many=2, inner=""):
    return [
        f"{inner}{split}/{kind}/{n}.jpg" for split in splits for kind in kinds for n in range(many)
    ]


def test_labels_come_from_names_against_their_alphabetical_order(plant):
    manifest = find_deepfake_dataset(plant(tree(kinds=("FAKE", "real"))))
    labels = {sample.path.split("/")[1]: sample.label for sample in manifest.samples}
    assert labels == {"FAKE": FAKE, "real": REAL}
    assert {sample.kind for sample in manifest.samples} == {"image"}


def test_official_splits_are_taken_as_they_are(plant):
    manifest = find_real_images(plant(tree(("Train", "Validation", "Test"), inner="Dataset/")))
    splits = {sample.path.split("/")[1]: sample.split for sample in manifest.samples}
    assert splits == {"Train": "train", "Validation": "val", "Test": "test"}
    assert "test: 2 real, 2 fake" in manifest.notes
    assert "test fake: 2 found, 5492 official, difference -5490" in manifest.notes


@pytest.mark.parametrize("inner", ["", "real_vs_fake/", "real_vs_fake/real-vs-fake/"])
def test_ids_are_the_same_from_every_folder_the_root_may_be(plant, inner):
    full = "real_vs_fake/real-vs-fake/"
    top = plant(tree(inner=full))
    manifest = find_140k(top / inner)
    assert [sample.sample_id for sample in manifest.samples] == [
        sample.sample_id for sample in find_140k(top).samples
    ]
    assert manifest.samples[0].sample_id == "kaggle_140k/fake/test/Fake/0.jpg"
    assert all(manifest.absolute_path(sample).is_file() for sample in manifest.samples)


@pytest.mark.parametrize(("val", "test"), [(0.2, 0.1), (0.2, 0.2)])
def test_given_fractions_set_the_official_split_aside(plant, val, test):
    root = plant([f"train/{kind}/{n}.jpg" for kind in ("Fake", "Real") for n in range(50)])
    manifest = find_deepfake_dataset(root, val_fraction=val, test_fraction=test)
    counts = Counter((sample.split, sample.label) for sample in manifest.samples)
    for label in (REAL, FAKE):
        assert counts["val", label] == round(50 * val)
        assert counts["test", label] == round(50 * test)
    assert any("own split set aside" in note for note in manifest.notes)
    options = {"val_fraction": val, "test_fraction": test}
    assert find_deepfake_dataset(root, seed=0, **options) == manifest
    other = find_deepfake_dataset(root, seed=1, **options)
    assert other.samples != manifest.samples


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 0.2}, "give val_fraction and test_fraction, or neither"),
        ({"test_fraction": 0.2}, "give val_fraction and test_fraction, or neither"),
        ({"seed": 1}, "seed has no effect on the dataset's own split"),
    ],
)
def test_settings_without_effect_are_refused(plant, options, message):
    with pytest.raises(ValueError, match=message):
        find_140k(plant(tree()), **options)


def test_tables_class_numbers_are_not_read(plant):
    root = plant(tree(kinds=("real", "fake"), inner="real_vs_fake/real-vs-fake/"))
    for number, split in enumerate(("train", "valid", "test")):
        row = f"0,/nvidia/x/{split}/real/0.jpg,0,{number},Real,{split}/real/0.jpg\n"
        (root / f"{split}.csv").write_text(CSV + row)
    manifest = find_140k(root)
    assert Counter(sample.label for sample in manifest.samples) == {REAL: 6, FAKE: 6}
    assert "rows of 3 tables that name the class of their folder: 3" in manifest.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV + "0,x,0,1,fake,train/real/0.jpg\n", r"train\.csv, line 2: .*contradicts its folder"),
        (CSV + "0,x,0,1,1,train/real/0.jpg\n", "line 2: .*contradicts its folder"),
        (CSV + "0,x,0,1,real,0.jpg\n", "line 2: .*contradicts its folder"),
        (CSV + "0,x\n", "line 2: fewer values than columns"),
        ("a,b\n", "line 1: the column 'label_str' is missing"),
        ("", "line 0: the column 'label_str' is missing"),
    ],
)
def test_table_that_contradicts_the_folders_or_is_broken_is_refused(plant, text, message):
    root = plant(tree())
    (root / "train.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_140k(root)


def test_table_that_is_no_text_is_refused(plant):
    root = plant(tree())
    (root / "test.csv").write_bytes(b"\xff\xfe" * 50)
    with pytest.raises(ValueError, match=r"test\.csv, line 0: .*download"):
        find_140k(root)


def test_pictures_elsewhere_are_left_out_and_told(plant):
    root = plant([*tree(), "train/loose.jpg", "extra/Real/0.jpg", "train/Real/notes.txt"])
    manifest = find_deepfake_dataset(root)
    assert len(manifest) == 12
    assert any("neither a real nor a fake folder: 2: 'extra/" in n for n in manifest.notes)
    assert "passed over, other kinds of file: 1 .txt" in manifest.notes
    assert "files: 12 found, 331335 official, difference -331323" in manifest.notes


def test_wrong_root_names_the_right_one(plant):
    root = plant(tree(), "data/kaggle")
    with pytest.raises(ValueError, match=r"expected train, valid .*Did you mean .*kaggle\?"):
        find_deepfake_dataset(root.parent)


def test_the_command_line_prepares_a_collection(tmp_path):
    """The whole way: option names, the layout's table, and pictures stored as tracks of one."""
    for split, many in (("train", 2), ("valid", 1), ("test", 1)):
        for kind, grey in (("Fake", 200), ("Real", 50)):
            folder = tmp_path / "source" / split / kind
            folder.mkdir(parents=True)
            for n in range(many):
                Image.new("RGB", (64, 48), (grey, grey, grey)).save(folder / f"{n}.jpg")
    (tmp_path / "source/test/Real/broken.jpg").write_bytes(b"no picture")
    out = tmp_path / "out"
    code = main(
        [
            *("prepare", "--layout", "kaggle_deepfake_dataset", "--source"),
            *(str(tmp_path / "source"), "--out", str(out), "--detector", "none", "--workers", "1"),
        ]
    )
    assert code == 3  # one picture is broken
    manifest = Manifest.load(out / "manifest.jsonl")
    assert Counter((s.split, s.label) for s in manifest.samples) == {
        **{("train", label): 2 for label in (REAL, FAKE)},
        **{(split, label): 1 for split in ("val", "test") for label in (REAL, FAKE)},
    }
    assert all(s.num_frames == 1 and s.kind == "crops" for s in manifest.samples)
    rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    (failed,) = (row for row in rows if row["status"] != "ok")
    assert (failed["status"], failed["path"]) == ("not_media", "test/Real/broken.jpg")


def found(manifest):
    return {sample.path: (sample.label, sample.method, sample.kind) for sample in manifest.samples}


def test_class_and_platform_are_read_from_folder_names(plant):
    root = plant(
        [
            *("RedFace/Fake_images/SiteA/swap/1.jpg", "RedFace/fake-videos/SiteB/1.mp4"),
            *("RedFace/Real/2.png", "RedFace/fakery/3.jpg", "unrealistic/4.jpg"),
        ]
    )
    manifest = find_redface(root, val_fraction=0, test_fraction=0)
    assert found(manifest) == {
        "RedFace/Fake_images/SiteA/swap/1.jpg": (FAKE, "SiteA", "image"),
        "RedFace/fake-videos/SiteB/1.mp4": (FAKE, "SiteB", "video"),
        "RedFace/Real/2.png": (REAL, "real", "image"),
    }
    assert any("neither a real nor a fake folder: 2" in note for note in manifest.notes)
    assert any("not documented" in note for note in manifest.notes)


def test_pattern_of_the_user_reads_all_it_names(plant):
    root = plant(
        f"{site}/{kind}/{split}/id{n}_{kind}.jpg"
        for n, split in enumerate(("train", "Val", "test"))
        for site in ("A", "B")
        for kind in ("genuine", "forged")
    )
    pattern = r"^(?P<platform>\w)/(?P<label>\w+)/(?P<split>\w+)/(?P<identity>id\d+)"
    manifest = find_redface(root, label_pattern=pattern)
    samples = {sample.path: sample for sample in manifest.samples}
    fake = samples["B/forged/Val/id1_forged.jpg"]
    assert (fake.label, fake.method, fake.split) == (FAKE, "B", "val")
    assert fake.identities == ("redface/id1",)
    assert samples["B/genuine/test/id2_genuine.jpg"].label == REAL
    assert manifest.check_identities() == 0


def test_platform_and_method_together_name_the_method(plant):
    pattern = r"(?P<platform>[^/]+)/(?P<method>[^/]+)/(?P<label>real|fake)/"
    manifest = find_redface(
        plant(["A/swap/fake/1.jpg"]), label_pattern=pattern, val_fraction=0, test_fraction=0
    )
    assert manifest.samples[0].method == "A swap"
    assert manifest.samples[0].sample_id == "redface/A%20swap/A/swap/fake/1.jpg"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<kind>\w+)/", "label_pattern=.* lacks the named group"),
        (r"^(?P<label>\w+)/", "label_pattern, 'swapped/train/1.jpg': unknown class name 'swapped'"),
        (r"^(swapped)?/?(?P<label>real)?", "unknown class name ''"),
        (r"(?P<label>fake)/nowhere", "expected files whose path matches"),
    ],
)
def test_pattern_that_does_not_tell_the_class_is_refused(plant, pattern, message):
    with pytest.raises(ValueError, match=message):
        find_redface(plant(["swapped/train/1.jpg"]), label_pattern=pattern)


def test_unknown_split_is_refused(plant):
    with pytest.raises(ValueError, match="unknown split 'dev'; known: train"):
        find_redface(plant(["fake/dev/1.jpg"]), label_pattern=r"(?P<label>fake)/(?P<split>\w+)")
