"""Numbers from labels and scores: AUC and its kin, the best threshold, the bootstrap of the AUC.

Label 1 = fake; a higher score means fake; a file is called fake when its score is at or above the
threshold. Scores are raw logits: a sigmoid in half precision makes ties that are not there (0.81
can read 0.72). Where a number is not defined, e.g. with one class only, it is None with the reason,
never 0. What `checked` refuses, every function of this folder refuses, with its ValueError.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn import metrics as sklearn_metrics

from avkd.metrics.bootstrap import (
    FloatArray,
    IntArray,
    Interval,
    Metric,
    Resampling,
    missing_class,
)

LARGEST_RATE = 0.1
"""End of the range of false-positive rates that `partial_auc` covers."""
_ROUNDING = 1e-9  # 0.29 * 100 is a little less than 29


def of_both_classes(function: Callable[..., Any]) -> Callable[..., Metric]:
    """A function of (N,) labels and (N,) scores that gives a reason where a class is missing.

    Labels are 1 = fake, 0 = real; scores are raw logits in single or double precision.

    Raises:
        ValueError: of the function returned: scores are in half precision, not finite, or not one
            per label.
    """

    @functools.wraps(function)
    def measured(labels: ArrayLike, scores: ArrayLike, *arguments: Any) -> Metric:
        labels, scores = checked(labels, scores)
        if reason := missing_class(labels):
            return Metric(None, reason)
        value = function(labels, scores, *arguments)
        return value if isinstance(value, Metric) else Metric(float(value))

    return measured


@of_both_classes
def auc(labels: IntArray, scores: FloatArray) -> float:
    """Area under the ROC curve: the share of (fake, real) pairs in the right order, ties one half.

    By ranks (Mann and Whitney, 1947): halves and whole numbers, so exact but for one division.
    """
    num_fake = int(labels.sum())
    won = rankdata(scores)[labels == 1].sum() - num_fake * (num_fake + 1) / 2
    return float(won / (num_fake * (labels.size - num_fake)))


@of_both_classes
def average_precision(labels: IntArray, scores: FloatArray) -> float:
    """Mean precision over fake files, as steps without interpolation, as of scikit-learn."""
    return float(sklearn_metrics.average_precision_score(labels, scores))


@of_both_classes
def equal_error_rate(labels: IntArray, scores: FloatArray) -> float:
    """Error rate where as many real files are called fake as fake files are called real.

    The points of the ROC curve are joined by straight lines and the crossing is taken, so the value
    does not depend on which of two neighbouring thresholds is the nearer one.
    """
    false_positive, true_positive = roc_curve(labels, scores)
    surplus = 1.0 - true_positive - false_positive  # falls from 1 to -1: it crosses 0 once
    right = int(np.argmax(surplus <= 0.0))
    share = surplus[right - 1] / (surplus[right - 1] - surplus[right])
    step = false_positive[right] - false_positive[right - 1]
    return float(false_positive[right - 1] + share * step)


@of_both_classes
def partial_auc(labels: IntArray, scores: FloatArray, largest_rate: float = LARGEST_RATE) -> Metric:
    """Area under the ROC curve up to a false-positive rate, standardised: 0.5 = chance, 1 = best.

    McClish, Medical Decision Making 9 (1989), 190-195. A rate of 1 gives the AUC.
    """
    if reason := _too_few_reals(labels, largest_rate):
        return Metric(None, reason)
    return Metric(float(sklearn_metrics.roc_auc_score(labels, scores, max_fpr=largest_rate)))


@of_both_classes
def true_positive_rate_at(labels: IntArray, scores: FloatArray, rate: float) -> Metric:
    """Largest share of fake files found by a threshold that accuses at most ``rate`` of real ones.

    Only thresholds that exist count: nothing is interpolated, and tied files are called the same.
    A rate below one real in all is not seen by a test set: then the number is not defined.
    """
    if reason := _too_few_reals(labels, rate):
        return Metric(None, reason)
    num_real = int(np.sum(labels == 0))
    false_positive, true_positive = roc_curve(labels, scores)
    allowed = np.rint(false_positive * num_real) <= math.floor(rate * num_real + _ROUNDING)
    return Metric(float(true_positive[allowed][-1]))


def auc_with_unscored_as_ties(labels: ArrayLike, scores: ArrayLike) -> Metric:
    """AUC over all expected files: a (fake, real) pair with an unscored file counts one half.

    Giving such a file probability 0.5 instead can help: where all logits are high it would make a
    missing real file the most real of all. Of (N,) labels and (N,) raw logits; nan = not scored.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if reason := missing_class(labels):
        return Metric(None, reason.replace("scored ", ""))
    scored = ~np.isnan(scores)
    area = auc(labels[scored], scores[scored]).value
    if area is None:
        return Metric(0.5)
    pairs_scored, pairs = (
        int(np.sum(chosen == 0)) * int(np.sum(chosen == 1)) for chosen in (labels[scored], labels)
    )
    share = pairs_scored / pairs
    return Metric(share * area + (1.0 - share) * 0.5)


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """False-positive and true-positive rates (P,) at every threshold, from (0, 0) to (1, 1).

    Raises:
        ValueError: as `of_both_classes`, or one class is missing.
    """
    labels, scores = checked(labels, scores)
    if reason := missing_class(labels):
        raise ValueError(f"no ROC curve: {reason}")
    rates = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    return rates[0], rates[1]


