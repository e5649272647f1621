"""From a decoder's frame to pixels as they are shown, the whole picture or a window of it."""

import struct
from dataclasses import dataclass
from functools import partial
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import VideoReformatter
from PIL import Image

from avkd.data.media.frame import Frame
from avkd.data.stopwatch import step

_LARGEST_ASPECT = 4.0  # of a pixel; a header may claim anything
_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """How stored pixels become the picture as it is shown: display matrix and shape of the pixels.

    The eight orientations are turns by quarters, with or without a mirror.
    """

    transposed: bool = False
    """Rows become columns, before anything else."""
    flipped_across: bool = False
    """Then left and right change places."""
    flipped_down: bool = False
    """Then top and bottom change places."""
    pixel_aspect: float = 1.0
    """Width of a stored pixel by its height, within 1/4..4; the picture is stretched by it."""

    @classmethod
    def of(cls, matrix: bytes | None, pixel_aspect: float | None) -> "Orientation":
        """What a display matrix (36 bytes as FFmpeg gives them) and an aspect ratio mean.

        A matrix that is none of the eight is rounded to the nearest; an absurd ratio counts as 1.
        """
        ratio = pixel_aspect or 1.0
        if not 1 / _LARGEST_ASPECT <= ratio <= _LARGEST_ASPECT:
            ratio = 1.0
        if matrix is None or len(matrix) < _MATRIX.size:
            return cls(pixel_aspect=ratio)
        a, b, _, c, d, *_ = _MATRIX.unpack(matrix[: _MATRIX.size])
        # Shown x = a x + c y, shown y = b x + d y.
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(flipped_across=a < 0, flipped_down=d < 0, pixel_aspect=ratio)
        return cls(transposed=True, flipped_across=c < 0, flipped_down=b < 0, pixel_aspect=ratio)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown of a picture stored with ``width`` and ``height``."""
        stretched = max(1, round(width * self.pixel_aspect))
        return (height, stretched) if self.transposed else (stretched, height)

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """The shown picture of stored ``pixels``, uint8 (H, W, 3)."""
        if self.pixel_aspect != 1.0:
            height, width = pixels.shape[:2]
            stretched = max(1, round(width * self.pixel_aspect)), height
            pixels = np.asarray(Image.fromarray(pixels).resize(stretched, Image.Resampling.BICUBIC))
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        if self.flipped_across:
            pixels = pixels[:, ::-1]
        if self.flipped_down:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


PLAIN = Orientation()
"""The stored picture is the shown one."""


def video_frame(
    source_index: int, time_seconds: float, stream: Any, decoded: Any, converter: VideoReformatter
) -> Frame:
    """What the decoder of ``stream`` gave, converted to pixels only when and where asked for.

    Cutting the colour planes before converting keeps 0.8 of the pure decoding speed, against 0.5
    for converting first. ``converter`` is one for a whole video: a frame's own is set up anew, with
    threads of its own, for every picture.
    """
    # Not `decoded.side_data`: the frame would hold what holds the frame, and its buffer, instead of
    # going back to the decoder, would lie there until Python looks for such circles.
    found = SideDataContainer(decoded)  # type: ignore[call-arg]  # its stub knows no __init__
    matrix = found.get(SideData.DISPLAYMATRIX)
    aspect = stream.sample_aspect_ratio
    orientation = Orientation.of(
        None if matrix is None else bytes(matrix), None if aspect is None else float(aspect)
    )
    width, height = orientation.size(decoded.width, decoded.height)
    # Odd sizes are converted by another, slightly different routine: they take the long way.
    odd = decoded.width % 2 or decoded.height % 2
    is_halved = decoded.format.name in ("yuv420p", "yuvj420p")
    is_plain = is_halved and not odd and orientation == PLAIN
    cut = partial(_window, decoded, converter) if is_plain else None
    return Frame(
        source_index,
        time_seconds,
        width,
        height,
        make=lambda: orientation.apply(_as_rgb(decoded, converter)),
        cut=cut,
        num_bytes=sum(plane.buffer_size for plane in decoded.planes),
    )


def _as_rgb(decoded: Any, converter: VideoReformatter) -> np.ndarray:
    with step("colours"):
        return converter.reformat(decoded, format="rgb24", threads=1).to_ndarray()


def _window(
    decoded: Any, converter: VideoReformatter, left: int, top: int, right: int, bottom: int
) -> np.ndarray:
    even_left, even_top = left - left % 2, top - top % 2
    with step("colours"):
        window = _cut_planes(decoded, even_left, even_top, right, bottom)
        pixels = _as_rgb(window, converter)
        return np.ascontiguousarray(
            pixels[top - even_top : bottom - even_top, left - even_left : right - even_left]
        )


def _cut_planes(frame: Any, left: int, top: int, right: int, bottom: int) -> Any:
    """Cut a 4:2:0 frame at even ``left`` and ``top`` without converting it."""
    right, bottom = min(right + right % 2, frame.width), min(bottom + bottom % 2, frame.height)
    window = av.VideoFrame(right - left, bottom - top, frame.format.name)
    for number, (source, target) in enumerate(zip(frame.planes, window.planes, strict=True)):
        halved = 2 if number else 1
        pixels = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)
        rows, columns = target.height, target.width
        first_row, first_column = top // halved, left // halved
        part = pixels[first_row : first_row + rows, first_column : first_column + columns]
        padded = np.zeros((rows, target.line_size), np.uint8)
        padded[: part.shape[0], : part.shape[1]] = part
        target.update(padded.tobytes()[: target.buffer_size])
    window.colorspace = frame.colorspace
    window.color_range = frame.color_range
    return window
