"""Talking faces: any nesting, speakers from the path, nobody in two splits, odd names harmless."""

import os
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

import pytest

from avkd.data.layouts import talking_faces
from avkd.data.manifest import Manifest

GRID = Path(__file__).resolve().parents[3].parent / "shared/data/grid"


def tree(speakers=10, clips=5):
    return [f"s{s}/clip{c}.mpg" for s in range(speakers) for c in range(clips)]


def splits_of_speakers(manifest):
    splits = defaultdict(set)
    for sample in manifest.samples:
        for identity in sample.identities:
            splits[identity].add(sample.split)
    return splits


def test_whole_speakers_are_held_out(plant):
    manifest = talking_faces.find(plant(tree()), val_fraction=0.2, test_fraction=0.1)
    assert all(len(splits) == 1 for splits in splits_of_speakers(manifest).values())
    counts = [len(manifest.of_split(split)) for split in ("train", "val", "test")]
    assert counts == [35, 10, 5]
    assert manifest.check_identities() == 0
    assert all(sample.label == 0 for sample in manifest.samples)


def test_split_depends_on_seed_and_names_only(plant):
    forwards = talking_faces.find(plant(tree(), "forwards"), seed=3)
    backwards = talking_faces.find(plant(tree()[::-1], "backwards"), seed=3)
    assert forwards.samples == backwards.samples
    others = [talking_faces.find(forwards.root, seed=seed).samples for seed in range(4, 9)]
    assert any(other != forwards.samples for other in others)


def test_chosen_speakers_take_the_place_of_the_fraction(plant):
    manifest = talking_faces.find(
        plant(tree()), val_speakers=["s1", "s2"], test_speakers=["s3"], val_fraction=0.5
    )
    splits = splits_of_speakers(manifest)
    assert {name for name, split in splits.items() if split == {"val"}} == {
        "talking_faces/s1",
        "talking_faces/s2",
    }
    assert {name for name, split in splits.items() if split == {"test"}} == {"talking_faces/s3"}


def test_chosen_speaker_and_fraction_of_the_others_go_together(plant):
    manifest = talking_faces.find(plant(tree()), val_speakers=["s1"], test_fraction=0.1)
    assert splits_of_speakers(manifest)["talking_faces/s1"] == {"val"}
    assert len(manifest.of_split("test")) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_speakers": ["s99"]}, "no speaker 's99' here; there are: 's0'"),
        ({"val_speakers": ["s1"], "test_speakers": ["s1"]}, "'s1' is in val_speakers and in test"),
        ({"val_speakers": "s1"}, "give a list of names"),
        ({"speaker_pattern": "(?P<speaker>"}, "speaker_pattern=.* not a regular expression"),
        ({"speaker_pattern": "(.*)"}, r"lacks the named group \(\?P<speaker>"),
        ({"speaker_pattern": "(?P<speaker>nobody)"}, "finds no speaker in 's0/clip0.mpg'"),
        ({"val_fraction": -0.1}, "each from 0 to below 1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "in sum below 1"),
    ],
)
def test_bad_options_are_refused_with_a_cure(plant, options, message):
    with pytest.raises(ValueError, match=message):
        talking_faces.find(plant(tree()), **options)


@pytest.mark.parametrize("speakers", [1, 2])
def test_too_few_speakers_for_three_splits_are_refused(plant, speakers):
    with pytest.raises(ValueError, match="cannot fill 3 splits"):
        talking_faces.find(plant(tree(speakers=speakers)))


def test_three_speakers_fill_three_splits(plant):
    manifest = talking_faces.find(plant(tree(speakers=3)))
    assert [len(manifest.of_split(split)) for split in ("train", "val", "test")] == [5, 5, 5]


def test_pattern_reads_the_speaker_anywhere_in_the_path(plant):
    root = plant([f"2020/dev/mp4/id{n}/video{c}/1.mp4" for n in range(5) for c in range(3)])
    manifest = talking_faces.find(root, speaker_pattern=r"/(?P<speaker>id\d+)/")
    assert set(splits_of_speakers(manifest)) == {f"talking_faces/id{n}" for n in range(5)}


