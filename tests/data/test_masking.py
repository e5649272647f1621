"""Masks are drawn uniformly and can reach every place."""

import numpy as np
import pytest

from avkd.data.transforms import _MAX_TIME_MASK_FRAMES, draw_run


def draws(longest: int, total: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([draw_run(rng, longest, total) for _ in range(count)])


def test_the_length_of_a_time_mask_is_uniform_from_none_to_eleven_frames():
    lengths = draws(_MAX_TIME_MASK_FRAMES, 25, 24_000)[:, 1]
    counts = np.bincount(lengths)
    assert len(counts) == 12
    assert np.abs(counts / 24_000 - 1 / 12).max() < 4 * (1 / 12 * 11 / 12 / 24_000) ** 0.5


@pytest.mark.parametrize("length", [1, 5, 11])
def test_the_start_is_uniform_over_every_place_where_the_run_fits(length):
    runs = draws(_MAX_TIME_MASK_FRAMES, 25, 60_000)
    starts = np.bincount(runs[runs[:, 1] == length, 0])
    assert len(starts) == 25 - length + 1
    assert np.abs(starts / starts.sum() * len(starts) - 1).max() < 0.35


@pytest.mark.parametrize(("longest", "total"), [(11, 25), (26, 80), (25, 25), (0, 80)])
def test_a_run_stays_inside_and_reaches_both_ends(longest, total):
    """In RealForensics the last frame and the last mel bin can never be masked."""
    runs = draws(longest, total, 20_000)
    ends = runs.sum(axis=1)
    assert runs.min() >= 0 and ends.max() <= total and runs[:, 1].max() == longest
    if longest:
        masked = runs[runs[:, 1] > 0]
        assert masked[:, 0].min() == 0 and masked.sum(axis=1).max() == total


def test_the_same_generator_draws_the_same_run():
    assert (draws(11, 25, 50) == draws(11, 25, 50)).all()
