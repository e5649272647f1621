"""Smooth random fields, from which masks get their crooked borders and faces their warps."""

import numpy as np
from PIL import Image


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """A random field (size, size) float32 of unit deviation, about ``cells`` bumps a side."""
    coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    return (field - field.mean()) / max(float(field.std()), 1e-6)
