"""Sections of a report as Markdown; the drawings are named, not shown.

All text of a section is untrusted: a name can neither end a table row nor begin a tag or a link.
"""

from __future__ import annotations

from collections.abc import Iterable

from avkd.reporting.page_parts import Section, Table
from avkd.reporting.table_text import inline, markdown_table


def to_markdown(sections: Iterable[Section]) -> str:
    """One heading each, warnings first, then sentences, tables and notes."""
    return "\n\n".join(block for section in sections for block in _blocks(section)) + "\n"


def _blocks(section: Section) -> Iterable[str]:
    yield f"# {_plain(section.title)}"
    yield from (f"**{_plain(warning)}**" for warning in section.warnings)
    yield from map(_plain, section.paragraphs)
    for table in section.tables:
        if table.caption:
            yield _plain(table.caption)
        yield _table(table)
    if section.notes:
        yield "\n".join(f"- {_plain(note)}" for note in section.notes)


def _table(table: Table) -> str:
    rows = [[_plain(cell) for cell in row] for row in table.rows]
    columns = [_plain(column) for column in table.columns]
    return "\n".join(markdown_table(columns, rows, num_texts=table.num_texts))


def _plain(text: str) -> str:
    """Without what Markdown would read as a link, a picture, emphasis or code."""
    escaped = inline(text)
    for mark in ("`", "*", "]("):
        escaped = escaped.replace(mark, "\\" + mark)
    return escaped
