"""Which frames of a file a clip detector looks at: windows that cover every frame.

Pure arithmetic on frame numbers of the 25 frames-per-second stream; knows no pixels and no models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WINDOW_FRAMES = 25  # one second at 25 frames per second


@dataclass(frozen=True)
class Window:
    """One stretch of a file as the detector sees it."""

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
    """``covering``: laid end to end, the last one aligned with the end; ``whole``: end to end, what
    is left at the end is not looked at; ``spread``: ``most`` of them over the whole file."""
    most: int | None = None
    """Windows of a file at most, for ``spread``."""
    first_frames: int | None = None
    """Only so many frames from the beginning of a file; None = all."""

    def windows(self, num_frames: int) -> tuple[Window, ...]:
        """The windows of a file of ``num_frames`` frames; a short file gives one all the same.

        Raises:
            ValueError: there is no frame to look at.
        """
        length = num_frames if self.first_frames is None else min(num_frames, self.first_frames)
        if self.placing == "spread":
            assert self.most is not None
            return windows_spread(length, most=self.most, size_frames=self.size_frames)
        if self.placing == "whole":
            length = max(length - length % self.size_frames, min(length, self.size_frames))
        return windows_covering(length, size_frames=self.size_frames)

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


def windows_covering(num_frames: int, *, size_frames: int = WINDOW_FRAMES) -> tuple[Window, ...]:
    """Windows laid end to end, the last one aligned with the end, so that every frame is seen.

    The stride is the window's size: 60 frames give windows at 0, 25 and 35. Unlike RealForensics'
    evaluation (one-frame overlaps, first 110 frames only, a black frame at the end) no frame is
    left out and none is invented; a file shorter than one window gives a single window whose last
    frame is repeated (``Window.num_repeated``).

    Args:
        num_frames: length of the file in frames, at least 1.
        size_frames: frames in a window, at least 1.

    Raises:
        ValueError: there is no frame to look at.
    """
    if num_frames < 1:
        raise ValueError(f"a file of {num_frames} frames has no window; report it as unscored")
    assert size_frames >= 1, size_frames
    if num_frames <= size_frames:
        return (Window(0, 0, num_frames, size_frames),)
    starts = list(range(0, num_frames - size_frames + 1, size_frames))
    if starts[-1] + size_frames < num_frames:
        starts.append(num_frames - size_frames)
    return tuple(
        Window(index, start, size_frames, size_frames) for index, start in enumerate(starts)
    )


def windows_spread(num_frames: int, *, most: int, size_frames: int = 1) -> tuple[Window, ...]:
    """At most ``most`` windows, spread evenly over the whole file (not its first frames).

    The middle of the i-th of n equal parts is the middle of window i, so neither end is favoured.
    (The standard benchmark keeps the first frames: shared/protocols.md 1, item 1.)

    Args:
        num_frames: length of the file in frames, at least 1.
        most: windows wanted, at least 1; a file with fewer places gives each place once.
        size_frames: frames in a window, at least 1.

    Raises:
        ValueError: there is no frame to look at.
    """
    assert most >= 1, most
    if num_frames <= size_frames:
        return windows_covering(num_frames, size_frames=size_frames)
    places = num_frames - size_frames + 1
    count = min(most, places)
    starts = [(2 * index + 1) * places // (2 * count) for index in range(count)]
    return tuple(
        Window(index, start, size_frames, size_frames) for index, start in enumerate(starts)
    )