def best_threshold(labels: ArrayLike, scores: ArrayLike) -> tuple[float, float]:
    """The threshold with the highest balanced accuracy, and that; only for validation data.

    Candidates lie half-way between neighbouring distinct scores (and at the lowest score and just
    above the highest). Of several equally good ones the highest is taken: it accuses the fewest.

    Raises:
        ValueError: as `of_both_classes`, or one class is missing.
    """
    labels, scores = checked(labels, scores)
    if reason := missing_class(labels):
        raise ValueError(f"no best threshold: {reason}")
    levels, level_of_score = np.unique(scores, return_inverse=True)
    real, fake = (np.bincount(level_of_score[labels == k], minlength=levels.size) for k in (0, 1))
    inner = levels[:-1] / 2 + levels[1:] / 2
    # Rounding must not move a candidate onto the lower level, which it has to call real.
    inner = np.where(inner > levels[:-1], inner, levels[1:])
    candidates = np.concatenate([levels[:1], inner, [np.nextafter(levels[-1], np.inf)]])
    reals_right = np.concatenate([[0], np.cumsum(real)])
    fakes_right = fake.sum() - np.concatenate([[0], np.cumsum(fake)])
    twice = reals_right * fake.sum() + fakes_right * real.sum()  # whole numbers: ties are exact
    best = int(np.flatnonzero(twice == twice.max())[-1])
    accuracy = float(twice[best] / (2 * real.sum() * fake.sum()))
    return float(candidates[best]), accuracy


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """95 % percentile bootstrap interval of the AUC over files; `Resampling` says what is drawn.

    When all pairs are in order every resample gives 1: such an interval of width zero says that
    the test set is too easy or too small to tell, not that the AUC is known. Arguments as of
    `paired.auc_difference`.
    """
    labels, scores = checked(labels, scores)
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    return auc_with_interval(labels, scores, plan).interval


def auc_with_interval(labels: ArrayLike, scores: ArrayLike, plan: Resampling) -> Metric:
    """The `auc` with its interval over the draws of ``plan``, a plan of the same files."""
    interval = plan.no_interval(plan.reason)
    if not plan.reason:
        interval = plan.interval(resampled_aucs(labels, scores, plan))
    return replace(auc(labels, scores), interval=interval)


