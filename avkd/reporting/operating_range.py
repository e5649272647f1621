"""Numbers of the low false-alarm range: what a detector is worth when few reals may be accused.

Knows arrays only. The false-positive rate (FPR) is the share of the reals called fake. A rate
below one real in all is not seen by a test set: where there are fewer than 1/FPR reals its numbers
are not defined.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from avkd.reporting.bootstrap import IntArray, missing_class
from avkd.reporting.metrics import Metric, checked, roc_curve

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
        ValueError: as `metrics.auc`.
    """
    assert 0.0 < largest_rate <= 1.0, largest_rate
    labels, scores = checked(labels, scores)
    if reason := _reason(labels, largest_rate):
        return Metric(None, reason)
    false_positive, true_positive = roc_curve(labels, scores)
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
        ValueError: as `metrics.auc`.
    """
    assert 0.0 < rate <= 1.0, rate
    labels, scores = checked(labels, scores)
    if reason := _reason(labels, rate):
        return Metric(None, reason)
    reals = np.sort(scores[labels == 0])
    allowed = math.floor(rate * reals.size + _ROUNDING)
    if allowed == reals.size:
        return Metric(1.0)
    # One accused real more would be too many: the threshold lies just above the next real.
    spared = reals[reals.size - 1 - allowed]
    return Metric(float(np.mean(scores[labels == 1] > spared)))


def _reason(labels: IntArray, rate: float) -> str:
    if reason := missing_class(labels):
        return reason
    num_real, needed = int(np.sum(labels == 0)), math.ceil(1.0 / rate - _ROUNDING)
    if num_real >= needed:
        return ""
    return f"a false-positive rate of {100 * rate:g} % needs {needed} scored real files or more"
