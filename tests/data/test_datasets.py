"""Prepared corpora as clips: every draw repeatable, every frame looked at, every failure told."""

import dataclasses
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import LENGTHS, VIDEO, spoil

from avkd.data.build import talking_clips
from avkd.data.clip_items import ClipItem, undamaged
from avkd.data.crops.crop_store import CropStore, DamagedTrack
from avkd.data.datasets import Corpus, TrainingClips, WindowClips, fingerprint_of, training_loader
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.manifest import Manifest, Sample
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, ClipKey, ShuffledBatches
from avkd.data.transforms import Augmentation, Views, center_views
from avkd.data.windows import Window
from avkd.outcome import ResourceError

EVERYTHING = Augmentation(grayscale=1.0, erasing=1.0, time_mask=1.0, frequency_mask_max=26)


def item(corpus: Corpus, name: str) -> ClipItem:
    (sample,) = (s for s in corpus.manifest.samples if s.sample_id == f"toy/{name}")
    return ClipItem(sample, corpus.store)


def training_clips(corpus: Corpus, **changes) -> TrainingClips:
    settings = {"model_input": VIDEO, "seed": 0, "augmentation": EVERYTHING, "with_sound": True}
    settings |= changes
    return TrainingClips([item(corpus, n) for n in ("long", "twin", "second")], **settings)


def frame_numbers(clip: ClipBatch) -> np.ndarray:
    """(B, T) number of each frame, read from its brightness."""
    middle = clip.frames[:, :, 40:110, 40:110].float().mean(dim=(2, 3, 4))
    return ((middle - 40) / 3).round().int().numpy()


def assert_same_clip(one: ClipBatch, two: ClipBatch) -> None:
    assert one.sample_ids == two.sample_ids
    assert torch.equal(one.frames, two.frames) and torch.equal(one.labels, two.labels)
    assert one.waveform is not None and two.waveform is not None
    assert torch.equal(one.waveform, two.waveform)
    assert same_views(one.student, two.student) and same_views(one.teacher, two.teacher)