@dataclass(frozen=True, eq=False)
class RankedFiles:
    """Files in the order of their scores, to be weighed by the draws of a bootstrap."""

    groups_of_reals: IntArray
    """(R,) number of the group of each real."""
    groups_of_fakes: IntArray
    """(F,) number of the group of each fake."""
    reals_below: IntArray
    """(F,) real files that lie below each fake."""
    reals_not_above: IntArray
    """(F,) real files that lie below it or level with it."""

    @classmethod
    def of(cls, labels: IntArray, scores: FloatArray, group_of_file: IntArray) -> "RankedFiles":
        """Of (N,) files whose labels and scores were `checked`."""
        order = np.argsort(scores, kind="stable")
        labels, scores, group_of_file = labels[order], scores[order], group_of_file[order]
        reals, fakes = scores[labels == 0], scores[labels == 1]
        return cls(
            groups_of_reals=group_of_file[labels == 0],
            groups_of_fakes=group_of_file[labels == 1],
            reals_below=np.searchsorted(reals, fakes, side="left"),
            reals_not_above=np.searchsorted(reals, fakes, side="right"),
        )

    def aucs(self, group_weights: IntArray) -> FloatArray:
        """AUC of each draw (D,) from how often it holds each group (D, G); nan: a class missing."""
        fake = np.take(group_weights, self.groups_of_fakes, axis=1)
        num_reals = self.groups_of_reals.size
        real = np.zeros((len(group_weights), num_reals + 1), dtype=np.int64)
        np.cumsum(np.take(group_weights, self.groups_of_reals, axis=1), axis=1, out=real[:, 1:])
        twice_won = np.take(real, self.reals_below, axis=1)
        twice_won += np.take(real, self.reals_not_above, axis=1)
        twice_pairs = 2 * real[:, -1] * fake.sum(axis=1)
        won = np.einsum("df,df->d", fake, twice_won).astype(np.float64)
        return np.divide(won, twice_pairs, where=twice_pairs > 0, out=np.full(won.shape, np.nan))


def resampled_aucs(labels: ArrayLike, scores: ArrayLike, plan: Resampling) -> FloatArray:
    """AUCs of the (resamples,) draws of (N,) files: a draw is a whole-number weight for each file.

    Two models under one plan get the same draws.
    """
    labels, scores = checked(labels, scores)
    assert not plan.reason, plan.reason
    ranked = RankedFiles.of(labels, scores, plan.group_of_file)
    return np.concatenate([ranked.aucs(weights) for weights in plan.group_weights()])


def frame_scores(starts: IntArray, lengths: IntArray, scores: FloatArray) -> FloatArray:
    """Scores (F,) of the F frames of one file that lie in at least one of its windows, in order.

    A clip detector gives no score to a frame; a window's score stands for each frame it holds, and
    a frame held by two windows (the last one is aligned with the end) gets their mean. Of (W,)
    first frames, lengths of at least 1, and raw logits of the windows.
    """
    if scores.size == 1:
        return np.full(int(lengths[0]), scores[0])
    edges = int((starts + lengths).max()) + 1
    total, holders = np.zeros(edges), np.zeros(edges)
    for start, length, score in zip(starts, lengths, scores, strict=True):
        total[start : start + length] += score
        holders[start : start + length] += 1
    seen = holders > 0
    return np.asarray(total[seen] / holders[seen])


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[IntArray, FloatArray]:
    """(N,) labels and (N,) scores in double precision, fit to compute with.

    Raises:
        ValueError: scores are in half precision, not finite, or not one per label; a label is
            neither 0 nor 1.
    """
    label_array, score_array = np.asarray(labels), np.asarray(scores)
    if label_array.shape != score_array.shape or label_array.ndim != 1:
        raise ValueError(f"{label_array.shape} labels for {score_array.shape} scores")
    if score_array.dtype == np.float16:
        raise ValueError("scores are in half precision, which makes ties: give raw fp32 logits")
    score_array = score_array.astype(np.float64)
    if not np.isfinite(score_array).all():
        raise ValueError("scores must be finite; a file without a score is a row with its reason")
    if not np.isin(label_array, (0, 1)).all():
        raise ValueError("labels must be 0 (real) or 1 (fake)")
    return label_array.astype(np.int64), score_array


def _too_few_reals(labels: IntArray, rate: float) -> str:
    assert 0.0 < rate <= 1.0, rate
    needed = math.ceil(1.0 / rate - _ROUNDING)
    if np.sum(labels == 0) >= needed:
        return ""
    return f"a false-positive rate of {100 * rate:g} % needs {needed} scored real files or more"
