"""Which clip comes when: batches of keys as functions of (seed, epoch), and the batch they become.

Nothing here has state, so any number of workers gives the same stream and a resumed run continues
it. `ClipBatch` is the one place where batch shapes, ranges and mask meaning are written.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from avkd.data.manifest import FAKE, REAL
from avkd.data.transforms import Views

Balance = Literal["paired", "balanced", "natural"]
Fakes = Literal["stored", "online", "both"]
Role = Literal["stored", "online_real", "online_fake"]
"""What a draw shows: the clip as it is stored; the real of a pair; the fake made of it."""


@dataclass(frozen=True)
class ClipKey:
    """One draw of one clip: everything random about it is a function of these numbers."""

    epoch: int
    position: int
    """Names the draw: clips of one position share start, crop and masks (a fake and its real)."""
    item: int
    """Index into the dataset."""
    role: Role = "stored"
    """Whether the clip is shown as stored, or is one of a pair made on the spot."""
    beside: int | None = None
    """Item of another origin that stands beside it as the other class, whose look it may take."""


@dataclass(frozen=True)
class ClipBatch:
    """B clips of T frames, as they leave the loader: T = 25 for videos, mostly 1 for pictures."""

    frames: Tensor
    """(B, T, S, S, 3) uint8 RGB, stored crops; S = 150 for videos."""
    waveform: Tensor | None
    """(B, 640 T) int16 at 16 kHz, starting exactly at the first frame; None = no sound asked."""
    landmarks: Tensor | None
    """(B, T, 5, 2) float, x and y in pixels of the crop, NaN = not known; None = not asked."""
    labels: Tensor
    """(B,) float, 1 = fake; on the CPU, as the views."""
    student: Views
    """Augmented views."""
    teacher: Views
    """Clean views, cropped and flipped on their own draw."""
    sample_ids: tuple[str, ...]
    """(B,) ids of the samples, for error messages and pictures."""
    draws: Tensor
    """(B, 3) int: epoch and item of each clip's key, and its first frame."""
    replaced: tuple[str, ...] = ()
    """Ids of samples that could not be read, in whose place another clip is shown."""

    def __len__(self) -> int:
        return len(self.sample_ids)

    def to(self, device: torch.device) -> "ClipBatch":
        """The same batch on ``device``, but for labels and views, which decide what is done."""
        parts = {n: p for n, p in vars(self).items() if isinstance(p, Tensor) and n != "labels"}
        moved: dict[str, Any] = {n: p.to(device, non_blocking=True) for n, p in parts.items()}
        return dataclasses.replace(self, **moved)

    def pin_memory(self) -> "ClipBatch":
        """Called by the loader so that copies to a GPU overlap."""
        pinned: dict[str, Any] = {
            name: part.each(Tensor.pin_memory) if isinstance(part, Views) else part.pin_memory()
            for name, part in vars(self).items()
            if isinstance(part, (Tensor, Views))
        }
        return dataclasses.replace(self, **pinned)

    @staticmethod
    def collate(clips: "Sequence[ClipBatch]") -> "ClipBatch":
        """Join clips of one (B = 1) into a batch; all come with sound and landmarks, or none."""
        names = [field.name for field in dataclasses.fields(ClipBatch)]
        return ClipBatch(**{name: _joined([getattr(c, name) for c in clips]) for name in names})


def _joined(parts: Sequence[Any]) -> Any:
    """What the clips of a batch say in one field."""
    if isinstance(parts[0], Views):
        return Views.cat(parts)
    if isinstance(parts[0], tuple):
        return sum(parts, ())
    assert len({part is None for part in parts}) == 1, "all clips of a batch come with it, or none"
    return None if parts[0] is None else torch.cat(list(parts))


class EpochBatches(Protocol):
    """A stream of batches that can be entered anywhere."""

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[ClipKey]]:
        """Batches ``first`` .. last of an epoch."""


