"""Faces of a video found by few searches of whole pictures: between them, only where faces were.

For `predict`; what `prepare` stores comes from searches alone.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from avkd.data.faces.face_tracks import Faces

LOOKS_PER_SEARCH = 25
"""Pictures looked at for one that is searched, where faces are followed and nothing else asks."""
LONGEST_WAIT = 4
"""Most pictures that are only followed after a search for a change beside the faces that found
nobody new, for hands and shoulders go on moving: one at first, then twice as many each time."""
_PIXELS = 8
"""Of a block's side that are looked at, or some more."""
_CHANGE = 24.0
"""Least change of a block's mean level, of 255, that may be a new face."""
_OF_A_CUT = 0.5
"""Least share of the blocks that change with the scene."""


@runtime_checkable
class Follower(Protocol):
    """A `FaceDetector` that can also look only where faces were."""

    def __call__(self, image: np.ndarray) -> Faces:
        """Find the faces of a picture."""
        ...

    def follow(self, image: np.ndarray, boxes: np.ndarray) -> Faces:
        """Find those again that were at ``boxes`` (N, 4) a moment before."""
        ...


class Following:
    """A `FaceDetector` for pictures of one video in order of time.

    It searches a whole picture where a face is lost, where something has changed beside the faces
    since the last search (a cut, somebody comes; less often where that found nobody new, see
    `LONGEST_WAIT`), and every `LOOKS_PER_SEARCH` pictures.

    Args:
        detector: Searches and follows.
        min_face_fraction: The smallest face that it searches for, as a share of the picture's
            shorter side.
    """

    def __init__(self, detector: Follower, min_face_fraction: float = 0.1) -> None:
        self._detector = detector
        self._block = min_face_fraction / 2  # the smallest face covers one whole, wherever it is
        self._faces: Faces | None = None
        self._searched = np.empty(0)
        self._looks = 0
        self._wait = 1

    def __call__(self, image: np.ndarray) -> Faces:
        """Find the faces of the next picture, uint8 RGB (H, W, 3)."""
        blocks = _blocks(image, self._block)
        found = self._followed(image, blocks)
        if found is None:
            found, self._searched, self._looks = self._detector(image), blocks, 0
            is_new = self._faces is None or len(found) > len(self._faces)
            self._wait = 1 if is_new else min(2 * self._wait, LONGEST_WAIT)
        self._looks += 1
        self._faces = found
        return found

    def _followed(self, image: np.ndarray, blocks: np.ndarray) -> Faces | None:
        """The faces of the picture before; None = it takes a search."""
        before = self._faces
        if before is None:
            return None
        if self._looks >= (LOOKS_PER_SEARCH if len(before) else LONGEST_WAIT + 1):
            return None
        if blocks.shape != self._searched.shape:
            return None
        changed = np.abs(blocks - self._searched).max(axis=2) > _CHANGE
        beside = changed & ~_around(before.boxes, changed.shape, image.shape)
        wait = self._wait if len(before) and beside.mean() <= _OF_A_CUT else 1
        if beside.any() and self._looks > wait:
            return None
        if not len(before):
            return before
        found = self._detector.follow(image, before.boxes)
        return found if len(found) == len(before) else None


def _blocks(image: np.ndarray, share: float) -> np.ndarray:
    """The mean colours of the blocks of a picture, float32 (h, w, 3), from some of their pixels.

    Args:
        image: uint8 RGB (H, W, 3).
        share: Side of a block as a share of the picture's shorter side.
    """
    side = max(1, int(min(image.shape[:2]) * share))
    every = max(1, side // _PIXELS)
    some = np.ascontiguousarray(image[::every, ::every])
    return np.asarray(Image.fromarray(some).reduce(max(1, side // every)), np.float32)


def _around(boxes: np.ndarray, shape: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Which blocks, (h, w) bool, lie within twice the sides of a face: what moves there is its own.

    Args:
        boxes: (N, 4) in pixels.
        shape: h, w.
        size: Of the picture, in pixels.
    """
    inside = np.zeros(shape, bool)
    scale = np.array([shape[1] / size[1], shape[0] / size[0]] * 2)
    for left, top, right, bottom in boxes * scale:
        across, down = (right - left) / 2, (bottom - top) / 2
        rows = slice(max(0, int(top - down)), int(np.ceil(bottom + down)))
        inside[rows, max(0, int(left - across)) : int(np.ceil(right + across))] = True
    return inside
