"""Bilinear sampling of an image at any points; the face renderer and the forgeries warp with it."""

import numpy as np


def sample_bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of ``image`` (H, W, C) at points x, y (any equal shape S): float32 (*S, C).

    Pixel centres lie on whole numbers; points outside take the nearest edge's value.
    """
    height, width, channels = image.shape
    flat = np.ascontiguousarray(image, dtype=np.float32).reshape(-1, channels)
    shape = x.shape
    x = np.clip(x, 0, width - 1).astype(np.float32).ravel()
    y = np.clip(y, 0, height - 1).astype(np.float32).ravel()
    left = np.minimum(x.astype(np.int32), width - 2)
    top = np.minimum(y.astype(np.int32), height - 2)
    right_share = (x - left)[:, None]
    low_share = (y - top)[:, None]
    first = top * width + left
    upper = np.take(flat, first, axis=0)
    upper += right_share * (np.take(flat, first + 1, axis=0) - upper)
    lower = np.take(flat, first + width, axis=0)
    lower += right_share * (np.take(flat, first + width + 1, axis=0) - lower)
    upper += low_share * (lower - upper)
    return upper.reshape(*shape, channels)
