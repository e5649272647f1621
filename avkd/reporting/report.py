"""The report of one model in words and tables: Markdown, text for a terminal, sections of a page.

All of it is plain text with untrusted names in it: whoever prints it escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from avkd import durable
from avkd.metrics.pooling import RULES
from avkd.metrics.table import METRICS, Measure
from avkd.reporting import page, shortcut_table
from avkd.reporting.page import Picture, Section
from avkd.reporting.report_csv import Provenance, to_csv
from avkd.reporting.shortcut_audit import RowAudit
from avkd.reporting.summary import SetLimits, SummaryRow, Threshold
from avkd.reporting.tables import NOT_DEFINED, Table, percent, percent_down, plain, with_interval

Columns = dict[str, Callable[[SummaryRow], str]]
RANKING, CURVES, SCORES = "AUC and other ranking numbers", "ROC and DET curves", "Scores by method"
AT_THRESHOLD = "At the threshold chosen on validation data"
SETS = "Prediction sets, and what is left uncertain"
RANGE = "Low false-alarm range and probabilities"
_UNIT_MEANING = {
    "files": "files, reals and fakes apart",
    "groups": "groups of files (identities)",
}


def _cell(measure: Measure, row: SummaryRow) -> str:
    value, interval = row.values[measure.name], row.intervals.get(measure.name)
    if not measure.in_percent:
        return plain(value)
    return percent(value) if interval is None else with_interval(value, interval)


def metric_columns(table: str) -> Columns:
    """Columns of a table of `METRICS`."""
    return {m.label: partial(_cell, m) for m in METRICS if m.table == table}


def _count(cell: str, row: SummaryRow) -> str:
    return NOT_DEFINED if row.confusion is None else str(getattr(row.confusion, cell))


_NAME_COLUMNS: Columns = {
    "Dataset": lambda row: row.dataset_title,
    "Forgery": lambda row: row.method,
}
RANKING_COLUMNS: Columns = {
    METRICS[0].label: partial(_cell, METRICS[0]),
    "Scored / expected": lambda row: (
        f"{row.num_scored} / {row.num_expected} ({percent_down(row.coverage)})"
    ),
    "Reals": lambda row: f"{row.num_real} / {row.expected_real}",
    "Fakes": lambda row: f"{row.num_fake} / {row.expected_fake}",
    **metric_columns("ranking"),
}
THRESHOLD_COLUMNS: Columns = {
    **metric_columns("verdicts"),
    "TN": partial(_count, "true_real"),
    "FP": partial(_count, "false_fake"),
    "FN": partial(_count, "false_real"),
    "TP": partial(_count, "true_fake"),
}
RANGE_COLUMNS: Columns = metric_columns("range")
TEXT_COLUMNS: Columns = {
    "dataset": lambda row: row.dataset,
    "forgery": lambda row: row.method,
    "AUC % [95 % interval]": lambda row: with_interval(row.auc, row.auc_interval),
    "accuracy %": lambda row: percent(row.values["accuracy"]),
    "EER %": lambda row: percent(row.values["equal_error_rate"]),
    "scored/expected": lambda row: f"{row.num_scored}/{row.num_expected}",
}
"""What fits into a terminal."""


def table(
    rows: Sequence[SummaryRow],
    columns: Columns,
    marks: Mapping[tuple[str, str, str], str] | None = None,
) -> Table:
    """A table that begins with the names.

    Args:
        rows: of the table.
        columns: those after the names.
        marks: what stands beside the first number of a row, by dataset, side and method.
    """
    first, cell = next(iter(columns.items()))

    def with_mark(row: SummaryRow) -> str:
        mark = (marks or {}).get((row.dataset, row.split, row.method))
        return cell(row) if mark is None else f"{cell(row)} {mark}"

    return Table.of(
        rows,
        {**_NAME_COLUMNS, **columns, first: with_mark},
        is_strong=lambda row: row.is_pooled,
        num_texts=len(_NAME_COLUMNS),
    )


def sections(
    rows: Sequence[SummaryRow],
    *,
    provenance: Provenance,
    audits: Sequence[RowAudit] | None = None,
    pictures: Mapping[str, Sequence[Picture]] | None = None,
) -> list[Section]:
    """The tables, each with its pictures.

    Args:
        rows: of the table.
        provenance: what made them.
        audits: the shortcut audit, whose findings stand beside the AUC; empty = not possible, for
            nothing is known of the files; None = not asked for.
        pictures: by title of the section.
    """
    drawn = {title: tuple(found) for title, found in (pictures or {}).items() if found}
    ranking = table(rows, RANKING_COLUMNS, shortcut_table.marks(audits or ()))
    made = [Section(title=RANKING, tables=(ranking,), pictures=drawn.get(RANKING, ()))]
    made += [Section(title=t, pictures=drawn[t]) for t in (CURVES, SCORES) if t in drawn]
    made += [shortcut_table.section(audits)] if audits is not None else []
    given = {AT_THRESHOLD: THRESHOLD_COLUMNS, RANGE: RANGE_COLUMNS}
    if provenance.threshold is None:
        del given[AT_THRESHOLD]
    elif provenance.threshold.sets is not None:
        given[SETS] = metric_columns("sets")
    return made + [
        Section(title=title, tables=(table(rows, columns),), pictures=drawn.get(title, ()))
        for title, columns in given.items()
    ]


def listed(rows: Sequence[SummaryRow], provenance: Provenance) -> list[Section]:
    """How to read the tables, and what is not defined."""
    lists = {
        "How to read it": legend(rows, provenance),
        "Numbers that are not defined": undefined(rows),
    }
    return [Section(title=title, notes=tuple(lines)) for title, lines in lists.items() if lines]


def to_markdown(
    rows: Sequence[SummaryRow],
    *,
    provenance: Provenance,
    audits: Sequence[RowAudit] | None = None,
) -> str:
    """The tables with how to read them, what made them, and what could not be scored.

    Arguments as of `sections`.
    """
    made = sections(rows, provenance=provenance, audits=audits) + listed(rows, provenance)
    if lost := unscored(rows):
        made.append(Section(title="Files that could not be scored", notes=tuple(lost)))
    title = Section(title=f"Evaluation of {provenance.model}")
    return f"{page.to_markdown([title])}\n{page.to_markdown(made, level=2)}"


def to_text(rows: Sequence[SummaryRow]) -> str:
    """The main columns, aligned for a terminal; one line per row under a heading."""
    columns = dict(TEXT_COLUMNS)
    if all(row.confusion is None for row in rows):
        del columns["accuracy %"]
    return Table.of(rows, columns).to_text()


def write_report(
    folder: Path,
    rows: Sequence[SummaryRow],
    *,
    provenance: Provenance,
    audits: Sequence[RowAudit] | None = None,
) -> tuple[Path, Path]:
    """Write ``report.md`` and ``report.csv`` into ``folder``, each atomically; their paths."""
    paths = folder / "report.md", folder / "report.csv"
    durable.write_text(paths[0], to_markdown(rows, provenance=provenance, audits=audits))
    durable.write_text(paths[1], to_csv(rows, provenance=provenance))
    return paths


def legend(rows: Sequence[SummaryRow], provenance: Provenance) -> list[str]:
    """How to read the tables, and what made them; one sentence or two each."""
    intervals = sorted({(i.resamples, i.seed, i.unit) for i in (row.auc_interval for row in rows)})
    lower = [m.short_label for m in METRICS if not m.higher_is_better]
    of_one_set = [m.short_label for m in METRICS if m.depends_on_share]
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
        "All numbers are over the scored files, except 'unscored pairs as ties', where each pair "
        "of a fake and a real with an unscored member counts one half.",
        "Clip AUC: over windows. Frame AUC: a window's score stands for its frames; a frame in two "
        "windows has their mean. Where every file is a single image both equal the AUC.",
        *_threshold_legend(provenance.threshold),
        "Low false-alarm range: FPR is the share of reals called fake, TPR of fakes called fake. "
        "TPR at an FPR: the best threshold of this test set that keeps it. Partial AUC: "
        "standardised after McClish, 50 = chance, 100 = perfect.",
        f"Lower is better: {', '.join(lower)} (log-loss in nats; always 0.5: 0.693, Brier score "
        "0.250). Of all others higher is better.",
        f"{', '.join(of_one_set)} depend on the share of fakes: compare them within one test set "
        "only.",
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
        *_sets_legend(threshold.sets),
    ]


def _sets_legend(sets: SetLimits | None) -> list[str]:
    if sets is None:
        return []
    return [
        f"Prediction sets hold real up to a logit of {sets.largest_real:.4g} and fake from "
        f"{sets.least_fake:.4g} on: chosen so that the sets of at least {sets.coverage:.1%} of the "
        "reals, and of the fakes, hold the right answer, for files like those of the validation. A "
        "file whose set holds both or none, or not what the threshold says, is called uncertain."
    ]


def undefined(rows: Sequence[SummaryRow]) -> list[str]:
    """Each reason once, with the rows it holds for."""
    rows_of: dict[str, list[str]] = {}
    for row in rows:
        found = {value.reason for value in row.values.values()}
        found |= {interval.reason for interval in row.intervals.values()}
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
