"""Which frames of a file a clip detector looks at: windows that cover every frame.

Pure arithmetic on frame numbers of the 25 frames-per-second stream.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WINDOW_FRAMES = 25  # one second at 25 frames per second


@dataclass(frozen=True)
class Window:
    """One segment of a file as the detector sees it."""

    index: int
    """Position among the windows of the file, from 0."""
    start_frame: int
    """First frame."""
    num_frames: int
    """Frames that are really there; fewer than ``size_frames`` only if the whole file is short."""
    size_frames: int = WINDOW_FRAMES
    """Frames the detector is given."""

    @property
    def num_repeated(self) -> int:
        """Copies of the last frame that fill the window up; above 0 the score deserves a flag."""
        return self.size_frames - self.num_frames

    @property
    def frame_indices(self) -> NDArray[np.int64]:
        """The (size_frames,) frames to show; a short file's last frame is repeated."""
        last = self.start_frame + self.num_frames - 1
        return np.minimum(self.start_frame + np.arange(self.size_frames, dtype=np.int64), last)


@dataclass(frozen=True, kw_only=True)
class WindowRule:
    """Which windows of a file are looked at."""

    size_frames: int
    """Frames in a window, at least 1."""
    placing: Literal["covering", "whole", "spread"]
    """``covering``: laid end to end, the last one aligned with the end, so that every frame is seen
    (60 frames give windows at 0, 25 and 35); ``whole``: end to end, what is left at the end is not
    looked at; ``spread``: at most ``most`` of them evenly over the file, in the middles of equal
    parts, so that neither end is favoured."""
    most: int | None = None
    """Windows of a file at most, for ``spread``."""
    first_frames: int | None = None
    """Only so many frames from the beginning of a file; None = all."""

    def windows(self, num_frames: int) -> tuple[Window, ...]:
        """The windows of a file of ``num_frames`` frames; a short file gives one all the same.

        Raises:
            ValueError: there is no frame to look at.
        """
        if num_frames < 1:
            raise ValueError(f"a file of {num_frames} frames has no window; report it as unscored")
        size = self.size_frames
        length = num_frames if self.first_frames is None else min(num_frames, self.first_frames)
        if length <= size:
            return (Window(0, 0, length, size),)
        places = length - size + 1
        if self.placing == "spread":
            assert self.most is not None and self.most >= 1
            count = min(self.most, places)
            starts = [(2 * index + 1) * places // (2 * count) for index in range(count)]
        else:
            starts = list(range(0, places, size))
            if self.placing == "covering" and starts[-1] < places - 1:
                starts.append(places - 1)
        return tuple(Window(index, start, size, size) for index, start in enumerate(starts))

    @property
    def text(self) -> str:
        """The rule in words."""
        one = self.size_frames == 1
        what = "single frames" if one else f"windows of {self.size_frames} frames"
        where = "file" if self.first_frames is None else f"first {self.first_frames} frames"
        if self.placing == "spread":
            return f"at most {self.most} {what}, spread over the {where}"
        if one:
            return f"every frame of the {where}"
        rest = "cover all of" if self.placing == "covering" else "fit in"
        return f"{what} laid end to end, as many as {rest} the {where}"
