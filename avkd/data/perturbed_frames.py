"""The frames of a file as a perturbation leaves them, before any face is looked for or cut out.

Knows frames and a place for one temporary file; nothing of faces, labels or corpora.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from avkd.data import media
from avkd.data.image_files import ImageFrame
from avkd.data.perturbations import COMPRESSION, Perturbation

_PRESET = "medium"
"""What ffmpeg takes when only the rate factor is given."""


@dataclass(frozen=True)
class PerturbedFrame:
    """A frame with the interface of `media.VideoFrame`; its pixels are made when asked for."""

    clean: media.VideoFrame | ImageFrame
    perturb: Callable[[np.ndarray], np.ndarray] = field(repr=False, compare=False)

    @property
    def source_index(self) -> int:
        """Position among the frames of the file."""
        return self.clean.source_index

    @property
    def time_seconds(self) -> float:
        """The frame's own timestamp."""
        return self.clean.time_seconds

    @property
    def height(self) -> int:
        """Height in pixels, upright."""
        return self.clean.height

    @property
    def width(self) -> int:
        """Width in pixels, upright."""
        return self.clean.width

    @cached_property
    def image(self) -> np.ndarray:
        """The whole picture, uint8 RGB (H, W, 3); made once for all faces in it."""
        return self.perturb(self.clean.image)

    def region(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """A window of `image`."""
        return np.ascontiguousarray(self.image[top:bottom, left:right])


Frame = media.VideoFrame | ImageFrame | PerturbedFrame
"""What the two passes over a file see."""
Alteration = Callable[[Iterator[Frame]], Iterator[Frame]]
"""Frames of a file to as many altered ones, in the same order and of the same size."""


@contextmanager
def perturbing(
    perturbation: Perturbation | None,
    open_frames: Callable[[], Iterator[Frame]],
    *,
    sample_id: str,
    scratch: Path,
) -> Iterator[Alteration]:
    """Yield what turns the clean frames of a file into perturbed ones, as often as they are read.

    Compression is that of the stream that models see, 25 frames a second: a video of another rate
    is compressed after its frames were chosen.

    Args:
        perturbation: What to do; None = nothing.
        open_frames: Reads the clean frames from the beginning.
        sample_id: The file's name in its corpus; it seeds the noise.
        scratch: Where the compressed video may lie for as long as it is needed.

    Raises:
        MediaError: the file cannot be read.
        ValueError: to be compressed, its frames would have to be of one size.
    """
    if perturbation is None:
        yield lambda frames: frames
    elif perturbation.name == COMPRESSION:
        pictures = (_even(frame.image) for frame in open_frames())
        media.write_video(
            scratch, pictures, crf=int(perturbation.amount), preset=_PRESET, repeatable=False
        )
        try:
            yield lambda frames: _read_back(frames, scratch)
        finally:
            scratch.unlink()
    else:
        yield lambda frames: (_perturbed(frame, perturbation, sample_id) for frame in frames)


def _perturbed(clean: Frame, perturbation: Perturbation, sample_id: str) -> PerturbedFrame:
    assert not isinstance(clean, PerturbedFrame)
    # A slow video shows one frame several times: seeded by its own index, it stays the same.
    index = clean.source_index
    return PerturbedFrame(clean, lambda image: perturbation.picture(image, sample_id, index))


def _even(image: np.ndarray) -> np.ndarray:
    """The last row and column doubled where H.264 wants an even size."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _read_back(frames: Iterator[Frame], video: Path) -> Iterator[Frame]:
    decoded = media.iter_frames(video, frames_per_second=None)
    for clean, read in zip(frames, decoded, strict=True):
        picture = read.region(0, 0, clean.width, clean.height)
        yield ImageFrame(clean.source_index, clean.time_seconds, picture)
