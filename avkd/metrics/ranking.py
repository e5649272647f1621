"""Numbers from labels and scores: ranking, the best threshold, the AUC's interval.

Knows arrays only, not files, windows or models. Label 1 = fake; a higher score means fake; a file
is called fake when its score is at or above the threshold. Scores are raw logits: a sigmoid in
half precision makes ties that are not there (0.81 can read 0.72). Where a number is not defined,
e.g. with one class only, it is None with the reason, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from avkd.metrics.bootstrap import FloatArray, IntArray, Interval, Resampling, missing_class


@dataclass(frozen=True)
class Metric:
    """A number, or the reason why there is none."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and how good it is where it was chosen, or the reason why there is none."""

    threshold: float | None
    balanced_accuracy: float | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Levels:
    """How many reals and fakes stand at each distinct score, from the lowest score.

    All that ranking depends on: counts of whole test sets can be added up without keeping a score.
    """

    real: IntArray
    """(L,) reals at each level."""
    fake: IntArray
    """(L,) fakes at each level."""

    @classmethod
    def of(cls, labels: IntArray, scores: FloatArray) -> Levels:
        """Of (N,) labels and (N,) scores that were `checked`."""
        levels, level_of_score = np.unique(scores, return_inverse=True)
        level_of_score = level_of_score.reshape(-1)
        real = np.bincount(level_of_score[labels == 0], minlength=levels.size)
        fake = np.bincount(level_of_score[labels == 1], minlength=levels.size)
        return cls(real.astype(np.int64), fake.astype(np.int64))

    @property
    def missing_class(self) -> str:
        """Why setting the two classes against each other makes no sense, or an empty string."""
        present = [label for label, n in enumerate((self.real.sum(), self.fake.sum())) if n]
        return missing_class(np.array(present, dtype=np.int64))

    def auc(self) -> Metric:
        """As the function `auc`."""
        if self.missing_class:
            return Metric(None, self.missing_class)
        reals_below = np.cumsum(self.real) - self.real
        # Whole numbers, so exact as long as they fit 64 bits: up to 4e18 pairs.
        twice = int(np.sum(self.fake * (2 * reals_below + self.real)))
        return Metric(twice / (2 * int(self.real.sum()) * int(self.fake.sum())))

    def average_precision(self) -> Metric:
        """As the function `average_precision`."""
        if self.missing_class:
            return Metric(None, self.missing_class)
        real, fake = self.real[::-1], self.fake[::-1]
        called = np.cumsum(real + fake)
        precision = np.divide(np.cumsum(fake), called, where=called > 0, out=np.zeros(len(called)))
        return Metric(float(np.sum(fake * precision) / np.sum(fake)))

    def equal_error_rate(self) -> Metric:
        """As the function `equal_error_rate`."""
        if self.missing_class:
            return Metric(None, self.missing_class)
        # Entry k: the threshold lies just below level k; the last entry calls everything real.
        false_positive = 1.0 - np.concatenate([[0.0], np.cumsum(self.real)]) / self.real.sum()
        false_negative = np.concatenate([[0.0], np.cumsum(self.fake)]) / self.fake.sum()
        surplus = false_positive - false_negative  # falls from 1 to -1, so it crosses 0 once
        right = int(np.argmax(surplus <= 0.0))
        share = surplus[right - 1] / (surplus[right - 1] - surplus[right])
        step = false_negative[right] - false_negative[right - 1]
        return Metric(float(false_negative[right - 1] + share * step))

    def roc_curve(self) -> tuple[FloatArray, FloatArray]:
        """As the function `roc_curve`; both classes must be there."""
        counts = (self.real, self.fake)
        rates = [np.concatenate([[0.0], np.cumsum(c[::-1]) / c.sum()]) for c in counts]
        return rates[0], rates[1]


def auc(labels: ArrayLike, scores: ArrayLike) -> Metric:
    """Area under the ROC curve: the share of (fake, real) pairs in the right order, ties one half.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        scores: (N,) raw logits in single or double precision.

    Raises:
        ValueError: scores are in half precision, not finite, or not one per label.
    """
    return Levels.of(*checked(labels, scores)).auc()


def average_precision(labels: ArrayLike, scores: ArrayLike) -> Metric:
    """Mean precision over the fakes, as steps without interpolation (scikit-learn's definition).

    Unlike the AUC it depends on the share of fakes: compare it only between equal test sets.

    Raises:
        ValueError: as `auc`.
    """
    return Levels.of(*checked(labels, scores)).average_precision()


