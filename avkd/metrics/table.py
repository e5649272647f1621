"""The table of metrics. A new one is its function and one line here.

Summary tables, CSV columns, legends and paired comparisons are all made of `METRICS`.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from avkd.metrics import conformal, probability, ranking, verdicts
from avkd.metrics.bootstrap import FloatArray, IntArray, Metric, Resampling, missing_class

Over = Literal["files", "expected files", "windows", "frames", "probabilities", "verdicts", "sets"]
"""What a metric is computed over: scored files, all files (nan = not scored), their windows or
frames, the probabilities of scored files, their verdicts at a threshold, or prediction sets."""
OF_A_RULE: tuple[Over, ...] = ("verdicts", "sets")
"""Those that need the model's decision rule; each has an interval."""
NO_THRESHOLD = "no validation threshold was given"


class Measure(NamedTuple):
    """One metric."""

    name: str
    """Its key, and its column in CSV files."""
    label: str
    """Heading of its column for readers."""
    over: Over
    """What it is computed over; `OF_A_RULE` need a threshold."""
    function: Callable[..., Any]
    """Of (N,) labels and (N,) scores or probabilities, giving a `Metric`; for verdicts a formula of
    (D, 4) counts, giving (D,) values (`verdicts`); for sets of (D, 6) (`conformal.cells`)."""
    table: Literal["ranking", "verdicts", "range", "sets"]
    """Table of the report it stands in."""
    higher_is_better: bool = True
    depends_on_share: bool = False
    """Whether it depends on the share of fake files, so it compares within one test set only."""
    one_class: bool = False
    """Of verdicts: whether it is defined with files of one class only."""
    in_percent: bool = True

    @property
    def short_label(self) -> str:
        """The label without its unit."""
        return self.label.partition(" %")[0]


_LARGEST_PERCENT = f"{100 * ranking.LARGEST_RATE:g}"

# fmt: off
METRICS: tuple[Measure, ...] = (
    Measure("video_auc", "AUC % [95 % interval]", "files", ranking.auc, "ranking"),
    Measure("video_auc_missing_neutral", "AUC %, unscored pairs as ties", "expected files",
            ranking.auc_with_unscored_as_ties, "ranking"),
    Measure("clip_auc", "Clip AUC %", "windows", ranking.auc, "ranking"),
    Measure("frame_auc", "Frame AUC %", "frames", ranking.auc, "ranking"),
    Measure("equal_error_rate", "EER %", "files", ranking.equal_error_rate, "ranking",
            higher_is_better=False),
    Measure("average_precision", "AP %", "files", ranking.average_precision, "ranking",
            depends_on_share=True),
    Measure("expected_calibration_error", "ECE %", "probabilities",
            probability.expected_calibration_error, "ranking", higher_is_better=False,
            depends_on_share=True),
    Measure("partial_auc", f"Partial AUC % (FPR to {_LARGEST_PERCENT} %)", "files",
            ranking.partial_auc, "range"),
    Measure("tpr_at_1_percent_fpr", "TPR % at FPR 1 %", "files",
            lambda labels, scores: ranking.true_positive_rate_at(labels, scores, 0.01), "range"),
    Measure("tpr_at_1_per_mille_fpr", "TPR % at FPR 0.1 %", "files",
            lambda labels, scores: ranking.true_positive_rate_at(labels, scores, 0.001), "range"),
    Measure("log_loss", "Log-loss", "probabilities", probability.log_loss, "range",
            higher_is_better=False, depends_on_share=True, in_percent=False),
    Measure("brier_score", "Brier score", "probabilities", probability.brier_score, "range",
            higher_is_better=False, depends_on_share=True, in_percent=False),
    Measure("accuracy", "Accuracy % [95 % interval]", "verdicts", verdicts.accuracy, "verdicts",
            depends_on_share=True, one_class=True),
    Measure("balanced_accuracy", "Balanced acc. %", "verdicts", verdicts.balanced_accuracy,
            "verdicts"),
    Measure("precision", "Precision %", "verdicts", verdicts.precision, "verdicts",
            depends_on_share=True),
    Measure("recall", "Recall %", "verdicts", verdicts.recall, "verdicts", one_class=True),
    Measure("f1", "F1 %", "verdicts", verdicts.f1, "verdicts", depends_on_share=True),
    Measure("sets_with_real", "Real files whose set holds real %", "sets",
            conformal.coverage_of_reals, "sets", one_class=True),
    Measure("sets_with_fake", "Fake files whose set holds fake %", "sets",
            conformal.coverage_of_fakes, "sets", one_class=True),
    Measure("abstention", "Called uncertain %", "sets", conformal.abstention, "sets",
            higher_is_better=False, depends_on_share=True, one_class=True),
    Measure("accuracy_when_decided", "Accuracy of the others %", "sets",
            conformal.accuracy_when_decided, "sets", depends_on_share=True, one_class=True),
)
# fmt: on


def at_threshold(
    labels: IntArray,
    scores: FloatArray,
    threshold: float | None,
    plan: Resampling,
    limits: tuple[float, float] | None = None,
) -> dict[str, Metric]:
    """All metrics of verdicts, and of prediction sets where there are any, with their intervals.

    Of (N,) labels and pooled raw logits as `ranking.checked` gives them, and a plan of the same
    files. ``threshold`` is the lowest score called fake; None = there are reasons instead of
    numbers. ``limits`` of the prediction sets are the largest real and the least fake score.
    """
    if threshold is None:
        none = Metric(None, NO_THRESHOLD, plan.no_interval(NO_THRESHOLD))
        return {measure.name: none for measure in METRICS if measure.over == "verdicts"}
    cells = verdicts.cells(labels, scores, threshold)
    found = _of_cells("verdicts", labels, cells, plan, "no file is called fake")
    if limits is not None:
        cells = conformal.cells(labels, scores, threshold, *limits)
        found |= _of_cells("sets", labels, cells, plan, "every file is called uncertain")
    return found


def _of_cells(
    over: Over, labels: IntArray, cells: IntArray, plan: Resampling, undefined: str
) -> dict[str, Metric]:
    draws = None if plan.reason else plan.sums(cells)
    found = {}
    for measure in METRICS:
        if measure.over != over:
            continue
        reason = "" if measure.one_class else missing_class(labels)
        value = float(measure.function(cells.sum(axis=0)[None])[0])
        if np.isnan(value):
            reason = reason or missing_class(labels) or undefined
        interval = plan.no_interval(reason or plan.reason)
        if draws is not None and not reason:
            interval = plan.interval(measure.function(draws))
        found[measure.name] = Metric(None if reason else value, reason, interval)
    return found
