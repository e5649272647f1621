"""DeeperForensics: forgeries in official splits, reals only where the user puts them."""

from pathlib import Path

import pytest

from avkd.data.layouts import deeperforensics, faceforensics
from avkd.data.manifest import FAKE, REAL

SPLITS = {"train": ["000_M101", "001_M102"], "val": ["002_W006"], "test": ["003_M103", "004_W007"]}


def build(plant, splits=SPLITS, variant="end_to_end", more=()) -> Path:
    names = [name for listed in splits.values() for name in listed]
    root = plant(f"manipulated_videos/{variant}/{name}.mp4" for name in [*names, *more])
    plant(["source_videos/M101/light_up/happy/camera_up/M101_light_up_happy_camera_up.mp4"])
    plant(f"lists/splits/{split}.txt" for split in splits)
    for split, listed in splits.items():
        text = "".join(f"{name}.mp4\n" for name in listed)
        (root / f"lists/splits/{split}.txt").write_text(text)
    return root


def test_forgeries_alone_are_found_by_default(plant):
    """The source videos are not the real class, however many they are."""
    manifest = deeperforensics.find(build(plant))
    assert {Path(s.path).stem: (s.label, s.split) for s in manifest.samples} == {
        name: (FAKE, split) for split, names in SPLITS.items() for name in names
    }
    assert all("manipulated_videos" in s.path for s in manifest.samples)
    notes = "\n".join(manifest.notes)
    assert "test fake: 2 found, 201 official, difference -199" in notes
    assert "forgeries alone: the real class are the originals" in notes
    assert manifest.check_identities() == 0


def test_target_is_named_as_faceforensics_names_it(plant, tmp_path):
    manifest = deeperforensics.find(build(plant))
    (forgery,) = (s for s in manifest.samples if "003_" in s.path)
    assert forgery.identities == ("ffpp/003", "deeperforensics/M103")
    ffpp = plant(
        ["original_sequences/youtube/c23/videos/003.mp4", "train.json", "val.json", "test.json"],
        "ffpp",
    )
    for split in ("train", "val"):
        (ffpp / f"{split}.json").write_text("[]")
    (ffpp / "test.json").write_text('[["003", "004"]]')
    plant(["manipulated_sequences/Deepfakes/c23/videos/003_004.mp4"], "ffpp")
    original = faceforensics.find(ffpp, methods=("Deepfakes",)).samples[0]
    assert original.identities == forgery.identities[:1]


def test_originals_take_the_split_of_their_forgery(plant):
    root = build(plant)
    plant(f"ffpp_c23/{number:03}.mp4" for number in (0, 2, 3, 4, 9))
    manifest = deeperforensics.find(root, originals="ffpp_c23")
    reals = {s.path: (s.split, s.identities) for s in manifest.samples if s.label == REAL}
    assert reals == {
        "ffpp_c23/000.mp4": ("train", ("ffpp/000",)),
        "ffpp_c23/002.mp4": ("val", ("ffpp/002",)),
        "ffpp_c23/003.mp4": ("test", ("ffpp/003",)),
        "ffpp_c23/004.mp4": ("test", ("ffpp/004",)),
    }
    sources = {Path(s.path).stem: s.source_id for s in manifest.samples if s.label == FAKE}
    assert sources["003_M103"] == "deeperforensics/real/003"
    assert sources["001_M102"] is None
    notes = "\n".join(manifest.notes)
    assert "originals: 4 of 5 targets found" in notes
    assert "originals of no forgery here: 1: 'ffpp_c23/009.mp4'" in notes
    assert manifest.check_identities() == 0


@pytest.mark.parametrize("folder", ["nowhere", "../root/ffpp", "/ffpp", "..\\root\\ffpp"])
def test_originals_have_to_lie_below_the_root(plant, folder):
    root = build(plant)
    plant(["ffpp/000.mp4"])
    with pytest.raises(ValueError, match="is not a folder below"):
        deeperforensics.find(root, originals=folder)
    with pytest.raises(ValueError, match="is not a folder below"):
        deeperforensics.find(root, originals=str(root / "ffpp"))


def test_folder_without_originals_is_refused(plant):
    root = build(plant)
    with pytest.raises(ValueError, match=r"no original such as 000\.mp4 of any forgery here"):
        deeperforensics.find(root, originals="source_videos")


def test_variant_is_the_method_and_others_are_not_read(plant):
    build(plant)
    root = build(plant, variant="end_to_end_level_5")
    manifest = deeperforensics.find(root, variant="end_to_end_level_5")
    assert {s.method for s in manifest.samples} == {"end_to_end_level_5"}
    assert len(manifest) == 5
    with pytest.raises(ValueError, match="variant='level_5': choose one of end_to_end, reenact"):
        deeperforensics.find(root, variant="level_5")
    with pytest.raises(
        ValueError, match=r"no manipulated_videos/reenact.*end_to_end, end_to_end_l"
    ):
        deeperforensics.find(root, variant="reenact_postprocess")
    assert len(deeperforensics.VARIANTS) == len(set(deeperforensics.VARIANTS)) == 11


def test_evaluation_list_is_the_test_split_whatever_the_splits_say(plant, tmp_path):
    root = build(plant)
    (root / "lists/splits/val.txt").unlink()
    plant(["ffpp/000.mp4", "ffpp/001.mp4"])
    chosen = tmp_path / "test_dfo.csv"
    chosen.write_text("000_M101.avi 1\n004_W007.avi 1\n")
    manifest = deeperforensics.find(root, video_list=chosen, originals="ffpp")
    assert {(Path(s.path).stem, s.split) for s in manifest.samples} == {
        ("000_M101", "test"),
        ("004_W007", "test"),
        ("000", "test"),
    }
    assert any("2 of 2 listed videos are here; 3 others left out" in n for n in manifest.notes)


def test_video_in_no_list_is_in_no_split(plant):
    manifest = deeperforensics.find(build(plant, more=["900_M109"]))
    assert [s.split for s in manifest.samples if "900" in s.path] == [None]
    assert any("in no list, so in no split: 1: '900_M109'" in note for note in manifest.notes)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (SPLITS | {"val": ["000_M101"]}, r"val\.txt: '000_M101' is in train already"),
        (SPLITS | {"val": ["M101_light"]}, r"val\.txt: 'M101_light' is not a name such as"),
        ({"train": ["000_M101"]}, r"val\.txt is missing"),
    ],
)
def test_broken_split_is_refused(plant, splits, message):
    with pytest.raises(ValueError, match=message):
        deeperforensics.find(build(plant, splits))


def test_wrong_root_names_the_right_one(plant):
    root = build(plant)
    with pytest.raises(ValueError, match=r"expected manipulated_videos/.*Did you mean .*root\?"):
        deeperforensics.find(root / "lists")
