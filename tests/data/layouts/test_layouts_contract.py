"""What every layout promises, on one small tree each: whoever adds a layout adds its tree here."""

import builtins
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from avkd.config.data_config import PrepareConfig
from avkd.data.layouts import LAYOUTS
from avkd.data.manifest import REAL, Manifest, Sample
from avkd.data.media import picture_archive

PAIRS = {"train": ["000", "001"], "val": ["002", "003"], "test": ["004", "005"]}


def plant_faceforensics(root: Path, plant) -> None:
    for split, pair in PAIRS.items():
        (root / f"{split}.json").write_text(json.dumps([pair]))
        for a, b in (pair, pair[::-1]):
            plant([f"original_sequences/youtube/c23/videos/{a}.mp4"])
            for method in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter"):
                plant([f"manipulated_sequences/{method}/c23/videos/{a}_{b}.mp4"])


def plant_celebdf(root: Path, plant) -> None:
    videos = ["Celeb-real/id0_0000.mp4", "Celeb-real/id1_0000.mp4", "YouTube-real/00000.mp4"]
    plant([*videos, "Celeb-synthesis/id0_id2_0000.mp4"])
    (root / "List_of_testing_videos.txt").write_text("0 Celeb-synthesis/id0_id2_0000.mp4\n")


def plant_manifest(root: Path, plant) -> None:
    plant(["a.mp4"])
    fields = {"kind": "video", "dataset": "made", "method": "real", "label": REAL}
    Manifest(root, (Sample(sample_id="made/real/a", path="a.mp4", **fields),)).save(
        root / "manifest.jsonl"
    )


def plant_deepfake_faces(root: Path, plant) -> None:
    names = [f"video{n}" for n in range(20)]
    plant(f"faces_224/{name}.jpg" for name in names)
    rows = [
        f"{name}.mp4,1,1,{'FAKE,video0.mp4' if n in (1, 2) else 'FAKE,' if n % 2 else 'REAL,'}"
        for n, name in enumerate(names)
    ]
    header = "videoname,original_width,original_height,label,original"
    (root / "metadata.csv").write_text("\n".join([header, *rows]) + "\n")


