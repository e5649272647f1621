"""One table: made of records once, printed as Markdown, CSV or plain text; `page` has its HTML.

Names in cells are untrusted. What a format would misread in them is escaped here and nowhere else.
"""

import csv
import html
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # predict writes tables, too, and needs neither pandas nor scipy
    from avkd.metrics.bootstrap import Metric

Cell = str | int | float | bool | None
"""None = not defined: empty in CSV, `NOT_DEFINED` elsewhere."""
Line = Mapping[str, Cell]
"""Cells of a row by their column."""
NOT_DEFINED = "not defined"
# A spreadsheet runs a text that begins so unless it is a number; the quotes are those of before.
_FORMULA = re.compile(r"(?![+-]?[\d.]+(e[+-]?\d+)?$)'*[=+\-@\t\r\n].", re.DOTALL)
_UNITS = {"files": "files, stratified by class", "groups": "groups of files (identities)"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts and numbers."""

    columns: tuple[str, ...]
    """Column headings."""
    rows: tuple[tuple[Cell, ...], ...]
    """Cells, as many in each row as there are columns."""
    num_texts: int = 1
    """Leading columns that hold names (set left); the others hold numbers (set right)."""
    caption: str = ""
    """One sentence over the table; empty = none."""
    strong_rows: frozenset[int] = frozenset()
    """Rows, from 0, that are set in bold."""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.columns

    @classmethod
    def of(
        cls,
        lines: Iterable[Line],
        *,
        num_texts: int = 1,
        caption: str = "",
        strong_rows: Iterable[int] = (),
    ) -> "Table":
        """One row for each line; the first of them, at least one, has all columns, in order."""
        lines = list(lines)
        columns = tuple(lines[0])
        assert all(line.keys() <= lines[0].keys() for line in lines), columns
        return cls(
            columns=columns,
            rows=tuple(tuple(line.get(column) for column in columns) for line in lines),
            num_texts=num_texts,
            caption=caption,
            strong_rows=frozenset(strong_rows),
        )

    @property
    def texts(self) -> list[list[str]]:
        """The headings and the rows as they are shown, not escaped."""
        return [[_text(cell) for cell in row] for row in (self.columns, *self.rows)]

    def to_csv(self) -> str:
        """For programs: every bit of a number, truth values as 0 and 1."""
        return "".join(csv_line(row) for row in (self.columns, *self.rows))

    def to_markdown(self) -> str:
        """The caption, if any, over a Markdown table; without a newline at the end."""
        lines = [list(map(markdown_text, line)) for line in self.texts]
        for number in self.strong_rows:
            lines[number + 1] = [cell and f"**{cell}**" for cell in lines[number + 1]]
        numbers = len(self.columns) - self.num_texts
        rule = "|" + "|".join([" --- "] * self.num_texts + [" ---: "] * numbers) + "|"
        table = [f"| {' | '.join(line)} |" for line in lines]
        caption = [markdown_text(self.caption), ""] if self.caption else []
        return "\n".join([*caption, table[0], rule, *table[1:]])

    def to_text(self) -> str:
        """The caption, if any, over aligned columns for a terminal, wide letters included."""
        lines = [list(map(one_line, line)) for line in self.texts]
        widths = [max(map(_num_places, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join(
                cell + " " * (width - _num_places(cell))
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*filter(None, [one_line(self.caption)]), *aligned])


def markdown_text(text: str) -> str:
    """``text`` on one line, without what Markdown would read as a cell, tag, link or emphasis."""
    escaped = one_line(text).replace("\\", "\\\\").replace("<", "&lt;")
    for mark in ("|", "`", "*", "]("):
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped


def html_text(text: str) -> str:
    """``text`` on one line as HTML; no percent sign is parted from its number."""
    return html.escape(one_line(text).replace(" %", "\N{NO-BREAK SPACE}%"))


def one_line(text: str) -> str:
    """``text`` without line breaks and without characters that could steer a terminal."""
    return masked(" ".join(text.split()))


def masked(text: str) -> str:
    """``text`` with a question mark for each character that has no sign, a line break too."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def with_interval(metric: "Metric", *, decimals: int = 1) -> str:
    """The number in percent with the ends of its interval where there is one."""
    ends = metric.interval.ends
    said = "" if ends is None else f" {ends_in_percent(ends, decimals)}"
    return percent(metric, decimals=decimals) + said


def ends_in_percent(ends: tuple[float, float], decimals: int = 1) -> str:
    """Both ends of an interval in percent."""
    return f"[{100 * ends[0]:.{decimals}f}, {100 * ends[1]:.{decimals}f}]"


def with_ends(name: str, metric: "Metric") -> dict[str, Cell]:
    """CSV cells of a number and of both ends of its interval."""
    interval = metric.interval
    return {name: metric.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def interval_notes(metrics: "Iterable[Metric]", more: str = "") -> list[str]:
    """How the intervals of numbers were made, one sentence for each way."""
    intervals = (metric.interval for metric in metrics)
    return [
        f"Intervals: 95 % percentile bootstrap, {resamples} resamples of {_UNITS[unit]}{more}, "
        f"seed {seed}."
        for resamples, seed, unit in sorted({(i.resamples, i.seed, i.unit) for i in intervals})
    ]


def by_reason(found: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """From pairs of a reason and a name: the names of each reason, without empty reasons."""
    names: dict[str, list[str]] = {}
    for reason, name in dict.fromkeys(found):
        if reason:
            names.setdefault(reason, []).append(name)
    return names


def percent(metric: "Metric", *, decimals: int = 1) -> str:
    """The number in percent."""
    return NOT_DEFINED if metric.value is None else f"{100 * metric.value:.{decimals}f}"


def plain(metric: "Metric") -> str:
    """The number as it is, with three decimals."""
    return NOT_DEFINED if metric.value is None else f"{metric.value:.3f}"


def percent_down(share: float) -> str:
    """Rounded down, so that 100 % means all of them."""
    return f"{int(1000 * share + 1e-9) / 10:.1f} %"


def _text(cell: Cell) -> str:
    if cell is None:
        return NOT_DEFINED
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _num_places(text: str) -> int:
    """Columns of a terminal that a text takes: two for a wide letter, none for a mark over one."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def csv_line(cells: Sequence[Cell]) -> str:
    """One row with its line break: every bit of a number, truth values as 0 and 1."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow([csv_cell(cell) for cell in cells])
    return text.getvalue()


def csv_cell(cell: Cell) -> str | int | float:
    """A cell as `csv` is to write it; a text that a spreadsheet would run gets a leading quote."""
    if isinstance(cell, str):
        return f"'{cell}" if _FORMULA.match(cell) else cell
    if isinstance(cell, bool):
        return int(cell)
    return "" if cell is None else cell


def from_csv_cell(text: str) -> str:
    """The text that `csv_cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
