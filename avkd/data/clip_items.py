"""One track of a prepared corpus, and where its crops come from."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Protocol

import numpy as np

from avkd.data.manifest import Sample

logger = logging.getLogger(__name__)


class Crops(Protocol):
    """Crops of tracks, stored (`crop_store.CropStore`) or cut out while a file is read."""

    @property
    def root(self) -> Path:
        """Folder of the corpus."""

    def crop_pixels(self, path: str) -> int:
        """Side S of the crops of a track."""

    def digest(self, path: str) -> str:
        """SHA-256 of what is stored of a track."""

    def verify(self, path: str) -> bool:
        """Whether what is stored of a track can be read, and is what it was."""

    def landmarks(self, path: str) -> np.ndarray:
        """(T, 5, 2) float32 in pixels of the crop; NaN where they are not known."""

    def frames(self, path: str, start: int, count: int) -> np.ndarray:
        """(count, S, S, 3) uint8 RGB from frame ``start`` on."""

    def waveform(self, path: str, start_frame: int, num_samples: int) -> np.ndarray | None:
        """(num_samples,) int16 at 16 kHz from the first frame's instant; None = no sound."""


@dataclass(frozen=True)
class ClipItem:
    """One track to draw clips from."""

    sample: Sample
    store: Crops
    change: Callable[[int, np.ndarray], np.ndarray] | None = None
    """Makes what is seen of the frames stored from one on; None = they are seen as stored."""

    @property
    def num_frames(self) -> int:
        """Frames of the track, at 25 per second."""
        assert self.sample.num_frames is not None, "a prepared sample knows its length"
        return self.sample.num_frames

    @property
    def crop_pixels(self) -> int:
        """Side of its stored crops."""
        return self.store.crop_pixels(self.sample.path)

    def frames(self, start: int, count: int) -> np.ndarray:
        """(count, S, S, 3) uint8 RGB from frame ``start`` on, as they are to be seen."""
        stored = self.store.frames(self.sample.path, start, count)
        return stored if self.change is None else self.change(start, stored)

    def landmarks(self, start: int, count: int) -> np.ndarray:
        """(count, 5, 2) float32 in pixels of the crop from frame ``start`` on; NaN = not known."""
        return self.store.landmarks(self.sample.path)[start : start + count]

    def waveform(self, start: int, num_samples: int) -> np.ndarray | None:
        """(num_samples,) int16 at 16 kHz from the instant of frame ``start``; None = no sound."""
        return self.store.waveform(self.sample.path, start, num_samples)


def undamaged(items: Sequence[ClipItem], who: str) -> list[ClipItem]:
    """Those of the items that are stored as they were written; one warning tells of the others.

    Reads every byte of theirs. ``who`` asks, for the reader of the warning.
    """
    is_whole = [item.store.verify(item.sample.path) for item in items]
    if not all(is_whole):
        roots = [item.store.root for item, whole in zip(items, is_whole, strict=True) if not whole]
        logger.warning(
            "%s: %d of %d clips are damaged and left out; `avkd verify %s` names their tracks",
            *(who, len(roots), len(items), " ".join(map(str, dict.fromkeys(roots)))),
        )
    return list(compress(items, is_whole))
