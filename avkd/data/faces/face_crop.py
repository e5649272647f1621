"""The aligned face crop: where five landmarks belong in it, and one warp from frame to crop.

Positions are continuous pixels, x to the right, y down: pixel (0, 0) covers the square from 0 to 1.
"""

import numpy as np
from PIL import Image

CROP_PIXELS = 150
"""Side of the square crop of a video in pixels; pictures may be stored larger."""

# A mean face, left/right symmetric about x = 75, from mid-forehead to just above the chin tip
# (shared/method.md 2.2, after the framing of RealForensics). Eye *centres* are the means of the
# outer (75 +- 37, 49) and inner (75 +- 16.4, 49.6) corners. The nose tip is the one point that face
# lacks: it lies between bridge (75, 62) and base (75, 92), measured relative to the four others.
_CENTRE_X = 75.0
TEMPLATE = np.array(
    [
        [_CENTRE_X - 26.7, 49.3],
        [_CENTRE_X + 26.7, 49.3],
        [_CENTRE_X, 81.0],
        [_CENTRE_X - 22.5, 112.0],
        [_CENTRE_X + 22.5, 112.0],
    ]
)
"""Left eye, right eye, nose tip, left and right mouth corner in the crop, (5, 2)."""


def similarity_transform(
    source: np.ndarray, target: np.ndarray, *, weights: np.ndarray | None = None
) -> np.ndarray:
    """The rotation, scale and shift (no mirror) that bring points (..., P, 2) closest to (P, 2).

    Least squares after Umeyama, "Least-squares estimation of transformation parameters between two
    point patterns", 1991; in the plane the closed form needs no singular values. ``weights`` (P,)
    say how much each point counts; None = all alike.

    Returns:
        Matrices (..., 2, 3): ``target ~ matrix[:, :2] @ point + matrix[:, 2]``.

    Raises:
        ValueError: all source points of a set coincide.
    """
    source_mean = np.average(source, axis=-2, weights=weights)[..., None, :]
    target_mean = np.average(target, axis=-2, weights=weights)
    centred, wanted = source - source_mean, target - target_mean
    weighted = centred if weights is None else centred * weights[:, None]
    spread = (weighted * centred).sum(axis=(-2, -1))
    if np.any(spread <= 0):
        raise ValueError("the landmarks of a face coincide in one point: no face can be aligned")
    cosine = (weighted * wanted).sum(axis=(-2, -1)) / spread
    sine = (weighted[..., 0] * wanted[:, 1] - weighted[..., 1] * wanted[:, 0]).sum(-1) / spread
    turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    shift = target_mean - np.einsum("...ij,...j->...i", turn, source_mean[..., 0, :])
    return np.concatenate([turn, shift[..., None]], axis=-1)


def align_to_template(
    landmarks: np.ndarray, *, size: int = CROP_PIXELS, margin: float = 1.0
) -> np.ndarray:
    """Transforms (T, 2, 3) from frame to crop for landmarks (T, 5, 2) in frame pixels.

    The window is fixed in the template: nothing recentres on the jaw, which would move the crop
    with speech. A crop of another ``size`` shows the same window; a ``margin`` of 1.4 one 1.4 times
    as wide around the same middle.
    """
    target = template_points(size, margin)
    return similarity_transform(np.asarray(landmarks, np.float64), target)


def template_points(size: int = CROP_PIXELS, margin: float = 1.0) -> np.ndarray:
    """Where the five points belong in a crop of ``size`` pixels and a ``margin``, (5, 2)."""
    middle = CROP_PIXELS / 2
    return ((TEMPLATE - middle) / margin + middle) * (size / CROP_PIXELS)


def resize_to_crop(width: int, height: int, *, size: int = CROP_PIXELS) -> np.ndarray:
    """Transform (2, 3) that brings the central square of a picture to the whole crop."""
    scale = size / min(width, height)
    shift = [(size - width * scale) / 2, (size - height * scale) / 2]
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def apply_transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (..., 2) by a matrix (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def inverse_transform(matrix: np.ndarray) -> np.ndarray:
    """The transform (2, 3) that undoes ``matrix``."""
    inverse = np.linalg.inv(matrix[:, :2])
    return np.concatenate([inverse, -inverse @ matrix[:, 2:]], axis=1)


def needed_window(
    matrix: np.ndarray, width: int, height: int, *, size: int = CROP_PIXELS
) -> tuple[int, int, int, int] | None:
    """The part of a frame that a crop looks at: left, top, right, bottom; None if all outside."""
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64)
    seen = apply_transform(inverse_transform(matrix), corners)
    # Bilinear sampling of a shrunk picture looks one shrunk pixel further.
    margin = 1 + _shrink_factor(matrix)
    left, top = np.clip(np.floor(seen.min(axis=0)) - margin, 0, [width, height]).astype(int)
    right, bottom = np.clip(np.ceil(seen.max(axis=0)) + margin, 0, [width, height]).astype(int)
    if right <= left or bottom <= top:
        return None
    return int(left), int(top), int(right), int(bottom)


def warp(
    window: np.ndarray, matrix: np.ndarray, *, origin: tuple[int, int], size: int = CROP_PIXELS
) -> np.ndarray:
    """One bilinear warp of a window of a frame to the crop; black outside the window.

    A face much larger than the crop is first averaged down by a whole factor, so that fine texture
    does not alias (1080p close-ups are shrunk fourfold). The window, uint8 RGB (h, w, 3), is at
    least what `needed_window` asks for and lies at ``origin`` (x, y) in the frame, from which
    ``matrix`` (2, 3) leads to the crop.

    Returns:
        uint8 RGB (size, size, 3).
    """
    factor = _shrink_factor(matrix)
    picture = Image.fromarray(window)
    if factor > 1:
        picture = picture.reduce(factor)
    back = inverse_transform(matrix)
    back[:, 2] -= origin
    back /= factor
    # Pillow samples at output pixel centres and counts continuous input pixels, as we do.
    coefficients = tuple(back.ravel())
    turned = picture.transform(
        (size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(turned)


def _shrink_factor(matrix: np.ndarray) -> int:
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    return max(1, int(1.0 / scale + 1e-6))
