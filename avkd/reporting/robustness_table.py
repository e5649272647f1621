"""The robustness table as Markdown, text, CSV and a section of the report page.

Knows entries of the table only: it computes nothing. Every number of every method is in the CSV;
what readers see first are all forgeries of a dataset together.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from avkd.metrics.bootstrap import Interval
from avkd.metrics.ranking import Metric
from avkd.metrics.table import METRICS
from avkd.reporting.page_parts import Picture, Section, Table
from avkd.reporting.robustness_summary import CLEAN, LOST_MANY, MEAN, Entry, Robustness
from avkd.reporting.table_text import (
    aligned,
    inline,
    markdown_table,
    one_line,
    percent,
    percent_down,
    with_interval,
)

_NO_CELL = "-"
_UNIT_MEANING = {
    "files": "files, reals and fakes apart",
    "groups": "groups of files (identities)",
}
_Say = Callable[[Robustness, Entry], str]

_CELL_METRICS = [
    m.name for m in METRICS if m.over != "verdicts" and not m.name.startswith("video_auc")
]
_OF_VERDICTS = [m.name for m in METRICS if m.over == "verdicts"]
CSV_COLUMNS = (
    *("model", "model_fingerprint", "dataset", "split", "method", "is_pooled"),
    *("perturbation", "severity", "num_cells"),
    *("auc", "auc_low", "auc_high", "auc_missing_neutral", "drop", "drop_low", "drop_high"),
    *("coverage", "scored_real", "expected_real", "scored_fake", "expected_fake", "unscored"),
    *_CELL_METRICS,
    *(f"{name}{end}" for name in _OF_VERDICTS for end in ("", "_low", "_high")),
    *("interval_unit", "resamples", "seed", "reason"),
)


def to_markdown(tables: Sequence[Robustness], *, notes: Sequence[str]) -> str:
    """The tables with how to read them.

    Args:
        tables: of one or more models, at least one.
        notes: what made them, one plain sentence each.
    """
    part = section(tables, notes=notes)
    lines = [f"# {part.title}", ""]
    for warning in part.warnings:
        lines += [f"**Careful:** {inline(warning)}", ""]
    for table in part.tables:
        rows = [[inline(str(cell)) for cell in row] for row in table.rows]
        for place in table.strong_rows:
            rows[place] = [f"**{cell}**" for cell in rows[place]]
        lines += [f"## {inline(table.caption)}", ""]
        lines += [*markdown_table(table.columns, rows, num_texts=table.num_texts), ""]
    lines += ["## How to read it", "", *(f"- {inline(note)}" for note in part.notes)]
    return "\n".join(lines) + "\n"


def to_text(tables: Sequence[Robustness]) -> str:
    """The tables for a terminal: a cell's interval is in the files alone, to keep lines short."""
    blocks = []
    for table in _shown(tables):
        columns, rows = _grid(table, _short)
        lines = [columns, *([one_line(cell) for cell in row] for row in rows)]
        blocks.append(f"{one_line(_title(table))}, AUC %\n{aligned(lines)}")
    return "\n\n".join([*blocks, *(f"careful: {one_line(line)}" for line in _warnings(tables))])


