"""Goes away: import from `tables`."""

from __future__ import annotations

from collections.abc import Sequence

from avkd.reporting.tables import (
    NOT_DEFINED,
    Table,
    one_line,
    percent,
    percent_down,
    plain,
    with_interval,
)

__all__ = ["NOT_DEFINED", "one_line", "percent", "percent_down", "plain", "with_interval"]


def markdown_table(
    names: Sequence[str], lines: Sequence[Sequence[str]], *, num_texts: int
) -> list[str]:
    """Lines of a Markdown table of cells that are escaped already."""
    marks = [" --- "] * num_texts + [" ---: "] * (len(names) - num_texts)
    rows = ["| " + " | ".join(line) + " |" for line in (names, *lines)]
    return [rows[0], "|" + "|".join(marks) + "|", *rows[1:]]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells with their columns one below the other, for a terminal."""
    first, *rest = (tuple(line) for line in lines)
    return Table(columns=first, rows=tuple(rest)).to_text()


def inline(text: str) -> str:
    """``text`` on one line of a Markdown table, whatever a file or method is called."""
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
