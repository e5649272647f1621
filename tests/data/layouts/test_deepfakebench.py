"""Index files of DeepfakeBench: each known defect of theirs is met here and ends in the open."""

import json
from pathlib import Path

import pytest

from avkd.data.layouts import deepfakebench
from avkd.data.layouts.deepfakebench import label_of_key
from avkd.data.manifest import FAKE, REAL

RGB = "rgb/FaceForensics++"
FOLDERS = {
    "FF-real": "original_sequences/youtube",
    "FF-DF": "manipulated_sequences/Deepfakes",
    "FF-F2F": "manipulated_sequences/Face2Face",
    "FF-FS": "manipulated_sequences/FaceSwap",
    "FF-NT": "manipulated_sequences/NeuralTextures",
}


def frames(folder, number=2):
    return [f"{folder}/{n:03}.png" for n in range(number)]


def ff_video(key, name, level="c23"):
    return {name: {"label": key, "frames": frames(f"{RGB}/{FOLDERS[key]}/{level}/frames/{name}")}}


def ff_index(split="test", level="c23", name="000_003"):
    fakes = [key for key in FOLDERS if key != "FF-real"]
    reals = {**ff_video("FF-real", "000", level), **ff_video("FF-real", "003", level)}
    keys = {key: {split: {level: ff_video(key, name, level)}} for key in fakes}
    return {"FaceForensics++": {"FF-real": {split: {level: reals}}, **keys}}


def listed(found):
    """Every frame an index lists."""
    if isinstance(found, dict):
        return [frame for part in found.values() for frame in listed(part)]
    return found if isinstance(found, list) else []


def write(root, index, name="index.json") -> Path:
    (root / name).write_text(json.dumps(index))
    return root


def build(plant, index) -> Path:
    return write(plant(listed(index)), index)


def plain(key, *videos, split="test"):
    return {key: {split: {v: {"label": key, "frames": frames(f"D/{key}/{v}")} for v in videos}}}


