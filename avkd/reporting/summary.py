"""From scores to the rows of the table: one per forgery method against the dataset's real files.

Knows score rows and metrics only, not how a row is printed or drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from avkd.metrics import operating_range, ranking, verdicts
from avkd.metrics.bootstrap import FloatArray, Interval
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.metrics.probability import ProbabilityTally, Reliability
from avkd.metrics.ranking import Levels, Metric
from avkd.metrics.verdicts import ThresholdMetrics
from avkd.reporting.pooled_files import (
    VideoScore,
    blocks,
    clip_logits,
    frame_logits,
    pool_videos,
    rows_of_dataset,
)
from avkd.reporting.scores import REAL_METHOD, ClipScore


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The operating point to judge with, chosen elsewhere, never on the scores being judged."""

    logit: float
    """A file is called fake when its pooled logit is at or above this."""
    origin: str
    """Where it was chosen, e.g. ``best balanced accuracy on faceforensics val``."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One line of the table: the forgeries of one method against all real files of the dataset.

    Every number but ``auc_missing_neutral`` is over the files that could be scored.
    """

    dataset: str
    split: str
    """Side of the dataset's own split; empty if none."""
    method: str
    """Forgery method, or ``all``."""
    is_pooled: bool
    """Whether these are all forgeries of the dataset: then this is the dataset's number."""
    num_real: int
    """Scored real files."""
    num_fake: int
    """Scored fake files."""
    expected_real: int
    """Real files in the scores file, scored or not."""
    expected_fake: int
    """Fake files in the scores file, scored or not."""
    num_windows: int
    """Scored windows."""
    auc: Metric
    """AUC over files, pooled by ``pooling``."""
    auc_interval: Interval
    """95 % interval of ``auc``."""
    auc_missing_neutral: Metric
    """AUC over all expected files: a pair with an unscored file counts one half, as if
    judged by a coin. (Giving it probability 0.5 instead can help: where all logits are high it
    makes a missing real file the most real of all.)"""
    clip_auc: Metric
    """AUC over windows, each with the label of its file."""
    frame_auc: Metric
    """AUC over frames, each with the mean logit of the windows that hold it."""
    average_precision: Metric
    """Average precision over files; depends on the share of fakes."""
    equal_error_rate: Metric
    """Equal error rate over files."""
    calibration_error: Metric
    """Expected calibration error over files; a file's probability has the mean log-odds."""
    partial_auc: Metric
    """Standardised area over files up to a false-positive rate of 10 %; 0.5 = chance."""
    tpr_at_1_percent_fpr: Metric
    """Share of fakes called fake where at most 1 % of the reals are."""
    tpr_at_1_per_mille_fpr: Metric
    """Share of fakes called fake where at most 0.1 % of the reals are."""
    log_loss: Metric
    """Mean negative log-probability of the truth over files, in nats."""
    brier_score: Metric
    """Mean squared gap between a file's probability and its label."""
    reliability: Reliability
    """Files by stated probability."""
    at_threshold: ThresholdMetrics
    """Verdicts over files at the threshold that was given, and the numbers that follow."""
    unscored: tuple[tuple[str, int], ...]
    """Reason codes of the unscored files and their numbers, most frequent first."""
    pooling: Pooling = MEAN_LOGIT
    """Rule that makes a file's score of its windows' (`pooling.RULES` has it in words)."""
    reals_from: str = ""
    """Dataset of the reals, where they are of another one; empty = its own."""

    @property
    def coverage(self) -> float:
        """Share of the expected files that could be scored."""
        return (self.num_real + self.num_fake) / (self.expected_real + self.expected_fake)


