"""Encoders in memory: as many pictures out as in, the same every time, worse where it is asked."""

import numpy as np
import pytest

from avkd.blending.picture_changes import blurred
from avkd.data.media.codec_round_trip import through_codec


def _frames(count: int, size: int = 70) -> np.ndarray:
    rng = np.random.default_rng(0)
    still = 128 + 200 * blurred(rng.standard_normal((size, size, 3)).astype(np.float32), 2.0)
    frames = np.stack([np.roll(still, shift, 1) for shift in range(count)])
    return np.clip(frames, 0, 255).astype(np.uint8)


def _error(frames: np.ndarray, *args, **kwargs) -> float:
    return float(np.abs(through_codec(frames, *args, **kwargs).astype(int) - frames).mean())


@pytest.mark.parametrize(("codec", "good", "bad"), [("h264", 18, 38), ("mpeg4", 2, 20)])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_pictures_come_back_and_lose_more_where_the_quantiser_is_larger(codec, good, bad, count):
    frames = _frames(count)
    assert through_codec(frames, codec, good).shape == frames.shape
    assert 0 < _error(frames, codec, good) < _error(frames, codec, bad) < 30


def test_frames_keep_their_order():
    frames = _frames(6)
    shown = through_codec(frames, "h264", 20)
    gaps = np.abs(shown[:, None].astype(int) - frames[None]).mean((2, 3, 4))
    assert gaps.argmin(1).tolist() == list(range(6))


def test_the_same_input_gives_the_same_pixels():
    frames = _frames(4)
    once, again = (through_codec(frames, "h264", 28, share=0.6) for _ in range(2))
    assert np.array_equal(once, again)


def test_a_smaller_share_loses_detail():
    frames = _frames(1)
    assert _error(frames, "h264", 20, share=0.5) > _error(frames, "h264", 20)
