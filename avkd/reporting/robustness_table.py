"""The robustness table as a section of a report, text and CSV; all methods are in the CSV alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from avkd.metrics.table import METRICS, OF_A_RULE
from avkd.reporting.csv_cells import Cell
from avkd.reporting.figures.canvas import picture
from avkd.reporting.figures.robustness_curves import robustness_figures
from avkd.reporting.page import Section
from avkd.reporting.robustness_summary import CLEAN, LOST_MANY, MEAN, Entry, Robustness
from avkd.reporting.tables import Table, percent, percent_down, with_interval

_UNIT_MEANING = {
    "files": "files, reals and fakes apart",
    "groups": "groups of files (identities)",
}
_Say = Callable[[Robustness, Entry], str]

_CELL_METRICS = [
    m.name for m in METRICS if m.over not in OF_A_RULE and not m.name.startswith("video_auc")
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


def section(tables: Sequence[Robustness], *, notes: Sequence[str]) -> Section:
    """The tables of all forgeries of each dataset, their curves, and how to read them.

    Args:
        tables: of one or more models, at least one.
        notes: what made them, one plain sentence each.
    """
    shown = [table for table in tables if table.is_pooled]
    single = [table for table in tables if not table.is_pooled]
    parts = []
    if len(shown) > 1:
        columns = _NAMES | _SUMMARY
        parts.append(Table.of(shown, columns, num_texts=2, caption="All models: AUC %"))
    what = "AUC % [95 % interval] at severity"
    parts += [_grid(table, _full, what) for table in shown]
    if single:
        columns = _NAMES | _FORGERY | _SUMMARY
        parts.append(Table.of(single, columns, num_texts=3, caption="By forgery: AUC %"))
    return Section(
        title="Robustness",
        warnings=tuple(_warnings(shown)),
        tables=tuple(parts),
        pictures=tuple(picture(figure, caption) for figure, caption in robustness_figures(tables)),
        notes=(*_legend(tables), *_undefined(shown), *notes),
    )


def to_text(tables: Sequence[Robustness]) -> str:
    """The tables for a terminal: a cell's interval is in the files alone, to keep lines short."""
    shown = [table for table in tables if table.is_pooled]
    blocks = [_grid(table, _short, "AUC %").to_text() for table in shown]
    return "\n\n".join([*blocks, *(f"warning: {warning}" for warning in _warnings(shown))])


def to_csv(tables: Sequence[Robustness]) -> str:
    """One line for each model, dataset, method and entry; what is not defined is empty."""
    lines = [_csv_line(table, entry) for table in tables for entry in table.entries]
    return Table.of_lines(lines, CSV_COLUMNS).to_csv()


def _grid(table: Robustness, say: _Say, what: str) -> Table:
    """Clean, each perturbation, the mean over them."""
    strongest = table.severities[-1]
    rows = [(CLEAN, *["-"] * len(table.severities), _full(table, table.clean), "-")]
    for name in (*table.perturbations, MEAN):
        cells = [say(table, table.at(name, severity)) for severity in table.severities]
        drop = _points(table.at(name, strongest))
        rows.append((name, *cells, _full(table, table.at(name, None)), drop))
    return Table(
        columns=("Perturbation", *map(str, table.severities), "Mean", f"Drop at {strongest}"),
        rows=tuple(rows),
        caption=f"{table.model} on {table.dataset_title}: {what}",
        strong_rows=frozenset({len(rows) - 1}),
    )


def _at_strongest(table: Robustness) -> Entry:
    return table.at(MEAN, table.severities[-1])


_Columns = dict[str, Callable[[Robustness], str]]
_NAMES: _Columns = {"Model": lambda t: t.model, "Dataset": lambda t: t.dataset_title}
_FORGERY: _Columns = {"Forgery": lambda t: t.method}
_SUMMARY: _Columns = {
    "Clean": lambda table: _full(table, table.clean),
    "Mean of all cells": lambda table: _full(table, table.at(MEAN, None)),
    "Mean at the highest severity": lambda table: _full(table, _at_strongest(table)),
    "Drop there": lambda table: _points(_at_strongest(table)),
}


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
    return with_interval(entry.drop, entry.drop_interval).replace("-0.0", "0.0")


def _warnings(shown: Sequence[Robustness]) -> list[str]:
    """Where files were lost to the perturbation, and what the mean is with them."""
    warnings = []
    for table in shown:
        cells = [entry for entry in table.entries if entry.is_cell]
        lost = [entry for entry in cells if table.lost_many(entry)]
        if not lost:
            continue
        worst = min(lost, key=lambda entry: entry.coverage)
        mean = table.at(MEAN, None)
        warnings.append(
            f"{table.model} on {table.dataset_title}: {len(lost)} of {len(cells)} cells lost more "
            f"than {100 * LOST_MANY:g} % of the files that the clean one scored (worst: "
            f"{worst.perturbation} {worst.severity}, {percent_down(worst.coverage)} scored), and "
            "their AUC is over what is left. Mean AUC of all cells: "
            f"{percent(mean.auc)} %; with pairs of a lost file counted as ties: "
            f"{percent(mean.auc_missing_neutral)} %."
        )
    return warnings


def _legend(tables: Sequence[Robustness]) -> list[str]:
    intervals = [entry.interval for table in tables for entry in table.entries]
    drawn = sorted({(i.resamples, i.seed, i.unit) for i in intervals})
    strongest = tables[0].severities[-1]
    return [
        "Label 1 = fake; AUC over files, ties one half. The same files stand in every cell; frames "
        "are distorted whole, before faces are cut out of them.",
        "Mean: of the AUCs of the cells, each over the files that were scored in it. A share in "
        "brackets says how many that were (of a mean: in the cell with the fewest); without one, "
        "as many as of the clean files. Means with pairs of a lost file counted as ties: "
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


def _undefined(shown: Sequence[Robustness]) -> list[str]:
    """Each reason once, with where it holds."""
    places: dict[str, list[str]] = {}
    for table in shown:
        for entry in table.entries:
            if entry.is_cell and entry.auc.reason:
                name = f"{table.model}, {entry.perturbation} {entry.severity}"
                places.setdefault(entry.auc.reason, []).append(name)
    return [f"Not defined, {reason}: {'; '.join(names)}." for reason, names in places.items()]


def _csv_line(table: Robustness, entry: Entry) -> dict[str, Cell]:
    line: dict[str, Cell] = {
        "model": table.model,
        "model_fingerprint": table.model_fingerprint,
        "dataset": table.dataset,
        "split": table.split,
        "method": table.method,
        "is_pooled": table.is_pooled,
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