def summarise(
    scores: Iterable[ClipScore],
    *,
    threshold: Threshold | None = None,
    pooling: Pooling = MEAN_LOGIT,
    reals_from: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[SummaryRow, ...]:
    """Rows of the table, dataset after dataset in the order they are first met.

    Within a dataset (and side of its split) each method comes by name, then all of them pooled;
    where there is one method its row is the pooled one. Intervals resample the groups of the
    scores when every file of the row has one, else files (``auc_interval.unit`` says which).

    Args:
        scores: rows of any number of datasets; expected files are those with at least one row.
        threshold: for the confusion and its numbers; without one they have a reason instead.
        pooling: rule for the windows of a file.
        reals_from: dataset whose reals every forgery is set against; empty = each dataset's own.
        resamples: bootstrap draws per row.
        seed: of the bootstrap.

    Raises:
        ValueError: as `pool_videos`; or ``reals_from`` has no reals there.
    """
    rows = []
    for dataset, videos in blocks(pool_videos(scores, pooling), _itself, reals_from):
        for method, is_pooled in rows_of_dataset(videos):
            chosen = [v for v in videos if is_pooled or v.method in (method, REAL_METHOD)]
            row = _row(chosen, method, is_pooled, threshold, resamples, seed)
            other = reals_from if reals_from != dataset else ""
            rows.append(replace(row, dataset=dataset, pooling=pooling, reals_from=other))
    return tuple(rows)


def _itself(video: VideoScore) -> VideoScore:
    return video


def _row(
    videos: Sequence[VideoScore],
    method: str,
    is_pooled: bool,
    threshold: Threshold | None,
    resamples: int,
    seed: int,
) -> SummaryRow:
    covered = [video for video in videos if video.logit is not None]
    labels = np.array([video.label for video in covered], dtype=np.int64)
    logits = np.array([video.logit for video in covered], dtype=np.float64)
    probabilities = ProbabilityTally.of_scored(
        [video.label for video in covered], [video.probability for video in covered]
    )
    groups = np.array([video.group for video in covered]) if all(v.group for v in covered) else None
    expected = Counter(video.label for video in videos)
    levels = Levels.of(*ranking.checked(labels, logits))
    auc = levels.auc()
    at_threshold = verdicts.at_threshold(
        labels,
        logits,
        None if threshold is None else threshold.logit,
        groups=groups,
        resamples=resamples,
        seed=seed,
    )
    return SummaryRow(
        dataset=videos[0].dataset,
        split=videos[0].split,
        method=method,
        is_pooled=is_pooled,
        num_real=int(np.sum(labels == 0)),
        num_fake=int(np.sum(labels == 1)),
        expected_real=expected[0],
        expected_fake=expected[1],
        num_windows=sum(len(video.windows) for video in covered),
        auc=auc,
        auc_interval=ranking.auc_interval(
            labels, logits, groups=groups, resamples=resamples, seed=seed
        ),
        auc_missing_neutral=missing_neutral(
            auc,
            (int(np.sum(labels == 0)), int(np.sum(labels == 1))),
            (expected[0], expected[1]),
        ),
        clip_auc=_auc_of_parts(covered, [clip_logits(video) for video in covered]),
        frame_auc=_auc_of_parts(covered, [frame_logits(video) for video in covered]),
        **numbers_of_counts(levels, probabilities),
        unscored=tuple(Counter(v.reason for v in videos if v.logit is None).most_common()),
        at_threshold=at_threshold,
    )


def numbers_of_counts(levels: Levels, probabilities: ProbabilityTally) -> dict[str, Any]:
    """The fields of a row that depend on counted files alone, the AUC and its kin aside."""
    return {
        "average_precision": levels.average_precision(),
        "equal_error_rate": levels.equal_error_rate(),
        "calibration_error": probabilities.expected_calibration_error(),
        "partial_auc": operating_range.partial_auc_of(levels),
        "tpr_at_1_percent_fpr": operating_range.true_positive_rate_of(levels, 0.01),
        "tpr_at_1_per_mille_fpr": operating_range.true_positive_rate_of(levels, 0.001),
        "log_loss": probabilities.log_loss(),
        "brier_score": probabilities.brier_score(),
        "reliability": probabilities.reliability(),
    }


def missing_neutral(auc: Metric, scored: tuple[int, int], expected: tuple[int, int]) -> Metric:
    """AUC when every (fake, real) pair with an unscored member counts one half.

    Args:
        auc: over the scored files.
        scored: numbers of scored reals and fakes.
        expected: numbers of all reals and fakes.
    """
    for number, name in zip(expected, ("real", "fake"), strict=True):
        if not number:
            return Metric(None, f"no {name} file")
    share = scored[0] * scored[1] / (expected[0] * expected[1])
    return Metric(0.5 if auc.value is None else share * auc.value + (1.0 - share) * 0.5)


def _auc_of_parts(videos: Sequence[VideoScore], parts: Sequence[FloatArray]) -> Metric:
    """AUC over windows or frames, each with the label of its file."""
    if not videos:
        return ranking.auc([], [])
    labels = np.repeat([video.label for video in videos], [part.size for part in parts])
    return ranking.auc(labels, np.concatenate(parts))
