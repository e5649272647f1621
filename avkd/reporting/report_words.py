"""What a report of one model says whatever it is printed as: its columns and its sentences.

All of it is plain text with untrusted names in it: Markdown and HTML escape it themselves. Knows
summary rows only and computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from avkd.metrics.operating_range import LARGEST_RATE
from avkd.metrics.pooling import RULES
from avkd.reporting.report_csv import RANKING_METRICS, THRESHOLD_METRICS, Provenance
from avkd.reporting.summary import SummaryRow, Threshold
from avkd.reporting.table_text import NOT_DEFINED, percent, percent_down, plain, with_interval

Columns = dict[str, Callable[[SummaryRow], str]]
_UNIT_MEANING = {
    "files": "files, reals and fakes apart",
    "groups": "groups of files (identities)",
}

RANKING_COLUMNS: Columns = {
    "AUC % [95 % interval]": lambda row: with_interval(row.auc, row.auc_interval),
    "Scored / expected": lambda row: (
        f"{row.num_real + row.num_fake} / {row.expected_real + row.expected_fake}"
        f" ({percent_down(row.coverage)})"
    ),
    "Reals": lambda row: f"{row.num_real} / {row.expected_real}",
    "Fakes": lambda row: f"{row.num_fake} / {row.expected_fake}",
    "AUC %, missing neutral": lambda row: percent(row.auc_missing_neutral),
    "Clip AUC %": lambda row: percent(row.clip_auc),
    "Frame AUC %": lambda row: percent(row.frame_auc),
    "EER %": lambda row: percent(row.equal_error_rate),
    "AP %": lambda row: percent(row.average_precision),
    "ECE %": lambda row: percent(row.calibration_error),
}
THRESHOLD_COLUMNS: Columns = {
    "Accuracy % [95 % interval]": lambda row: _measured(row, "accuracy"),
    "Balanced acc. %": lambda row: _measured(row, "balanced_accuracy"),
    "Precision %": lambda row: _measured(row, "precision"),
    "Recall %": lambda row: _measured(row, "recall"),
    "F1 %": lambda row: _measured(row, "f1"),
    "TN": lambda row: _count(row, "true_real"),
    "FP": lambda row: _count(row, "false_fake"),
    "FN": lambda row: _count(row, "false_real"),
    "TP": lambda row: _count(row, "true_fake"),
}


RANGE_COLUMNS: Columns = {
    f"Partial AUC % (FPR to {100 * LARGEST_RATE:g} %)": lambda row: percent(row.partial_auc),
    "TPR % at FPR 1 %": lambda row: percent(row.tpr_at_1_percent_fpr),
    "TPR % at FPR 0.1 %": lambda row: percent(row.tpr_at_1_per_mille_fpr),
    "Log-loss": lambda row: plain(row.log_loss),
    "Brier score": lambda row: plain(row.brier_score),
}


def dataset_title(row: SummaryRow) -> str:
    """The row's dataset, with the side of its split where it has one."""
    return f"{row.dataset} ({row.split})" if row.split else row.dataset


def marked(columns: Columns, marks: Mapping[tuple[str, str, str], str]) -> Columns:
    """The columns with a mark in the first of them, by dataset, side and method of the row."""
    name, cell = next(iter(columns.items()))

    def with_mark(row: SummaryRow) -> str:
        mark = marks.get((row.dataset, row.split, row.method))
        return cell(row) if mark is None else f"{cell(row)} {mark}"

    return columns | {name: with_mark} if marks else columns


