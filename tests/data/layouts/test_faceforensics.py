"""FaceForensics++: the official pairs decide the split; nothing is invented."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from avkd.data.layouts import faceforensics
from avkd.data.manifest import FAKE, REAL

PAIRS = {
    "train": [["000", "001"], ["002", "003"]],
    "val": [["004", "005"]],
    "test": [["006", "007"]],
}
OFFICIAL = Path(__file__).resolve().parents[3].parent / "shared/data/splits/faceforensics"


def write_splits(folder: Path, pairs=PAIRS, encoding="utf-8") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in pairs.items():
        (folder / f"{split}.json").write_text(json.dumps(rows), encoding=encoding)


def names(pairs=PAIRS):
    for rows in pairs.values():
        for target, source in rows:
            yield (target, source)
            yield (source, target)


def official_tree(pairs=PAIRS, methods=faceforensics.METHODS, level="c23"):
    for target, source in names(pairs):
        yield f"original_sequences/youtube/{level}/videos/{target}.mp4"
        for method in methods:
            yield f"manipulated_sequences/{method}/{level}/videos/{target}_{source}.mp4"


@pytest.fixture
def root(plant) -> Path:
    folder = plant(official_tree())
    write_splits(folder)
    return folder


def by_id(manifest):
    return {sample.sample_id: sample for sample in manifest.samples}


def test_pairs_give_splits_identities_and_sources(root):
    manifest = faceforensics.find(root)
    fake = by_id(manifest)["faceforensics/Deepfakes/001_000"]
    assert (fake.label, fake.method, fake.split) == (FAKE, "Deepfakes", "train")
    assert fake.identities == ("ffpp/001", "ffpp/000")  # the target first
    assert fake.source_id == "faceforensics/real/001"
    real = by_id(manifest)[fake.source_id]
    assert (real.label, real.identities, real.split) == (REAL, ("ffpp/001",), "train")
    assert Counter(sample.method for sample in manifest.samples) == Counter(
        {"real": 8, "Deepfakes": 8, "Face2Face": 8, "FaceSwap": 8, "NeuralTextures": 8}
    )
    assert manifest.check_identities() == 0


@pytest.mark.parametrize("folder", ["", "splits", "dataset/splits"])
def test_split_files_are_found_where_people_put_them(plant, folder):
    root = plant(official_tree())
    write_splits(root / folder, encoding="utf-8-sig")
    assert len(faceforensics.find(root).of_split("test")) == 2 * 5


def test_without_official_split_no_split_is_invented(plant):
    with pytest.raises(ValueError, match=r"no official split.*ondyari/FaceForensics"):
        faceforensics.find(plant(official_tree()))


def test_two_of_three_split_files_are_not_enough(root):
    (root / "val.json").unlink()
    with pytest.raises(ValueError, match="no official split"):
        faceforensics.find(root)


@pytest.mark.parametrize(
    "rows",
    [
        [["000", "001", "002"]],
        [[0, 1]],
        {"000": "001"},
        ["000_001"],
        [["../a", "001"]],
    ],
)
def test_broken_pairs_name_the_file(root, rows):
    (root / "val.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"val\.json.*not a pair"):
        faceforensics.find(root)


def test_split_file_cut_short_is_named(root):
    (root / "test.json").write_text('[["006", "0')
    with pytest.raises(ValueError, match=r"test\.json: not JSON"):
        faceforensics.find(root)


def test_original_on_two_splits_is_refused(root):
    (root / "test.json").write_text('[["000", "007"]]')
    with pytest.raises(ValueError, match=r"test\.json: 000 is listed a second time.*train\.json"):
        faceforensics.find(root)


def test_files_in_no_pair_have_no_split_and_are_told(root):
    videos = root / "manipulated_sequences/Deepfakes/c23/videos"
    (videos / "000_006.mp4").touch()  # train face in a test face: both known, no pair
    (videos / "000_001 (1).mp4").touch()
    (root / "original_sequences/youtube/c23/videos/999.mp4").touch()
    manifest = faceforensics.find(root)
    samples = by_id(manifest)
    assert samples["faceforensics/Deepfakes/000_006"].split is None
    assert samples["faceforensics/Deepfakes/000_001%20%281%29"].identities == ()
    assert samples["faceforensics/real/999"].split is None
    notes = "\n".join(manifest.notes)
    assert "Deepfakes, in no official pair, so in no split: 2" in notes
    assert "original, in no official pair, so in no split: 1" in notes
    assert manifest.check_identities() == 0


def test_counts_and_missing_files_are_told_by_class(root):
    (root / "manipulated_sequences/FaceSwap/c23/videos/006_007.mp4").unlink()
    notes = faceforensics.find(root).notes
    assert "FaceSwap: 7 found, 1000 official, difference -993" in notes
    assert "FaceSwap, test: 1 found, 140 official, difference -139" in notes
    assert "FaceSwap, missing: 1: '006_007'" in notes
    assert not any(note.startswith("Deepfakes, missing") for note in notes)


def test_missing_original_leaves_no_dangling_source(root):
    (root / "original_sequences/youtube/c23/videos/006.mp4").unlink()
    samples = by_id(faceforensics.find(root))
    assert samples["faceforensics/Deepfakes/006_007"].source_id is None


def test_masks_frames_actors_and_other_compressions_stay_out(root, plant):
    plant(
        [
            "manipulated_sequences/Deepfakes/masks/videos/000_001.mp4",
            "manipulated_sequences/Deepfakes/c40/videos/000_001.mp4",
            "manipulated_sequences/Deepfakes/c23/frames/000_001/0000.png",
            "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__scene__ABCDEFGH.mp4",
            "original_sequences/actors/c23/videos/01__scene.mp4",
            "original_sequences/youtube/c23/videos/._000.mp4",
        ]
    )
    assert len(faceforensics.find(root)) == 8 * 5


@pytest.mark.parametrize("inner", ["", "videos/"])
def test_flattened_mirror_is_accepted_and_its_compression_doubted(plant, inner):
    paths = []
    for target, source in names():
        paths.append(f"original/{inner}{target}.mp4")
        paths += [f"{m}/{inner}{target}_{source}.mp4" for m in faceforensics.METHODS[:4]]
    root = plant([*paths, "csv/FF++_Metadata.csv"])
    write_splits(root)
    manifest = faceforensics.find(root)
    assert len(manifest) == 8 * 5
    assert "original: the tree does not tell the compression; c23 as asked" in manifest.notes


@pytest.mark.parametrize("asked", ["raw", "c0"])
@pytest.mark.parametrize("lies", ["raw", "c0"])
def test_raw_and_c0_are_one_compression(plant, asked, lies):
    root = plant(official_tree(level=lies))
    write_splits(root)
    assert len(faceforensics.find(root, compression=asked)) == 8 * 5


def test_compression_not_downloaded_names_the_one_that_is(root):
    with pytest.raises(ValueError, match="compression='c23' lies there"):
        faceforensics.find(root, compression="c40")


def test_method_not_downloaded_is_an_error_and_can_be_left_out(root):
    shutil.rmtree(root / "manipulated_sequences/NeuralTextures")
    with pytest.raises(ValueError, match="no NeuralTextures videos"):
        faceforensics.find(root)
    assert len(faceforensics.find(root, methods=("Deepfakes",))) == 16


@pytest.mark.parametrize("methods", [(), ("deepfakes",), ("Deepfakes", "Deepfakes")])
def test_bad_choice_of_methods_is_refused(root, methods):
    with pytest.raises(ValueError, match="choose each at most once from Deepfakes"):
        faceforensics.find(root, methods=methods)


def test_unknown_compression_is_refused(root):
    with pytest.raises(ValueError, match="compression='c32'"):
        faceforensics.find(root, compression="c32")


def test_faceshifter_is_test_forgeries_and_the_same_originals(root):
    manifest = faceforensics.find_faceshifter(root)
    assert sorted(by_id(manifest)) == [
        "faceshifter/FaceShifter/006_007",
        "faceshifter/FaceShifter/007_006",
        "faceshifter/real/006",
        "faceshifter/real/007",
    ]
    assert {sample.dataset for sample in manifest.samples} == {"faceshifter"}
    assert manifest.samples[0].identities[0].startswith("ffpp/")
    assert "left out, not in test: 12 of 16 videos" in manifest.notes


@pytest.mark.parametrize("wrong", ["..", "original_sequences", "manipulated_sequences/Deepfakes"])
def test_wrong_root_names_the_right_one(plant, wrong):
    root = plant(official_tree(), "data/ffpp")
    write_splits(root)
    with pytest.raises(ValueError, match=r"expected original_sequences.*Did you mean .*ffpp\?"):
        faceforensics.find((root / wrong).resolve())


def test_root_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        faceforensics.find(tmp_path / "nowhere")


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason=f"official lists not at {OFFICIAL}")
def test_official_lists_give_720_140_140_of_every_class(plant):
    pairs = {
        split: json.loads((OFFICIAL / f"{split}.json").read_text())
        for split in ("train", "val", "test")
    }
    root = plant(official_tree(pairs, methods=("Deepfakes", "FaceShifter")))
    for split in pairs:
        shutil.copy(OFFICIAL / f"{split}.json", root / f"{split}.json")
    manifest = faceforensics.find(root, methods=("Deepfakes", "FaceShifter"))
    counts = Counter((sample.method, sample.split) for sample in manifest.samples)
    for method in ("real", "Deepfakes", "FaceShifter"):
        assert [counts[method, split] for split in ("train", "val", "test")] == [720, 140, 140]
    compared = [note for note in manifest.notes if "official" in note]
    assert len(compared) == 12 and all(note.endswith("difference +0") for note in compared)
    assert manifest.check_identities() == 0
    labels = Counter(sample.label for sample in faceforensics.find_faceshifter(root).samples)
    assert labels == {REAL: 140, FAKE: 140}
