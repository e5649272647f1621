"""The most telling moments of each face of a file, kept while it is judged."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from avkd.inference.verdict import Verdict, WindowScore

_MOST_SUSPICIOUS = 5

Show = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""From the (L, S, S, 3) crops and (L, 5, 2) points of a window to the picture, (s, s, 3) uint8,
that stands for it, and its heat map, (s, s) in [0, 1] or None."""


@dataclass(frozen=True)
class Moment:
    """A window as one picture."""

    score: WindowScore
    picture: np.ndarray
    """(s, s, 3) uint8 RGB, its middle frame as the network saw it."""
    heat: np.ndarray | None = None
    """(s, s) in [0, 1], how much each pixel counts; None = not asked for."""


@dataclass(frozen=True)
class FaceMoments:
    """What is shown of one face."""

    most_suspicious: tuple[Moment, ...]
    """In the order of time; at most five."""
    least_suspicious: Moment | None
    """None where it is among the others already."""


@dataclass(frozen=True)
class JudgedFile:
    """A file's verdict with the moments it rests on, by face, as far as they were kept."""

    verdict: Verdict
    moments: Mapping[int, FaceMoments] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each step took, see `Stopwatch`."""


_Window = tuple[WindowScore, np.ndarray, np.ndarray]
"""Score, crops and points."""


@dataclass
class Evidence:
    """Of each face the most suspicious windows and the least suspicious one.

    However long the file is, only these windows are held.
    """

    _highest: dict[int, list[tuple[float, int, _Window]]] = field(default_factory=dict)
    _lowest: dict[int, _Window] = field(default_factory=dict)

    def add(self, score: WindowScore, crops: np.ndarray, points: np.ndarray) -> None:
        """Keep the window if it is among the most telling so far.

        Args:
            score: What the detector said of it.
            crops: (L, S, S, 3) uint8 RGB.
            points: (L, 5, 2) landmarks in pixels of the crops.
        """
        window = (score, crops, points)
        heap = self._highest.setdefault(score.track, [])
        heapq.heappush(heap, (score.logit, -score.start_frame, window))
        if len(heap) > _MOST_SUSPICIOUS:
            heapq.heappop(heap)
        lowest = self._lowest.get(score.track)
        if lowest is None or score.logit < lowest[0].logit:
            self._lowest[score.track] = window

    def moments(self, show: Show) -> dict[int, FaceMoments]:
        """The windows as pictures, by face."""
        return {face: self._of_face(face, show) for face in self._highest}

    def _of_face(self, face: int, show: Show) -> FaceMoments:
        highest = sorted((w for *_, w in self._highest[face]), key=lambda w: w[0].start_frame)
        lowest = self._lowest[face]
        is_shown = any(window is lowest for window in highest)
        return FaceMoments(
            most_suspicious=tuple(_moment(window, show) for window in highest),
            least_suspicious=None if is_shown else _moment(lowest, show),
        )


def _moment(window: _Window, show: Show) -> Moment:
    score, crops, points = window
    return Moment(score, *show(crops, points))
