"""Numbers of the verdicts at one threshold: the confusion matrix and what follows from it.

Fake is the positive class; a score at or above the threshold is called fake. Numbers that set the
two classes against each other (balanced accuracy, precision, F1) are not defined with one class
only: there a precision would say who is in the test set, not who was right.

Every formula takes the counts (D, 4) of D draws in the order of `Confusion` and gives (D,) values:
the same one for the number itself and for its interval. A share of nothing is nan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from avkd.metrics.bootstrap import FloatArray, IntArray
from avkd.metrics.ranking import checked


@dataclass(frozen=True)
class Confusion:
    """How many files were called what."""

    true_real: int
    """Reals called real: true negatives."""
    false_fake: int
    """Reals called fake: false positives."""
    false_real: int
    """Fakes called real: false negatives."""
    true_fake: int
    """Fakes called fake: true positives."""


def confusion(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Confusion:
    """Count the verdicts on (N,) labels and raw logits; ``threshold`` is the lowest fake score."""
    return Confusion(*cells(*checked(labels, scores), threshold).sum(axis=0).tolist())


def cells(labels: IntArray, scores: FloatArray, threshold: float) -> IntArray:
    """(N, 4) a one in the cell of `Confusion` that each file falls into."""
    return np.eye(4, dtype=np.int64)[2 * labels + (scores >= threshold)]


def accuracy(counts: IntArray) -> FloatArray:
    """Share of the files that are called right."""
    true_real, _, _, true_fake = counts.T
    return share(true_real + true_fake, counts.sum(axis=1))


def balanced_accuracy(counts: IntArray) -> FloatArray:
    """Mean of the shares of real files and of fake files that are called right."""
    true_real, false_fake, _, _ = counts.T
    return (share(true_real, true_real + false_fake) + recall(counts)) / 2


def precision(counts: IntArray) -> FloatArray:
    """Share of fake files among what is called fake."""
    _, false_fake, _, true_fake = counts.T
    return share(true_fake, false_fake + true_fake)


def recall(counts: IntArray) -> FloatArray:
    """Share of the fake files that are called fake."""
    _, _, false_real, true_fake = counts.T
    return share(true_fake, false_real + true_fake)


def f1(counts: IntArray) -> FloatArray:
    """Harmonic mean of precision and recall; 0 when there are fake files and none is called so."""
    _, false_fake, false_real, true_fake = counts.T
    return share(2 * true_fake, 2 * true_fake + false_fake + false_real)


def share(part: IntArray, whole: IntArray) -> FloatArray:
    """(D,) shares; nan of nothing."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
