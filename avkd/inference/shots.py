"""Shots of one face: after a cut a detector sees a new track, where a person sees the same face.

Without a network for it, faces are told apart by their pictures: the mean aligned crop of two shots
of one person in one scene is nearly the same. Shots that are
on screen at the same time are never one face.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_THUMBNAIL_PIXELS = 16
_SAME_FACE = 0.9
"""Least similarity of two shots of one face. Of two clips of one person 87 % have more, of clips of
two people 0.1 % (2,169 and 26,751 pairs of 31 people; on GRID 75 % and 0.2 %; 2026-11-28)."""


class JoinedShots:
    """Which face each track of a file shows, decided when its first window is judged."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        """Tracks are numbered as ``spans``, their first and one-past-last frames."""
        self._spans = spans
        self._face_of: dict[int, int] = {}
        self._last_seen: dict[int, NDArray[np.float64]] = {}

    @property
    def num_joined(self) -> int:
        """Tracks that were found to show a face seen before."""
        return sum(track != face for track, face in self._face_of.items())

    @property
    def face_of_track(self) -> dict[int, int]:
        """Number of the face of every track that was looked at."""
        return dict(self._face_of)

    def tracks_of(self, faces: set[int]) -> set[int]:
        """Tracks that show one of these faces."""
        return {track for track, face in self._face_of.items() if face in faces}

    def face_of(self, track: int, crops: np.ndarray) -> int:
        """Number of the face, which is that of its first track.

        Args:
            track: The track of a window; windows come in order of time.
            crops: (L, S, S, 3) uint8 RGB, the window.
        """
        seen = thumbnail(crops)
        if track not in self._face_of:
            alike = {
                face: similarity(seen, before)
                for face, before in self._last_seen.items()
                if not self._meets(track, face)
            }
            nearest = max(alike, key=lambda face: alike[face], default=track)
            is_known = nearest in alike and alike[nearest] >= _SAME_FACE
            self._face_of[track] = nearest if is_known else track
        face = self._face_of[track]
        self._last_seen[face] = seen
        return face

    def _meets(self, track: int, face: int) -> bool:
        """Whether a track of the face is on screen together with this one."""
        start, end = self._spans[track]
        others = (self._spans[t] for t, f in self._face_of.items() if f == face)
        return any(start < other_end and other_start < end for other_start, other_end in others)


def thumbnail(crops: np.ndarray) -> NDArray[np.float64]:
    """The mean of (L, S, S, 3) crops at 16 by 16 pixels, without its mean, of length 1."""
    mean = crops.mean(axis=0, dtype=np.float64)
    step = len(mean) // _THUMBNAIL_PIXELS
    even = mean[: step * _THUMBNAIL_PIXELS, : step * _THUMBNAIL_PIXELS]
    small = even.reshape(_THUMBNAIL_PIXELS, step, _THUMBNAIL_PIXELS, step, 3).mean(axis=(1, 3))
    centred = small - small.mean(axis=(0, 1))
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0 else centred


def similarity(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Correlation of two thumbnails, at most 1."""
    return float((first * second).sum())
