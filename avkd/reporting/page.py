"""Sections as one self-contained HTML page: no script, no outside file, the same bytes every time.

The only file that knows HTML, with its template ``page.html``. Every text is untrusted (a dataset
may be called ``<script>``): it is escaped by the template, and characters that steer the order of
writing are shown as ``?``. Knows nothing of scores and reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import jinja2
from markupsafe import Markup

from avkd import durable
from avkd.reporting.inline_svg import inline_svg
from avkd.reporting.page_parts import Headline, Section
from avkd.reporting.table_text import one_line

_TEMPLATE = Path(__file__).with_name("page.html")


def write_page(
    path: Path,
    *,
    title: str,
    sections: Sequence[Section],
    headlines: Sequence[Headline] = (),
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write a report page atomically.

    Args:
        path: of the HTML file.
        title: heading of the page.
        sections: in order; those of one `Section.part` must stand together.
        headlines: what the reader came for, above everything else.
        facts: names and values for the foot of the page, e.g. versions.

    Raises:
        ValueError: a picture is not a drawing without script, link or outside file.
    """
    page = to_html(title=title, sections=sections, headlines=headlines, facts=facts)
    durable.write_text(path, page)


def to_html(
    *,
    title: str,
    sections: Sequence[Section],
    headlines: Sequence[Headline] = (),
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page as text; arguments and errors as of `write_page`."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Whatever is printed passes here: one line, no unprintable and no order-steering sign, and
        # no percent sign parted from its number.
        finalize=_shown,
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    numbered = list(enumerate(sections, start=1))
    return template.render(
        title=title,
        headlines=headlines,
        parts=[(part, list(of_part)) for part, of_part in groupby(numbered, _part)],
        facts=dict(facts or {}),
        drawing=lambda svg, number: Markup(inline_svg(svg, f"picture-{number}-")),
    )


def _part(numbered: tuple[int, Section]) -> str:
    return numbered[1].part


def _shown(value: object) -> object:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return one_line(value).replace(" %", "\N{NO-BREAK SPACE}%")
