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

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.media import media
from avkd.data.media.image_files import ImageFrame
from avkd.data.perturbations.perturbations import COMPRESSION, FRAME_RATE, SOUND, Perturbation
from avkd.data.perturbations.reencoding import check_encoders, encodings_of, reencoded

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

    What is encoded is the stream that models see, 25 frames a second: a video of another rate is
    encoded after its frames were chosen. Of lower frame rates the length stays: frames are left out
    and the one before is held.

    Args:
        perturbation: What to do; None = nothing.
        open_frames: Reads the clean frames from the beginning.
        sample_id: The file's name in its corpus; it seeds the noise.
        scratch: Where encoded videos may lie for as long as they are needed, and how their names
            begin.

    Raises:
        MediaError: the file cannot be read.
        ModuleNotFoundError: the encoder is not there.
        ValueError: to be encoded, its frames would have to be of one size.
    """
    if perturbation is None or perturbation.name in SOUND:
        yield lambda frames: frames
    elif perturbation.name == FRAME_RATE:
        yield lambda frames: _held(frames, perturbation.amount)
    elif encodings := encodings_of(perturbation.name, perturbation.amount):
        pictures = (frame.image for frame in open_frames())
        with reencoded(pictures, encodings, scratch=scratch) as open_pictures:
            yield lambda frames: _with_pictures(frames, open_pictures())
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


def check_available(perturbation: Perturbation) -> None:
    """Refuse a perturbation whose encoder is not there.

    Raises:
        ModuleNotFoundError: the message says what to do.
    """
    check_encoders(encodings_of(perturbation.name, perturbation.amount) or ())


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


def _with_pictures(frames: Iterator[Frame], pictures: Iterator[np.ndarray]) -> Iterator[Frame]:
    for clean, picture in zip(frames, pictures, strict=True):
        yield ImageFrame(clean.source_index, clean.time_seconds, picture)


def _held(frames: Iterator[Frame], frames_per_second: float) -> Iterator[Frame]:
    """Each frame until the next one of the lower rate is due; it keeps its own index and time."""
    shown, held = -1, None
    for number, frame in enumerate(frames):
        due = int(number * frames_per_second // FRAMES_PER_SECOND)
        if held is None or due != shown:
            shown, held = due, frame
        yield held
