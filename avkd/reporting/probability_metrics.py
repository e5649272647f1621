"""Numbers of the stated probabilities: how far P(fake) is from what the files are.

Knows arrays only. All of them judge the probabilities for the share of fakes of this very test
set, so they compare models on one set, not sets. They are defined with one class as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from avkd.reporting.bootstrap import FloatArray, IntArray
from avkd.reporting.metrics import Metric, checked

CALIBRATION_BINS = 15
# What is stated as exactly 0 or 1 is a rounded probability: it costs 34.5 nats when wrong, not
# infinitely many.
PROBABILITY_MARGIN = 1e-15

_NO_FILE = "no scored file"


@dataclass(frozen=True)
class Reliability:
    """Files by stated P(fake), in `CALIBRATION_BINS` bins of equal width from 0 to 1."""

    num_files: tuple[int, ...]
    """Files in each bin; a probability on an edge is in the upper bin, 1 in the last one."""
    num_fake: tuple[int, ...]
    """Fakes among them."""
    mean_probability: tuple[float | None, ...]
    """Mean stated P(fake) in each bin; None where the bin is empty."""


def reliability(labels: ArrayLike, probabilities: ArrayLike) -> Reliability:
    """Sort files into bins of stated probability.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        probabilities: (N,) P(fake), each in [0, 1].

    Raises:
        ValueError: as `metrics.auc`, or a probability outside [0, 1].
    """
    labels, probabilities = _checked(labels, probabilities)
    counts, fakes, sums = _binned(labels, probabilities)
    means = [float(total / n) if n else None for n, total in zip(counts, sums, strict=True)]
    return Reliability(tuple(counts.tolist()), tuple(fakes.tolist()), tuple(means))


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike) -> Metric:
    """Mean gap between stated P(fake) and the share of fakes, over the bins of `reliability`.

    Naeini et al., AAAI 2015, for the probability of one class.

    Raises:
        ValueError: as `reliability`.
    """
    labels, probabilities = _checked(labels, probabilities)
    if not labels.size:
        return Metric(None, _NO_FILE)
    _, fakes, sums = _binned(labels, probabilities)
    return Metric(float(np.abs(sums - fakes).sum() / labels.size))


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> Metric:
    """Mean negative log-probability of the true class, in nats; log 2 = 0.693 for a coin.

    Probabilities are kept `PROBABILITY_MARGIN` away from 0 and 1.

    Raises:
        ValueError: as `reliability`.
    """
    labels, probabilities = _checked(labels, probabilities)
    if not labels.size:
        return Metric(None, _NO_FILE)
    bounded = np.clip(probabilities, PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN)
    return Metric(float(-np.mean(np.where(labels == 1, np.log(bounded), np.log1p(-bounded)))))


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> Metric:
    """Mean squared gap between P(fake) and the label; 0.25 for a coin.

    Raises:
        ValueError: as `reliability`.
    """
    labels, probabilities = _checked(labels, probabilities)
    if not labels.size:
        return Metric(None, _NO_FILE)
    return Metric(float(np.mean((probabilities - labels) ** 2)))


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[IntArray, FloatArray]:
    labels, probabilities = checked(labels, probabilities)
    if labels.size and (probabilities.min() < 0.0 or probabilities.max() > 1.0):
        raise ValueError("probabilities must lie in [0, 1]; were logits given?")
    return labels, probabilities


def _binned(labels: IntArray, probabilities: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """(B,) files, fakes and sums of probabilities of the bins."""
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts, fakes = (
        np.bincount(chosen, minlength=CALIBRATION_BINS).astype(np.int64)
        for chosen in (bins, bins[labels == 1])
    )
    sums = np.bincount(bins, weights=probabilities, minlength=CALIBRATION_BINS)
    return counts, fakes, sums.astype(np.float64)
