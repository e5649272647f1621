"""From the scores frame to the rows of the table: each method against the dataset's real files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from avkd.metrics import probability, ranking
from avkd.metrics.bootstrap import FloatArray, IntArray, Interval, Resampling
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.metrics.probability import Reliability
from avkd.metrics.ranking import Metric
from avkd.metrics.table import METRICS, OF_A_RULE, at_threshold
from avkd.metrics.verdicts import Confusion, confusion
from avkd.reporting import score_frame
from avkd.reporting.score_frame import RowFiles


class SetLimits(NamedTuple):
    """Prediction sets: what they promise, and the logits that decide what they hold."""

    coverage: float
    """Least share of the real files, and of the fake ones, whose set holds their label."""
    largest_real: float
    """A set holds real up to this logit."""
    least_fake: float
    """A set holds fake from this logit on."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The operating point to judge with, chosen elsewhere, never on the scores being judged."""

    logit: float
    """A file is called fake when its pooled logit is at or above this."""
    origin: str
    """Where it was chosen, e.g. ``best balanced accuracy on faceforensics val``."""
    sets: SetLimits | None = None
    """Of the model's prediction sets; None = it has none."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One line of the table: the forgeries of one method against all real files of the dataset."""

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
    values: Mapping[str, Metric]
    """The number of every metric of `metrics.table.METRICS`, by its name; of prediction sets only
    where the model has them."""
    intervals: Mapping[str, Interval]
    """95 % intervals, of those metrics that have one: the AUC, and all that need a threshold."""
    reliability: Reliability
    """Files by stated probability."""
    confusion: Confusion | None
    """Verdicts over files at the threshold; None when no threshold was given."""
    unscored: tuple[tuple[str, int], ...]
    """Reason codes of the unscored files and their numbers, most frequent first."""
    pooling: Pooling = MEAN_LOGIT
    """Rule that makes a file's score of its windows' (`pooling.RULES` has it in words)."""
    reals_from: str = ""
    """Dataset of the reals, where they are of another one; empty = its own."""

    @property
    def dataset_title(self) -> str:
        """The dataset, with its split where it has one."""
        return f"{self.dataset} ({self.split})" if self.split else self.dataset

    @property
    def auc(self) -> Metric:
        """AUC over files."""
        return self.values["video_auc"]

    @property
    def auc_interval(self) -> Interval:
        """95 % interval of ``auc``."""
        return self.intervals["video_auc"]

    @property
    def num_scored(self) -> int:
        """Scored files."""
        return self.num_real + self.num_fake

    @property
    def num_expected(self) -> int:
        """Files in the scores file."""
        return self.expected_real + self.expected_fake

    @property
    def coverage(self) -> float:
        """Share of the expected files that could be scored."""
        return self.num_scored / self.num_expected


def summarise(
    files: pd.DataFrame,
    *,
    threshold: Threshold | None = None,
    pooling: Pooling = MEAN_LOGIT,
    reals_from: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[SummaryRow, ...]:
    """Rows of the table, in the order of `score_frame.row_files`.

    Intervals resample the groups of the scores when every file of the row has one, else files
    (``auc_interval.unit`` says which).

    Args:
        files: a scores frame of any number of datasets; expected files are those in it.
        threshold: for the confusion and its numbers; without one they have a reason instead.
        pooling: rule by which windows were pooled, for the reader.
        reals_from: dataset whose reals every forgery is set against; empty = each dataset's own.
        resamples: bootstrap draws per row.
        seed: of the bootstrap.

    Raises:
        ValueError: ``reals_from`` has no reals there.
    """
    return tuple(
        _summary_row(
            row,
            threshold=threshold,
            pooling=pooling,
            reals_from=reals_from if reals_from != row.dataset else "",
            resamples=resamples,
            seed=seed,
        )
        for row in score_frame.row_files(files, reals_from)
    )


def _summary_row(
    row: RowFiles,
    *,
    threshold: Threshold | None,
    pooling: Pooling,
    reals_from: str,
    resamples: int,
    seed: int,
) -> SummaryRow:
    files, scored = row.files, score_frame.scored(row.files)
    labels, logits = ranking.checked(*score_frame.labels_and_logits(scored))
    groups = score_frame.groups_of(scored)
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    probabilities = scored["probability"].to_numpy()
    given: dict[str, tuple[IntArray, FloatArray]] = {
        "files": (labels, logits),
        "expected files": score_frame.labels_and_logits(files),
        "windows": score_frame.window_labels_and_logits(scored),
        "frames": score_frame.frame_labels_and_logits(scored),
        "probabilities": (labels, probabilities),
    }
    values: dict[str, Metric] = {
        m.name: m.function(*given[m.over]) for m in METRICS if m.over not in OF_A_RULE
    }
    intervals = {"video_auc": plan.no_interval(plan.reason)}
    if not plan.reason:
        intervals["video_auc"] = plan.interval(ranking.resampled_aucs(labels, logits, plan))
    logit = None if threshold is None else threshold.logit
    limits = threshold.sets[1:] if threshold and threshold.sets else None
    for name, (value, interval) in at_threshold(labels, logits, logit, plan, limits).items():
        values[name], intervals[name] = value, interval
    stated = ~np.isnan(probabilities)
    expected = Counter(files["label"].tolist())
    return SummaryRow(
        dataset=row.dataset,
        split=files["split"].iloc[0],
        method=row.method,
        is_pooled=row.is_pooled,
        num_real=int(np.sum(labels == 0)),
        num_fake=int(np.sum(labels == 1)),
        expected_real=expected[0],
        expected_fake=expected[1],
        num_windows=sum(map(len, scored["windows"])),
        values=values,
        intervals=intervals,
        reliability=probability.reliability(labels[stated], probabilities[stated]),
        confusion=None if logit is None else confusion(labels, logits, logit),
        unscored=tuple(Counter(files["reason"][files["logit"].isna()]).most_common()),
        pooling=pooling,
        reals_from=reals_from,
    )