def to_csv(tables: Sequence[Robustness]) -> str:
    """One line for each model, dataset, method and entry; what is not defined is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        writer.writerows(_csv_line(table, entry) for entry in table.entries)
    return text.getvalue()


def section(
    tables: Sequence[Robustness], *, notes: Sequence[str], pictures: Sequence[Picture] = ()
) -> Section:
    """The same as a part of the report page.

    Args:
        tables: as in `to_markdown`.
        notes: as in `to_markdown`.
        pictures: the curves.
    """
    shown = _shown(tables)
    parts = [_overview(shown)] if len(shown) > 1 else []
    for table in shown:
        columns, rows = _grid(table, _full)
        caption = f"{_title(table)}: AUC % [95 % interval] at severity"
        parts.append(
            Table(
                columns=columns, rows=rows, caption=caption, strong_rows=frozenset({len(rows) - 1})
            )
        )
    if any(not table.is_pooled for table in tables):
        parts.append(_by_method(tables))
    return Section(
        title="Robustness",
        warnings=tuple(_warnings(tables)),
        tables=tuple(parts),
        pictures=tuple(pictures),
        notes=(*_legend(tables), *_undefined(shown), *notes),
    )


def _shown(tables: Sequence[Robustness]) -> list[Robustness]:
    """Those of all forgeries of a dataset."""
    return [table for table in tables if table.is_pooled]


def _title(table: Robustness) -> str:
    side = f" ({table.split})" if table.split else ""
    return f"{table.model} on {table.dataset}{side}"


def _grid(table: Robustness, say: _Say) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Column headings and rows: clean, each perturbation, the mean over them."""
    strongest = table.severities[-1]
    columns = ("Perturbation", *map(str, table.severities), "Mean", f"Drop at {strongest}")
    gap = [_NO_CELL] * len(table.severities)
    rows = [(CLEAN, *gap, _full(table, table.clean), _NO_CELL)]
    for name in (*table.perturbations, MEAN):
        cells = [say(table, table.at(name, severity)) for severity in table.severities]
        drop = _points(table.at(name, strongest))
        rows.append((name, *cells, _full(table, table.at(name, None)), drop))
    return columns, tuple(rows)


def _overview(shown: Sequence[Robustness]) -> Table:
    """One line for each model."""
    rows = tuple((table.model, _dataset(table), *_summary(table)) for table in shown)
    columns = ("Model", "Dataset", *_SUMMARY_COLUMNS)
    return Table(columns=columns, rows=rows, num_texts=2, caption="All models: AUC %")


def _by_method(tables: Sequence[Robustness]) -> Table:
    rows = tuple((t.model, _dataset(t), t.method, *_summary(t)) for t in tables if not t.is_pooled)
    columns = ("Model", "Dataset", "Forgery", *_SUMMARY_COLUMNS)
    return Table(columns=columns, rows=rows, num_texts=3, caption="By forgery: AUC %")


_SUMMARY_COLUMNS = ("Clean", "Mean of all cells", "Mean at the highest severity", "Drop there")


def _summary(table: Robustness) -> tuple[str, ...]:
    strongest = table.at(MEAN, table.severities[-1])
    said = [_full(table, entry) for entry in (table.clean, table.at(MEAN, None), strongest)]
    return (*said, _points(strongest))


def _dataset(table: Robustness) -> str:
    return f"{table.dataset} ({table.split})" if table.split else table.dataset


def _full(table: Robustness, entry: Entry) -> str:
    """The number with its interval, and its coverage where files were lost."""
    return with_interval(entry.auc, entry.interval) + _coverage(table, entry)


def _short(table: Robustness, entry: Entry) -> str:
    return percent(entry.auc) + _coverage(table, entry)


def _coverage(table: Robustness, entry: Entry) -> str:
    """Said of the clean files, and where it is less than theirs."""
    if entry.coverage >= (1.0 if entry is table.clean else table.clean.coverage):
        return ""
    least = "at least " if len({row.coverage for row in entry.rows}) > 1 else ""
    return f" ({least}{percent_down(entry.coverage)} scored)"


def _points(entry: Entry) -> str:
    """The drop in points, without minus zeros."""
    drop, interval = entry.drop, entry.drop_interval
    if drop.value is None or interval.low is None or interval.high is None:
        return with_interval(drop, interval)
    value, low, high = (round(end, 3) + 0.0 for end in (drop.value, interval.low, interval.high))
    ends = Interval(low, high, interval.resamples, interval.seed, interval.unit)
    return with_interval(Metric(value), ends)