def same_views(one: Views, two: Views) -> bool:
    return all(
        torch.equal(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(Views)
    )


def test_a_track_that_cannot_be_read_is_stood_in_for_by_the_next_of_its_label(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One rotten sector must not end days of training, nor go unsaid."""
    clips = training_clips(corpus)  # long and second are real, twin is fake
    read = CropStore.frames

    def rotten(store: CropStore, path: str, start: int, count: int) -> np.ndarray:
        if "long" in path:
            raise ValueError("long: damaged")
        return read(store, path, start, count)

    expected = clips[ClipKey(1, 5, 2)]
    monkeypatch.setattr(CropStore, "frames", rotten)
    shown = ClipBatch.collate([clips[ClipKey(1, 5, 0)], clips[ClipKey(1, 5, 1)]])
    assert shown.sample_ids == ("toy/second", "toy/twin") and shown.replaced == ("toy/long",)
    assert_same_clip(clips[ClipKey(1, 5, 0)], expected)
    assert "toy/long: long: damaged; shown instead: toy/second" in caplog.text
    # A draw that is named by its item stays so: a teacher's answer to it is looked up by that.
    assert_same_clip(clips[ClipKey(1, 0, 0)], clips[ClipKey(1, 2, 2)])
    monkeypatch.setattr(CropStore, "frames", lambda *_: rotten(_[0], "long", 0, 0))
    with pytest.raises(ValueError, match="damaged"):
        clips[ClipKey(1, 5, 0)]


class Dying(torch.utils.data.Dataset):
    """Takes its loader process with it."""

    def __getitem__(self, key: ClipKey) -> ClipBatch:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it is dead")


def test_a_loader_process_that_is_killed_is_said_with_the_cure() -> None:
    loader = training_loader(Dying(), ShuffledBatches(4, 2, 0), workers=1, pin_memory=False)
    with pytest.raises(ResourceError, match=r"killed.*lower --loop.workers.*--resume continues"):
        next(iter(loader(0, 0)))


def test_the_fingerprint_of_clips_is_that_of_their_bytes(corpus: Corpus) -> None:
    items = training_clips(corpus).items
    assert fingerprint_of(items) == fingerprint_of(training_clips(corpus, seed=1).items)
    other = [dataclasses.replace(items[0], store=Exchanged()), *items[1:]]
    assert fingerprint_of(other) != fingerprint_of(items)


class Exchanged:
    """A store whose tracks were prepared anew."""

    def digest(self, path: str) -> str:
        return "0" * 64


# The corpus


def test_files_that_failed_are_expected_and_told_with_their_reason(corpus: Corpus) -> None:
    assert {s.sample_id for s in corpus.manifest.samples} == {f"toy/{name}" for name in LENGTHS}
    assert {s.sample_id for s in corpus.expected} == {
        f"toy/{name}" for name in (*LENGTHS, "broken", "absent")
    }
    assert {name: code for name, (code, _) in corpus.failures.items()} == {
        "toy/broken": "not_media",
        "toy/absent": "not_found",
    }
    assert all(message for _, message in corpus.failures.values())
    items = corpus.items(corpus.manifest.samples)
    assert [i.num_frames for i in items] == list(LENGTHS.values())


def test_a_folder_that_is_no_corpus_is_answered_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="avkd prepare"):
        Corpus.open(tmp_path)


def test_damaged_clips_are_left_out_and_told_once(
    corpus: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copied = Corpus.open(shutil.copytree(corpus.folder, tmp_path / "copied"))
    items = [item(copied, name) for name in LENGTHS]
    assert undamaged(items, "val split") == items and not caplog.records
    for name in ("twin", "second"):
        spoil(copied.folder, item(copied, name).sample.path)
    whole = [clip.sample.sample_id for clip in undamaged(items, "val split")]
    assert whole == ["toy/long", "toy/short"]
    (told,) = caplog.messages
    assert told.startswith("val split: 2 of 4 clips are damaged")
    assert f"`avkd verify {copied.folder}`" in told


class TenTalking:
    """Ten held-out clips and one for training; the last ``num_damaged`` of the ten are damaged."""

    root = Path("ten")

    def __init__(self, num_damaged: int) -> None:
        self._first_damaged = 10 - num_damaged

    def crop_pixels(self, path: str) -> int:
        return 96

    def verify(self, path: str) -> bool:
        return int(path) < self._first_damaged


def test_stage_one_is_measured_on_the_held_out_clips_that_can_be_read() -> None:
    samples = [
        Sample(
            sample_id=str(number),
            path=str(number),
            kind="crops",
            label=0,
            dataset="ten",
            method="real",
            split="val" if number < 10 else "train",
            num_frames=30,
            has_audio=True,
        )
        for number in range(11)
    ]

    def ten(num_damaged: int) -> Corpus:
        return Corpus(
            folder=Path("ten"),
            manifest=Manifest(root=Path("ten"), samples=tuple(samples)),
            store=TenTalking(num_damaged),
            expected=(),
            failures={},
            faces="aligned",
            crop_margin=1.0,
        )

    training, held_out = talking_clips([ten(2)], "val", most=100)
    assert [clip.sample.sample_id for clip in held_out] == [str(n) for n in range(8)]
    assert len(training) == 1  # a training step replaces what it cannot read
    with pytest.raises(ValueError, match="only 7 real clips"):
        talking_clips([ten(3)], "val", most=100)


# Training clips


def test_a_clip_is_25_neighbouring_frames_with_the_sound_of_the_same_instants(
    corpus: Corpus,
) -> None:
    clips = training_clips(corpus)
    starts = set()
    for position in range(20):
        clip = clips[ClipKey(0, position, 0)]
        assert clip.frames.shape == (1, 25, 150, 150, 3) and clip.frames.dtype == torch.uint8
        (numbers,) = frame_numbers(clip)
        np.testing.assert_array_equal(numbers, numbers[0] + np.arange(25))
        sound = clips.items[0].store.waveform(clips.items[0].sample.path, int(numbers[0]), 16000)
        assert clip.waveform is not None and clip.waveform.dtype == torch.int16
        np.testing.assert_array_equal(clip.waveform.numpy()[0], sound)
        # The ramp rises from -0.5 to 0.5: the sound itself tells when it was.
        level = clip.waveform[0, 7680:8320].float().mean().item() / 32767
        assert level == pytest.approx((numbers[0] + 12.5) / 60 - 0.5, abs=0.02)
        starts.add(int(numbers[0]))
    assert len(starts) > 10 and starts <= set(range(36))


def test_the_teacher_sees_a_clean_view_on_its_own_draw(corpus: Corpus) -> None:
    clips = training_clips(corpus)
    same_crops = 0
    for position in range(20):
        clip = clips[ClipKey(0, position, 0)]
        student, teacher = clip.student, clip.teacher
        assert student.grayscale.all() and (student.erased[:, 2:] > student.erased[:, :2]).all()
        assert not teacher.grayscale.any() and not teacher.erased.any()
        assert not teacher.time_mask[:, 1].any() and not teacher.mel_mask[:, 1].any()
        same_crops += torch.equal(student.crop, teacher.crop)
    assert same_crops < 5
    masked = [clips[ClipKey(0, p, 0)].student for p in range(20)]
    assert any(view.time_mask[0, 1] > 0 for view in masked)
    assert any(view.mel_mask[0, 1] > 0 for view in masked)


def test_a_pair_of_one_position_is_drawn_alike(corpus: Corpus) -> None:
    """Only the forgery tells a fake from the real it was made from."""
    clips = training_clips(corpus)
    for position in range(5):
        real, fake = (clips[ClipKey(0, position, index)] for index in (0, 1))
        assert (real.labels.item(), fake.labels.item()) == (0.0, 1.0)
        np.testing.assert_array_equal(frame_numbers(real), frame_numbers(fake))
        assert same_views(real.student, fake.student) and same_views(real.teacher, fake.teacher)


def test_position_epoch_and_seed_each_give_another_draw(corpus: Corpus) -> None:
    clips = training_clips(corpus)
    first = clips[ClipKey(0, 0, 0)]
    for other in (
        clips[ClipKey(0, 1, 0)],
        clips[ClipKey(1, 0, 0)],
        training_clips(corpus, seed=1)[ClipKey(0, 0, 0)],
    ):
        assert not same_views(first.student, other.student)
        assert not same_views(first.teacher, other.teacher)


@dataclass
class FixedBatches:
    """The same batches in every epoch."""

    keys: list[list[ClipKey]]

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[ClipKey]]:
        yield from self.keys[first:]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cache_bytes", [0, 61 * 3 * 150**2, 10**9])
def test_workers_and_memory_change_nothing_but_the_speed(
    corpus: Corpus, workers: int, cache_bytes: int
) -> None:
    """The cache holds nothing, one of the two long tracks, or everything."""
    batches = FixedBatches([[ClipKey(0, p, p % 3) for p in range(b, b + 3)] for b in (0, 3, 6)])
    plain = training_clips(corpus)
    expected = [ClipBatch.collate([plain[key] for key in batch]) for batch in batches.keys]
    clips = training_clips(corpus, cache_bytes=cache_bytes)
    loader = training_loader(clips, batches, workers=workers, pin_memory=False)
    for first in (1,) if workers else (0, 1):  # the second time from memory, entered mid-way
        for one, two in zip(expected[first:], loader(0, first), strict=True):
            assert_same_clip(one, two)
    if not workers:
        assert len(clips._decoded) == {0: 0, 10**9: 3}.get(cache_bytes, 1)


def test_a_loader_leaves_the_global_randomness_alone(corpus: Corpus) -> None:
    """Dropout draws from it; a loader made anew after a resume must not shift it."""
    before = torch.get_rng_state()
    batches = FixedBatches([[ClipKey(0, 0, 0)]])
    list(training_loader(training_clips(corpus), batches, workers=0, pin_memory=False)(0, 0))
    assert torch.equal(before, torch.get_rng_state())


def test_the_clips_for_pictures_are_those_epoch_0_draws(corpus: Corpus) -> None:
    clips = training_clips(corpus)
    assert_same_clip(
        clips.first_clips(2), ClipBatch.collate([clips[ClipKey(0, 0, 0)], clips[ClipKey(0, 1, 1)]])
    )
    assert len(clips.first_clips(99)) == len(clips)


def test_clips_too_short_or_without_the_sound_asked_for_are_our_bug(corpus: Corpus) -> None:
    settings = {"model_input": VIDEO, "seed": 0, "augmentation": Augmentation()}
    with pytest.raises(AssertionError, match="toy/short"):
        TrainingClips([item(corpus, "short")], with_sound=False, **settings)
    silent = item(corpus, "long")
    silent = dataclasses.replace(silent, sample=dataclasses.replace(silent.sample, has_audio=False))
    with pytest.raises(AssertionError, match="toy/long"):
        TrainingClips([silent], with_sound=True, **settings)
    assert TrainingClips([silent], with_sound=False, **settings)[ClipKey(0, 0, 0)].waveform is None


# Windows


def test_windows_show_every_frame_of_every_item_in_order(corpus: Corpus) -> None:
    items = corpus.items(corpus.manifest.samples)
    shown: dict[str, list[list[int]]] = {}
    batches = list(WindowClips(items, VIDEO).batches(batch_size=2))
    assert [len(clips) for clips, _ in batches] == [2] * 4
    for clips, places in batches:
        assert clips.waveform is None and same_views(clips.student, center_views(2))
        numbers = frame_numbers(clips)
        for name, (index, window), row in zip(clips.sample_ids, places, numbers, strict=True):
            assert items[index].sample.sample_id == name
            np.testing.assert_array_equal(row, window.frame_indices)
            shown.setdefault(name, []).append(row.tolist())
    for name, frames in LENGTHS.items():
        rows = shown[f"toy/{name}"]
        assert {number for row in rows for number in row} == set(range(frames))
        assert [row[0] for row in rows] == {60: [0, 25, 35]}.get(frames, [0])
    assert shown["toy/short"][0][11:] == [11] * 14  # the last frame is repeated


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_windows_that_cannot_be_read_are_told_or_end_it(
    corpus: Corpus, tmp_path: Path, batch_size: int
) -> None:
    copied = Corpus.open(shutil.copytree(corpus.folder, tmp_path / "copied"))
    items = [item(copied, name) for name in ("long", "twin", "second")]
    spoil(copied.folder, items[1].sample.path)
    clips = WindowClips(items, VIDEO)
    damaged: dict[int, str] = {}
    batches = list(clips.batches(batch_size, damaged))
    places = [(index, window.start_frame) for _, found in batches for index, window in found]
    assert places == [(0, 0), (0, 25), (0, 35), (1, 0), (2, 0)]
    shown = [name for clip, _ in batches for name in clip.sample_ids]
    assert shown == ["toy/long"] * 3 + ["toy/twin", "toy/second"]
    assert [*damaged] == [1] and items[1].sample.path in damaged[1]
    with pytest.raises(DamagedTrack, match="twin"):
        list(clips.batches(batch_size))


def test_windows_that_are_named_are_the_ones_that_are_shown(corpus: Corpus) -> None:
    named = [(Window(0, 3, 25), Window(1, 30, 25)), (Window(0, 0, 25),)]
    clips = WindowClips([item(corpus, "long"), item(corpus, "second")], VIDEO, windows=named)
    assert clips.places == [(0, named[0][0]), (0, named[0][1]), (1, named[1][0])]
    shown = clips[1][0].frames[0].numpy()
    store = clips.items[0].store
    np.testing.assert_array_equal(shown, store.frames(clips.items[0].sample.path, 30, 25))


@pytest.mark.parametrize(("student", "teacher"), [((1.0, 1.0), None), ((0.0, 0.0), (1.0, 1.0))])
def test_the_teacher_closes_in_on_the_mouth_as_it_is_told(
    corpus: Corpus, student: tuple[float, float], teacher: tuple[float, float] | None
) -> None:
    """A teacher that was trained on mouths sees the mouth of the clip whose face is judged."""
    clips = TrainingClips(
        [item(corpus, "long")],
        model_input=VIDEO,
        seed=0,
        augmentation=Augmentation(zoom=student),
        with_sound=False,
        teacher_zoom=teacher,
    )
    clip = clips[ClipKey(0, 0, 0)]
    assert (clip.student.zoom.item(), clip.teacher.zoom.item()) == (student[0], 1.0)


def test_the_sound_of_a_window_begins_with_its_first_frame(corpus: Corpus) -> None:
    with_sound = WindowClips([item(corpus, "long")], VIDEO, with_sound=True)
    clip, _, window = with_sound[2]
    sound = with_sound.items[0].store.waveform(with_sound.items[0].sample.path, 35, 16000)
    assert window.start_frame == 35 and clip.waveform is not None
    np.testing.assert_array_equal(clip.waveform.numpy()[0], sound)


# Pictures, and frames of videos as pictures


def picture_input(**changes) -> ModelInput:
    settings = {
        "clip_frames": 1,
        "crop_pixels": 64,
        "view_share": 0.875,
        "image_size": 28,
        "windows_per_file": 4,
        "faces": "whole",
    }
    return ModelInput(**{**settings, **changes})


def test_a_picture_is_a_clip_of_one_frame(pictures: Corpus) -> None:
    assert pictures.faces == "whole"
    items = pictures.items(pictures.manifest.samples)
    assert [item.crop_pixels for item in items] == [64, 64]
    clips = TrainingClips(
        items,
        model_input=picture_input(),
        seed=0,
        augmentation=Augmentation(crop=False, flip=0.0),
        with_sound=False,
    )
    batch = ClipBatch.collate([clips[ClipKey(3, 1, 1)], clips[ClipKey(5, 0, 0)]])
    assert batch.frames.shape == (2, 1, 64, 64, 3)
    assert batch.draws.tolist() == [[3, 1, 0], [5, 0, 0]]
    assert batch.labels.tolist() == [1.0, 0.0]
    (seen,) = clips.model_input.see(batch, batch.student)
    assert seen.shape == (2, 3, 1, 28, 28)
    assert seen[0, 0, 0, 14, 24] > 1 and seen[0, 0, 0, 14, 3] < -1  # the right half is bright
    windows = list(WindowClips(items, picture_input()).batches(batch_size=2))
    assert len(windows) == 1 and torch.equal(windows[0][0].frames[0], batch.frames[1])


def test_frames_of_a_video_are_pictures_spread_over_it(corpus: Corpus) -> None:
    items = [item(corpus, "long"), item(corpus, "second")]
    seen = picture_input(crop_pixels=150, windows_per_file=5, faces="aligned", landmarks=True)
    ((batch, places),) = WindowClips(items, seen).batches(batch_size=20)
    assert [(index, w.start_frame) for index, w in places] == [
        *((0, frame) for frame in (6, 18, 30, 42, 54)),
        *((1, frame) for frame in (2, 7, 12, 17, 22)),
    ]
    np.testing.assert_allclose(
        frame_numbers(batch)[:, 0], [w.start_frame for _, w in places], atol=0.6
    )
    assert batch.draws[:, 2].tolist() == [w.start_frame for _, w in places]
    # The sidecar has the template's points, so they lie where the template says.
    expected = torch.from_numpy(TEMPLATE).float().expand(10, 1, 5, 2)
    torch.testing.assert_close(batch.landmarks, expected, atol=0.05, rtol=0)
    clips = TrainingClips(
        items, model_input=seen, seed=0, augmentation=Augmentation(), with_sound=False
    )
    drawn = {clips[ClipKey(e, 0, 0)].draws[0, 2].item() for e in range(200)}
    assert len(drawn) > 50 and drawn <= set(range(60))  # any frame, not the first ones
    clip = clips[ClipKey(0, 0, 0)]
    assert frame_numbers(clip)[0, 0] == pytest.approx(clip.draws[0, 2].item(), abs=0.6)


def test_crops_of_another_size_are_refused_with_the_cure(pictures: Corpus) -> None:
    with pytest.raises(ValueError, match=r"64 pixels where 256 are wanted.*--crop_pixels 256"):
        TrainingClips(
            pictures.items(pictures.manifest.samples),
            model_input=picture_input(crop_pixels=256),
            seed=0,
            augmentation=Augmentation(),
            with_sound=False,
        )


def test_whole_pictures_and_aligned_faces_are_not_taken_for_each_other(
    pictures: Corpus, corpus: Corpus
) -> None:
    pictures.require_faces(picture_input(), "model")
    with pytest.raises(ValueError, match="crops are whole pictures, those of model aligned"):
        pictures.require_faces(picture_input(faces="aligned"), "model")
    with pytest.raises(ValueError, match="--detector none"):
        corpus.require_faces(picture_input(), "model")
    with pytest.raises(ValueError, match=r"margin 1, those of model 1\.3; .*--crop_margin 1\.3"):
        pictures.require_faces(picture_input(crop_margin=1.3), "model")
