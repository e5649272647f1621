"""A picture of what a network is shown: the frames of a clip, masks drawn, importance as bars."""

import numpy as np
from torch import Tensor

from avkd.data.transforms import as_pictures

_MASK_COLOUR = np.array([200, 30, 30], dtype=np.uint8)
_BAR_COLOUR = np.array([40, 120, 200], dtype=np.uint8)
_BORDER_PIXELS = 2
_BAR_PIXELS = 24


def draw_strip(clips: Tensor, time_masks: Tensor, importance: Tensor | None) -> np.ndarray:
    """Lay clips (B, 3, T, H, W) under each other, frames side by side: (rows, T * W, 3) uint8.

    They are normalised as `transforms.apply_video` does. Frames masked in time (B, T) get a red
    border, an importance (B, T) that sums to 1 is drawn as blue bars (full height = 3 / T).
    """
    rows = []
    for clip, mask in zip(as_pictures(clips.float()), time_masks.tolist(), strict=True):
        framed = np.full_like(clip, _MASK_COLOUR)
        inner = slice(_BORDER_PIXELS, -_BORDER_PIXELS)
        framed[:, inner, inner] = clip[:, inner, inner]
        shown = np.where(np.array(mask)[:, None, None, None], framed, clip)
        rows.append(np.concatenate(shown, axis=1))
    if importance is None:
        return np.concatenate(rows)
    bars = (_bars(weights, clips.shape[4]) for weights in importance.detach().float().cpu().numpy())
    return np.concatenate([part for row in zip(rows, bars, strict=True) for part in row])


def _bars(weights: np.ndarray, frame_width: int) -> np.ndarray:
    """(T,) weights -> (24, T * W, 3) white picture with one bar per frame."""
    bars = np.full((_BAR_PIXELS, len(weights) * frame_width, 3), 255, dtype=np.uint8)
    heights = np.clip(weights * len(weights) / 3, 0, 1) * _BAR_PIXELS
    for index, height in enumerate(np.round(heights).astype(int)):
        left = index * frame_width
        bars[_BAR_PIXELS - height :, left + 2 : left + frame_width - 2] = _BAR_COLOUR
    return bars
