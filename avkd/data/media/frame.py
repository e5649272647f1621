"""A frame, wherever its pixels come from: a video, a picture, or what a perturbation made of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a file, whose pixels are made when asked for."""

    source_index: int
    """Position among all decodable frames of the file, from 0."""
    time_seconds: float
    """Its own timestamp, counted from the first frame's."""
    width: int
    """Pixels, as shown."""
    height: int
    """Pixels, as shown."""
    make: Callable[[], np.ndarray] = field(repr=False)
    """Makes the whole picture."""
    cut: Callable[[int, int, int, int], np.ndarray] | None = field(default=None, repr=False)
    """Makes a window of it, where that is cheaper."""
    num_bytes: int = 0
    """Memory it takes before a pixel is made."""

    @classmethod
    def of_image(cls, source_index: int, time_seconds: float, image: np.ndarray) -> "Frame":
        """A frame whose pixels, uint8 RGB (H, W, 3), are there."""
        height, width = image.shape[:2]
        size = image.nbytes
        return cls(source_index, time_seconds, width, height, lambda: image, num_bytes=size)

    @cached_property
    def image(self) -> np.ndarray:
        """The whole picture, uint8 RGB (H, W, 3), upright, with square pixels."""
        return self.make()

    def region(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """A window of `image`, uint8 RGB (bottom - top, right - left, 3)."""
        assert 0 <= left < right <= self.width and 0 <= top < bottom <= self.height
        if self.cut is not None:
            return self.cut(left, top, right, bottom)
        return np.ascontiguousarray(self.image[top:bottom, left:right])
