"""Do two detectors differ? Tests of two AUCs over the same files, and of a table of such tests.

Two intervals that overlap say little here: both models are judged by the same files, so what is
hard for one is mostly hard for the other, and only the difference counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from avkd.metrics.bootstrap import FloatArray, IntArray, Metric, Resampling, missing_class
from avkd.metrics.ranking import auc, checked, resampled_aucs


@dataclass(frozen=True, kw_only=True)
class AucDifference:
    """AUC of the first model minus that of the second, over the same files."""

    first: Metric
    second: Metric
    difference: Metric
    """Its interval is over the same draws for both models."""
    p_value: Metric
    """Two-sided, DeLong's test; takes files as independent, whatever their groups."""


def auc_difference(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> AucDifference:
    """Compare two models by (N,) raw logits of the files that both scored; their scales may differ.

    Labels are 1 = fake, 0 = real; files of one group, by (N,) name, are drawn together in the
    interval.
    """
    labels, first = checked(labels, first)
    second = checked(labels, second)[1]
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    first_auc, second_auc = auc(labels, first), auc(labels, second)
    difference = Metric(None, first_auc.reason)
    if first_auc.value is not None and second_auc.value is not None:
        difference = Metric(first_auc.value - second_auc.value)
    interval = plan.no_interval(plan.reason)
    if not plan.reason:  # the plan begins anew for each model: the same draws
        draws = resampled_aucs(labels, first, plan) - resampled_aucs(labels, second, plan)
        interval = plan.interval(draws)
    return AucDifference(
        first=first_auc,
        second=second_auc,
        difference=replace(difference, interval=interval),
        p_value=delong_p_value(labels, first, second),
    )


def delong_p_value(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Metric:
    """Two-sided p of equal AUCs: DeLong et al., Biometrics 44 (1988), 837-845.

    Of (N,) labels, 1 = fake, and the (N,) raw logits of two models. In O(N log N) by mid-ranks: Sun
    and Xu, IEEE Signal Processing Letters 21 (2014), 1389-1393.
    """
    labels, first = checked(labels, first)
    second = checked(labels, second)[1]
    reason = missing_class(labels)
    for label, name in ((0, "real"), (1, "fake")):
        if not reason and np.sum(labels == label) < 2:
            reason = f"fewer than two {name} files"
    if reason:
        return Metric(None, reason)
    (fake_first, real_first), (fake_second, real_second) = (
        _twice_pairs_won(labels, scores) for scores in (first, second)
    )
    # Whole numbers, so that models in full agreement differ by exactly nothing.
    fakes, reals = fake_first - fake_second, real_first - real_second
    if np.ptp(fakes) == 0 and np.ptp(reals) == 0:
        return Metric(None, "the difference is the same for every file: no standard error")
    num_fake, num_real = fakes.size, reals.size
    difference = fakes.sum() / (2 * num_fake * num_real)
    variance = np.var(fakes / (2 * num_real), ddof=1) / num_fake
    variance += np.var(reals / (2 * num_fake), ddof=1) / num_real
    return Metric(math.erfc(abs(difference) / math.sqrt(2 * variance)))


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """p-values corrected for being one table: Holm, Scandinavian Journal of Statistics 6 (1979).

    The chance of even one false finding among all of them stays at the level, whatever depends on
    what. A p-value that is not defined stays so and is not counted as a test.
    """
    found = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(found):
        largest = max(largest, min(1.0, (len(found) - rank) * p))
        corrected[index] = largest
    return tuple(corrected)


def _twice_pairs_won(labels: IntArray, scores: FloatArray) -> tuple[IntArray, IntArray]:
    """Twice the number of pairs in the right order that each fake, and each real, is in.

    A file's place among all minus its place in its own class is its place in the other class:
    equation 7 of Sun and Xu, left unscaled.
    """
    is_fake = labels == 1
    places = _twice_midranks(scores)
    reals_below = places[is_fake] - _twice_midranks(scores[is_fake])
    fakes_below = places[~is_fake] - _twice_midranks(scores[~is_fake])
    return reals_below, 2 * int(is_fake.sum()) - fakes_below


def _twice_midranks(scores: FloatArray) -> IntArray:
    """Twice the rank of each score from 1, ties sharing the mean of their ranks: whole numbers."""
    return np.asarray(2 * rankdata(scores), dtype=np.int64)
