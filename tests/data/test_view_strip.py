"""The picture of what a network is shown: true colours, masked frames marked, bars to scale."""

import numpy as np
import pytest
import torch

from avkd.data.transforms import CHANNEL_MEAN, CHANNEL_STD, apply_video, center_views
from avkd.data.view_strip import draw_strip

BAR_ROWS = 24
RED, BLUE = (200, 30, 30), (40, 120, 200)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(x).view(1, 3, 1, 1, 1) for x in (CHANNEL_MEAN, CHANNEL_STD))
    return (pixels - mean) / std


def gray_clips(count: int, num_frames: int, size: int = 16) -> torch.Tensor:
    """Clip b, frame t has the brightness (10 b + t) / 100."""
    level = torch.arange(count)[:, None] * 10 + torch.arange(num_frames)[None]
    pixels = (level / 100.0)[:, None, :, None, None].expand(-1, 3, -1, size, size)
    return normalised(pixels)


def no_masks(count: int, num_frames: int) -> torch.Tensor:
    return torch.zeros(count, num_frames, dtype=torch.bool)


def test_clips_lie_under_each_other_and_frames_side_by_side():
    strip = draw_strip(gray_clips(2, 5), no_masks(2, 5), None)
    assert strip.shape == (32, 80, 3) and strip.dtype == np.uint8
    for clip in range(2):
        for t in range(5):
            frame = strip[16 * clip : 16 * clip + 16, 16 * t : 16 * t + 16]
            assert np.abs(frame - 255 * (10 * clip + t) / 100).max() <= 1


def test_colours_are_those_of_the_stored_crop():
    """A picture in wrong colours is how a wrong normalisation stays unseen."""
    crop = torch.zeros(1, 2, 150, 150, 3, dtype=torch.uint8)
    crop[..., 0], crop[..., 1], crop[..., 2] = 250, 120, 10
    strip = draw_strip(apply_video(crop, center_views(1), 32), no_masks(1, 2), None)
    assert np.abs(strip.astype(int) - [250, 120, 10]).max() <= 1


def test_only_masked_frames_have_a_red_border():
    masks = no_masks(1, 4)
    masks[0, 2] = True
    strip = draw_strip(gray_clips(1, 4), masks, None)
    red = (strip == RED).all(axis=-1)
    frame = red[:, 32:48]
    assert frame[:2].all() and frame[-2:].all() and frame[:, :2].all() and frame[:, -2:].all()
    assert not frame[2:-2, 2:-2].any()
    assert red.sum() == frame.sum()


def test_bars_are_as_high_as_the_importance():
    """Uniform weights reach a third of the height, three times as much reaches the top."""
    weights = torch.tensor([[1.0, 3.0, 0.0, 0.5, 0.5, 1.0]]) / 6
    strip = draw_strip(gray_clips(1, 6), no_masks(1, 6), weights)
    assert strip.shape == (16 + BAR_ROWS, 96, 3)
    bars = (strip[16:] == BLUE).all(axis=-1)
    heights = [int(bars[:, 16 * t + 8].sum()) for t in range(6)]
    assert heights == [8, 24, 0, 4, 4, 8]
    assert all(
        bars[:, 16 * t + 8].tolist() == [False] * (24 - h) + [True] * h
        for t, h in enumerate(heights)
    )
    assert ((strip[16:] == 255).all(axis=-1) | bars).all()


def test_an_importance_beyond_the_top_stops_there():
    weights = torch.zeros(1, 6)
    weights[0, 1] = 1.0
    bars = (draw_strip(gray_clips(1, 6), no_masks(1, 6), weights)[16:] == BLUE).all(axis=-1)
    assert bars[:, 24].sum() == BAR_ROWS


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_network_outputs_of_any_precision_and_with_gradients_are_drawn(dtype):
    clips = gray_clips(2, 3).to(dtype).requires_grad_()
    weights = torch.full((2, 3), 1 / 3, dtype=dtype, requires_grad=True)
    strip = draw_strip(clips, no_masks(2, 3), weights)
    assert strip.shape == (2 * (16 + BAR_ROWS), 48, 3)