@dataclass(eq=False)
class ShuffledBatches:
    """Every item once per epoch in a seeded order; the last incomplete batch is left out.

    Of fewer items than ``batch_size`` one batch of all of them is made.
    """

    num_items: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        assert self.num_items > 0, "no clip to train on"
        self.batch_size = min(self.batch_size, self.num_items)

    def __len__(self) -> int:
        return self.num_items // self.batch_size

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[ClipKey]]:
        """Batches ``first`` .. last of an epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.num_items)
        for batch in range(first, len(self)):
            start = batch * self.batch_size
            yield [
                ClipKey(epoch, start + offset, int(item))
                for offset, item in enumerate(order[start : start + self.batch_size])
            ]


class RecurringBatches:
    """Every item once per epoch, each in one of a bounded number of views that come again.

    A clip's draw depends on its item and the number of its view alone, not on where it stands, so
    what a teacher says of it can be computed once (`ShuffledBatches` names draws by position).
    Epoch e shows view e modulo ``num_views``; None = a new view every epoch.
    """

    def __init__(self, num_items: int, *, batch_size: int, seed: int, num_views: int | None):
        self._shuffled = ShuffledBatches(num_items, batch_size=batch_size, seed=seed)
        self._num_views = num_views

    def __len__(self) -> int:
        return len(self._shuffled)

    def view_of(self, epoch: int) -> int:
        """Which view of the items an epoch shows."""
        return epoch if self._num_views is None else epoch % self._num_views

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[ClipKey]]:
        """Batches ``first`` .. last of an epoch."""
        for batch in self._shuffled.epoch(epoch, first):
            yield [ClipKey(self.view_of(epoch), key.item, key.item) for key in batch]


@dataclass(eq=False)
class MixedBatches:
    """Batches of stage two: clips of the forgery corpora, ``real_ratio`` times as many real ones.

    Raises:
        ValueError: the batch cannot be halved.
    """

    labels: Sequence[int]
    """Label of every item of the forgery corpora, which come first in the dataset."""
    sources: Sequence[int | None]
    """For every such item the index of the real item it was forged from; None = not known, or a
    real item itself."""
    _: KW_ONLY
    num_real_items: int
    """Items of the further real corpora, which follow them."""
    batch_size: int
    """Clips of the forgery corpora in a batch (even, unless ``natural``); fewer if there are."""
    real_ratio: int
    """Further real clips for each of them; no effect if there are none."""
    balance: Balance
    """``paired``: every fake comes with the real it was made from (any real where that is not
    known), both with the same random draws, so that only the forgery differs (self-blended images,
    Shiohara and Yamasaki 2022, are trained so). ``balanced``: half of the clips are real, drawn by
    themselves. ``natural``: as they come."""
    seed: int
    """Of the order."""
    fakes: Fakes = "stored"
    """``stored``: those of the corpora. ``online``: every pair is a real and a fake made of it on
    the spot (`online_fakes`). ``both``: of some pairs."""
    stored_share: float = 0.5
    """With ``both``, share of the pairs whose fake is a stored one."""

    def __post_init__(self) -> None:
        self._reals, self._fakes = (
            np.flatnonzero(np.asarray(self.labels) == label) for label in (REAL, FAKE)
        )
        assert len(self._reals) and (self.fakes == "online" or len(self._fakes)), "one class"
        assert self.fakes == "stored" or self.balance == "paired", "made on the spot: in pairs"
        if self.balance != "natural" and self.batch_size % 2:
            raise ValueError(
                f"batch_size {self.batch_size}: half of it is real, so it must be even"
            )
        num_items = len(self.labels) if self.fakes == "stored" else 2 * len(self._reals)
        self.batch_size = min(self.batch_size, 2 * (num_items // 2))
        self._num_batches = max(1, num_items // self.batch_size)
        self._extra_reals = self.real_ratio * self.batch_size if self.num_real_items else 0

    def __len__(self) -> int:
        return self._num_batches

    @property
    def fake_fraction(self) -> float:
        """Share of fake clips among those the classifier sees: the prior to correct for."""
        share = len(self._fakes) / len(self.labels) if self.balance == "natural" else 0.5
        return share * self.batch_size / (self.batch_size + self._extra_reals)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[ClipKey]]:
        """Batches ``first`` .. last of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        forgery_keys = self._forgery_keys(epoch, rng)
        num_extra = len(self) * self._extra_reals
        extra = len(self.labels) + _cycled(rng, np.arange(self.num_real_items), num_extra)
        extra_keys = [
            ClipKey(epoch, len(forgery_keys) + index, int(item)) for index, item in enumerate(extra)
        ]
        for batch in range(first, len(self)):
            yield [
                *forgery_keys[batch * self.batch_size : (batch + 1) * self.batch_size],
                *extra_keys[batch * self._extra_reals : (batch + 1) * self._extra_reals],
            ]

    def _forgery_keys(self, epoch: int, rng: "np.random.Generator") -> list[ClipKey]:
        total = len(self) * self.batch_size
        if self.balance == "natural":
            items = _cycled(rng, np.arange(len(self.labels)), total)
            return [ClipKey(epoch, index, int(item)) for index, item in enumerate(items)]
        reals = _cycled(rng, self._reals, total // 2)
        if self.fakes == "online":
            return [key for index, real in enumerate(reals) for key in _online(epoch, index, real)]
        fakes = _cycled(rng, self._fakes, total // 2)
        keys = []
        for index, (real, fake) in enumerate(zip(reals, fakes, strict=True)):
            share = self.stored_share
            is_stored = int((index + 1) * share) > int(index * share)
            if self.fakes == "both" and not is_stored:
                keys += _online(epoch, index, real)
            elif self.balance == "paired":
                source = self.sources[fake]
                partner = int(real) if source is None else source
                beside = self.fakes == "both" and source is None
                keys += [
                    ClipKey(epoch, 2 * index, partner, beside=int(fake) if beside else None),
                    ClipKey(epoch, 2 * index, int(fake), beside=partner if beside else None),
                ]
            else:
                keys += [
                    ClipKey(epoch, 2 * index, int(real)),
                    ClipKey(epoch, 2 * index + 1, int(fake)),
                ]
        return keys


def _online(epoch: int, index: int, real: int) -> list[ClipKey]:
    """A real and the fake made of it."""
    roles: tuple[Role, Role] = ("online_real", "online_fake")
    return [ClipKey(epoch, 2 * index, int(real), role) for role in roles]


def _cycled(rng: "np.random.Generator", items: np.ndarray, count: int) -> np.ndarray:
    """``count`` items: one seeded permutation after another, so that none comes twice too often."""
    if count == 0:
        return np.empty(0, dtype=np.int64)
    rounds = -(-count // len(items))
    return np.concatenate([rng.permutation(items) for _ in range(rounds)])[:count]
