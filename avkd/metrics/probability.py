"""Numbers of the stated probabilities: how far P(fake) is from what the files are.

Knows arrays only. All of them judge the probabilities for the share of fakes of this very test
set, so they compare models on one set, not sets. They are defined with one class as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from avkd.metrics.bootstrap import FloatArray, IntArray
from avkd.metrics.ranking import Metric, checked

CALIBRATION_BINS = 15
# What is stated as exactly 0 or 1 is a rounded probability: it costs 34.5 nats when wrong, not
# infinitely many.
PROBABILITY_MARGIN = 1e-15

_NO_FILE = "no scored file"
_NOT_STATED = "not calibrated: the score is no probability"


@dataclass(frozen=True)
class Reliability:
    """Files by stated P(fake), in `CALIBRATION_BINS` bins of equal width from 0 to 1."""

    num_files: tuple[int, ...]
    """Files in each bin; a probability on an edge is in the upper bin, 1 in the last one."""
    num_fake: tuple[int, ...]
    """Fakes among them."""
    mean_probability: tuple[float | None, ...]
    """Mean stated P(fake) in each bin; None where the bin is empty."""


@dataclass(frozen=True, eq=False)
class ProbabilityTally:
    """All that the numbers of this file depend on; tallies of parts of a test set add up."""

    files: IntArray
    """(B,) files in each bin of stated probability."""
    fakes: IntArray
    """(B,) fakes among them."""
    sums: FloatArray
    """(B,) sums of their probabilities."""
    lost_nats: float
    """Sum of the negative log-probabilities of the truth."""
    squared_gaps: float
    """Sum of the squared gaps between probability and label."""
    num_not_stated: int = 0
    """Scored files without a probability; one is enough for no number to be given."""

    @classmethod
    def of(cls, labels: ArrayLike, probabilities: ArrayLike) -> ProbabilityTally:
        """Of (N,) labels and (N,) P(fake); N may be 0.

        Raises:
            ValueError: as `reliability`.
        """
        labels, probabilities = _checked(labels, probabilities)
        bins = np.minimum((probabilities * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        files, fakes = (
            np.bincount(chosen, minlength=CALIBRATION_BINS).astype(np.int64)
            for chosen in (bins, bins[labels == 1])
        )
        sums = np.bincount(bins, weights=probabilities, minlength=CALIBRATION_BINS)
        bounded = np.clip(probabilities, PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN)
        lost = -np.where(labels == 1, np.log(bounded), np.log1p(-bounded)).sum()
        squared = np.sum((probabilities - labels) ** 2)
        return cls(files, fakes, sums.astype(np.float64), float(lost), float(squared))

    @classmethod
    def of_scored(
        cls, labels: Sequence[int], probabilities: Sequence[float | None]
    ) -> ProbabilityTally:
        """As `of`; None for a file that was scored but whose scorer states no probability.

        Raises:
            ValueError: as `reliability`.
        """
        pairs = zip(labels, probabilities, strict=True)
        stated = [(label, probability) for label, probability in pairs if probability is not None]
        tally = cls.of([label for label, _ in stated], [probability for _, probability in stated])
        return replace(tally, num_not_stated=len(labels) - len(stated))

    def __add__(self, other: ProbabilityTally) -> ProbabilityTally:
        return ProbabilityTally(
            self.files + other.files,
            self.fakes + other.fakes,
            self.sums + other.sums,
            self.lost_nats + other.lost_nats,
            self.squared_gaps + other.squared_gaps,
            self.num_not_stated + other.num_not_stated,
        )

    def reliability(self) -> Reliability:
        """As the function `reliability`."""
        means = [float(s / n) if n else None for n, s in zip(self.files, self.sums, strict=True)]
        return Reliability(tuple(self.files.tolist()), tuple(self.fakes.tolist()), tuple(means))

    def expected_calibration_error(self) -> Metric:
        """As the function `expected_calibration_error`."""
        return self._mean(float(np.abs(self.sums - self.fakes).sum()))

    def log_loss(self) -> Metric:
        """As the function `log_loss`."""
        return self._mean(self.lost_nats)

    def brier_score(self) -> Metric:
        """As the function `brier_score`."""
        return self._mean(self.squared_gaps)

    def _mean(self, total: float) -> Metric:
        num_files = int(self.files.sum())
        if self.num_not_stated:
            return Metric(None, _NOT_STATED)
        return Metric(total / num_files) if num_files else Metric(None, _NO_FILE)


def reliability(labels: ArrayLike, probabilities: ArrayLike) -> Reliability:
    """Sort files into bins of stated probability.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        probabilities: (N,) P(fake), each in [0, 1].

    Raises:
        ValueError: as `ranking.auc`, or a probability outside [0, 1].
    """
    return ProbabilityTally.of(labels, probabilities).reliability()


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike) -> Metric:
    """Mean gap between stated P(fake) and the share of fakes, over the bins of `reliability`.

    Naeini et al., AAAI 2015, for the probability of one class.

    Raises:
        ValueError: as `reliability`.
    """
    return ProbabilityTally.of(labels, probabilities).expected_calibration_error()


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> Metric:
    """Mean negative log-probability of the true class, in nats; log 2 = 0.693 for a coin.

    Probabilities are kept `PROBABILITY_MARGIN` away from 0 and 1.

    Raises:
        ValueError: as `reliability`.
    """
    return ProbabilityTally.of(labels, probabilities).log_loss()


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> Metric:
    """Mean squared gap between P(fake) and the label; 0.25 for a coin.

    Raises:
        ValueError: as `reliability`.
    """
    return ProbabilityTally.of(labels, probabilities).brier_score()


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[IntArray, FloatArray]:
    labels, probabilities = checked(labels, probabilities)
    if labels.size and (probabilities.min() < 0.0 or probabilities.max() > 1.0):
        raise ValueError("probabilities must lie in [0, 1]; were logits given?")
    return labels, probabilities
