"""How stored pixels become the picture as it is shown: display matrix and shape of the pixels.

The eight orientations are those of a matrix whose entries are all
but zero in one row and column: turns by quarters, with or without a mirror.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

_LARGEST_ASPECT = 4.0  # of a pixel; a header may claim anything
_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """From stored to shown pixels."""

    transposed: bool = False
    """Rows become columns, before anything else."""
    flipped_across: bool = False
    """Then left and right change places."""
    flipped_down: bool = False
    """Then top and bottom change places."""
    pixel_aspect: float = 1.0
    """Width of a stored pixel by its height, within 1/4..4; the picture is stretched by it."""

    @classmethod
    def of(cls, matrix: bytes | None, pixel_aspect: float | None) -> Orientation:
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

    @property
    def clockwise_degrees(self) -> int:
        """The turn in it, 0, 90, 180 or 270; of a mirrored picture, the turn after the mirror."""
        if self.transposed:
            return 90 if self.flipped_across else 270
        return 180 if self.flipped_down else 0

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