def test_unknown_speakers_join_no_split_while_others_are_held_out(plant):
    manifest = talking_faces.find(plant([*tree(), "loose.mp4"]))
    (loose,) = (sample for sample in manifest.samples if sample.path == "loose.mp4")
    assert (loose.split, loose.identities) == (None, ())
    assert "speaker not known, so in no split: 1: 'loose.mp4'" in manifest.notes


def test_flat_folder_trains_when_nobody_is_held_out(plant):
    manifest = talking_faces.find(plant(["a.mp4", "b.mp4"]), val_fraction=0, test_fraction=0)
    assert len(manifest.of_split("train")) == 2
    with pytest.raises(ValueError, match="hold nobody out"):
        talking_faces.find(manifest.root)


ODD = [
    "s 0/a b.mp4",
    "s\n1/line\nbreak.mp4",
    "s%202/100%.mp4",
    "s 2/100%25.mp4",
    "-s3/-rf.mp4",
    "\u5f20\u4f1f/\u4f60\u597d \U0001f600.mp4",
    "cafe\u0301/a.mp4",
    "caf\u00e9/a.mp4",
    "s4/a.mp4",
    "s4/a.mpg",
    "s4/A.MP4",
    "http:s5/%03d.mp4",
    os.fsdecode(b"caf\xe9/\xff.mp4"),
]


def test_odd_names_give_distinct_plain_ids_and_survive_saving(plant, tmp_path):
    manifest = talking_faces.find(plant(ODD))
    assert sorted(sample.path for sample in manifest.samples) == sorted(ODD)
    for sample in manifest.samples:
        assert sample.sample_id.isascii() and sample.sample_id.isprintable()
        assert " " not in sample.sample_id
        given_back = unquote(sample.sample_id, errors="surrogateescape")
        assert given_back == f"talking_faces/real/{sample.path}"
        assert manifest.absolute_path(sample).is_file()
    assert len(splits_of_speakers(manifest)) == 11  # no two of them fall together
    manifest.save(tmp_path / "manifest.jsonl")
    assert Manifest.load(tmp_path / "manifest.jsonl").samples == manifest.samples


def test_siblings_and_hidden_files_are_passed_over_and_told(plant):
    junk = ["s0/clip0.align", "s0/clip0.txt", "s0/clip0.wav", "s0/.clip0.mpg", "s0/README"]
    manifest = talking_faces.find(plant([*tree(), *junk, "._s0/a.mp4", "__MACOSX/s0/a.mp4"]))
    assert len(manifest) == 50
    assert "passed over, hidden: 3" in manifest.notes
    (told,) = (note for note in manifest.notes if note.startswith("passed over, other kinds"))
    assert all(part in told for part in ("1 .align", "1 .txt", "1 .wav", "1 no suffix"))


def test_links_are_never_followed(plant, tmp_path):
    root = plant(tree())
    outside = plant(["secret.mp4"], "outside")
    (root / "s0/out").symlink_to(outside)
    (root / "s0/out.mp4").symlink_to(outside / "secret.mp4")
    (root / "s0/loop").symlink_to(root)
    (root / "s0/dangling.mp4").symlink_to(tmp_path / "nowhere")
    manifest = talking_faces.find(root)
    assert len(manifest) == 50
    assert any(
        "symbolic links (never followed): 4, first 's0/dangling" in n for n in manifest.notes
    )


def test_fifo_and_folder_with_a_video_name_are_no_videos(plant):
    root = plant(tree())
    os.mkfifo(root / "s0/pipe.mp4")
    (root / "s0/folder.mp4").mkdir()
    assert len(talking_faces.find(root)) == 50


def test_root_without_videos_names_what_it_holds_and_the_right_one(plant):
    root = plant(tree(), "data/grid")
    (root / "s0/text").mkdir()
    with pytest.raises(ValueError, match=r"found an empty folder. Did you mean .*grid\?"):
        talking_faces.find(root / "s0/text")
    with pytest.raises(ValueError, match="does not exist"):
        talking_faces.find(root / "nowhere")


@pytest.mark.skipif(not GRID.is_dir(), reason=f"GRID clips not at {GRID}")
def test_grid_as_downloaded_gives_its_speakers():
    manifest = talking_faces.find(GRID)
    assert len(manifest) == 170
    assert len(splits_of_speakers(manifest)) == 18
    assert manifest.check_identities() == 0
    assert all(manifest.of_split(split).samples for split in ("train", "val", "test"))