def test_four_methods_of_one_folder_name_stay_four_samples(plant):
    manifest = deepfakebench.find(build(plant, ff_index()))
    fakes = {s.method: s for s in manifest.samples if s.label == FAKE}
    assert set(fakes) == {"Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
    assert len({s.sample_id for s in manifest.samples}) == len(manifest) == 6
    for sample in manifest.samples:
        assert sample.kind == "frames"
        assert manifest.absolute_path(sample).is_dir()
    assert fakes["FaceSwap"].path == f"{RGB}/manipulated_sequences/FaceSwap/c23/frames/000_003"
    assert fakes["FaceSwap"].identities == ("ffpp/000", "ffpp/003")
    (original,) = (s for s in manifest.samples if s.path.endswith("/000"))
    assert fakes["FaceSwap"].source_id == original.sample_id
    assert original.label == REAL


@pytest.mark.parametrize(
    ("key", "label"),
    [
        *(
            (key, REAL)
            for key in ("FF-real", "CelebDFv2_real", "DFDCP_Real", "DF_real", "UADFV_Real")
        ),
        *((key, REAL) for key in ("DFD_original", "roop_Real", "REAL")),
        *((key, FAKE) for key in ("FF-DF", "FF-F2F", "FF-SH", "CelebDFv1_fake", "DFDCP_FakeA")),
        *(
            (key, FAKE)
            for key in ("DFDCP_FakeB", "DF40_train_Fake", "Collaborative_Diffusion_Fake")
        ),
        *((key, None) for key in ("1", "0", "FF-XY", "surreal", "unreal", "Realistic", "DFD")),
        *((key, None) for key in ("RealVideo-FakeAudio", "real_fake", "DeepFake_real")),
    ],
)
def test_label_comes_from_the_words_of_a_key(key, label):
    assert label_of_key(key) == label


def test_key_that_tells_nothing_is_refused(plant):
    with pytest.raises(ValueError, match="'FF-XY' does not tell real from fake, or tells both"):
        deepfakebench.find(build(plant, {"X": plain("FF-XY", "a")}))


@pytest.mark.parametrize("inner", ["CelebDFv2_real", "real", "something"])
def test_name_that_contradicts_its_key_is_refused(plant, inner):
    index = {"X": plain("X_fake", "a")}
    index["X"]["X_fake"]["test"]["a"]["label"] = inner
    with pytest.raises(ValueError, match=rf"test/a: called '{inner}' there, under the key"):
        deepfakebench.find(build(plant, index))


@pytest.mark.parametrize("inner", [0, 1, None])
def test_numbers_are_not_read(plant, inner):
    index = {"X": plain("X_fake", "a")}
    index["X"]["X_fake"]["test"]["a"]["label"] = inner
    assert [s.label for s in deepfakebench.find(build(plant, index)).samples] == [FAKE]


def test_video_in_several_splits_is_tested_on_alone_and_told(plant):
    """Celeb-DF's index has its test videos in train and val, that of DFD everything thrice."""
    keys = plain("X_fake", "a", "b", "c", split="train")
    keys["X_fake"] |= plain("X_fake", "a", split="test")["X_fake"]
    keys["X_fake"] |= plain("X_fake", "a", "b", split="val")["X_fake"]
    manifest = deepfakebench.find(build(plant, {"X": keys}))
    assert {s.path[-1]: s.split for s in manifest.samples} == {
        "a": "test",
        "b": "val",
        "c": "train",
    }
    notes = "\n".join(manifest.notes)
    assert "in several splits of the index, train and val and test: 1 videos" in notes
    assert "in several splits of the index, train and val: 1 videos" in notes


def test_people_of_the_test_split_are_kept_out_of_the_others(plant):
    keys = plain("CelebDFv2_real", "id0_0000", "id0_0001", "id1_0000", "00001", split="train")
    keys |= plain("CelebDFv2_fake", "id0_id9_0000", split="test")
    manifest = deepfakebench.find(build(plant, {"Celeb-DF-v2": keys}))
    samples = {s.path.rpartition("/")[2]: s for s in manifest.samples}
    assert {name: s.split for name, s in samples.items()} == {
        "id0_0000": None,
        "id0_0001": None,
        "id1_0000": "train",
        "00001": "train",
        "id0_id9_0000": "test",
    }
    assert samples["id0_id9_0000"].identities == ("celebdf/id0", "celebdf/id9")
    assert samples["id0_id9_0000"].source_id == samples["id0_0000"].sample_id
    assert samples["00001"].identities == ("celebdf/youtube-00001",)
    assert manifest.check_identities() == 0


def test_windows_separators_and_paths_of_another_machine_are_read(plant):
    index = ff_index()
    root = plant(listed(index))
    text = json.dumps(index).replace("rgb/", "D:/bench/datasets/rgb/").replace("/", "\\\\")
    (root / "index.json").write_text(text)
    manifest = deepfakebench.find(root)
    assert len(manifest) == 6
    assert all(sample.path.startswith(RGB) for sample in manifest.samples)
    below = deepfakebench.find(root / "rgb", index="../index.json")
    assert [s.path for s in below.samples] == [
        s.path.removeprefix("rgb/") for s in manifest.samples
    ]


def test_two_videos_that_would_be_one_folder_are_refused(plant):
    """With too low a root the four methods' folders could be taken for one another."""
    root = write(plant(frames("000_003")), ff_index())
    with pytest.raises(ValueError, match=r"Deepfakes.* and .*Face2Face.* would both be .*000_003"):
        deepfakebench.find(root)


def test_folder_under_two_labels_is_refused(plant):
    index = {"X": plain("X_fake", "a") | plain("X_real", "b")}
    index["X"]["X_real"]["test"]["b"]["frames"] = frames("D/X_fake/a")
    with pytest.raises(ValueError, match="is listed under 'X_fake' as well, which has the other"):
        deepfakebench.find(build(plant, index))


def test_same_reals_under_two_keys_count_once(plant):
    index = {"A": plain("A_Real", "v"), "B": plain("B_Real", "v")}
    index["B"]["B_Real"]["test"]["v"]["frames"] = frames("D/A_Real/v")
    assert len(deepfakebench.find(build(plant, index))) == 1


def test_compression_is_chosen_and_never_mixed(plant):
    index = ff_index()
    for key, part in ff_index(level="c40")["FaceForensics++"].items():
        index["FaceForensics++"][key]["test"] |= part["test"]
    root = build(plant, index)
    assert {s.path.split("/")[4] for s in deepfakebench.find(root).samples} == {"c23"}
    chosen = deepfakebench.find(root, compression="c40")
    assert {s.path.split("/")[4] for s in chosen.samples} == {"c40"}
    with pytest.raises(ValueError, match="no compression 'raw'; there are: c23, c40"):
        deepfakebench.find(root, compression="raw")


def test_compression_without_effect_is_refused(plant):
    with pytest.raises(ValueError, match="compression has no effect"):
        deepfakebench.find(build(plant, {"X": plain("X_fake", "a")}), compression="c23")


def test_what_is_missing_on_either_split_is_told(plant):
    index = {"X": plain("X_fake", "a", "b", "c", "gone")}
    index["X"]["X_fake"]["test"]["none"] = {"label": "X_fake", "frames": []}
    # An index writer that overwrites its own dictionary leaves one video in place of the list.
    index["X"]["X_fake"]["val"] = {"label": "X_fake", "frames": frames("D/X_fake/a")}
    root = build(plant, index)
    plant(["D/X_fake/a/more.png"])
    (root / "D/X_fake/b/001.png").unlink()
    for file in (root / "D/X_fake/gone").iterdir():
        file.unlink()
    manifest = deepfakebench.find(root)
    assert [s.path[-1] for s in manifest.samples] == ["a", "b", "c"]
    notes = "\n".join(manifest.notes)
    assert "left out, no frames there: 1: 'D/X_fake/gone'" in notes
    assert "index does not list, which are used as well: 1: 'D/X_fake/a'" in notes
    assert "fewer frames than the index lists: 1: 'D/X_fake/b'" in notes
    assert "left out, X_fake test: no frames listed: 1" in notes
    assert "left out, X_fake val: one video in place of the list: 1" in notes
    assert "who is seen is not known of 3 videos" in notes


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([], "not a mapping by name"),
        ({"X": {"X_fake": []}}, "X/X_fake is not a mapping by name"),
        ({"X": {"X_fake": {"hidden": {}}}}, "X_fake/hidden: unknown split"),
        ({"X": {"X_fake": {"test": {"a": {"frames": "x"}}}}}, "test/a: not a list of frames"),
        ({"X": {"X_fake": {"test": {"a": {"frames": ["a/0.png", "b/0.png"]}}}}}, "in one folder"),
        ({"X": {"X_fake": {"test": {"a": {"frames": ["../a/0.png"]}}}}}, "in one folder"),
        ({"X": {"X_fake": {"test": {}}}}, "lists no frames"),
        ({"X": plain("X_fake", "a")}, "holds none of the 1 frame folders of .* first 'D/X_fake/a'"),
    ],
)
def test_broken_index_is_refused(plant, index, message):
    with pytest.raises(ValueError, match=message):
        deepfakebench.find(write(plant([]), index))


def test_one_of_several_index_files_has_to_be_chosen(plant):
    root = build(plant, {"X": plain("X_fake", "a")})
    write(root, {"Y": plain("Y_fake", "a")}, "other.json")
    with pytest.raises(ValueError, match=r"several index files \('index\.json', 'other\.json'\)"):
        deepfakebench.find(root)
    assert len(deepfakebench.find(root, index="index.json")) == 1
    with pytest.raises(ValueError, match=r"index='none\.json': no such file"):
        deepfakebench.find(root, index="none.json")


def test_wrong_root_names_the_right_one(plant):
    root = build(plant, {"X": plain("X_fake", "a")})
    with pytest.raises(ValueError, match=r"expected one index file .*Did you mean .*root\?"):
        deepfakebench.find(root / "D")
