"""Frames of a video with what was found drawn over them: faces, heat, and scores over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from avkd.data.media.frame import Frame

Colour = tuple[int, int, int]
Line = Sequence[tuple[float, float]]
"""(share of the time line, value), both in [0, 1]."""

_MOST_PIXELS = (1280, 720)
_LEAST_PIXELS = 64
_STRIP_PIXELS = 48
_BACKGROUND, _CURSOR = (24, 24, 24), (255, 255, 255)
_HEAT_COLOUR, _HEAT_OPACITY = (255, 200, 0), 0.6


@dataclass(frozen=True)
class FaceMark:
    """What is drawn at one face."""

    corners: np.ndarray
    """(4, 2) of its crop in pixels of the frame, around."""
    text: str
    colour: Colour
    heat: np.ndarray | None = None
    """(h, w) uint8, laid over the part of the frame with ``heat_corners``."""
    heat_corners: np.ndarray | None = None
    """(4, 2) in pixels of the frame: left top, right top, right bottom, left bottom."""


def fitted_size(width: int, height: int) -> tuple[int, int]:
    """Even size, 64 to 1280 by 720 pixels, of a frame as it is drawn."""
    scale = min(1.0, _MOST_PIXELS[0] / width, _MOST_PIXELS[1] / height)
    fitted = (max(_LEAST_PIXELS, round(side * scale / 2) * 2) for side in (width, height))
    across, down = fitted
    return across, down


def drawn(
    frame: Frame,
    size: tuple[int, int],
    marks: Sequence[FaceMark],
    lines: Sequence[tuple[Colour, Line]],
    now: float,
) -> np.ndarray:
    """The frame, brought to a ``size``, with its faces, above a strip of scores over time.

    The ``lines`` are the score of each face with its colour; ``now``, in [0, 1], is where the frame
    is on the time line.

    Returns:
        (height + 48, width, 3) uint8 RGB.
    """
    picture = Image.fromarray(frame.image).resize(size, Image.Resampling.BILINEAR)
    scale = np.array(size) / (frame.width, frame.height)
    for mark in marks:
        _lay_heat(picture, mark, scale)
    pen, text_pixels = ImageDraw.Draw(picture), max(12, size[1] // 40)
    for mark in marks:
        corners = [tuple(corner) for corner in (mark.corners * scale).tolist()]
        pen.line([*corners, corners[0]], fill=mark.colour, width=2)
        left, top = (min(axis) for axis in zip(*corners, strict=True))
        place = (max(2.0, left), max(2.0, top - text_pixels - 4))
        pen.text(place, mark.text, _CURSOR, font_size=text_pixels, stroke_width=1, stroke_fill=0)
    strip = _strip(size[0], lines, now)
    return np.concatenate([np.asarray(picture), np.asarray(strip)])


def _lay_heat(picture: Image.Image, mark: FaceMark, scale: np.ndarray) -> None:
    if mark.heat is None or mark.heat_corners is None:
        return
    top_left, top_right, _, bottom_left = mark.heat_corners * scale
    height, width = mark.heat.shape
    axes = np.stack([(top_right - top_left) / width, (bottom_left - top_left) / height], axis=1)
    if abs(np.linalg.det(axes)) < 1e-9:
        return
    back = np.linalg.inv(axes)
    coefficients = np.column_stack([back, -back @ top_left]).ravel().tolist()
    mask = Image.fromarray(mark.heat).transform(
        picture.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    mask = mask.point([round(_HEAT_OPACITY * level) for level in range(256)])
    picture.paste(_HEAT_COLOUR, (0, 0), mask)


def _strip(width: int, lines: Sequence[tuple[Colour, Line]], now: float) -> Image.Image:
    strip = Image.new("RGB", (width, _STRIP_PIXELS), _BACKGROUND)
    pen = ImageDraw.Draw(strip)
    most = _STRIP_PIXELS - 5
    for colour, line in lines:
        points = [(share * (width - 1), 2 + (1 - value) * most) for share, value in line]
        if len(points) > 1:
            pen.line(points, fill=colour, width=2)
        elif points:
            x, y = points[0]
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
    x = now * (width - 1)
    pen.line([(x, 0), (x, _STRIP_PIXELS)], fill=_CURSOR, width=1)
    return strip
