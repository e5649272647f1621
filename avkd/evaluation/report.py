"""The cross-dataset tables as Markdown for readers, CSV for programs and text for a terminal.

Knows summary rows only: it computes nothing and reads no clock; the caller passes the date.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd import durable
from avkd.evaluation.bootstrap import Interval
from avkd.evaluation.metrics import Metric
from avkd.evaluation.summary import POOLING_RULE, SummaryRow, Threshold
from avkd.evaluation.threshold_metrics import Confusion

_UNIT_MEANING = {
    "files": "files, reals and fakes apart",
    "groups": "groups of files (identities)",
}
_Columns = dict[str, Callable[[SummaryRow], str]]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the numbers; printed beside them."""

    model: str
    """Name of the model, for the reader."""
    model_fingerprint: str
    """Digest of the model file."""
    date: str
    """Day of the evaluation, ISO 8601."""
    threshold: Threshold | None
    """The threshold `summarise` was given."""
    notes: tuple[str, ...] = ()
    """Anything else a reader must know, one sentence each."""


def to_markdown(rows: Sequence[SummaryRow], *, provenance: Provenance) -> str:
    """The tables with how to read them, what made them, and what could not be scored."""
    lines = [f"# Evaluation of {_inline(provenance.model)}", ""]
    lines += _markdown_table(rows, _NAME_COLUMNS | _RANKING_COLUMNS)
    if provenance.threshold is not None:
        lines += ["", "## At the threshold chosen on validation data", ""]
        lines += _markdown_table(rows, _NAME_COLUMNS | _THRESHOLD_COLUMNS)
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
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


def to_csv(rows: Sequence[SummaryRow], *, provenance: Provenance) -> str:
    """One line per row, each with its provenance; a number that is not defined is empty."""
    text = io.StringIO(newline="")
    lines = [_csv_line(row, provenance) for row in rows]
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


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


_RANKING_METRICS: dict[str, Callable[[SummaryRow], Metric]] = {
    "video_auc": lambda row: row.auc,
    "video_auc_missing_neutral": lambda row: row.auc_missing_neutral,
    "clip_auc": lambda row: row.clip_auc,
    "frame_auc": lambda row: row.frame_auc,
    "equal_error_rate": lambda row: row.equal_error_rate,
    "average_precision": lambda row: row.average_precision,
    "expected_calibration_error": lambda row: row.calibration_error,
}
_THRESHOLD_METRICS: dict[str, Callable[[SummaryRow], tuple[Metric, Interval]]] = {
    "accuracy": lambda row: (row.at_threshold.accuracy, row.at_threshold.accuracy_interval),
    "balanced_accuracy": lambda row: (
        row.at_threshold.balanced_accuracy,
        row.at_threshold.balanced_accuracy_interval,
    ),
    "precision": lambda row: (row.at_threshold.precision, row.at_threshold.precision_interval),
    "recall": lambda row: (row.at_threshold.recall, row.at_threshold.recall_interval),
    "f1": lambda row: (row.at_threshold.f1, row.at_threshold.f1_interval),
}
_COUNTS = tuple(field.name for field in dataclasses.fields(Confusion))

CSV_COLUMNS = (
    *("dataset", "split", "method", "is_pooled"),
    *("scored_real", "expected_real", "scored_fake", "expected_fake", "coverage"),
    *("scored_windows", "video_auc_low", "video_auc_high", *_RANKING_METRICS),
    *(f"{name}{end}" for name in _THRESHOLD_METRICS for end in ("", "_low", "_high")),
    *_COUNTS,
    *("threshold_logit", "threshold_origin", "interval_unit", "resamples", "seed"),
    *("pooling", "model", "model_fingerprint", "date"),
)


def _csv_line(row: SummaryRow, provenance: Provenance) -> dict[str, object]:
    interval, threshold = row.auc_interval, provenance.threshold
    return {
        "dataset": row.dataset,
        "split": row.split,
        "method": row.method,
        "is_pooled": int(row.is_pooled),
        "scored_real": row.num_real,
        "expected_real": row.expected_real,
        "scored_fake": row.num_fake,
        "expected_fake": row.expected_fake,
        "coverage": row.coverage,
        "scored_windows": row.num_windows,
        "video_auc_low": interval.low,
        "video_auc_high": interval.high,
        **{name: metric(row).value for name, metric in _RANKING_METRICS.items()},
        **_csv_cells_at_threshold(row),
        "threshold_logit": threshold.logit if threshold else None,
        "threshold_origin": threshold.origin if threshold else None,
        "interval_unit": interval.unit,
        "resamples": interval.resamples,
        "seed": interval.seed,
        "pooling": POOLING_RULE,
        "model": provenance.model,
        "model_fingerprint": provenance.model_fingerprint,
        "date": provenance.date,
    }


