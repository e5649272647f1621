"""Numbers of the stated probabilities: how far P(fake) is from what the files are.

All of them judge the probabilities for the share of fakes in this very test set, so they compare
models on one set, not sets. They are defined with one class as well.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import brier_score_loss

from avkd.metrics.bootstrap import FloatArray, IntArray, Metric
from avkd.metrics.pooling import PROBABILITY_MARGIN
from avkd.metrics.ranking import checked

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Files by stated P(fake), in `CALIBRATION_BINS` bins of equal width from 0 to 1."""

    num_files: tuple[int, ...]
    """Files in each bin; a probability on an edge is in the upper bin, 1 in the last one."""
    num_fake: tuple[int, ...]
    """Fakes among them."""
    mean_probability: tuple[float | None, ...]
    """Mean stated P(fake) in each bin; None where the bin is empty."""


def of_probabilities(
    function: Callable[[IntArray, FloatArray], float],
) -> Callable[[ArrayLike, ArrayLike], Metric]:
    """A function of (N,) labels and (N,) P(fake) that gives a reason where it is not defined.

    A probability that is nan was not stated by the scorer; one is enough for no number to be given.

    Raises:
        ValueError: of the function returned: as `ranking.of_both_classes`, or a probability
            outside [0, 1].
    """

    @functools.wraps(function)
    def measured(labels: ArrayLike, probabilities: ArrayLike) -> Metric:
        if np.isnan(np.asarray(probabilities, dtype=np.float64)).any():
            return Metric(None, "not calibrated: the score is no probability")
        labels, probabilities = _checked(labels, probabilities)
        if not labels.size:
            return Metric(None, "no scored file")
        return Metric(float(function(labels, probabilities)))

    return measured


@of_probabilities
def expected_calibration_error(labels: IntArray, probabilities: FloatArray) -> float:
    """Mean gap between stated P(fake) and the share of fake files, over the bins of `reliability`.

    Naeini et al., AAAI 2015, for the probability of one class.
    """
    _, fakes, sums = _in_bins(labels, probabilities)
    return float(np.abs(sums - fakes).sum() / labels.size)


@of_probabilities
def log_loss(labels: IntArray, probabilities: FloatArray) -> float:
    """Mean negative log-probability of the true class, in nats; 0.693 (log 2) for 0.5 throughout.

    Probabilities are kept `PROBABILITY_MARGIN` away from 0 and 1.
    """
    bounded = np.clip(probabilities, PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN)
    return float(-np.where(labels == 1, np.log(bounded), np.log1p(-bounded)).mean())


@of_probabilities
def brier_score(labels: IntArray, probabilities: FloatArray) -> float:
    """Mean squared difference between P(fake) and the label; 0.25 for 0.5 throughout."""
    return float(brier_score_loss(labels, probabilities, pos_label=1))


def reliability(labels: ArrayLike, probabilities: ArrayLike) -> Reliability:
    """Sort files into bins of stated probability: (N,) labels and P(fake) in [0, 1]; N may be 0."""
    files, fakes, sums = _in_bins(*_checked(labels, probabilities))
    means = tuple(float(s / n) if n else None for n, s in zip(files, sums, strict=True))
    return Reliability(tuple(files.tolist()), tuple(fakes.tolist()), means)


def _in_bins(labels: IntArray, probabilities: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """(B,) files, fake ones among them, and sums of probabilities in each bin."""
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    files, fakes, sums = (
        np.bincount(bins, weights=weights, minlength=CALIBRATION_BINS)
        for weights in (None, labels, probabilities)
    )
    return files.astype(np.int64), fakes.astype(np.int64), sums.astype(np.float64)


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[IntArray, FloatArray]:
    labels, probabilities = checked(labels, probabilities)
    if labels.size and (probabilities.min() < 0.0 or probabilities.max() > 1.0):
        raise ValueError("probabilities must lie in [0, 1]; were logits given?")
    return labels, probabilities
