"""The most telling moments of each face of a file, kept while it is judged."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from avkd.inference.verdict import Verdict, WindowScore

_MOST_SUSPICIOUS = 5


@dataclass(frozen=True)
class Moment:
    """The middle frame of a window, as the network saw it."""

    score: WindowScore
    crop: np.ndarray
    """(S, S, 3) uint8 RGB."""


@dataclass
class Evidence:
    """Moments of one file: of each face the most suspicious ones, and the least suspicious one.

    However long the file is, only these crops are held.
    """

    _highest: dict[int, list[tuple[float, int, Moment]]] = field(default_factory=dict)
    _lowest: dict[int, Moment] = field(default_factory=dict)

    def add(self, score: WindowScore, crops: np.ndarray) -> None:
        """Keep the window's middle frame if it is among the most telling so far.

        Args:
            score: What the detector said of it.
            crops: (L, S, S, 3) uint8 RGB.
        """
        moment = Moment(score, crops[len(crops) // 2])
        heap = self._highest.setdefault(score.track, [])
        heapq.heappush(heap, (score.logit, -score.start_frame, moment))
        if len(heap) > _MOST_SUSPICIOUS:
            heapq.heappop(heap)
        lowest = self._lowest.get(score.track)
        if lowest is None or score.logit < lowest.score.logit:
            self._lowest[score.track] = moment

    def most_suspicious(self, track: int) -> list[Moment]:
        """Of one face, in the order of time; at most five."""
        moments = [moment for _, _, moment in self._highest.get(track, [])]
        return sorted(moments, key=lambda moment: moment.score.start_frame)

    def least_suspicious(self, track: int) -> Moment | None:
        """Of one face; None where it is among the most suspicious ones already."""
        lowest = self._lowest.get(track)
        shown = {moment.score.start_frame for moment in self.most_suspicious(track)}
        return None if lowest is None or lowest.score.start_frame in shown else lowest


@dataclass(frozen=True)
class JudgedFile:
    """A file's verdict with the frames it rests on, as far as they were kept."""

    verdict: Verdict
    evidence: Evidence = field(default_factory=Evidence)
