"""Cells of CSV files, whose names are untrusted: written here, and read back as they were."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

Cell = str | int | float | bool | None
"""None = not defined: an empty cell."""

# A spreadsheet runs a text that begins so unless it is a number; the quotes are those of before.
_FORMULA = re.compile(r"(?![+-]?[\d.]+(e[+-]?\d+)?$)'*[=+\-@\t\r\n].", re.DOTALL)


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
