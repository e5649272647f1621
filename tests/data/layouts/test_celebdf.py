"""Celeb-DF: the list's 1 is our 0, no row is lost, nobody in the test trains."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from avkd.data.layouts import celebdf
from avkd.data.manifest import FAKE, REAL

LIST = "List_of_testing_videos.txt"
ROWS = "1 YouTube-real/00000.mp4\n1 Celeb-real/id0_0000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
VIDEOS = (
    "YouTube-real/00000.mp4",
    "YouTube-real/00001.mp4",
    "Celeb-real/id0_0000.mp4",
    "Celeb-real/id0_0001.mp4",
    "Celeb-real/id2_0000.mp4",
    "Celeb-real/id3_0000.mp4",
    "Celeb-synthesis/id0_id1_0000.mp4",
    "Celeb-synthesis/id2_id1_0000.mp4",
    "Celeb-synthesis/id2_id3_0000.mp4",
)
OFFICIAL = (
    Path(__file__).resolve().parents[3].parent
    / "shared/data/splits/celebdf/List_of_testing_videos.v2.txt"
)


@pytest.fixture
def root(plant) -> Path:
    folder = plant(VIDEOS)
    (folder / LIST).write_text(ROWS)
    return folder


def splits(manifest):
    return {sample.path: sample.split for sample in manifest.samples}


def test_one_in_the_list_means_real(root):
    manifest = celebdf.find(root)
    test = {sample.path: sample.label for sample in manifest.of_split("test").samples}
    assert test == {
        "YouTube-real/00000.mp4": REAL,
        "Celeb-real/id0_0000.mp4": REAL,
        "Celeb-synthesis/id0_id1_0000.mp4": FAKE,
    }


def test_people_of_the_test_list_do_not_train(root):
    manifest = celebdf.find(root)
    assert splits(manifest)["Celeb-real/id0_0001.mp4"] is None
    assert splits(manifest)["Celeb-synthesis/id2_id1_0000.mp4"] is None  # id1 is a test face
    assert {path for path, split in splits(manifest).items() if split == "train"} == {
        "YouTube-real/00001.mp4",
        "Celeb-real/id2_0000.mp4",
        "Celeb-real/id3_0000.mp4",
        "Celeb-synthesis/id2_id3_0000.mp4",
    }
    assert any("1 real, 1 fake; left for training: 3 real, 1 fake" in n for n in manifest.notes)
    assert manifest.check_identities() == 0


def test_people_of_missing_test_videos_do_not_train_either(root):
    (root / "Celeb-synthesis/id0_id1_0000.mp4").unlink()
    (root / "Celeb-real/id0_0000.mp4").unlink()
    manifest = celebdf.find(root)
    assert splits(manifest)["Celeb-real/id0_0001.mp4"] is None
    assert "listed but missing: 2: 'celeb-real/id0_0000', 'celeb-synthesis/id0_id1_0000'" in (
        manifest.notes
    )


def test_forgery_has_two_people_and_its_original(root):
    samples = {sample.path: sample for sample in celebdf.find(root).samples}
    fake = samples["Celeb-synthesis/id2_id3_0000.mp4"]
    assert fake.identities == ("celebdf/id2", "celebdf/id3")
    assert fake.source_id == samples["Celeb-real/id2_0000.mp4"].sample_id


def test_unreadable_names_do_not_train(root):
    (root / "Celeb-real/somebody.mp4").touch()
    assert splits(celebdf.find(root))["Celeb-real/somebody.mp4"] is None


@pytest.mark.parametrize(
    ("line", "number"),
    [("1 Celeb-synthesis/id2_id3_0000.mp4", 4), ("0 Celeb-real/id2_0000.mp4", 4)],
)
def test_contradicting_row_names_its_line(root, line, number):
    (root / LIST).write_text(ROWS + line + "\n")
    with pytest.raises(ValueError, match=rf"line {number}: .*contradicts itself"):
        celebdf.find(root)


@pytest.mark.parametrize("line", ["2 Celeb-real/id2_0000.mp4", "label path", "1", "1 Celeb-real"])
def test_broken_row_names_its_line(root, line):
    (root / LIST).write_text(line + "\n" + ROWS)
    with pytest.raises(ValueError, match=r"List_of_testing_videos\.txt, line 1: .*not a row"):
        celebdf.find(root)


def test_doubled_row_names_both_lines(root):
    (root / LIST).write_text(ROWS + "\n" + ROWS.splitlines()[0])
    with pytest.raises(ValueError, match=r"line 5: .* is in line 1 already"):
        celebdf.find(root)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + ROWS,
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("/", "\\"),
        ROWS.replace(" ", "\t"),
        ROWS.rstrip("\n"),
        ROWS.replace("YouTube-real", "Youtube-real"),
        "\n" + ROWS + "\n\n",
    ],
    ids=["bom", "crlf", "backslash", "tab", "no last newline", "alias", "blank lines"],
)
def test_list_survives_editors_and_systems(root, text):
    (root / LIST).write_bytes(text.encode())
    assert len(celebdf.find(root).of_split("test")) == 3


def test_videos_level_and_youtube_alias_are_accepted(plant):
    aliases = [path.replace("YouTube-real/", "Youtube-real/videos/") for path in VIDEOS]
    root = plant(path.replace("Celeb-real/", "Celeb-real/videos/") for path in aliases)
    (root / LIST).write_text(ROWS)
    manifest = celebdf.find(root)
    assert len(manifest) == len(VIDEOS)
    assert len(manifest.of_split("test")) == 3


def test_same_video_twice_is_refused(root):
    (root / "Celeb-real/videos").mkdir()
    (root / "Celeb-real/videos/id2_0000.mp4").touch()
    with pytest.raises(ValueError, match="are the same video"):
        celebdf.find(root)


def test_version_is_told_by_counts(root, plant):
    assert "taken for Celeb-DF v1" in celebdf.find(root).notes[0]
    assert "celeb-synthesis: 3 found, 795 official, difference -792" in celebdf.find(root).notes
    plant(f"Celeb-synthesis/id4_id5_{number:04d}.mp4" for number in range(800))
    assert "taken for Celeb-DF v2" in celebdf.find(root).notes[0]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_empty_list_is_refused(root, text):
    (root / LIST).write_text(text)
    with pytest.raises(ValueError, match="lists no video"):
        celebdf.find(root)


def test_missing_list_is_an_error(root):
    (root / LIST).unlink()
    with pytest.raises(ValueError, match=r"List_of_testing_videos\.txt is missing"):
        celebdf.find(root)


@pytest.mark.parametrize("wrong", ["..", "Celeb-real"])
def test_wrong_root_names_the_right_one(plant, wrong):
    root = plant(VIDEOS, "data/Celeb-DF-v2")
    with pytest.raises(ValueError, match=r"Did you mean .*Celeb-DF-v2\?"):
        celebdf.find((root / wrong).resolve())


@pytest.mark.skipif(not OFFICIAL.is_file(), reason=f"official list not at {OFFICIAL}")
def test_official_list_gives_178_real_and_340_fake(plant):
    rows = OFFICIAL.read_text().splitlines()
    root = plant(row.split()[1] for row in rows)
    shutil.copy(OFFICIAL, root / LIST)
    manifest = celebdf.find(root)
    assert len(rows) == len(manifest) == len(manifest.of_split("test")) == 518
    assert Counter(sample.label for sample in manifest.samples) == {REAL: 178, FAKE: 340}
    assert "taken for Celeb-DF v2" in manifest.notes[0]
    for folder, rows in (("celeb-real", 108), ("youtube-real", 70), ("celeb-synthesis", 340)):
        counted = f"{folder}, listed for testing: {rows} found, {rows} official, difference +0"
        assert counted in manifest.notes
