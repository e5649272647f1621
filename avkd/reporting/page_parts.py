"""What a report page is made of: sections of plain text, tables and figures.

Every part of the report (a model's tables, robustness, shortcuts, matrix) describes itself in these
words once; `page` alone knows HTML. All text is plain and untrusted: whoever prints it escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text cells."""

    columns: tuple[str, ...]
    """Column headings."""
    rows: tuple[tuple[str, ...], ...]
    """Cells, as many as there are columns."""
    num_texts: int = 1
    """Leading columns that hold names (set left); the others hold numbers (set right)."""
    caption: str = ""
    """One sentence over the table; empty = none."""
    strong_rows: frozenset[int] = frozenset()
    """Rows, from 0, that are set in bold."""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.columns


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing with the sentence that says what it shows."""

    svg: str
    """The whole drawing as SVG text made by us, without script, link or outside file."""
    caption: str
    """What it shows; stands beside it and is its text for those who cannot see it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One number that the page was opened for."""

    subject: str
    """What it is about, e.g. the dataset."""
    value: str
    """The number as it is printed, or the reason why there is none."""
    detail: str = ""
    """What must never be read without it, e.g. its interval and coverage."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The answer of one model (or study), before anything else on the page."""

    title: str
    """Whose answer it is."""
    quantity: str
    """What the numbers are, e.g. ``AUC % [95 % interval]``."""
    answers: tuple[Answer, ...] = ()
    """The numbers, in order."""
    notes: tuple[str, ...] = ()
    """Sentences to read the numbers by."""
    warnings: tuple[str, ...] = ()
    """Sentences that change what the numbers mean."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the page."""

    title: str
    """Heading."""
    part: str = ""
    """What it is about where a page is about several things, e.g. a model: sections of one part,
    which stand together, get its name as a heading of their own."""
    warnings: tuple[str, ...] = ()
    """Sentences that must not be overlooked; shown first."""
    paragraphs: tuple[str, ...] = ()
    """Sentences for the reader, before the tables."""
    tables: tuple[Table, ...] = ()
    """Tables, in order."""
    pictures: tuple[Picture, ...] = ()
    """Figures, in order."""
    notes: tuple[str, ...] = ()
    """How to read it, one sentence each, in small print after the tables."""
