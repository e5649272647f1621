"""From scores to the rows of the table: one per forgery method against the dataset's real files.

Knows score rows and metrics only, not how a row is printed or drawn.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from avkd.reporting import metrics, operating_range, probability_metrics, threshold_metrics
from avkd.reporting.bootstrap import FloatArray, Interval
from avkd.reporting.metrics import Metric
from avkd.reporting.probability_metrics import PROBABILITY_MARGIN, Reliability
from avkd.reporting.scores import REAL_METHOD, ClipScore
from avkd.reporting.threshold_metrics import ThresholdMetrics

ALL_METHODS = "all"
POOLING_RULE = "a file's score is the mean of the raw logits of its scored windows"


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
    """AUC over files; the pooling rule is `POOLING_RULE`."""
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

    @property
    def coverage(self) -> float:
        """Share of the expected files that could be scored."""
        return (self.num_real + self.num_fake) / (self.expected_real + self.expected_fake)


@dataclass(frozen=True, slots=True)
class VideoScore:
    """One file with its windows pooled."""

    sample_id: str
    label: int
    dataset: str
    method: str
    split: str
    group: str
    logit: float | None
    """Mean raw logit over scored windows; None when no window was scored."""
    probability: float | None
    """P(fake) of the mean log-odds of its windows, in [0, 1]; for a calibration that is linear in
    the logit this is exactly the calibrated probability of ``logit``."""
    reason: str
    """Status code of the first unscored row when there is no logit; else empty."""
    windows: tuple[ClipScore, ...]
    """The scored windows."""


def pool_videos(scores: Iterable[ClipScore]) -> tuple[VideoScore, ...]:
    """Pool the windows of each file by the mean of raw logits (`POOLING_RULE`).

    Files are told apart by dataset and whole sample id, never by a folder or stem: the same clip
    name occurs under several methods.

    Raises:
        ValueError: a window occurs twice, or the rows of a file contradict each other.
    """
    rows_of: dict[tuple[str, str], list[ClipScore]] = defaultdict(list)
    for row in scores:
        rows_of[row.dataset, row.sample_id].append(row)
    return tuple(_pool_one(rows) for rows in rows_of.values())


def summarise(
    scores: Iterable[ClipScore],
    *,
    threshold: Threshold | None = None,
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
        resamples: bootstrap draws per row.
        seed: of the bootstrap.

    Raises:
        ValueError: as `pool_videos`.
    """
    datasets: dict[tuple[str, str], list[VideoScore]] = defaultdict(list)
    for video in pool_videos(scores):
        datasets[video.dataset, video.split].append(video)
    rows = []
    for videos in datasets.values():
        for method, is_pooled in rows_of_dataset(videos):
            chosen = [v for v in videos if is_pooled or v.method in (method, REAL_METHOD)]
            rows.append(_row(chosen, method, is_pooled, threshold, resamples, seed))
    return tuple(rows)


def rows_of_dataset(videos: Iterable[VideoScore]) -> tuple[tuple[str, bool], ...]:
    """The method of each row that the files of one dataset make, and whether it is pooled."""
    methods = sorted({video.method for video in videos} - {REAL_METHOD})
    if len(methods) == 1:
        return ((methods[0], True),)
    return (*((method, False) for method in methods), (ALL_METHODS, True))


def _pool_one(rows: Sequence[ClipScore]) -> VideoScore:
    first = rows[0]
    for row in rows:
        for field in ("label", "method", "split", "group"):
            if getattr(row, field) != getattr(first, field):
                raise ValueError(
                    f"{first.sample_id}: {field} is {getattr(first, field)!r} in one row and "
                    f"{getattr(row, field)!r} in another"
                )
    window, count = Counter(row.window for row in rows).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{first.sample_id}: window {window} occurs {count} times")
    scored = tuple(row for row in rows if row.is_scored)
    logit = probability = None
    if scored:
        logit = math.fsum(row.logit or 0.0 for row in scored) / len(scored)
        probability = _pooled_probability([row.probability or 0.0 for row in scored])
    return VideoScore(
        sample_id=first.sample_id,
        label=first.label,
        dataset=first.dataset,
        method=first.method,
        split=first.split,
        group=first.group,
        logit=logit,
        probability=probability,
        reason="" if scored else first.status,
        windows=scored,
    )


def _pooled_probability(probabilities: Sequence[float]) -> float:
    """P(fake) of the mean log-odds; plain floats, for there may be a million files."""
    most = 1.0 - PROBABILITY_MARGIN
    bounded = [min(max(p, PROBABILITY_MARGIN), most) for p in probabilities]
    log_odds = math.fsum(math.log(p) - math.log1p(-p) for p in bounded) / len(bounded)
    return 1.0 / (1.0 + math.exp(-log_odds))


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
    probabilities = np.array([video.probability for video in covered], dtype=np.float64)
    groups = np.array([video.group for video in covered]) if all(v.group for v in covered) else None
    expected = Counter(video.label for video in videos)
    auc = metrics.auc(labels, logits)
    at_threshold = threshold_metrics.at_threshold(
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
        auc_interval=metrics.auc_interval(
            labels, logits, groups=groups, resamples=resamples, seed=seed
        ),
        auc_missing_neutral=_missing_neutral(auc, labels, expected),
        clip_auc=_auc_of_parts(covered, [_clip_logits(video) for video in covered]),
        frame_auc=_auc_of_parts(covered, [_frame_logits(video) for video in covered]),
        average_precision=metrics.average_precision(labels, logits),
        equal_error_rate=metrics.equal_error_rate(labels, logits),
        calibration_error=probability_metrics.expected_calibration_error(labels, probabilities),
        partial_auc=operating_range.partial_auc(labels, logits),
        tpr_at_1_percent_fpr=operating_range.true_positive_rate_at(labels, logits, 0.01),
        tpr_at_1_per_mille_fpr=operating_range.true_positive_rate_at(labels, logits, 0.001),
        log_loss=probability_metrics.log_loss(labels, probabilities),
        brier_score=probability_metrics.brier_score(labels, probabilities),
        reliability=probability_metrics.reliability(labels, probabilities),
        unscored=tuple(Counter(v.reason for v in videos if v.logit is None).most_common()),
        at_threshold=at_threshold,
    )


def _missing_neutral(auc: Metric, labels: np.ndarray, expected: Counter[int]) -> Metric:
    """AUC when every (fake, real) pair with an unscored member counts one half."""
    for label, name in ((0, "real"), (1, "fake")):
        if not expected[label]:
            return Metric(None, f"no {name} file")
    pairs = int(np.sum(labels == 0)) * int(np.sum(labels == 1))
    share = pairs / (expected[0] * expected[1])
    return Metric(0.5 if auc.value is None else share * auc.value + (1.0 - share) * 0.5)


def _clip_logits(video: VideoScore) -> FloatArray:
    return np.array([row.logit for row in video.windows], dtype=np.float64)


def _frame_logits(video: VideoScore) -> FloatArray:
    starts = np.array([row.start_frame for row in video.windows], dtype=np.int64)
    lengths = np.array([row.num_frames for row in video.windows], dtype=np.int64)
    return metrics.frame_scores(starts, lengths, _clip_logits(video))


def _auc_of_parts(videos: Sequence[VideoScore], parts: Sequence[FloatArray]) -> Metric:
    """AUC over windows or frames, each with the label of its file."""
    if not videos:
        return metrics.auc([], [])
    labels = np.repeat([video.label for video in videos], [part.size for part in parts])
    return metrics.auc(labels, np.concatenate(parts))