def legend(rows: Sequence[SummaryRow], provenance: Provenance) -> list[str]:
    """How to read the tables, and what made them; one sentence or two each."""
    intervals = sorted({(i.resamples, i.seed, i.unit) for i in (row.auc_interval for row in rows)})
    return [
        "Label 1 = fake. Each row sets the forgeries of one method against all real files of the "
        "dataset; bold rows hold all its forgeries.",
        "Unless a column says clip or frame it is over files (videos or images): "
        f"{'; '.join(dict.fromkeys(RULES[row.pooling] for row in rows))}; AUC counts ties one "
        "half.",
        *dict.fromkeys(
            f"The reals of {row.dataset} are those of {row.reals_from}."
            for row in rows
            if row.reals_from
        ),
        *(
            f"Intervals: 95 % percentile bootstrap, {resamples} resamples of "
            f"{_UNIT_MEANING[unit]}, seed {seed}."
            for resamples, seed, unit in intervals
        ),
        "An interval of no width means that no resample differed (for AUC: that every pair was in "
        "order), not that the value is known exactly. A resample in which nothing is called fake "
        "has no precision: it counts as 0 for the lower end and as 1 for the upper.",
        "All numbers are over the scored files, except 'missing neutral', where each pair of a "
        "fake and a real with an unscored member counts one half.",
        "Clip AUC: over windows. Frame AUC: a window's score stands for its frames; a frame in two "
        "windows has their mean. Where every file is a single image both equal the AUC.",
        *_threshold_legend(provenance.threshold),
        "Low false-alarm range: FPR is the share of reals called fake, TPR of fakes called fake. "
        "TPR at an FPR: the best threshold of this test set that keeps it. Partial AUC: "
        "standardised after McClish, 50 = chance, 100 = perfect.",
        "Log-loss (nats, a coin: 0.693) and Brier score (a coin: 0.250) judge the probabilities: "
        "lower is better.",
        "Accuracy, precision, F1, AP, ECE, log-loss and Brier score depend on the share of fakes: "
        "compare them within one test set only.",
        *_origin(provenance),
        *provenance.notes,
    ]


def _origin(provenance: Provenance) -> list[str]:
    """The model file and the day, where they are known."""
    parts = []
    if provenance.model_fingerprint:
        parts.append(f"model file {provenance.model_fingerprint}")
    if provenance.date:
        parts.append(f"evaluated {provenance.date}")
    text = ", ".join(parts)
    return [f"{text[0].upper()}{text[1:]}."] if text else []


def _threshold_legend(threshold: Threshold | None) -> list[str]:
    if threshold is None:
        return ["Accuracy, precision, recall, F1: not given, for there is no validation threshold."]
    return [
        f"At the threshold: fake when the file's logit is at least {threshold.logit:.4g} "
        f"({threshold.origin}). Fake is the positive class: TN = reals called real, FP = "
        "reals called fake, FN = fakes called real, TP = fakes called fake.",
        "Precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = their harmonic mean, balanced "
        "accuracy = the mean of recall and TN / (TN + FP).",
    ]


def undefined(rows: Sequence[SummaryRow]) -> list[str]:
    """Each reason once, with the rows it holds for."""
    rows_of: dict[str, list[str]] = {}
    for row in rows:
        measured = [(row.auc, row.auc_interval), *(f(row) for f in THRESHOLD_METRICS.values())]
        found = {metric(row).reason for metric in RANKING_METRICS.values()}
        found |= {part.reason for pair in measured for part in pair}
        for reason in sorted(found - {""}):
            rows_of.setdefault(reason, []).append(f"{row.dataset} ({row.method})")
    return [f"{reason}: {', '.join(names)}" for reason, names in rows_of.items()]


def unscored(rows: Sequence[SummaryRow]) -> list[str]:
    """Reasons of the pooled rows: they hold every file of their dataset once."""
    lines = []
    for row in rows:
        if row.is_pooled and row.unscored:
            reasons = ", ".join(f"{count} x {code}" for code, count in row.unscored)
            lines.append(f"{row.dataset}: {reasons}")
    return lines


def _measured(row: SummaryRow, name: str) -> str:
    return with_interval(*THRESHOLD_METRICS[name](row))


def _count(row: SummaryRow, cell: str) -> str:
    return (
        NOT_DEFINED
        if row.at_threshold.confusion is None
        else str(getattr(row.at_threshold.confusion, cell))
    )
