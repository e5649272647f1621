"""Draws the time and frequency masks of student views; knows lengths only, no tensors.

Source: RealForensics stage one (Haliassos et al. 2022): one run of 0..11 frames, one band of up to
26 mel bins. Theirs can never mask the last frame or the last bin; ours can.
"""

from __future__ import annotations

import numpy as np

MAX_TIME_MASK_FRAMES = 11


def draw_run(rng: np.random.Generator, longest: int, total: int) -> tuple[int, int]:
    """One run inside ``0..total``: length uniform on 0..longest, start uniform where it fits.

    Returns:
        (start, length); length 0 masks nothing.
    """
    length = int(rng.integers(0, longest + 1))
    return int(rng.integers(0, total - length + 1)), length
