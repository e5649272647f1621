"""The one table: whatever a name holds, no format loses a cell, a number or its own shape."""

import csv
import html
import io
import re

import pytest

from avkd.reporting import page
from avkd.reporting.tables import Table, csv_cell, from_csv_cell

HOSTILE = (
    *("a|b", "<script>alert('x')</script>", "**x** `y`\n# z", "[a](http://x)", "a\\|b"),
    *("=1+1", "+1", "-1+cmd|' /C calc'!A0", "@x", "\t=x", "'=x", "''@y", "-", "'quoted'"),
    *('say "a", b', "\u202egnp.exe", "한국어 얼굴", "", "-23.5", "1e-5"),
)


def made_up(name: str = "plain") -> Table:
    return Table.of(
        [
            {name: name, "number": 0.1 + 0.2, "is it": True},
            {name: "b", "number": None, "is it": False},
        ],
        strong_rows=[0],
        caption=name,
    )


def html_of(table: Table) -> str:
    source = page.to_html(title="t", sections=[page.Section(title="s", tables=(table,))])
    found = re.search(r"<table>.*</table>", source, re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_is_read_back_as_it_was_and_no_spreadsheet_runs_it(name: str) -> None:
    first, second = csv.reader(io.StringIO(made_up(name).to_csv())), ["b", "", "0"]
    (head, line, other) = first
    assert [from_csv_cell(cell) for cell in (head[0], line[0])] == [name, name]
    assert float(line[1]) == 0.1 + 0.2 and (line[2], other) == ("1", second)
    begins = line[0][:1] in ("=", "+", "-", "@", "\t", "\r", "\n")
    assert not begins or line[0] == "-" or float(line[0])
    assert csv_cell(-0.5) == -0.5 and csv_cell(None) == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_keeps_its_cells_and_makes_no_tag_link_or_emphasis_of_a_name(name: str) -> None:
    lines = made_up(name).to_markdown().splitlines()
    table = lines[2:] if name else lines
    unescaped = [line.replace("\\\\", "").replace("\\|", "") for line in table]
    assert [line.count("|") for line in unescaped] == [4] * 4
    assert "<" not in "".join(lines) and "](" not in "".join(lines).replace("\\](", "")
    assert "`" not in "".join(lines).replace("\\`", "")
    assert table[1] == "| --- | ---: | ---: |"
    assert table[2].endswith("| **0.3** | **True** |") and "**" not in table[3]
    assert table[3] == "| b | not defined | False |"


@pytest.mark.parametrize("name", HOSTILE)
def test_html_shows_a_name_and_does_nothing_else_with_it(name: str) -> None:
    source = html_of(made_up(name))
    assert source.count("<") == html_of(made_up()).count("<") - (0 if name else 2)
    shown = "".join(c if c.isprintable() else "?" for c in " ".join(name.split()))
    assert html.unescape(source).count(shown) >= (3 if name else 0)
    assert source.count('<tr class="strong"') == 1


def test_text_aligns_wide_letters_and_hides_what_could_steer_a_terminal() -> None:
    table = Table(columns=("name", "n"), rows=(("한국", 1), ("a\x1b[31m", 2)))
    assert table.to_text().splitlines() == ["name    n", "한국    1", "a?[31m  2"]


def test_a_percent_sign_stays_with_its_number_on_a_page() -> None:
    table = Table(columns=("covers 95 %",), rows=())
    assert "95\N{NO-BREAK SPACE}%" in html_of(table)


def test_lines_leave_empty_what_they_do_not_have() -> None:
    table = Table.of([{"a": None, "b": 1}, {"a": "x"}])
    assert table.to_csv() == "a,b\n,1\nx,\n"
