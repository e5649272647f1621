"""Prepared corpora as datasets of clips: training clips by key, evaluation windows by order.

Reads crop stores only, never a source video. Every random choice is a function of
(seed, epoch, position, view), so a clip can be drawn again exactly.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from avkd import durable
from avkd.data.clip_items import ClipItem
from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.crops.crop_store import CropStore, DamagedTrack
from avkd.data.crops.prepared_corpus import INPUTS_NAME, read_description, read_report
from avkd.data.manifest import FAKE, REAL, Manifest, Sample
from avkd.data.model_input import Faces, ModelInput
from avkd.data.online_fakes import OnlineFakes
from avkd.data.sampling import ClipBatch, ClipKey, EpochBatches, Role
from avkd.data.transforms import CLIP_FRAMES, Augmentation, draw_view
from avkd.data.windows import Window, WindowRule
from avkd.outcome import ResourceError

logger = logging.getLogger(__name__)

# Names of the random streams of one clip; their numbers must never change.
_START, _STUDENT, _TEACHER, _ONLINE = range(4)
_MOST_STAND_INS = 8  # more in a row are no damaged track, but a corpus that is not there


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus: its samples, the store their crops lie in, and the files that failed."""

    folder: Path
    manifest: Manifest
    """Prepared samples."""
    store: CropStore
    expected: tuple[Sample, ...]
    """Every file that was to be prepared, usable or not."""
    failures: Mapping[str, tuple[str, str]]
    """Code and message of every file that is not there, by sample id."""
    faces: Faces
    """What its crops show."""
    crop_margin: float
    """How much wider than the template's window they look."""

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open a folder written by `avkd prepare`.

        Raises:
            FileNotFoundError: the folder is not a prepared corpus; says how to make one.
        """
        path = folder / "manifest.jsonl"
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder}: no manifest.jsonl there, so it is not a prepared corpus; "
                "make one with `avkd prepare --out` that folder"
            )
        settings = read_description(folder)["settings"]
        return cls(
            folder=folder,
            manifest=Manifest.load(path),
            store=CropStore(folder),
            expected=Manifest.load(folder / INPUTS_NAME).samples,
            failures={
                sample_id: (row["status"], row["message"])
                for sample_id, row in read_report(folder).items()
                if row["status"] != "ok"
            },
            faces="whole" if settings["detector"] == "none" else "aligned",
            crop_margin=settings["crop_margin"],
        )

    def require_faces(self, known: "ModelInput | Corpus", asked_by: object) -> None:
        """Refuse crops that show something else than those of ``asked_by``.

        Raises:
            ValueError: names the corpus and the cure.
        """
        if self.faces != known.faces:
            cure = "--detector none" if known.faces == "whole" else "--detector mtcnn (or boxes)"
            raise ValueError(
                f"{self.folder}: its crops are {self.faces} pictures, those of {asked_by} "
                f"{known.faces} ones; prepare it with {cure} into another folder"
            )
        margin = f"{known.crop_margin:g}"
        if self.crop_margin != known.crop_margin:
            raise ValueError(
                f"{self.folder}: its crops have margin {self.crop_margin:g}, those of {asked_by} "
                f"{margin}; prepare it with --crop_margin {margin} into another folder"
            )

    def items(self, samples: Iterable[Sample]) -> list[ClipItem]:
        """Samples of this corpus together with where to read them."""
        return [ClipItem(sample, self.store) for sample in samples]


@dataclass(eq=False, repr=False)
class TrainingClips(Dataset[ClipBatch]):
    """One random clip of consecutive real frames for each key.

    Raises:
        ValueError: an item is stored at another size; names it.
    """

    items: list[ClipItem]
    """Tracks long enough for a clip; shorter ones are left out by the caller."""
    _: KW_ONLY
    model_input: ModelInput
    """Length of a clip and size of a view; the items' crops must be of its size."""
    seed: int
    """Of clip starts and views."""
    augmentation: Augmentation
    """Of the student's view."""
    with_sound: bool
    """Also read the sound; every item must have it."""
    teacher_zoom: tuple[float, float] | None = None
    """How far the teacher's view, else only cropped and flipped, closes in on the mouth
    (`Augmentation.zoom`); unset = as far as the student's."""
    online: OnlineFakes | None = None
    """Forges and degrades; None = clips are shown as they are stored."""
    cache_bytes: int = 0
    """Keep decoded tracks in memory up to this much; saves a quarter of a small network's step on
    few cores. Every loader process has a cache of its own."""

    def __post_init__(self) -> None:
        wanted = self.model_input.crop_pixels
        for item in self.items:
            assert item.num_frames >= self.model_input.clip_frames, item.sample.sample_id
            assert item.sample.has_audio or not self.with_sound, item.sample.sample_id
            if item.crop_pixels != wanted:
                raise ValueError(
                    f"{item.sample.sample_id}: its crops have {item.crop_pixels} pixels where "
                    f"{wanted} are wanted; prepare its corpus with --crop_pixels {wanted}"
                )
        self.teacher_augmentation = Augmentation(zoom=self.teacher_zoom or self.augmentation.zoom)
        self._room_bytes = self.cache_bytes
        self._decoded: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: ClipKey) -> ClipBatch:
        """The clip of ``key`` as a batch of one.

        Where its track cannot be read, that of the next item of the same label is drawn instead;
        the batch says so.

        Raises:
            ValueError: as many tracks one after another cannot be read; names the last.
        """
        try:
            return self._clip(key)
        except (OSError, ValueError) as error:
            damaged, problem = self.items[key.item].sample, error
        numbers = (n % len(self) for n in range(key.item + 1, key.item + len(self)))
        alike = (n for n in numbers if self.items[n].sample.label == damaged.label)
        for item in islice(alike, _MOST_STAND_INS):
            position = item if key.position == key.item else key.position
            try:
                clip = self._clip(replace(key, item=item, position=position))
            except (OSError, ValueError) as error:
                problem = error
                continue
            logger.warning(
                *("%s: %s; shown instead: %s", damaged.sample_id, problem, clip.sample_ids[0])
            )
            return replace(clip, replaced=(damaged.sample_id,))
        raise problem

    def _clip(self, key: ClipKey) -> ClipBatch:
        item, length = self.items[key.item], self.model_input.clip_frames
        start = int(self._stream(key, _START).integers(0, item.num_frames - length + 1))
        slack = self.model_input.slack(item.crop_pixels)
        frames, is_fake = self._frames(key.item, start), item.sample.label == FAKE
        landmarks = None
        if self.model_input.landmarks:
            landmarks = torch.from_numpy(item.landmarks(start, length))[None]
        if self.online is not None:
            stream = (self.seed, key.epoch, key.position, _ONLINE)
            if key.beside is not None:
                other = self._frames(key.beside, 0)[0]
                frames = self.online.with_look_of(item, frames, other, stream)
            frames = self.online.shown(item, start, frames, key.role, stream)
            is_fake = is_fake or key.role == "online_fake"
        return ClipBatch(
            frames=torch.from_numpy(frames)[None],
            waveform=_waveform(item, start) if self.with_sound else None,
            landmarks=landmarks,
            labels=torch.tensor([float(is_fake)]),
            student=draw_view(self._stream(key, _STUDENT), self.augmentation, slack),
            teacher=draw_view(self._stream(key, _TEACHER), self.teacher_augmentation, slack),
            sample_ids=(item.sample.sample_id,),
            draws=torch.tensor([[key.epoch, key.item, start]]),
        )

    def first_clips(self, count: int) -> ClipBatch:
        """One clip of each of the first ``count`` items, as epoch 0 draws them; for pictures.

        Where fake clips are made, pairs of the first real clips and their forgeries instead.
        """
        if self.online is not None and self.online.forgery is not None:
            reals = [n for n, item in enumerate(self.items) if item.sample.label == REAL]
            pairs: tuple[Role, Role] = ("online_real", "online_fake")
            keys = [ClipKey(0, n, n, role) for n in reals[: count // 2] for role in pairs]
        else:
            keys = [ClipKey(0, index, index) for index in range(min(count, len(self)))]
        return ClipBatch.collate([self[key] for key in keys])

    def _frames(self, index: int, start: int) -> np.ndarray:
        """(L, S, S, 3) uint8, from memory where the track is or fits."""
        item, length = self.items[index], self.model_input.clip_frames
        if index not in self._decoded:
            track_bytes = item.num_frames * 3 * item.crop_pixels**2
            if self._room_bytes < track_bytes:
                return item.frames(start, length)
            self._decoded[index] = item.frames(0, item.num_frames)
            self._room_bytes -= track_bytes
        return self._decoded[index][start : start + length]

    def _stream(self, key: ClipKey, view: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, key.epoch, key.position, view])


@dataclass(eq=False, repr=False)
class WindowClips(Dataset[tuple[ClipBatch | DamagedTrack, int, Window]]):
    """Every window of every item, as evaluation sees it: centre view, in order.

    They are those of the model's input, of a ``window_rule`` of the same size, or ``windows`` of
    each item; a track shorter than one gives one padded window.
    """

    items: Sequence[ClipItem]
    model_input: ModelInput
    _: KW_ONLY
    window_rule: WindowRule | None = None
    with_sound: bool = False
    windows: Sequence[Sequence[Window]] | None = None

    def __post_init__(self) -> None:
        rule = self.window_rule or self.model_input.window_rule
        assert rule.size_frames == self.model_input.clip_frames
        chosen = self.windows
        if chosen is None:
            chosen = [rule.windows(item.num_frames) for item in self.items]
        assert len(chosen) == len(self.items), "windows of every item"
        self.places = [(index, window) for index, found in enumerate(chosen) for window in found]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> tuple[ClipBatch | DamagedTrack, int, Window]:
        """The clip, or what is wrong with its track; the index of its item, and the window."""
        index, window = self.places[place]
        try:
            return self._clip(index, window), index, window
        except DamagedTrack as error:
            return error, index, window

    def _clip(self, index: int, window: Window) -> ClipBatch:
        item = self.items[index]
        start, shown = window.start_frame, window.frame_indices - window.start_frame
        landmarks = None
        if self.model_input.landmarks:
            landmarks = torch.from_numpy(item.landmarks(start, window.num_frames)[shown])[None]
        view = self.model_input.center_views(1, item.crop_pixels)
        return ClipBatch(
            frames=torch.from_numpy(item.frames(start, window.num_frames)[shown])[None],
            waveform=_waveform(item, start) if self.with_sound else None,
            landmarks=landmarks,
            labels=torch.tensor([float(item.sample.label)]),
            student=view,
            teacher=view,
            sample_ids=(item.sample.sample_id,),
            draws=torch.tensor([[0, index, start]]),
        )

    def batches(
        self, batch_size: int, damaged: dict[int, str] | None = None
    ) -> Iterator[tuple[ClipBatch, list[tuple[int, Window]]]]:
        """All windows in order, as batches with the item index and window of each clip.

        One that cannot be read is left out where there is a dictionary ``damaged``, which is told
        the reason by the index of its item.

        Raises:
            DamagedTrack: one cannot be read, and there is none.
        """
        for found in DataLoader(self, batch_size=batch_size, collate_fn=list):
            clips: list[ClipBatch] = []
            places: list[tuple[int, Window]] = []
            for clip, index, window in found:
                if isinstance(clip, ClipBatch):
                    clips.append(clip)
                    places.append((index, window))
                elif damaged is None:
                    raise clip
                else:
                    damaged[index] = str(clip)
            if clips:
                yield ClipBatch.collate(clips), places


def fingerprint_of(items: Iterable[ClipItem]) -> str:
    """Digest of which tracks there are and of their stored bytes."""
    tracks = [(item.sample, item.store) for item in items]
    return durable.fingerprint([(s.sample_id, store.digest(s.path)) for s, store in tracks])


def training_loader(
    dataset: TrainingClips, batches: EpochBatches, *, workers: int, pin_memory: bool
) -> Callable[[int, int], Iterable[ClipBatch]]:
    """Batches by (epoch, first batch); the number of workers changes nothing but the speed.

    Workers live as long as what is returned. It has a generator of its own: making a loader's
    iterator draws from one, and drawing from the global one would shift every dropout mask after a
    resume. A worker that dies is a `ResourceError` of who asks for the next batch.
    """
    places = _Places(batches)
    loader = DataLoader(
        dataset,
        batch_sampler=places,
        num_workers=workers,
        collate_fn=ClipBatch.collate,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        generator=torch.Generator().manual_seed(0),
    )

    def rest_of_epoch(epoch: int, first: int) -> Iterable[ClipBatch]:
        places.next = (epoch, first)
        return _while_workers_live(loader)

    return rest_of_epoch


def _while_workers_live(loader: DataLoader[ClipBatch]) -> Iterator[ClipBatch]:
    try:
        yield from loader
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise ResourceError(
            f"a loader process was killed, as for want of memory ({error}); lower --loop.workers "
            "or --loop.cache_gigabytes; --resume continues from the last checkpoint"
        ) from error


@dataclass
class _Places:
    """Batches from the place that was asked for last."""

    batches: EpochBatches
    next: tuple[int, int] = (0, 0)

    def __iter__(self) -> Iterator[list[ClipKey]]:
        return self.batches.epoch(*self.next)


def _waveform(item: ClipItem, start_frame: int) -> Tensor:
    """(1, 16000) int16 from the first frame's own instant; zeros after the end of the sound."""
    num_samples = CLIP_FRAMES * SAMPLES_PER_FRAME
    waveform = item.waveform(start_frame, num_samples)
    assert waveform is not None and len(waveform) == num_samples
    return torch.from_numpy(waveform)[None]
