"""The frames of a file as a perturbation leaves them, before any face is looked for or cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.media.frame import Frame
from avkd.data.media.video import iter_frames
from avkd.data.media.writing import write_video
from avkd.data.perturbations.perturbations import COMPRESSION, FRAME_RATE, SOUND, Perturbation
from avkd.data.perturbations.reencoding import encodings_of, reencoded

OpenFrames = Callable[[], Iterator[Frame]]
"""Reads the frames of a file from the beginning."""


@contextmanager
def perturbing(
    perturbation: Perturbation | None, open_frames: OpenFrames, *, sample_id: str, scratch: Path
) -> Iterator[OpenFrames]:
    """Yield what reads the perturbed frames of a file: as many, in the same order and size.

    What is encoded is the stream that models see, 25 frames a second: a video of another rate is
    encoded after its frames were chosen; its own file is then read once only, at the beginning. Of
    lower frame rates the length stays: frames are left out and the one before is held.

    Args:
        perturbation: What to do; None = nothing.
        open_frames: Reads the clean frames.
        sample_id: The file's name in its corpus; it seeds the noise.
        scratch: Where encoded videos may lie for as long as they are needed, and how their names
            begin.

    Raises:
        MediaError: the file cannot be read.
        ModuleNotFoundError: the encoder is not there.
        ValueError: to be encoded, its frames would have to be of one size.
    """
    if perturbation is None or perturbation.name in SOUND:
        yield open_frames
    elif perturbation.name == FRAME_RATE:
        yield lambda: _held(open_frames(), perturbation.amount)
    elif encodings := encodings_of(perturbation.name, perturbation.amount):
        clean = _Remembered(open_frames)
        with reencoded(clean.pictures(), encodings, scratch=scratch) as open_pictures:
            yield lambda: clean.with_pictures(open_pictures())
    elif perturbation.name == COMPRESSION:
        clean = _Remembered(open_frames)
        factor, pictures = int(perturbation.amount), map(_even, clean.pictures())
        try:
            # The preset that ffmpeg takes when only the rate factor is given.
            write_video(scratch, pictures, crf=factor, preset="medium", repeatable=False)
            yield lambda: clean.with_pictures(
                frame.image for frame in iter_frames(scratch, frames_per_second=None)
            )
        finally:
            scratch.unlink(missing_ok=True)
    else:
        yield lambda: (_perturbed(frame, perturbation, sample_id) for frame in open_frames())


class _Remembered:
    """Index, time and size of the frames whose pictures went into an encoder."""

    def __init__(self, open_frames: OpenFrames) -> None:
        self._open_frames = open_frames
        self._places: list[tuple[int, float, int, int]] = []

    def pictures(self) -> Iterator[np.ndarray]:
        for frame in self._open_frames():
            self._places.append((frame.source_index, frame.time_seconds, frame.height, frame.width))
            yield frame.image

    def with_pictures(self, pictures: Iterator[np.ndarray]) -> Iterator[Frame]:
        """What came out again, cut to the size of what went in."""
        for place, picture in zip(self._places, pictures, strict=True):
            index, time, height, width = place
            yield Frame.of_image(index, time, picture[:height, :width])


def _perturbed(clean: Frame, perturbation: Perturbation, sample_id: str) -> Frame:
    # A slow video shows one frame several times: seeded by its own index, it stays the same.
    index = clean.source_index
    return replace(
        clean, make=lambda: perturbation.picture(clean.image, sample_id, index), cut=None
    )


def _even(image: np.ndarray) -> np.ndarray:
    """The last row and column doubled where H.264 wants an even size."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _held(frames: Iterator[Frame], frames_per_second: float) -> Iterator[Frame]:
    """Each frame until the next one of the lower rate is due; it keeps its own index and time."""
    shown, held = -1, None
    for number, frame in enumerate(frames):
        due = int(number * frames_per_second // FRAMES_PER_SECOND)
        if held is None or due != shown:
            shown, held = due, frame
        yield held