def plant_wilddeepfake(root: Path, plant) -> None:
    parts = ("real_train", "real_test", "fake_train")
    plant(f"{part}/{n}/{part[:4]}/{s}/0.png" for part in parts for n in range(4) for s in "ab")
    (root / "fake_test").mkdir()
    with tarfile.open(root / "fake_test/0.tar.gz", "w:gz") as archive:
        for name in ("0/fake/7/0.png", "0/fake/7/1.png", "0/fake/8/0.png"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


def plant_dfdc_train(root: Path, plant) -> None:
    for part in range(2):
        names = [f"p{part}v{n}" for n in range(20)]
        plant(f"dfdc_train_part_{part}/{name}.mp4" for name in names)
        rows = {
            f"{name}.mp4": {"label": "FAKE", "split": "train", "original": f"{names[n - 1]}.mp4"}
            if n % 2
            else {"label": "REAL", "split": "train", "original": None}
            for n, name in enumerate(names)
        }
        (root / f"dfdc_train_part_{part}/metadata.json").write_text(json.dumps(rows))


def plant_dfdc_test(root: Path, plant) -> None:
    plant(f"{name}.mp4" for name in "ab")
    (root / "labels.csv").write_text("filename,label\na.mp4,0\nb.mp4,1\n")


def plant_dfdc_preview(root: Path, plant) -> None:
    rows = {}
    for split, actor in (("train", 1000), ("test", 2000)):
        rows[f"original_videos/{actor}/{actor}_001.mp4"] = {"label": "real", "set": split}
        rows[f"method_A/{actor}/{actor}_A/{actor}_A_001.mp4"] = {"label": "fake", "set": split}
    plant(rows)
    (root / "dataset.json").write_text(json.dumps(rows))


def plant_deeperforensics(root: Path, plant) -> None:
    names = {"train": "000_M001", "val": "001_M002", "test": "002_W001"}
    plant(f"manipulated_videos/end_to_end/{name}.mp4" for name in names.values())
    plant(["source_videos/M001/light_up/neutral/camera_up/M001.mp4"])
    for split, name in names.items():
        plant([f"lists/splits/{split}.txt"])
        (root / f"lists/splits/{split}.txt").write_text(f"{name}.mp4\n")


def plant_fakeavceleb(root: Path, plant) -> None:
    lines = ["source,target1,target2,method,category,type,race,gender,path,"]
    for kind, letter in (("RealVideo-RealAudio", "A"), ("FakeVideo-RealAudio", "C")):
        plant([f"{kind}/African/men/id00076/1.mp4"])
        folder = f"FakeAVCeleb/{kind}/African/men/id00076"
        lines.append(f"id00076,-,-,wav2lip,{letter},{kind},African,men,1.mp4,{folder}")
    (root / "meta_data.csv").write_text("\n".join(lines) + "\n")


def plant_lavdf(root: Path, plant) -> None:
    rows = []
    for split in ("train", "dev", "test"):
        shared = {"modify_audio": False, "split": split}
        real = {"file": f"{split}/0.mp4", "original": None, "modify_video": False}
        fake = {"file": f"{split}/1.mp4", "original": f"{split}/0.mp4", "modify_video": True}
        rows += [real | shared, fake | shared]
    plant(row["file"] for row in rows)
    (root / "metadata.json").write_text(json.dumps(rows))


def plant_avdeepfake1m(root: Path, plant) -> None:
    for split in ("train", "val"):
        real, fake = f"id1/{split}/1/real.mp4", f"id1/{split}/1/fake_video_fake_audio.mp4"
        plant([f"{split}/{real}", f"{split}/{fake}"])
        rows = [
            {"file": real, "original": None, "split": split, "modify_type": "real"},
            {"file": fake, "original": real, "split": split, "modify_type": "both_modified"},
        ]
        (root / f"{split}_metadata.json").write_text(json.dumps(rows))


def plant_deepfakebench(root: Path, plant) -> None:
    index: dict = {"FF-real": {}, "FF-DF": {}}
    for split, (a, b) in PAIRS.items():
        for key, name in (("FF-real", a), ("FF-real", b), ("FF-DF", f"{a}_{b}")):
            frames = [f"FaceForensics++/{key}/c23/frames/{name}/00{n}.png" for n in range(2)]
            plant(frames)
            videos = index[key].setdefault(split, {}).setdefault("c23", {})
            videos[name] = {"label": key, "frames": frames}
    (root / "FF-DF.json").write_text(json.dumps({"FF-DF": index}))


TREES = {
    "lrw": lambda root, plant: plant(
        f"{word}/{split}/{word}_00001.mp4"
        for word in ("ABOUT", "YOUNG")
        for split in ("train", "val", "test")
    ),
    "faceforensics": plant_faceforensics,
    "faceshifter": plant_faceforensics,
    "celebdf": plant_celebdf,
    "dfdc_train": plant_dfdc_train,
    "dfdc_test": plant_dfdc_test,
    "dfdc_preview": plant_dfdc_preview,
    "deeperforensics": plant_deeperforensics,
    "fakeavceleb": plant_fakeavceleb,
    "lavdf": plant_lavdf,
    "avdeepfake1m": plant_avdeepfake1m,
    "deepfakebench": plant_deepfakebench,
    "talking_faces": lambda root, plant: plant(f"s{n}/a/b.mp4" for n in range(5)),
    "real_fake": lambda root, plant: plant(
        f"{kind}/{n}.mp4" for n in range(5) for kind in ("real", "fake/X")
    ),
    "manifest": plant_manifest,
    "kaggle_deepfake_dataset": lambda root, plant: plant(
        f"{split}/{kind}/{n}.jpg"
        for split in ("train", "valid", "test")
        for kind in ("Fake", "Real")
        for n in range(2)
    ),
    "kaggle_140k": lambda root, plant: plant(
        f"real_vs_fake/real-vs-fake/{split}/{kind}/{n}.jpg"
        for split in ("train", "valid", "test")
        for kind in ("fake", "real")
        for n in range(2)
    ),
    "kaggle_real_images": lambda root, plant: plant(
        f"Dataset/{split}/{kind}/{kind}_{n}.jpg"
        for split in ("Train", "Validation", "Test")
        for kind in ("Fake", "Real")
        for n in range(2)
    ),
    "deepfake_faces": plant_deepfake_faces,
    "wilddeepfake": plant_wilddeepfake,
    "redface": lambda root, plant: plant(
        [f"{kind}/site/{n}.png" for n in range(5) for kind in ("Real", "Fake_faces")]
        + [f"Fake_faces/site/video{n}.mp4" for n in range(5)]
    ),
    "real_fake_images": lambda root, plant: plant(
        f"{kind}/{n}.png" for n in range(5) for kind in ("real", "fake/X")
    ),
}


@pytest.fixture(params=sorted(LAYOUTS))
def layout(request):
    assert set(TREES) == set(LAYOUTS)
    return request.param


@pytest.fixture
def root(layout, plant) -> Path:
    folder = plant([])
    TREES[layout](folder, plant)
    return folder


def test_every_layout_can_be_chosen_in_a_config():
    chosen = get_args(get_type_hints(PrepareConfig)["layout"])
    assert sorted(chosen) == sorted(LAYOUTS)


def test_samples_lie_where_they_say_and_are_what_they_say(layout, root):
    manifest = LAYOUTS[layout](root)
    assert manifest.root == root
    assert manifest.samples
    for sample in manifest.samples:
        path = manifest.absolute_path(sample)
        inside = picture_archive.split_path(path)
        if inside is not None:
            assert sample.kind == "frames"
            assert inside[1] in picture_archive.list_pictures(inside[0]).folders
        elif sample.kind == "frames":
            assert path.is_dir()
        else:
            assert sample.kind == ("video" if path.suffix == ".mp4" else "image")
            assert path.is_file()
        assert "\\" not in sample.path


def test_nothing_is_left_without_a_split_unless_the_dataset_says_so(layout, root):
    """A sample without a split takes part in nothing."""
    splits = {sample.split for sample in LAYOUTS[layout](root).samples}
    if layout not in ("celebdf", "manifest"):
        assert None not in splits


def test_nobody_stands_on_two_splits(layout, root):
    LAYOUTS[layout](root).check_identities()


def test_identities_and_ids_are_named_by_their_dataset(layout, root):
    for sample in LAYOUTS[layout](root).samples:
        assert sample.sample_id.startswith(f"{sample.dataset}/{sample.method}/")
        assert all("/" in identity for identity in sample.identities)


def test_sources_are_real_samples_of_the_same_manifest(layout, root):
    manifest = LAYOUTS[layout](root)
    labels = {sample.sample_id: sample.label for sample in manifest.samples}
    sources = {sample.source_id for sample in manifest.samples} - {None}
    assert all(labels[source] == REAL for source in sources)


def test_second_walk_and_saved_copy_are_equal(layout, root, tmp_path):
    manifest = LAYOUTS[layout](root)
    assert LAYOUTS[layout](root) == manifest
    manifest.save(tmp_path / "saved.jsonl")
    loaded = Manifest.load(tmp_path / "saved.jsonl", root=root)
    assert loaded == manifest
    assert loaded.fingerprint == manifest.fingerprint


def test_no_video_and_no_picture_is_opened(layout, root, monkeypatch):
    """An empty file is neither; a layout that opened it would be caught here, not at prepare."""
    really_open = io.open

    def guarded(file, *args, **kwargs):
        assert not str(file).endswith((".mp4", ".jpg", ".png"))
        return really_open(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", guarded)
    monkeypatch.setattr(io, "open", guarded)
    assert LAYOUTS[layout](root).samples


def test_each_folder_is_listed_once_by_the_walk(layout, root, monkeypatch):
    """Half a million files are walked once; recognising the root may look at it before.

    Counted are the walk's own calls: since Python 3.14 pathlib calls the same function.
    """
    seen: list[str] = []
    really_scan = os.scandir

    def counting(folder):
        if "pathlib" not in sys._getframe(1).f_code.co_filename:
            seen.append(str(folder))
        return really_scan(folder)

    monkeypatch.setattr("avkd.data.inventory.os.scandir", counting)
    LAYOUTS[layout](root)
    inner = [folder for folder in seen if Path(folder) != root]
    assert len(inner) == len(set(inner))


@pytest.mark.parametrize("state", ["empty", "absent", "file"])
def test_wrong_root_is_named(layout, tmp_path, state):
    root = tmp_path / "somewhere else"
    if state == "empty":
        root.mkdir()
    if state == "file":
        root.touch()
    found = {"empty": "found an empty folder", "absent": "does not exist", "file": "not a folder"}
    with pytest.raises(ValueError, match=f"somewhere else.*{found[state]}"):
        LAYOUTS[layout](root)
