"""The report as CSV for programs, and reading back what made its numbers.

Knows summary rows only: it computes nothing and reads no clock; the caller passes the date.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd.metrics.bootstrap import Interval
from avkd.metrics.pooling import RULES
from avkd.metrics.ranking import Metric
from avkd.metrics.verdicts import Confusion
from avkd.reporting.summary import SummaryRow, Threshold


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the numbers; printed beside them."""

    model: str
    """Name of the model, for the reader."""
    model_fingerprint: str
    """Digest of the model file; empty = not known."""
    date: str
    """Day of the evaluation, ISO 8601; empty = not known."""
    threshold: Threshold | None
    """The threshold `summarise` was given."""
    notes: tuple[str, ...] = ()
    """Anything else a reader must know, one sentence each."""


RANKING_METRICS: dict[str, Callable[[SummaryRow], Metric]] = {
    "video_auc": lambda row: row.auc,
    "video_auc_missing_neutral": lambda row: row.auc_missing_neutral,
    "clip_auc": lambda row: row.clip_auc,
    "frame_auc": lambda row: row.frame_auc,
    "equal_error_rate": lambda row: row.equal_error_rate,
    "average_precision": lambda row: row.average_precision,
    "expected_calibration_error": lambda row: row.calibration_error,
    "partial_auc": lambda row: row.partial_auc,
    "tpr_at_1_percent_fpr": lambda row: row.tpr_at_1_percent_fpr,
    "tpr_at_1_per_mille_fpr": lambda row: row.tpr_at_1_per_mille_fpr,
    "log_loss": lambda row: row.log_loss,
    "brier_score": lambda row: row.brier_score,
}
THRESHOLD_METRICS: dict[str, Callable[[SummaryRow], tuple[Metric, Interval]]] = {
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
    *("scored_windows", "video_auc_low", "video_auc_high", *RANKING_METRICS),
    *(f"{name}{end}" for name in THRESHOLD_METRICS for end in ("", "_low", "_high")),
    *_COUNTS,
    *("threshold_logit", "threshold_origin", "interval_unit", "resamples", "seed"),
    *("pooling", "reals_from", "model", "model_fingerprint", "date", "notes"),
)
_PROVENANCE_COLUMNS = ("model", "model_fingerprint", "date", "threshold_logit", "threshold_origin")


def to_csv(rows: Sequence[SummaryRow], *, provenance: Provenance) -> str:
    """One line per row, each with its provenance; a number that is not defined is empty."""
    text = io.StringIO(newline="")
    lines = [_csv_line(row, provenance) for row in rows]
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def read_provenance(path: Path) -> Provenance:
    """What a ``report.csv`` says made its numbers; an older one has no notes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a ``report.csv``, or its rows are of different models or thresholds.
    """
    lines = read_lines(path)
    found = {tuple(line[name] for name in _PROVENANCE_COLUMNS) for line in lines}
    if len(found) != 1:
        raise ValueError(f"{path}: its rows name {len(found)} models or thresholds, not one")
    model, fingerprint, date, logit, origin = found.pop()
    try:
        threshold = Threshold(logit=float(logit), origin=origin) if logit else None
    except ValueError as error:
        raise ValueError(f"{path}: threshold_logit {logit!r} is not a number") from error
    if threshold is not None and not math.isfinite(threshold.logit):
        raise ValueError(f"{path}: threshold_logit {logit!r} is not a finite number")
    return Provenance(
        model=model,
        model_fingerprint=fingerprint,
        date=date,
        threshold=threshold,
        notes=_read_notes(path, lines[0].get("notes") or "[]"),
    )


def _read_notes(path: Path, text: str) -> tuple[str, ...]:
    try:
        notes = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: notes are no JSON: {error}") from error
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ValueError(f"{path}: notes are no list of texts")
    return tuple(notes)


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of a ``report.csv`` as text, by column; of older files too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a ``report.csv``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
        lines = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a report.csv: {error}") from error
    needed = {"dataset", *_PROVENANCE_COLUMNS}
    if lost := needed - set(reader.fieldnames or ()):
        raise ValueError(f"{path}: not a report.csv: no column {', '.join(sorted(lost))}")
    return lines


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
        **{name: metric(row).value for name, metric in RANKING_METRICS.items()},
        **_csv_cells_at_threshold(row),
        "threshold_logit": threshold.logit if threshold else None,
        "threshold_origin": threshold.origin if threshold else None,
        "interval_unit": interval.unit,
        "resamples": interval.resamples,
        "seed": interval.seed,
        "pooling": RULES[row.pooling],
        "reals_from": row.reals_from or None,
        "model": provenance.model,
        "model_fingerprint": provenance.model_fingerprint,
        "date": provenance.date,
        "notes": json.dumps(provenance.notes) if provenance.notes else None,
    }


def _csv_cells_at_threshold(row: SummaryRow) -> dict[str, float | None]:
    cells: dict[str, float | None] = {}
    for name, find in THRESHOLD_METRICS.items():
        metric, interval = find(row)
        cells |= {name: metric.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return (
        cells
        if row.at_threshold.confusion is None
        else cells | dataclasses.asdict(row.at_threshold.confusion)
    )
