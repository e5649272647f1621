"""One table: made of records once, printed as Markdown, CSV, plain text or HTML.

Names in cells are untrusted. What a format would misread in them is escaped here and in
`csv_cells`, and nowhere else. None is not defined: empty in CSV, `NOT_DEFINED` elsewhere.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from avkd.metrics.bootstrap import Interval
from avkd.metrics.ranking import Metric
from avkd.reporting.csv_cells import Cell, csv_line

Record = TypeVar("Record")
NOT_DEFINED = "not defined"


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
        records: Iterable[Record],
        columns: Mapping[str, Callable[[Record], Cell]],
        *,
        is_strong: Callable[[Record], bool] = lambda record: False,
        num_texts: int = 1,
        caption: str = "",
    ) -> Table:
        """One row for each record.

        Args:
            records: anything.
            columns: heading of each column, and what it says of a record.
            is_strong: whether a record's row is set in bold.
            num_texts: as the field.
            caption: as the field.
        """
        records = list(records)
        return cls(
            columns=tuple(columns),
            rows=tuple(tuple(cell(record) for cell in columns.values()) for record in records),
            num_texts=num_texts,
            caption=caption,
            strong_rows=frozenset(n for n, record in enumerate(records) if is_strong(record)),
        )

    @classmethod
    def of_lines(
        cls,
        lines: Iterable[Mapping[str, Cell]],
        columns: Sequence[str] | None = None,
        *,
        num_texts: int = 1,
        caption: str = "",
    ) -> Table:
        """One row for each line.

        Args:
            lines: cells by column; what a line lacks is not defined there.
            columns: in order; None = those of the first line.
            num_texts: as the field.
            caption: as the field.
        """
        lines = list(lines)
        columns = tuple(lines[0] if columns is None else columns)
        assert all(line.keys() <= {*columns} for line in lines), columns
        rows = tuple(tuple(line.get(column) for column in columns) for line in lines)
        return cls(columns=columns, rows=rows, num_texts=num_texts, caption=caption)

    def to_csv(self) -> str:
        """For programs: every bit of a number, truth values as 0 and 1; see `csv_cells`."""
        return "".join(csv_line(row) for row in (self.columns, *self.rows))

    def to_markdown(self) -> str:
        """The caption, if any, over a Markdown table; without a newline at the end."""
        lines = [[markdown_text(_text(cell)) for cell in row] for row in (self.columns, *self.rows)]
        for number in self.strong_rows:
            lines[number + 1] = [cell and f"**{cell}**" for cell in lines[number + 1]]
        numbers = len(self.columns) - self.num_texts
        rule = "|" + "|".join([" --- "] * self.num_texts + [" ---: "] * numbers) + "|"
        table = [f"| {' | '.join(line)} |" for line in lines]
        caption = [markdown_text(self.caption), ""] if self.caption else []
        return "\n".join([*caption, table[0], rule, *table[1:]])

    def to_text(self) -> str:
        """The caption, if any, over aligned columns for a terminal, wide letters included."""
        lines = [[one_line(_text(cell)) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(map(_num_places, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join(
                cell + " " * (width - _num_places(cell))
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*filter(None, [one_line(self.caption)]), *aligned])

    def to_html(self) -> str:
        """The ``<table>`` element; classes are those of ``page.html``."""
        caption = f"<caption>{html_text(self.caption)}</caption>\n" if self.caption else ""
        heads = "".join(
            f'<th scope="col"{_NAME if place < self.num_texts else ""}>{html_text(name)}</th>'
            for place, name in enumerate(self.columns)
        )
        rows = "".join(
            f"<tr{_STRONG if number in self.strong_rows else ''}>"
            + "".join(self._html_cell(place, cell) for place, cell in enumerate(row))
            + "</tr>\n"
            for number, row in enumerate(self.rows)
        )
        return (
            f"<table>\n{caption}<thead>\n<tr>{heads}</tr>\n</thead>\n"
            f"<tbody>\n{rows}</tbody>\n</table>"
        )

    def _html_cell(self, place: int, cell: Cell) -> str:
        said = html_text(_text(cell))
        if place == 0:
            return f'<th scope="row" class="name"><span>{said}</span></th>'
        if place < self.num_texts:
            is_last = place == len(self.columns) - 1
            return f'<td class="name{" long" if is_last else ""}"><span>{said}</span></td>'
        return f'<td class="number">{said}</td>'


_NAME, _STRONG = ' class="name"', ' class="strong"'


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
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


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
