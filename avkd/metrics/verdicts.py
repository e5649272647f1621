"""Numbers of the verdicts at one threshold: the confusion matrix and what follows from it.

Knows arrays only. Fake is the positive class; a score at or above the threshold is called fake.
Numbers that set the two classes against each other (balanced accuracy, precision, F1) are not
defined with one class only: there a precision would say who is in the test set, not who was right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from avkd.metrics.bootstrap import (
    FloatArray,
    IntArray,
    Interval,
    Resampling,
    missing_class,
    percentiles,
)
from avkd.metrics.ranking import Metric, checked

NO_THRESHOLD = "no validation threshold was given"
_Formula = Callable[[IntArray], FloatArray]


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


@dataclass(frozen=True, kw_only=True)
class ThresholdMetrics:
    """The verdicts counted, and five numbers from the counts, each with its 95 % interval."""

    confusion: Confusion | None
    """None when no threshold was given."""
    accuracy: Metric
    """Share of the files that are called right; depends on the share of fakes."""
    accuracy_interval: Interval
    balanced_accuracy: Metric
    """Mean of the shares of reals and of fakes that are called right."""
    balanced_accuracy_interval: Interval
    precision: Metric
    """Share of fakes among what is called fake; depends on the share of fakes."""
    precision_interval: Interval
    recall: Metric
    """Share of the fakes that are called fake."""
    recall_interval: Interval
    f1: Metric
    """Harmonic mean of precision and recall; depends on the share of fakes."""
    f1_interval: Interval


def confusion(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Confusion:
    """Count the verdicts at ``threshold``.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        scores: (N,) raw logits in single or double precision.
        threshold: lowest score that is called fake.

    Raises:
        ValueError: as `ranking.auc`.
    """
    return _confusion(_cells(*checked(labels, scores), threshold))


def accuracy(counts: Confusion) -> Metric:
    """Share of the files that are called right; depends on the share of fakes."""
    return _metric(_accuracy, counts, "" if any(astuple(counts)) else "no scored file")


def balanced_accuracy(counts: Confusion) -> Metric:
    """Mean of the shares of reals and of fakes that are called right."""
    return _metric(_balanced_accuracy, counts, _missing_class(counts))


def precision(counts: Confusion) -> Metric:
    """Share of fakes among what is called fake; depends on the share of fakes."""
    accused = counts.false_fake + counts.true_fake
    reason = _missing_class(counts) or ("" if accused else "no file is called fake")
    return _metric(_precision, counts, reason)


def recall(counts: Confusion) -> Metric:
    """Share of the fakes that are called fake."""
    has_fakes = counts.false_real + counts.true_fake > 0
    return _metric(_recall, counts, "" if has_fakes else _missing_class(counts))


def f1(counts: Confusion) -> Metric:
    """Harmonic mean of precision and recall; 0 when fakes are there and none is called fake."""
    return _metric(_f1, counts, _missing_class(counts))


def at_threshold(
    labels: ArrayLike,
    scores: ArrayLike,
    threshold: float | None,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> ThresholdMetrics:
    """All numbers at ``threshold``, with intervals over the same kind of draws as the AUC's.

    Args:
        labels: (N,) one per file.
        scores: (N,) pooled raw logits.
        threshold: lowest score that is called fake; without one every number has a reason instead.
        groups: (N,) group name of each file.
        resamples: number of bootstrap draws, at least 1.
        seed: of the draws.

    Raises:
        ValueError: as `ranking.auc_interval`.
    """
    labels, scores = checked(labels, scores)
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    counts = draws = None
    if threshold is not None:
        cells = _cells(labels, scores, threshold)
        counts = _confusion(cells)
        draws = None if plan.reason else plan.sums(cells)
    return of_counts(counts, draws, without_draws=plan.no_interval(plan.reason))


def of_counts(
    counts: Confusion | None, draws: IntArray | None, *, without_draws: Interval
) -> ThresholdMetrics:
    """All numbers from counted verdicts.

    Args:
        counts: None where there is no threshold.
        draws: (D, 4) counts of the draws, in the order of `Confusion`; None where there are none.
        without_draws: says how was drawn, and why there are no draws where there are none.
    """
    fields: dict[str, Any] = {}
    for name, (measure, formula) in _MEASURES.items():
        value = Metric(None, NO_THRESHOLD) if counts is None else measure(counts)
        fields[name] = value
        if draws is None or value.reason:
            reason = value.reason or without_draws.reason
            fields[f"{name}_interval"] = replace(without_draws, reason=reason)
        else:
            fields[f"{name}_interval"] = percentiles(
                formula(draws), unit=without_draws.unit, seed=without_draws.seed
            )
    return ThresholdMetrics(confusion=counts, **fields)


def _cells(labels: IntArray, scores: FloatArray, threshold: float) -> IntArray:
    """(N, 4) a one in the cell of `Confusion` that each file falls into."""
    return np.eye(4, dtype=np.int64)[2 * labels + (scores >= threshold)]


def _confusion(cells: IntArray) -> Confusion:
    return Confusion(*cells.sum(axis=0).tolist())


def _missing_class(counts: Confusion) -> str:
    num_files = [counts.true_real + counts.false_fake, counts.false_real + counts.true_fake]
    return missing_class(np.flatnonzero(num_files))  # the labels that occur, each once


def _metric(formula: _Formula, counts: Confusion, reason: str) -> Metric:
    if reason:
        return Metric(None, reason)
    return Metric(float(formula(np.array([astuple(counts)]))[0]))


# The formulas, for the counts (D, 4) of D draws in the order of `Confusion`: one for the number
# itself and for its interval. A share of nothing is nan.


def _share(part: IntArray, whole: IntArray) -> FloatArray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _accuracy(counts: IntArray) -> FloatArray:
    true_real, _, _, true_fake = counts.T
    return _share(true_real + true_fake, counts.sum(axis=1))


def _balanced_accuracy(counts: IntArray) -> FloatArray:
    true_real, false_fake, _, _ = counts.T
    return (_share(true_real, true_real + false_fake) + _recall(counts)) / 2


def _precision(counts: IntArray) -> FloatArray:
    _, false_fake, _, true_fake = counts.T
    return _share(true_fake, false_fake + true_fake)


def _recall(counts: IntArray) -> FloatArray:
    _, _, false_real, true_fake = counts.T
    return _share(true_fake, false_real + true_fake)


def _f1(counts: IntArray) -> FloatArray:
    _, false_fake, false_real, true_fake = counts.T
    return _share(2 * true_fake, 2 * true_fake + false_fake + false_real)


_MEASURES: dict[str, tuple[Callable[[Confusion], Metric], _Formula]] = {
    "accuracy": (accuracy, _accuracy),
    "balanced_accuracy": (balanced_accuracy, _balanced_accuracy),
    "precision": (precision, _precision),
    "recall": (recall, _recall),
    "f1": (f1, _f1),
}
