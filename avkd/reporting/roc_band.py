"""A ROC curve in few enough points to be drawn, with the band of its bootstrap.

Knows arrays only. The points are corners of the whole curve, never points between them; the band
is that of vertical averaging: the 95 % percentile interval of the TPR at each of a grid of FPRs,
over the same kind of draws as the AUC's interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri

from avkd.metrics.bootstrap import FloatArray, IntArray, Resampling
from avkd.metrics.ranking import checked, roc_curve

MOST_POINTS = 500
_LINEAR_CELLS, _DEVIATE_CELLS_PER_UNIT = 60, 4
_MOST_DEVIATES = 4.5  # a rate of 3 in a million
# Fine where the curve is steep on either kind of axes: evenly spaced rates, and normal deviates.
_GRID = np.unique(np.concatenate([np.linspace(0, 1, 81), ndtr(np.linspace(-3.5, 3.5, 71))]))


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Corners of a curve from (0, 0) to (1, 1), joined by straight lines."""

    false_positive: FloatArray
    """(P,) ascending share of the reals called fake."""
    true_positive: FloatArray
    """(P,) ascending share of the fakes called fake."""


@dataclass(frozen=True, eq=False)
class RocBand:
    """Where the curve would lie in 95 % of the draws, at each false-positive rate for itself."""

    false_positive: FloatArray
    """(G,) ascending from 0 to 1."""
    low: FloatArray
    """(G,) lower end of the true-positive rate."""
    high: FloatArray
    """(G,) upper end of the true-positive rate."""


def drawn_roc(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The curve with at most `MOST_POINTS` of its corners.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        scores: (N,) raw logits.

    Raises:
        ValueError: as `ranking.roc_curve`.
    """
    false_positive, true_positive = roc_curve(labels, scores)
    kept = _corners(false_positive, true_positive)
    return RocCurve(false_positive[kept], true_positive[kept])


def roc_band(labels: ArrayLike, scores: ArrayLike, plan: Resampling) -> RocBand:
    """The band of `drawn_roc`.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        scores: (N,) raw logits.
        plan: of the same files.

    Raises:
        ValueError: as `ranking.roc_curve`.
    """
    labels, scores = checked(labels, scores)
    assert not plan.reason, plan.reason
    kept = _corners(*roc_curve(labels, scores))
    # Corner k calls fake what is among the k highest distinct scores.
    place = np.unique(-scores, return_inverse=True)[1].reshape(-1)
    level = np.searchsorted(kept, place, side="right") - 1
    rates = [
        np.interp(_GRID, *curve)
        for counts in _drawn_counts(plan, labels, level, kept.size - 1)
        for curve in _curves(counts)
    ]
    low, high = np.quantile(np.stack(rates), [0.025, 0.975], axis=0)
    return RocBand(_GRID, low, high)


def _corners(false_positive: FloatArray, true_positive: FloatArray) -> IntArray:
    """Numbers of the corners to draw: all, or the first and last in each cell of a fine lattice."""
    every = np.arange(false_positive.size)
    if every.size <= MOST_POINTS:
        return every
    cells = np.stack(
        [
            np.floor(axis)
            for rate in (false_positive, true_positive)
            for axis in (_LINEAR_CELLS * rate, _DEVIATE_CELLS_PER_UNIT * deviates(rate))
        ]
    )
    changes = (np.diff(cells, axis=1) != 0).any(axis=0)
    first, last = np.append(True, changes), np.append(changes, True)
    return every[first | last]


def deviates(rate: FloatArray) -> FloatArray:
    """Normal deviates of rates in [0, 1], kept finite."""
    return np.asarray(np.clip(ndtri(rate), -_MOST_DEVIATES, _MOST_DEVIATES))


def _drawn_counts(
    plan: Resampling, labels: IntArray, level: IntArray, num_levels: int
) -> Iterator[IntArray]:
    """(D, 2, L) reals and fakes at each level, of D draws at a time."""
    cell = labels * num_levels + level
    num_cells = 2 * num_levels
    if plan.unit == "files":
        # Files of one cell are all alike: so many of them are drawn, whichever they are.
        random = np.random.default_rng(plan.seed)
        counts = np.zeros((plan.resamples, num_cells), dtype=np.int64)
        for files in plan.strata:
            shares = np.bincount(cell[files], minlength=num_cells) / files.size
            counts += random.multinomial(files.size, shares, size=plan.resamples)
        yield counts.reshape(-1, 2, num_levels)
        return
    shape = int(plan.group_of_file.max()) + 1, num_cells
    of_group = csr_array((np.ones(cell.size, np.int64), (plan.group_of_file, cell)), shape=shape)
    for weights in plan.group_weights():
        yield np.asarray(weights @ of_group).reshape(-1, 2, num_levels)


def _curves(counts: IntArray) -> FloatArray:
    """(D, 2, L + 1) rates at the corners of each draw's curve, from its counts (D, 2, L)."""
    sums = np.cumsum(counts, axis=2)
    rates = sums / sums[:, :, -1:]
    return np.concatenate([np.zeros((len(rates), 2, 1)), rates], axis=2)