def equal_error_rate(labels: ArrayLike, scores: ArrayLike) -> Metric:
    """Error rate where as many reals are called fake as fakes are called real.

    The false-positive and false-negative rates at the possible thresholds are joined by straight
    lines (the ROC curve that `auc` integrates) and the crossing is taken, so the value does not
    depend on which of two neighbouring thresholds is the nearer one.

    Raises:
        ValueError: as `auc`.
    """
    return Levels.of(*checked(labels, scores)).equal_error_rate()


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """False-positive and true-positive rates (P,) at every threshold, from (0, 0) to (1, 1).

    Raises:
        ValueError: as `auc`, or one class is missing.
    """
    levels = Levels.of(*checked(labels, scores))
    if levels.missing_class:
        raise ValueError(f"no ROC curve: {levels.missing_class}")
    return levels.roc_curve()


def best_threshold(labels: ArrayLike, scores: ArrayLike) -> OperatingPoint:
    """The threshold with the highest balanced accuracy; choose it on validation data only.

    Candidates lie half-way between neighbouring distinct scores (and at the lowest score and just
    above the highest). Of several equally good ones the highest is taken: it accuses the fewest.

    Raises:
        ValueError: as `auc`.
    """
    labels, scores = checked(labels, scores)
    if reason := missing_class(labels):
        return OperatingPoint(None, None, reason)
    levels = np.unique(scores)
    counts = Levels.of(labels, scores)
    real, fake = counts.real, counts.fake
    inner = levels[:-1] / 2 + levels[1:] / 2
    # Rounding must not move a candidate onto the lower level, which it has to call real.
    inner = np.where(inner > levels[:-1], inner, levels[1:])
    candidates = np.concatenate([levels[:1], inner, [np.nextafter(levels[-1], np.inf)]])
    reals_right = np.concatenate([[0], np.cumsum(real)])
    fakes_right = fake.sum() - np.concatenate([[0], np.cumsum(fake)])
    twice = reals_right * fake.sum() + fakes_right * real.sum()  # whole numbers: ties are exact
    best = int(np.flatnonzero(twice == twice.max())[-1])
    accuracy = float(twice[best] / (2 * real.sum() * fake.sum()))
    return OperatingPoint(float(candidates[best]), accuracy)


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
    the test set is too easy or too small to tell, not that the AUC is known.

    Args:
        labels: (N,) one per file.
        scores: (N,) pooled raw logits.
        groups: (N,) group name of each file.
        resamples: number of bootstrap draws, at least 1.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        ValueError: as `auc`, or not one group per label.
    """
    labels, scores = checked(labels, scores)
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    if plan.reason:
        return plan.no_interval(plan.reason)
    return plan.interval(resampled_aucs(labels, scores, plan))


@dataclass(frozen=True, eq=False)
class RankedFiles:
    """Files in the order of their scores, to be weighed by the draws of a bootstrap."""

    groups_of_reals: IntArray
    """(R,) number of the group of each real."""
    groups_of_fakes: IntArray
    """(F,) number of the group of each fake."""
    reals_below: IntArray
    """(F,) reals that lie below each fake."""
    reals_not_above: IntArray
    """(F,) reals that lie below it or level with it."""

    @classmethod
    def of(cls, labels: IntArray, scores: FloatArray, group_of_file: IntArray) -> RankedFiles:
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
    """AUCs of the (resamples,) draws: a draw is a whole-number weight for each file.

    Args:
        labels: (N,) one per file.
        scores: (N,) pooled raw logits.
        plan: of the same files; two models under one plan get the same draws.

    Raises:
        ValueError: as `auc`.
    """
    labels, scores = checked(labels, scores)
    assert not plan.reason, plan.reason
    ranked = RankedFiles.of(labels, scores, plan.group_of_file)
    return np.concatenate([ranked.aucs(weights) for weights in plan.group_weights()])


def frame_scores(starts: IntArray, lengths: IntArray, scores: FloatArray) -> FloatArray:
    """Scores of the frames of one file from those of its windows.

    A clip detector gives no score to a frame; a window's score stands for each frame it holds, and
    a frame held by two windows (the last one is aligned with the end) gets their mean.

    Args:
        starts: (W,) first frame of each window.
        lengths: (W,) frames in each window, at least 1.
        scores: (W,) raw logits.

    Returns:
        (F,) scores of the F frames that lie in at least one window, in order.
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