def _csv_cells_at_threshold(row: SummaryRow) -> dict[str, float | None]:
    cells: dict[str, float | None] = {}
    for name, find in _THRESHOLD_METRICS.items():
        metric, interval = find(row)
        cells |= {name: metric.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return (
        cells
        if row.at_threshold.confusion is None
        else cells | dataclasses.asdict(row.at_threshold.confusion)
    )


_NAME_COLUMNS: _Columns = {
    "Dataset": lambda row: _inline(f"{row.dataset} ({row.split})" if row.split else row.dataset),
    "Forgery": lambda row: f"**{_inline(row.method)}**" if row.is_pooled else _inline(row.method),
}
_RANKING_COLUMNS: _Columns = {
    "AUC % [95 % interval]": lambda row: _with_interval(row.auc, row.auc_interval),
    "Scored / expected": lambda row: (
        f"{row.num_real + row.num_fake} / {row.expected_real + row.expected_fake}"
        f" ({_percent_down(row.coverage)})"
    ),
    "Reals": lambda row: f"{row.num_real} / {row.expected_real}",
    "Fakes": lambda row: f"{row.num_fake} / {row.expected_fake}",
    "AUC %, missing neutral": lambda row: _percent(row.auc_missing_neutral),
    "Clip AUC %": lambda row: _percent(row.clip_auc),
    "Frame AUC %": lambda row: _percent(row.frame_auc),
    "EER %": lambda row: _percent(row.equal_error_rate),
    "AP %": lambda row: _percent(row.average_precision),
    "ECE %": lambda row: _percent(row.calibration_error),
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


def _markdown_table(rows: Sequence[SummaryRow], columns: _Columns) -> list[str]:
    """Lines of a table whose first columns are the names."""
    marks = [" --- "] * len(_NAME_COLUMNS) + [" ---: "] * (len(columns) - len(_NAME_COLUMNS))
    cells = [columns, *([cell(row) for cell in columns.values()] for row in rows)]
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    return [lines[0], "|" + "|".join(marks) + "|", *lines[1:]]


def _text_columns(*, with_accuracy: bool) -> _Columns:
    accuracy: _Columns = {"accuracy %": lambda row: _percent(row.at_threshold.accuracy)}
    return {
        "dataset": lambda row: _one_line(row.dataset),
        "forgery": lambda row: _one_line(row.method),
        "AUC % [95 % interval]": lambda row: _with_interval(row.auc, row.auc_interval),
        **(accuracy if with_accuracy else {}),
        "EER %": lambda row: _percent(row.equal_error_rate),
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
        "Accuracy, precision, F1, AP and ECE depend on the share of fakes: compare them within one "
        "test set only.",
        f"Model file `{_inline(provenance.model_fingerprint)}`, evaluated {provenance.date}.",
        *(_inline(note) for note in provenance.notes),
    ]


def _threshold_legend(threshold: Threshold | None) -> list[str]:
    if threshold is None:
        return ["Accuracy, precision, recall, F1: not given, for there is no validation threshold."]
    return [
        f"At the threshold: fake when the file's logit is at least {threshold.logit:.4g} "
        f"({_inline(threshold.origin)}). Fake is the positive class: TN = reals called real, FP = "
        "reals called fake, FN = fakes called real, TP = fakes called fake.",
        "Precision = TP / (TP + FP), recall = TP / (TP + FN), F1 = their harmonic mean, balanced "
        "accuracy = the mean of recall and TN / (TN + FP).",
    ]


def _undefined(rows: Sequence[SummaryRow]) -> list[str]:
    """Each reason once, with the rows it holds for."""
    rows_of: dict[str, list[str]] = {}
    for row in rows:
        measured = [(row.auc, row.auc_interval), *(f(row) for f in _THRESHOLD_METRICS.values())]
        found = {metric(row).reason for metric in _RANKING_METRICS.values()}
        found |= {part.reason for pair in measured for part in pair}
        for reason in sorted(found - {""}):
            rows_of.setdefault(reason, []).append(f"{row.dataset} ({row.method})")
    return [_inline(f"{reason}: {', '.join(names)}") for reason, names in rows_of.items()]


def _unscored(rows: Sequence[SummaryRow]) -> list[str]:
    """Reasons of the pooled rows: they hold every file of their dataset once."""
    lines = []
    for row in rows:
        if row.is_pooled and row.unscored:
            reasons = ", ".join(f"{count} x {_inline(code)}" for code, count in row.unscored)
            lines.append(f"{_inline(row.dataset)}: {reasons}")
    return lines


def _with_interval(metric: Metric, interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return _percent(metric)
    return f"{_percent(metric)} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _measured(row: SummaryRow, name: str) -> str:
    return _with_interval(*_THRESHOLD_METRICS[name](row))


def _count(row: SummaryRow, cell: str) -> str:
    return (
        "not defined"
        if row.at_threshold.confusion is None
        else str(getattr(row.at_threshold.confusion, cell))
    )


def _percent(metric: Metric) -> str:
    return "not defined" if metric.value is None else f"{100 * metric.value:.1f}"


def _percent_down(share: float) -> str:
    """Rounded down, so that 100 % means all of them."""
    return f"{int(1000 * share + 1e-9) / 10:.1f} %"


def _inline(text: str) -> str:
    """``text`` on one line of a Markdown table, whatever a file or method is called."""
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _one_line(text: str) -> str:
    """``text`` without line breaks and without characters that could steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
