"""Sections of a report as Markdown, or as one HTML page without script, outside file or date.

Every text is untrusted (a dataset may be called ``<script>``) and escaped where it is printed.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from avkd.reporting.tables import Table, by_reason, html_text, markdown_text

if TYPE_CHECKING:  # predict writes pages, too, and needs no scipy
    from avkd.metrics.bootstrap import Metric

_TEMPLATE = Path(__file__).with_name("page.html")
_WIDE_POINTS = 420  # a wider drawing scrolls on a phone instead of becoming too small to read


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing with the sentence that says what it shows."""

    svg: str
    """The drawing as SVG text; browsers run no script of a drawing that stands in an ``<img>``."""
    caption: str
    """What it shows; stands beside it and is its text for those who cannot see it."""

    @property
    def source(self) -> str:
        """What an ``<img>`` shows it by."""
        data = base64.b64encode(self.svg.encode("utf-8", "replace")).decode("ascii")
        return f"data:image/svg+xml;base64,{data}"

    @property
    def is_wide(self) -> bool:
        """Whether it is wider than a phone."""
        width = re.search(r'<svg[^>]* width="([\d.]+)pt"', self.svg)
        return width is not None and float(width[1]) > _WIDE_POINTS


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One number that the page was opened for."""

    subject: str
    """What it is about, e.g. the dataset."""
    value: str
    """The number as it is printed, or why there is none."""
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
    """One part of a report."""

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
    """Figures, in order; not in Markdown."""
    notes: tuple[str, ...] = ()
    """How to read it, one sentence each, in small print after the tables."""


def undefined(numbers: "Iterable[tuple[str, Metric]]") -> list[Section]:
    """What is not defined of named numbers and their intervals, each reason once, if anything."""
    reasons = by_reason(
        (why, name) for name, number in numbers for why in (number.reason, number.interval.reason)
    )
    notes = tuple(f"{reason}: {'; '.join(names)}" for reason, names in reasons.items())
    return [Section(title="Numbers that are not defined", notes=notes)] if notes else []


def to_markdown(sections: Iterable[Section], *, level: int = 1) -> str:
    """Sections as Markdown, their headings of ``level``; those of pictures alone are left out."""
    blocks: list[str] = []
    for section in sections:
        told = [f"**{markdown_text(warning)}**" for warning in section.warnings]
        told += map(markdown_text, section.paragraphs)
        told += [table.to_markdown() for table in section.tables]
        told += filter(None, ["\n".join(f"- {markdown_text(note)}" for note in section.notes)])
        if told or not section.pictures:
            blocks += [f"{'#' * level} {markdown_text(section.title)}", *told]
    return "\n\n".join(blocks) + "\n"


def to_html(
    *,
    title: str,
    sections: Iterable[Section],
    headlines: Sequence[Headline] = (),
    facts: Mapping[str, str] | None = None,
) -> str:
    """A report page: headlines, sections (of one `Section.part` together), facts at its foot."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Whatever is printed passes here.
        finalize=lambda value: Markup(html_text(value)) if type(value) is str else value,
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    numbered = enumerate(sections, start=1)
    parts = groupby(numbered, lambda place: place[1].part)
    return template.render(
        title=title,
        headlines=headlines,
        parts=[(part, list(of_part)) for part, of_part in parts],
        facts=facts or {},
    )
