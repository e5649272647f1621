"""Numbers of the low false-alarm range: what a detector is worth when few reals may be accused.

Knows arrays only. The false-positive rate (FPR) is the share of the reals called fake. A rate
below one real in all is not seen by a test set: where there are fewer than 1/FPR reals its numbers
are not defined.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from avkd.metrics.ranking import Levels, Metric, checked

LARGEST_RATE = 0.1
"""End of the range that `partial_auc` of the table covers."""

_ROUNDING = 1e-9  # 0.29 * 100 is a little less than 29


def partial_auc(labels: ArrayLike, scores: ArrayLike, largest_rate: float = LARGEST_RATE) -> Metric:
    """Area under the ROC curve up to ``largest_rate``, standardised: 0.5 = chance, 1 = perfect.

    McClish, Medical Decision Making 9 (1989), 190-195. The curve is cut by a straight line.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        scores: (N,) raw logits in single or double precision.
        largest_rate: FPR at which the range ends, in (0, 1]; 1 gives the AUC.

    Raises:
        ValueError: as `ranking.auc`.
    """
    return partial_auc_of(Levels.of(*checked(labels, scores)), largest_rate)


def partial_auc_of(levels: Levels, largest_rate: float = LARGEST_RATE) -> Metric:
    """`partial_auc` of counted scores."""
    assert 0.0 < largest_rate <= 1.0, largest_rate
    if reason := _reason(levels, largest_rate):
        return Metric(None, reason)
    false_positive, true_positive = levels.roc_curve()
    end = float(np.interp(largest_rate, false_positive, true_positive))
    inside = false_positive <= largest_rate  # with the foot of a step that stands on the end
    x = np.append(false_positive[inside], largest_rate)
    y = np.append(true_positive[inside], end)
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    of_chance = largest_rate**2 / 2
    return Metric(0.5 * (1.0 + (area - of_chance) / (largest_rate - of_chance)))


def true_positive_rate_at(labels: ArrayLike, scores: ArrayLike, rate: float) -> Metric:
    """Largest share of fakes called fake by a threshold that accuses at most ``rate`` of the reals.

    Only thresholds that exist count: nothing is interpolated, and tied files are called the same.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        scores: (N,) raw logits in single or double precision.
        rate: the FPR that is allowed, in (0, 1].

    Raises:
        ValueError: as `ranking.auc`.
    """
    return true_positive_rate_of(Levels.of(*checked(labels, scores)), rate)


def true_positive_rate_of(levels: Levels, rate: float) -> Metric:
    """`true_positive_rate_at` of counted scores."""
    assert 0.0 < rate <= 1.0, rate
    if reason := _reason(levels, rate):
        return Metric(None, reason)
    allowed = math.floor(rate * int(levels.real.sum()) + _ROUNDING)
    # From the highest level down, as long as not one real too many is accused.
    accused = np.cumsum(levels.real[::-1]) <= allowed
    return Metric(float(levels.fake[::-1][accused].sum() / levels.fake.sum()))


def _reason(levels: Levels, rate: float) -> str:
    if levels.missing_class:
        return levels.missing_class
    num_real, needed = int(levels.real.sum()), math.ceil(1.0 / rate - _ROUNDING)
    if num_real >= needed:
        return ""
    return f"a false-positive rate of {100 * rate:g} % needs {needed} scored real files or more"
