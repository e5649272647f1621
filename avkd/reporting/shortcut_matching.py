"""Pairs of a real and a fake that look alike to a probe: the test set without its shortcut.

Propensity-score matching (Rosenbaum and Rubin, The American Statistician 39, 1985). Knows log-odds,
labels and strata, not what they were made of.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from avkd.metrics.bootstrap import FloatArray, IntArray

CALIPER = 0.2
"""Widest gap within a pair, in standard deviations of the log-odds within a class: Austin,
Pharmaceutical Statistics 10 (2011)."""
_NO_PAIR = 1e-6  # log-odds; what no pair costs more than the widest one


def matched_pairs(labels: IntArray, log_odds: FloatArray, strata: IntArray) -> IntArray:
    """Pairs of the least total gap, none wider than the caliper; a file is in one pair at most.

    A file without a partner costs as much as a pair as wide as the caliper, so that no pair is made
    just to have one more. Optimal, hence the same whatever the order of the files, but for ties.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        log_odds: (N,) of being fake by the facts alone.
        strata: (N,) pairs are made within one stratum only.

    Returns:
        (P, 2) index of the real and of the fake of each pair, in the order of the reals.
    """
    caliper = CALIPER * _spread_within(labels, log_odds)
    pairs: list[tuple[int, int]] = []
    for stratum in np.unique(strata):
        reals, fakes = (np.flatnonzero((strata == stratum) & (labels == k)) for k in (0, 1))
        gaps = np.abs(log_odds[reals][:, None] - log_odds[fakes][None, :])
        alike = gaps <= caliper
        rows, columns = linear_sum_assignment(np.where(alike, gaps, caliper + _NO_PAIR))
        close = alike[rows, columns]
        pairs += zip(reals[rows[close]].tolist(), fakes[columns[close]].tolist(), strict=True)
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _spread_within(labels: IntArray, log_odds: FloatArray) -> float:
    """Standard deviation within a class, both classes weighing the same."""
    return float(np.sqrt(np.mean([np.var(log_odds[labels == label]) for label in (0, 1)])))
