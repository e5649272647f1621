"""WildDeepfake: sequences at any depth, folders or archives, val by whole videos, test as is."""

import io
import json
import tarfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image

from avkd.cli import main
from avkd.data.layouts import wilddeepfake
from avkd.data.manifest import FAKE, REAL, Manifest

PARTS = ("real_train", "real_test", "fake_train", "fake_test")


def tree(videos=10, parts=PARTS):
    for part in parts:
        for video in range(videos):
            for sequence in range(1 + video % 3):
                for frame in range(2):
                    yield f"{part}/{video}/{part[:4]}/{sequence}/{frame}.png"


def pack(path: Path, names, content=b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def packed(root: Path, paths) -> Path:
    """The same tree as it is shipped."""
    videos = defaultdict(list)
    for path in paths:
        part, video, rest = path.split("/", 2)
        videos[part, video].append(f"{video}/{rest}")
    for (part, video), names in videos.items():
        pack(root / part / f"{video}.tar.gz", names)
    return root


def test_every_folder_with_pictures_is_a_sequence_at_any_depth(plant):
    root = plant(["real_train/0/a.png", "fake_test/1/fake/x/y/0.png", "fake_test/1/fake/x/1.png"])
    samples = wilddeepfake.find(root, val_fraction=0).samples
    assert [(sample.path, sample.label, sample.split) for sample in samples] == [
        ("fake_test/1/fake/x", FAKE, "test"),
        ("fake_test/1/fake/x/y", FAKE, "test"),
        ("real_train/0", REAL, "train"),
    ]
    assert {sample.kind for sample in samples} == {"frames"}


def test_val_is_dealt_out_of_train_by_whole_videos_in_both_classes(plant):
    manifest = wilddeepfake.find(plant(tree(30)), val_fraction=0.2)
    assert manifest.check_identities() == 0
    counts = Counter((sample.split, sample.label) for sample in manifest.samples)
    for label in (REAL, FAKE):
        assert counts["val", label] == 12
        assert counts["train", label] == 48
        assert counts["test", label] == 60
    for sample in manifest.samples:
        assert (sample.split == "test") == ("_test/" in sample.path)


def test_number_of_a_video_means_nothing_outside_its_part(plant):
    manifest = wilddeepfake.find(plant(tree(3)), val_fraction=0)
    by_video = Counter(sample.identities for sample in manifest.samples)
    assert len(by_video) == 12
    assert by_video[("wilddeepfake/fake_test/2",)] == 3
    assert "videos: 12 found, 707 official, difference -695" in manifest.notes


def test_archives_are_split_like_their_folders(plant, tmp_path):
    unpacked = wilddeepfake.find(plant(tree()), seed=3)
    shipped = wilddeepfake.find(packed(tmp_path / "shipped", tree()), seed=3)
    assert shipped.samples[0].path == "fake_test/0.tar.gz//0/fake/0"
    splits = {sample.identities: sample.split for sample in unpacked.samples}
    assert {sample.identities: sample.split for sample in shipped.samples} == splits
    assert len(shipped) == len(unpacked)
    saved = tmp_path / "saved.jsonl"
    shipped.save(saved)
    assert Manifest.load(saved, root=shipped.root) == shipped


def test_older_copies_with_blanks_in_the_names_are_read(plant):
    root = plant(path.replace("_", " ", 1) for path in tree(3))
    manifest = wilddeepfake.find(root, val_fraction=0)
    assert manifest.samples[-1].path == "real train/2/real/2"
    assert manifest.samples[-1].sample_id == "wilddeepfake/real/real_train/2/real/2"
    assert manifest.samples[-1].split == "train"


def test_same_part_twice_is_refused(plant):
    with pytest.raises(ValueError, match="'real train' and 'real_train' are the same part"):
        wilddeepfake.find(plant(["real train/0/0.png", "real_train/0/0.png"]))


def test_video_both_packed_and_unpacked_is_refused(plant):
    root = plant(tree(3))
    pack(root / "real_train/1.tar.gz", ["1/real/0/0.png"])
    with pytest.raises(ValueError, match=r"1\.tar\.gz: lies there unpacked as well"):
        wilddeepfake.find(root)


@pytest.mark.parametrize("shipped", [False, True])
def test_folder_that_contradicts_its_part_is_refused(plant, tmp_path, shipped):
    paths = [*tree(3), "real_train/7/Fake/0/0.png"]
    root = packed(tmp_path / "shipped", paths) if shipped else plant(paths)
    with pytest.raises(ValueError, match="contradicts the part real_train"):
        wilddeepfake.find(root)


def test_damaged_archive_stays_as_one_sample_that_will_fail(plant):
    root = plant(tree(3))
    (root / "fake_test/9.tar.gz").write_bytes(b"cut")
    manifest = wilddeepfake.find(root)
    (sample,) = (s for s in manifest.samples if s.path == "fake_test/9.tar.gz")
    assert (sample.label, sample.split) == (FAKE, "test")
    assert any("kept as one sample that will fail: " in note for note in manifest.notes)


def test_hostile_members_are_counted_in_the_notes(plant):
    root = plant(tree(3))
    pack(root / "fake_test/9.tar.gz", ["../1.png", "9/fake/0/1.png", "9/fake/0/a.txt"])
    notes = wilddeepfake.find(root).notes
    assert "fake_test: passed over in archives: 1 x name that leads out of the archive" in notes
    assert "fake_test: passed over in archives: 1 x not a picture" in notes


def test_parts_for_testing_alone_need_no_val(plant):
    manifest = wilddeepfake.find(plant(tree(3, ("real_test", "fake_test"))))
    assert {sample.split for sample in manifest.samples} == {"test"}


def test_loose_pictures_are_left_out_and_told(plant):
    manifest = wilddeepfake.find(plant([*tree(3), "real_train/loose.png"]))
    assert "real_train: left out, in no video: 1: 'real_train/loose.png'" in manifest.notes


def test_too_few_videos_for_a_val_split_are_refused(plant):
    with pytest.raises(ValueError, match="cannot fill 2 splits"):
        wilddeepfake.find(plant(["real_train/0/0.png", "real_test/0/0.png"]))


@pytest.mark.parametrize("wrong", ["..", "real_train"])
def test_wrong_root_names_the_right_one(plant, wrong):
    root = plant(tree(3), "data/wild")
    with pytest.raises(ValueError, match=r"expected real_train.*Did you mean .*wild\?"):
        wilddeepfake.find((root / wrong).resolve())


def test_the_command_line_prepares_an_archive_as_it_is_shipped(tmp_path):
    """Sequences become tracks in natural order; a damaged archive is a row with its reason."""
    source = tmp_path / "source"
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), (90, 90, 90)).save(picture, "PNG")
    names = [f"{n}.png" for n in (0, 1, 10, 2)]
    for part in ("real_train", "fake_train"):
        for video in range(2):
            inside = [f"{video}/{part[:4]}/5/{name}" for name in names]
            pack(source / part / f"{video}.tar.gz", inside, picture.getvalue())
    whole = (source / "real_train/0.tar.gz").read_bytes()
    (source / "real_test").mkdir()
    (source / "real_test/0.tar.gz").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    code = main(
        [
            *("prepare", "--layout", "wilddeepfake", "--source", str(source), "--out", str(out)),
            *("--detector", "none", "--workers", "1", "--options.val_fraction", "0.5"),
        ]
    )
    assert code == 3
    manifest = Manifest.load(out / "manifest.jsonl")
    assert Counter((s.split, s.label, s.num_frames) for s in manifest.samples) == {
        (split, label, 4): 1 for split in ("train", "val") for label in (REAL, FAKE)
    }
    rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    (failed,) = (row for row in rows if row["status"] != "ok")
    assert (failed["status"], failed["path"]) == ("not_media", "real_test/0.tar.gz")
    assert "damaged archive" in failed["message"]
