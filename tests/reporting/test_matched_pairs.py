"""Pairs that agree on a shortcut: against every possible pairing of a small set."""

from itertools import permutations

import numpy as np
import pytest

from avkd.reporting.shortcut_probe import CALIPER, matched_pairs


def slow_cost(reals: np.ndarray, fakes: np.ndarray, caliper: float) -> float:
    """Least total gap, a real without a partner costing the caliper, over all pairings."""
    gaps = np.abs(reals[:, None] - fakes[None, :])
    capped = np.where(gaps <= caliper, gaps, caliper)
    return min(
        sum(capped[real, fake] for real, fake in enumerate(order))
        for order in permutations(range(len(fakes)), len(reals))
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_other_pairing_is_closer(seed: int) -> None:
    random = np.random.default_rng(seed)
    reals, fakes = random.normal(0, 0.3, 4), random.normal(0.1, 0.3, 7)
    labels, log_odds = np.repeat([0, 1], [4, 7]), np.r_[reals, fakes]
    caliper = CALIPER * np.sqrt((reals.var() + fakes.var()) / 2)
    pairs = matched_pairs(labels, log_odds, np.zeros(11, dtype=np.int64))
    gaps = np.abs(log_odds[pairs[:, 0]] - log_odds[pairs[:, 1]])
    assert np.all(gaps <= caliper)
    cost = gaps.sum() + caliper * (4 - len(pairs))
    assert cost == pytest.approx(slow_cost(reals, fakes, caliper))


def test_a_pair_is_a_real_and_a_fake_of_one_stratum_and_a_file_is_in_one_pair() -> None:
    random = np.random.default_rng(0)
    labels, strata = random.integers(0, 2, 200), random.integers(0, 3, 200)
    pairs = matched_pairs(labels, random.standard_normal(200), strata)
    assert len(pairs) > 30 and len(np.unique(pairs)) == pairs.size
    assert np.all(labels[pairs] == [0, 1])
    assert np.all(strata[pairs[:, 0]] == strata[pairs[:, 1]])


def test_files_with_equal_log_odds_are_pairs_and_those_apart_are_not() -> None:
    none = np.zeros(6, dtype=np.int64)
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert len(matched_pairs(labels, np.zeros(6), none)) == 3
    assert len(matched_pairs(labels, 9.0 * labels, none)) == 0
    mixed = np.array([0.0, 0.0, 5.0, 5.0, 5.0, 5.0])
    assert len(matched_pairs(labels, mixed, none)) == 1
