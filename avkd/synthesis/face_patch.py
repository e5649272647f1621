"""The aligned face patch: cut a face out of a frame by its landmarks, change it, put it back.

Pure geometry on arrays. P = `PATCH_SIZE`.
"""

from collections.abc import Callable

import numpy as np

from avkd.blending.bilinear import sample_bilinear
from avkd.blending.blenders import Blend
from avkd.data.faces.face_crop import similarity_transform

PATCH_SIZE = 128
"""Side in pixels of the patch."""
# Where the five landmarks lie in the patch: proportions of an average face (method.md 2.2), placed
# so that the patch holds it from the middle of the forehead to below the chin.
_TEMPLATE = np.array([(45.5, 50), (82.5, 50), (64, 68), (48.5, 93), (79.5, 93)])
# Mouth corners weigh little: they move with speech and would make the patch breathe.
_TEMPLATE_WEIGHTS = np.array([1.0, 1.0, 0.5, 0.35, 0.35])
Change = Callable[[np.ndarray, int], np.ndarray]
"""From the patch (P, P, 3) of a frame, and the frame's number, to the new patch."""
PATCH_X, PATCH_Y = np.meshgrid(*2 * (np.arange(PATCH_SIZE, dtype=np.float32),))
"""Column and row of every pixel of the patch, each (P, P)."""


def cut_patch(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The patch float32 (P, P, 3) of a picture (H, W, 3) with five landmarks (5, 2)."""
    return _cut(image, _patch_to_frame(landmarks))


def change_patches(
    frames: np.ndarray, landmarks: np.ndarray, change: Change, blend: Blend, share: float = 1.0
) -> np.ndarray:
    """A copy of ``frames`` whose patches are replaced by ``change(patch, index)``.

    Only the *difference* is carried back to the frame, so unchanged texture is not blurred by the
    two resamplings, and pixels beyond the patch stay bit for bit. Frames are uint8 (T, H, W, 3)
    with landmarks (T, 5, 2) in their pixels; ``blend`` (`avkd.blending.blenders`) lays the new
    patch into the old one, and ``share``, 0 to 1, of the result shows.
    """
    frames = frames.copy()
    for index, image in enumerate(frames):
        to_frame = _patch_to_frame(landmarks[index])
        patch = _cut(image, to_frame)
        new = np.clip(change(patch, index), 0, 255).astype(np.float32)
        difference = share * (blend(patch, new) - patch)
        rows, columns, x, y = _frame_region(to_frame, image.shape)
        region = image[rows, columns]
        difference[0] = difference[-1] = 0
        difference[:, 0] = difference[:, -1] = 0
        changed = region + sample_bilinear(difference, x, y)
        image[rows, columns] = np.clip(np.rint(changed), 0, 255)
    return frames


def ellipse(centre: tuple[float, float], axes: tuple[float, float], softness: float) -> np.ndarray:
    """A mask (P, P) of the patch: 1 inside, 0 outside.

    It falls smoothly over the outer ``softness`` share of the radius.
    """
    radius = np.hypot((PATCH_X - centre[0]) / axes[0], (PATCH_Y - centre[1]) / axes[1])
    share = np.clip((1 - radius) / softness, 0, 1)
    return share**2 * (3 - 2 * share)


def _patch_to_frame(landmarks: np.ndarray) -> np.ndarray:
    """Similarity (2, 3) from patch to frame coordinates, by least squares over five points."""
    return similarity_transform(_TEMPLATE, landmarks, weights=_TEMPLATE_WEIGHTS)


def _cut(image: np.ndarray, to_frame: np.ndarray) -> np.ndarray:
    x = to_frame[0, 0] * PATCH_X + to_frame[0, 1] * PATCH_Y + to_frame[0, 2]
    y = to_frame[1, 0] * PATCH_X + to_frame[1, 1] * PATCH_Y + to_frame[1, 2]
    return sample_bilinear(image, x, y)


def _frame_region(
    to_frame: np.ndarray, shape: tuple[int, ...]
) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """The part of the frame under the patch, and its pixels' coordinates in the patch."""
    corners = np.array([(0, 0), (PATCH_SIZE, 0), (0, PATCH_SIZE), (PATCH_SIZE, PATCH_SIZE)])
    placed = corners @ to_frame[:, :2].T + to_frame[:, 2]
    left, top = np.clip(np.floor(placed.min(0)).astype(int), 0, (shape[1], shape[0]))
    right, bottom = np.clip(np.ceil(placed.max(0)).astype(int), 0, (shape[1], shape[0]))
    x, y = np.meshgrid(np.arange(left, right) - to_frame[0, 2], np.arange(top, bottom) * 1.0)
    y = y - to_frame[1, 2]
    inverse = np.linalg.inv(to_frame[:, :2])
    patch_x = inverse[0, 0] * x + inverse[0, 1] * y
    patch_y = inverse[1, 0] * x + inverse[1, 1] * y
    return slice(top, bottom), slice(left, right), patch_x, patch_y
