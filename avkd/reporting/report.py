"""The cross-dataset tables as Markdown for readers and text for a terminal, and their files.

Knows summary rows only: it computes nothing and reads no clock; the caller passes the date.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from avkd import durable
from avkd.reporting.operating_range import LARGEST_RATE
from avkd.reporting.report_csv import RANKING_METRICS, THRESHOLD_METRICS, Provenance, to_csv
from avkd.reporting.summary import POOLING_RULE, SummaryRow, Threshold
from avkd.reporting.table_text import (
    NOT_DEFINED,
    aligned,
    inline,
    markdown_table,
    one_line,
    percent,
    percent_down,
    plain,
    with_interval,
)

_UNIT_MEANING = {
    "files": "files, reals and fakes apart",
    "groups": "groups of files (identities)",
}
_Columns = dict[str, Callable[[SummaryRow], str]]


def to_markdown(rows: Sequence[SummaryRow], *, provenance: Provenance) -> str:
    """The tables with how to read them, what made them, and what could not be scored."""
    lines = [f"# Evaluation of {inline(provenance.model)}", ""]
    lines += _table(rows, _RANKING_COLUMNS)
    if provenance.threshold is not None:
        lines += ["", "## At the threshold chosen on validation data", ""]
        lines += _table(rows, _THRESHOLD_COLUMNS)
    lines += ["", "## Low false-alarm range and probabilities", ""]
    lines += _table(rows, _RANGE_COLUMNS)
    lines += ["", "## How to read it", "", *(f"- {line}" for line in _legend(rows, provenance))]
    if reasons := _undefined(rows):
        lines += ["", "## Numbers that are not defined", "", *(f"- {line}" for line in reasons)]
    if reasons := _unscored(rows):
        lines += ["", "## Files that could not be scored", "", *(f"- {line}" for line in reasons)]
    return "\n".join(lines) + "\n"


def to_text(rows: Sequence[SummaryRow]) -> str:
    """The main columns, aligned for a terminal; one line per row under a heading."""
    columns = _text_columns(
        with_accuracy=any(row.at_threshold.confusion is not None for row in rows)
    )
    cells = [list(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    return aligned(cells)


def write_report(
    folder: Path, rows: Sequence[SummaryRow], *, provenance: Provenance
) -> tuple[Path, Path]:
    """Write ``report.md`` and ``report.csv`` into ``folder``, each atomically.

    Returns:
        The two paths.
    """
    paths = folder / "report.md", folder / "report.csv"
    durable.write_text(paths[0], to_markdown(rows, provenance=provenance))
    durable.write_text(paths[1], to_csv(rows, provenance=provenance))
    return paths


_NAME_COLUMNS: _Columns = {
    "Dataset": lambda row: inline(f"{row.dataset} ({row.split})" if row.split else row.dataset),
    "Forgery": lambda row: f"**{inline(row.method)}**" if row.is_pooled else inline(row.method),
}
_RANKING_COLUMNS: _Columns = {
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
_THRESHOLD_COLUMNS: _Columns = {
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


_RANGE_COLUMNS: _Columns = {
    f"Partial AUC % (FPR to {100 * LARGEST_RATE:g} %)": lambda row: percent(row.partial_auc),
    "TPR % at FPR 1 %": lambda row: percent(row.tpr_at_1_percent_fpr),
    "TPR % at FPR 0.1 %": lambda row: percent(row.tpr_at_1_per_mille_fpr),
    "Log-loss": lambda row: plain(row.log_loss),
    "Brier score": lambda row: plain(row.brier_score),
}


def _table(rows: Sequence[SummaryRow], columns: _Columns) -> list[str]:
    """Lines of a table that begins with the names."""
    every = _NAME_COLUMNS | columns
    lines = [[cell(row) for cell in every.values()] for row in rows]
    return markdown_table([*every], lines, num_texts=len(_NAME_COLUMNS))


def _text_columns(*, with_accuracy: bool) -> _Columns:
    accuracy: _Columns = {"accuracy %": lambda row: percent(row.at_threshold.accuracy)}
    return {
        "dataset": lambda row: one_line(row.dataset),
        "forgery": lambda row: one_line(row.method),
        "AUC % [95 % interval]": lambda row: with_interval(row.auc, row.auc_interval),
        **(accuracy if with_accuracy else {}),
        "EER %": lambda row: percent(row.equal_error_rate),
        "scored/expected": lambda row: (
            f"{row.num_real + row.num_fake}/{row.expected_real + row.expected_fake}"
        ),
    }


def _legend(rows: Sequence[SummaryRow], provenance: Provenance) -> list[str]:
    intervals = sorted({(i.resamples, i.seed, i.unit) for i in (row.auc_interval for row in rows)})
    return [
        "Label 1 = fake. Each row sets the forgeries of one method against all real files of the "
        "dataset; **bold** rows hold all its forgeries.",
        f"Unless a column says clip or frame it is over files (videos or images): {POOLING_RULE}; "
        "AUC counts ties one half.",
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
        *(inline(note) for note in provenance.notes),
    ]


def _origin(provenance: Provenance) -> list[str]:
    """The model file and the day, where they are known."""
    parts = []
    if provenance.model_fingerprint:
        parts.append(f"model file `{inline(provenance.model_fingerprint)}`")
    if provenance.date:
        parts.append(f"evaluated {inline(provenance.date)}")
    text = ", ".join(parts)
    return [f"{text[0].upper()}{text[1:]}."] if text else []


def _threshold_legend(threshold: Threshold | None) -> list[str]:
    if threshold is None:
        return ["Accuracy, precision, recall, F1: not given, for there is no validation threshold."]
    return [
        f"At the threshold: fake when the file's logit is at least {threshold.logit:.4g} "
        f"({inline(threshold.origin)}). Fake is the positive class: TN = reals called real, FP = "
        "reals called fake, FN = fakes called real, TP = fakes called fake.",
        "Precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = their harmonic mean, balanced "
        "accuracy = the mean of recall and TN / (TN + FP).",
    ]


def _undefined(rows: Sequence[SummaryRow]) -> list[str]:
    """Each reason once, with the rows it holds for."""
    rows_of: dict[str, list[str]] = {}
    for row in rows:
        measured = [(row.auc, row.auc_interval), *(f(row) for f in THRESHOLD_METRICS.values())]
        found = {metric(row).reason for metric in RANKING_METRICS.values()}
        found |= {part.reason for pair in measured for part in pair}
        for reason in sorted(found - {""}):
            rows_of.setdefault(reason, []).append(f"{row.dataset} ({row.method})")
    return [inline(f"{reason}: {', '.join(names)}") for reason, names in rows_of.items()]


def _unscored(rows: Sequence[SummaryRow]) -> list[str]:
    """Reasons of the pooled rows: they hold every file of their dataset once."""
    lines = []
    for row in rows:
        if row.is_pooled and row.unscored:
            reasons = ", ".join(f"{count} x {inline(code)}" for code, count in row.unscored)
            lines.append(f"{inline(row.dataset)}: {reasons}")
    return lines


def _measured(row: SummaryRow, name: str) -> str:
    return with_interval(*THRESHOLD_METRICS[name](row))


def _count(row: SummaryRow, cell: str) -> str:
    return (
        NOT_DEFINED
        if row.at_threshold.confusion is None
        else str(getattr(row.at_threshold.confusion, cell))
    )
