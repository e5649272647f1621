"""Cells and tables as text: numbers with their intervals, names that cannot break a table.

Knows metrics and strings, not what a table is about.
"""

from __future__ import annotations

from collections.abc import Sequence

from avkd.reporting.bootstrap import Interval
from avkd.reporting.metrics import Metric

NOT_DEFINED = "not defined"


def markdown_table(
    names: Sequence[str], lines: Sequence[Sequence[str]], *, num_texts: int
) -> list[str]:
    """Lines of a Markdown table whose first ``num_texts`` columns are text, the rest numbers."""
    marks = [" --- "] * num_texts + [" ---: "] * (len(names) - num_texts)
    rows = ["| " + " | ".join(line) + " |" for line in (names, *lines)]
    return [rows[0], "|" + "|".join(marks) + "|", *rows[1:]]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells with their columns one below the other, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def with_interval(metric: Metric, interval: Interval, *, decimals: int = 1) -> str:
    """The number in percent with the ends of its interval where there is one."""
    if interval.low is None or interval.high is None:
        return percent(metric, decimals=decimals)
    low, high = (f"{100 * end:.{decimals}f}" for end in (interval.low, interval.high))
    return f"{percent(metric, decimals=decimals)} [{low}, {high}]"


def percent(metric: Metric, *, decimals: int = 1) -> str:
    """The number in percent."""
    return NOT_DEFINED if metric.value is None else f"{100 * metric.value:.{decimals}f}"


def plain(metric: Metric) -> str:
    """The number as it is, with three decimals."""
    return NOT_DEFINED if metric.value is None else f"{metric.value:.3f}"


def percent_down(share: float) -> str:
    """Rounded down, so that 100 % means all of them."""
    return f"{int(1000 * share + 1e-9) / 10:.1f} %"


def inline(text: str) -> str:
    """``text`` on one line of a Markdown table, whatever a file or method is called."""
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def one_line(text: str) -> str:
    """``text`` without line breaks and without characters that could steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
