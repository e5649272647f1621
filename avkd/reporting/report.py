"""The cross-dataset tables as Markdown for readers and text for a terminal, and their files.

Knows summary rows only: it computes nothing and reads no clock; the caller passes the date.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avkd import durable
from avkd.reporting import section_markdown, shortcut_table
from avkd.reporting.report_csv import Provenance, to_csv
from avkd.reporting.report_words import (
    RANGE_COLUMNS,
    RANKING_COLUMNS,
    THRESHOLD_COLUMNS,
    Columns,
    dataset_title,
    legend,
    marked,
    undefined,
    unscored,
)
from avkd.reporting.shortcut_findings import RowAudit
from avkd.reporting.summary import SummaryRow
from avkd.reporting.table_text import (
    aligned,
    inline,
    markdown_table,
    one_line,
    percent,
    with_interval,
)


def to_markdown(
    rows: Sequence[SummaryRow],
    *,
    provenance: Provenance,
    audits: Sequence[RowAudit] | None = None,
) -> str:
    """The tables with how to read them, what made them, and what could not be scored.

    Args:
        rows: of the table.
        provenance: what made them.
        audits: the shortcut audit, whose findings stand beside the AUC; empty = not possible, for
            nothing is known of the files; None = not asked for.
    """
    lines = [f"# Evaluation of {inline(provenance.model)}", ""]
    marks = {row: f"**{mark}**" for row, mark in shortcut_table.marks(audits or ()).items()}
    lines += _table(rows, marked(RANKING_COLUMNS, marks))
    if audits is not None:
        lines += ["", "#" + section_markdown.to_markdown([shortcut_table.section(audits)]).rstrip()]
    if provenance.threshold is not None:
        lines += ["", "## At the threshold chosen on validation data", ""]
        lines += _table(rows, THRESHOLD_COLUMNS)
    lines += ["", "## Low false-alarm range and probabilities", ""]
    lines += _table(rows, RANGE_COLUMNS)
    lines += _listed("How to read it", legend(rows, provenance))
    lines += _listed("Numbers that are not defined", undefined(rows))
    lines += _listed("Files that could not be scored", unscored(rows))
    return "\n".join(lines) + "\n"


def to_text(rows: Sequence[SummaryRow]) -> str:
    """The main columns, aligned for a terminal; one line per row under a heading."""
    columns = _text_columns(
        with_accuracy=any(row.at_threshold.confusion is not None for row in rows)
    )
    cells = [list(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    return aligned(cells)


def write_report(
    folder: Path,
    rows: Sequence[SummaryRow],
    *,
    provenance: Provenance,
    audits: Sequence[RowAudit] | None = None,
) -> tuple[Path, Path]:
    """Write ``report.md`` and ``report.csv`` into ``folder``, each atomically.

    Returns:
        The two paths.
    """
    paths = folder / "report.md", folder / "report.csv"
    durable.write_text(paths[0], to_markdown(rows, provenance=provenance, audits=audits))
    durable.write_text(paths[1], to_csv(rows, provenance=provenance))
    return paths


_NAME_COLUMNS: Columns = {
    "Dataset": lambda row: inline(dataset_title(row)),
    "Forgery": lambda row: f"**{inline(row.method)}**" if row.is_pooled else inline(row.method),
}


def _table(rows: Sequence[SummaryRow], columns: Columns) -> list[str]:
    """Lines of a table that begins with the names."""
    every = _NAME_COLUMNS | columns
    lines = [[cell(row) for cell in every.values()] for row in rows]
    return markdown_table([*every], lines, num_texts=len(_NAME_COLUMNS))


def _listed(title: str, sentences: Sequence[str]) -> list[str]:
    """Lines of a list under its heading; none where there is nothing to say."""
    return (
        ["", f"## {title}", "", *(f"- {inline(line)}" for line in sentences)] if sentences else []
    )


def _text_columns(*, with_accuracy: bool) -> Columns:
    accuracy: Columns = {"accuracy %": lambda row: percent(row.at_threshold.accuracy)}
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
