"""The report as CSV for programs, and reading back what made its numbers."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd.metrics.pooling import RULES
from avkd.metrics.table import METRICS, OF_A_RULE
from avkd.metrics.verdicts import Confusion
from avkd.reporting.csv_cells import Cell, from_csv_cell
from avkd.reporting.summary import SetLimits, SummaryRow, Threshold
from avkd.reporting.tables import Table


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


CSV_COLUMNS = (
    *("dataset", "split", "method", "is_pooled"),
    *("scored_real", "expected_real", "scored_fake", "expected_fake", "coverage"),
    *("scored_windows", "video_auc_low", "video_auc_high"),
    *(measure.name for measure in METRICS if measure.over not in OF_A_RULE),
    *(
        f"{measure.name}{end}"
        for measure in METRICS
        if measure.over in OF_A_RULE
        for end in ("", "_low", "_high")
    ),
    *(field.name for field in dataclasses.fields(Confusion)),
    *("threshold_logit", "threshold_origin", "interval_unit", "resamples", "seed"),
    *(f"sets_{name}" for name in SetLimits._fields),
    *("pooling", "reals_from", "model", "model_fingerprint", "date", "notes"),
)
_PROVENANCE_COLUMNS = ("model", "model_fingerprint", "date", "threshold_logit", "threshold_origin")


def to_csv(rows: Sequence[SummaryRow], *, provenance: Provenance) -> str:
    """One line per row, each with its provenance; a number that is not defined is empty."""
    return Table.of_lines((_csv_line(row, provenance) for row in rows), CSV_COLUMNS).to_csv()


def _csv_line(row: SummaryRow, provenance: Provenance) -> dict[str, Cell]:
    interval, threshold = row.auc_interval, provenance.threshold
    line: dict[str, Cell] = {
        "dataset": row.dataset,
        "split": row.split,
        "method": row.method,
        "is_pooled": row.is_pooled,
        "scored_real": row.num_real,
        "expected_real": row.expected_real,
        "scored_fake": row.num_fake,
        "expected_fake": row.expected_fake,
        "coverage": row.coverage,
        "scored_windows": row.num_windows,
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
    if threshold and threshold.sets:
        line |= {f"sets_{name}": value for name, value in threshold.sets._asdict().items()}
    line |= {name: value.value for name, value in row.values.items()}
    for name, of_metric in row.intervals.items():
        line |= {f"{name}_low": of_metric.low, f"{name}_high": of_metric.high}
    return line if row.confusion is None else line | dataclasses.asdict(row.confusion)


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
    threshold = None
    if logit:
        names = [f"sets_{name}" for name in SetLimits._fields]
        limits = [_number(path, name, lines[0][name]) for name in names if lines[0].get(name)]
        threshold = Threshold(
            logit=_number(path, "threshold_logit", logit),
            origin=origin,
            sets=SetLimits(*limits) if len(limits) == len(names) else None,
        )
    return Provenance(
        model=model,
        model_fingerprint=fingerprint,
        date=date,
        threshold=threshold,
        notes=_read_notes(path, lines[0].get("notes") or "[]"),
    )


def _number(path: Path, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError(f"{path}: {name} {text!r} is not a number") from error
    if not math.isfinite(number):
        raise ValueError(f"{path}: {name} {text!r} is not a finite number")
    return number


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
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", restkey="")
        lines = [{name: from_csv_cell(text) for name, text in line.items()} for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a report.csv: {error}") from error
    needed = {"dataset", *_PROVENANCE_COLUMNS}
    if lost := needed - set(reader.fieldnames or ()):
        raise ValueError(f"{path}: not a report.csv: no column {', '.join(sorted(lost))}")
    return lines
