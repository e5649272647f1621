"""The paired comparison as Markdown for readers, CSV for programs and text for a terminal.

Knows rows of the comparison only: it computes nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from avkd.metrics.ranking import Metric
from avkd.reporting.page_parts import Section, Table
from avkd.reporting.paired_summary import PairedRow
from avkd.reporting.report_csv import Provenance
from avkd.reporting.table_text import (
    NOT_DEFINED,
    aligned,
    inline,
    markdown_table,
    one_line,
    percent,
    with_interval,
)

_COLUMNS: dict[str, Callable[[PairedRow], str]] = {
    "Dataset": lambda row: f"{row.dataset} ({row.split})" if row.split else row.dataset,
    "Forgery": lambda row: row.method,
    "First": lambda row: row.first,
    "Second": lambda row: row.second,
    "Scored by both": lambda row: str(row.num_real + row.num_fake),
    "Only first": lambda row: str(row.only_first),
    "Only second": lambda row: str(row.only_second),
    "AUC % first": lambda row: percent(row.auc.first, decimals=2),
    "AUC % second": lambda row: percent(row.auc.second, decimals=2),
    "First - second [95 % interval]": lambda row: with_interval(
        row.auc.difference, row.auc.interval, decimals=2
    ),
    "p (DeLong)": lambda row: _probability(row.auc.p_value.value),
    "p (Holm)": lambda row: _probability(row.holm_p_value),
}
_NUM_TEXTS = 4

CSV_COLUMNS = (
    *("dataset", "split", "method", "is_pooled", "first", "second"),
    *("both_real", "both_fake", "only_first", "only_second", "first_auc", "second_auc"),
    *("auc_difference", "auc_difference_low", "auc_difference_high"),
    *("delong_p_value", "holm_p_value", "interval_unit", "resamples", "seed"),
)


def to_markdown(
    rows: Sequence[PairedRow], *, models: Mapping[str, Provenance], notes: Sequence[str] = ()
) -> str:
    """The table with how to read it, what else a reader must know, and what the models are."""
    lines = ["# Paired comparison", ""]
    cells = [[inline(cell(row)) for cell in _COLUMNS.values()] for row in rows]
    lines += markdown_table([*_COLUMNS], cells, num_texts=_NUM_TEXTS)
    lines += ["", "## How to read it", "", *(f"- {line}" for line in _legend(rows))]
    lines += [f"- {inline(note)}" for note in notes]
    if reasons := [inline(line) for line in _undefined(rows)]:
        lines += ["", "## Numbers that are not defined", "", *(f"- {line}" for line in reasons)]
    lines += ["", "## Models", "", *(f"- {inline(_model(*item))}" for item in models.items())]
    return "\n".join(lines) + "\n"


def section(
    rows: Sequence[PairedRow], *, models: Mapping[str, Provenance], notes: Sequence[str] = ()
) -> Section:
    """The same as a part of the report page."""
    table = Table(
        columns=tuple(_COLUMNS),
        rows=tuple(tuple(cell(row) for cell in _COLUMNS.values()) for row in rows),
        num_texts=_NUM_TEXTS,
        strong_rows=frozenset(place for place, row in enumerate(rows) if row.is_pooled),
    )
    not_defined = (f"Not defined: {reason}" for reason in _undefined(rows))
    return Section(
        title="Paired comparison",
        warnings=tuple(notes),
        tables=(table,),
        notes=(*_legend(rows), *not_defined, *(_model(*item) for item in models.items())),
    )


def to_text(rows: Sequence[PairedRow]) -> str:
    """The main columns, aligned for a terminal; two models may have long names."""
    shown = [name for name in _COLUMNS if not name.startswith(("AUC", "Only"))]
    cells = [[one_line(_COLUMNS[name](row)) for name in shown] for row in rows]
    return aligned([shown, *cells])


def to_csv(rows: Sequence[PairedRow]) -> str:
    """One line per row; a number that is not defined is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_csv_line(row) for row in rows)
    return text.getvalue()


def _csv_line(row: PairedRow) -> dict[str, object]:
    interval = row.auc.interval
    return {
        "dataset": row.dataset,
        "split": row.split,
        "method": row.method,
        "is_pooled": int(row.is_pooled),
        "first": row.first,
        "second": row.second,
        "both_real": row.num_real,
        "both_fake": row.num_fake,
        "only_first": row.only_first,
        "only_second": row.only_second,
        "first_auc": row.auc.first.value,
        "second_auc": row.auc.second.value,
        "auc_difference": row.auc.difference.value,
        "auc_difference_low": interval.low,
        "auc_difference_high": interval.high,
        "delong_p_value": row.auc.p_value.value,
        "holm_p_value": row.holm_p_value,
        "interval_unit": interval.unit,
        "resamples": interval.resamples,
        "seed": interval.seed,
    }


def _legend(rows: Sequence[PairedRow]) -> list[str]:
    intervals = sorted({(i.resamples, i.seed, i.unit) for i in (row.auc.interval for row in rows)})
    num_tests = sum(row.holm_p_value is not None for row in rows)
    return [
        "Both AUCs are over the files that both models scored, so they can differ from those of "
        "each model's own report. The difference is in percentage points.",
        "Only first, only second: files that one model scored and the other did not.",
        *(
            f"Intervals: 95 % percentile bootstrap, {resamples} resamples of {unit}, the same for "
            f"both models, seed {seed}."
            for resamples, seed, unit in intervals
        ),
        "p (DeLong): chance of such a difference or a larger one if both AUCs were equal. It takes "
        "files as independent; where one face is in many files trust the interval over groups.",
        f"p (Holm): corrected for the {num_tests} tests of this table; where no model differed, "
        "the chance of even one row below 0.05 would be 5 % at most.",
    ]


def _undefined(rows: Sequence[PairedRow]) -> list[str]:
    """Each reason once, with the rows it holds for."""
    rows_of: dict[str, list[str]] = {}
    for row in rows:
        parts: tuple[Metric, ...] = (row.auc.first, row.auc.difference, row.auc.p_value)
        found = {part.reason for part in parts} | {row.auc.interval.reason}
        for reason in sorted(found - {""}):
            name = f"{row.dataset} ({row.method}), {row.first} and {row.second}"
            rows_of.setdefault(reason, []).append(name)
    return [f"{reason}: {'; '.join(names)}" for reason, names in rows_of.items()]


def _model(name: str, provenance: Provenance) -> str:
    facts = [provenance.model_fingerprint and f"file {provenance.model_fingerprint}"]
    facts.append(provenance.date and f"evaluated {provenance.date}")
    return ", ".join([f"{name}: {provenance.model}", *filter(None, facts)])


def _probability(value: float | None) -> str:
    return NOT_DEFINED if value is None else f"{value:.2g}"