def _warnings(tables: Sequence[Robustness]) -> list[str]:
    """Where files were lost to the perturbation, and what the mean is with them."""
    warnings = []
    for table in _shown(tables):
        cells = [entry for entry in table.entries if entry.is_cell]
        lost = [entry for entry in cells if table.lost_many(entry)]
        if not lost:
            continue
        worst = min(lost, key=lambda entry: entry.coverage)
        mean = table.at(MEAN, None)
        warnings.append(
            f"{_title(table)}: {len(lost)} of {len(cells)} cells lost more than "
            f"{100 * LOST_MANY:g} % of the files that the clean one scored (worst: "
            f"{worst.perturbation} {worst.severity}, {percent_down(worst.coverage)} scored), and "
            "their AUC is over what is left. Mean AUC of all cells: "
            f"{percent(mean.auc)} %; with each lost file judged by a coin: "
            f"{percent(mean.auc_missing_neutral)} %."
        )
    return warnings


def _legend(tables: Sequence[Robustness]) -> list[str]:
    entries = [entry for table in tables for entry in table.entries]
    drawn = sorted({(i.resamples, i.seed, i.unit) for i in (e.interval for e in entries)})
    strongest = tables[0].severities[-1]
    return [
        "Label 1 = fake; AUC over files, ties one half. The same files stand in every cell; frames "
        "are distorted whole, before faces are cut out of them.",
        "Mean: of the AUCs of the cells, each over the files that were scored in it. A share in "
        "brackets says how many that were (of a mean: in the cell with the fewest); without one, "
        "as many as of the clean files. Means with the lost files judged by a coin: "
        "auc_missing_neutral in the CSV.",
        *(
            f"Intervals: 95 % percentile bootstrap, {resamples} resamples of "
            f"{_UNIT_MEANING[unit]}, seed {seed}."
            for resamples, seed, unit in drawn
        ),
        "The interval of a mean or a drop resamples the files once for all cells, so it holds what "
        "the cells share; a file without a score is missing in that cell of the resample as well.",
        f"Drop at {strongest}: clean AUC minus that at severity {strongest}, in points, clean and "
        "distorted files resampled together. Above 0 with its whole interval: more than chance.",
    ]


def _undefined(tables: Sequence[Robustness]) -> list[str]:
    """Each reason once, with where it holds."""
    places: dict[str, list[str]] = {}
    for table in tables:
        for entry in table.entries:
            if entry.is_cell and entry.auc.reason:
                name = f"{table.model}, {entry.perturbation} {entry.severity}"
                places.setdefault(entry.auc.reason, []).append(name)
    return [f"Not defined, {reason}: {'; '.join(names)}." for reason, names in places.items()]


def _csv_line(table: Robustness, entry: Entry) -> dict[str, object]:
    line: dict[str, object] = {
        "model": table.model,
        "model_fingerprint": table.model_fingerprint,
        "dataset": table.dataset,
        "split": table.split,
        "method": table.method,
        "is_pooled": int(table.is_pooled),
        "perturbation": entry.perturbation,
        "severity": MEAN if entry.severity is None else entry.severity,
        "num_cells": len(entry.rows),
        "auc": entry.auc.value,
        "auc_low": entry.interval.low,
        "auc_high": entry.interval.high,
        "auc_missing_neutral": entry.auc_missing_neutral.value,
        "drop": entry.drop.value,
        "drop_low": entry.drop_interval.low,
        "drop_high": entry.drop_interval.high,
        "coverage": entry.coverage,
        "interval_unit": entry.interval.unit,
        "resamples": entry.interval.resamples,
        "seed": entry.interval.seed,
        "reason": entry.auc.reason or entry.interval.reason,
    }
    if not (entry.is_cell or entry.perturbation == CLEAN):
        return line
    (row,) = entry.rows
    line |= {
        "scored_real": row.num_real,
        "expected_real": row.expected_real,
        "scored_fake": row.num_fake,
        "expected_fake": row.expected_fake,
        "unscored": "; ".join(f"{count} x {code}" for code, count in row.unscored),
    }
    line |= {name: row.values[name].value for name in _CELL_METRICS}
    for name in _OF_VERDICTS:
        metric, interval = row.values[name], row.intervals[name]
        line |= {name: metric.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return line
