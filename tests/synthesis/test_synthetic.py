"""The generated corpus: trees as the datasets have them, a function of the seed, resumable."""

import json
import shutil

import numpy as np
import pytest
from factories import read_waveform

from avkd.config.data_config import SynthConfig
from avkd.data.faces import face_tracks
from avkd.data.media.sound import read_sound_file
from avkd.data.media.video import iter_frames
from avkd.synthesis import synthetic

NUM_PEOPLE = 8


def shared(out, seed=0):
    """How the corpus of all tests is made, but that two workers make what is missing."""
    sizes = {"identities": NUM_PEOPLE, "clips_per_identity": 2, "words": 2, "seconds": 1.08}
    return SynthConfig(out=out, seed=seed, workers=2, **sizes)


@pytest.fixture(scope="module")
def corpus(synthetic_corpus):
    return synthetic_corpus


def test_every_video_has_a_face_in_every_frame(corpus):
    videos = sorted(corpus.rglob("*.mp4"))
    for video in videos[::9]:
        faces = face_tracks.read_face_sidecar(video)
        frames = [frame.image for frame in iter_frames(video)]
        assert faces.frame.tolist() == list(range(len(frames)))
        height, width, _ = frames[0].shape
        assert (faces.landmarks >= 0).all() and (faces.landmarks < (width, height)).all()
        assert (faces.boxes[:, :2] < faces.landmarks.min(1)).all()
        assert (faces.boxes[:, 2:] > faces.landmarks.max(1)).all()


def test_lrw_like_clips_have_29_frames_and_sound(corpus):
    clips = sorted((corpus / "lrw_like" / "lipread_mp4").glob("*/*/*.mp4"))
    assert {clip.parent.name for clip in clips} == {"train", "val", "test"}
    word = clips[0].parents[1].name
    assert clips[0].name == f"{word}_00001.mp4"
    assert len(list(iter_frames(clips[0]))) == synthetic.LRW_FRAMES
    waveform = read_waveform(clips[0])
    assert waveform is not None and np.abs(waveform).max() > 0.1
    lines = clips[0].with_suffix(".txt").read_text().splitlines()
    assert lines[4].startswith("Duration: ") and lines[4].endswith(" seconds")


def test_faceforensics_like_tree_pairs_what_its_lists_say(corpus):
    root = corpus / "faceforensics_like"
    lists = {split: json.loads((root / f"{split}.json").read_text()) for split in SPLITS}
    people = [person for pairs in lists.values() for pair in pairs for person in pair]
    assert len(people) == len(set(people)) == NUM_PEOPLE
    for pairs in lists.values():
        assert pairs
        for target, source in [*pairs, *(pair[::-1] for pair in pairs)]:
            assert (root / f"original_sequences/youtube/c23/videos/{target}.mp4").exists()
            for method in synthetic.FACEFORENSICS_METHODS:
                fake = f"manipulated_sequences/{method}/c23/videos/{target}_{source}.mp4"
                assert (root / fake).exists()
    assert read_sound_file(next(root.rglob("000.mp4"))) is None


SPLITS = ("train", "val", "test")


def test_celebdf_like_list_marks_real_as_one(corpus):
    root = corpus / "celebdf_like"
    rows = [line.split() for line in (root / "List_of_testing_videos.txt").read_text().splitlines()]
    assert {digit for digit, _ in rows} == {"0", "1"}
    for digit, path in rows:
        assert (root / path).exists()
        assert (digit == "0") == path.startswith("Celeb-synthesis/")


def test_fakes_of_the_two_trees_are_made_by_different_methods():
    seen = set(synthetic.FACEFORENSICS_METHODS.values())
    assert len(seen) == 4 and not seen & set(synthetic.CELEBDF_METHODS)


def test_a_fake_differs_from_its_real_in_the_face_only(corpus):
    videos = corpus / "faceforensics_like"
    real = _frames(videos / "original_sequences/youtube/c23/videos/000.mp4")
    fake = _frames(videos / "manipulated_sequences/Deepfakes/c23/videos/000_001.mp4")
    difference = np.abs(real.astype(int) - fake).mean((0, 3))
    assert difference[60:110, 60:100].mean() > 4 * difference[:30, :30].mean()


def test_deleted_files_come_back_the_same(corpus, tmp_path):
    """An interrupted run is continued; every file is a function of the seed and its name alone."""
    out = shutil.copytree(corpus, tmp_path / "synth")
    lost = [
        out / "faceforensics_like/manipulated_sequences/Face2Face/c23/videos/002_003.mp4",
        next(out.glob("lrw_like/lipread_mp4/*/train/*_00003.mp4")),
    ]
    before, kept = [p.read_bytes() for p in lost], out / "celebdf_like/Celeb-real/id0_0000.mp4"
    kept_time = kept.stat().st_mtime_ns
    for path in lost:
        path.unlink()
        face_tracks.face_sidecar_path(path).unlink()
    outcome = synthetic.synth(shared(out))
    assert outcome.text == f"{len(list(out.rglob('*.mp4')))} videos in {out}"
    assert [path.read_bytes() for path in lost] == before
    assert kept.stat().st_mtime_ns == kept_time


def test_a_folder_of_other_settings_is_refused(corpus):
    with pytest.raises(ValueError, match="other settings"):
        synthetic.synth(shared(corpus, seed=6))


def _frames(path):
    return np.stack([frame.image for frame in iter_frames(path)])
