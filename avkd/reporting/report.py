"""The cross-dataset tables as Markdown for readers and text for a terminal, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avkd import durable
from avkd.reporting import page, shortcut_table
from avkd.reporting.page import Section
from avkd.reporting.report_csv import Provenance, to_csv
from avkd.reporting.report_words import (
    RANGE_COLUMNS,
    RANKING_COLUMNS,
    TEXT_COLUMNS,
    THRESHOLD_COLUMNS,
    legend,
    table,
    undefined,
    unscored,
)
from avkd.reporting.shortcut_audit import RowAudit
from avkd.reporting.summary import SummaryRow
from avkd.reporting.tables import Table


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
    marks = shortcut_table.marks(audits or ())
    first = Section(
        title=f"Evaluation of {provenance.model}", tables=(table(rows, RANKING_COLUMNS, marks),)
    )
    others = [shortcut_table.section(audits)] if audits is not None else []
    if provenance.threshold is not None:
        title = "At the threshold chosen on validation data"
        others.append(Section(title=title, tables=(table(rows, THRESHOLD_COLUMNS),)))
    title = "Low false-alarm range and probabilities"
    others.append(Section(title=title, tables=(table(rows, RANGE_COLUMNS),)))
    for title, sentences in (
        ("How to read it", legend(rows, provenance)),
        ("Numbers that are not defined", undefined(rows)),
        ("Files that could not be scored", unscored(rows)),
    ):
        others += [Section(title=title, notes=tuple(sentences))] if sentences else []
    return f"{page.to_markdown([first])}\n{page.to_markdown(others, level=2)}"


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
    """Write ``report.md`` and ``report.csv`` into ``folder``, each atomically.

    Returns:
        The two paths.
    """
    paths = folder / "report.md", folder / "report.csv"
    durable.write_text(paths[0], to_markdown(rows, provenance=provenance, audits=audits))
    durable.write_text(paths[1], to_csv(rows, provenance=provenance))
    return paths
