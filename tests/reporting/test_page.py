"""The HTML page: nothing from outside, nothing a name could say to the browser, the same bytes."""

import base64
import dataclasses
import html.parser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from avkd.reporting import page
from avkd.reporting.page import Answer, Headline, Picture, Section
from avkd.reporting.tables import Table

HOSTILE = "<script>alert('x')</script>\"&amp;' onload=x {{ 7 * 7 }} \u202egnp.exe\u202c \udcff\x07"
DRAWING = (
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 50"><metadata>x</metadata>'
    '<defs><clipPath id="c"><rect width="5" height="5"/></clipPath><path id="m" d="M 0 0"/></defs>'
    '<g id="figure_1" clip-path="url(#c)"><use xlink:href="#m" style="fill: url(#c)"/></g>'
    "<text>a &lt;b&gt;</text></svg>"
)


def made_up_section(text: str = "plain", *, part: str = "") -> Section:
    table = Table(
        columns=(text, "number"),
        rows=((text, "1.5"), ("b", "2")),
        caption=text,
        strong_rows=frozenset({1}),
    )
    return Section(
        title=text,
        part=part,
        warnings=(text,),
        paragraphs=(text,),
        tables=(table,),
        pictures=(Picture(svg=DRAWING, caption=text), Picture(svg=DRAWING, caption="other")),
        notes=(text,),
    )


def made_up_page(text: str = "plain") -> str:
    answer = Answer(subject=text, value="80.0", detail=text)
    headline = Headline(title=text, quantity=text, answers=(answer,), warnings=(text,))
    sections = [made_up_section(text), *(made_up_section(text, part=text) for _ in range(2))]
    return page.to_html(title=text, sections=sections, headlines=[headline], facts={text: text})


def test_markdown_has_no_heading_over_nothing() -> None:
    drawn = Section(title="Curves", pictures=(Picture(svg=DRAWING, caption="a curve"),))
    text = page.to_markdown([Section(title="Report"), drawn, made_up_section("Table")], level=2)
    assert [line for line in text.splitlines() if line.startswith("#")] == ["## Report", "## Table"]
    assert "Curves" in page.to_html(title="x", sections=[drawn])


class Elements(html.parser.HTMLParser):
    """Elements of a page with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} is given twice"
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", ["plain", HOSTILE])
def test_the_page_is_whole_and_asks_for_nothing_from_outside(text: str) -> None:
    source = made_up_page(text)
    elements = Elements(source)
    assert not elements.open
    tags = [tag for tag, _ in elements.found]
    assert not {"script", "iframe", "object", "embed", "form", "base", "svg"} & {*tags}
    assert not re.search(r"https?:|//www|@import|@font-face", source)
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "action", "data", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(
                ("#", "data:,", "data:image/svg+xml;base64,")
            ), (tag, attributes)
    policy = {a.get("http-equiv"): a.get("content") for _, a in elements.found}
    assert "default-src 'none'" in str(policy["Content-Security-Policy"])
    assert "script-src" not in str(policy["Content-Security-Policy"])
    assert ("html", {"lang": "en"}) in elements.found


def test_a_hostile_name_is_text_wherever_it_stands() -> None:
    """A dataset may be called anything; its name must neither run nor reorder the sentence."""
    source = made_up_page(HOSTILE)
    assert "<script" not in source and "49" not in Elements(source).text
    assert not {"\u202e", "\u202c", "\udcff", "\x07"} & {*source}
    shown = "<script>alert('x')</script>\"&amp;' onload=x {{ 7 * 7 }} ?gnp.exe? ??"
    assert Elements(source).text.count(shown) == made_up_page("plain").count(">plain<")
    # As many elements as with a plain name: none was made by the name, none was ended by it.
    assert len(Elements(source).found) == len(Elements(made_up_page()).found)


def test_every_id_is_there_once_and_every_reference_finds_its_own() -> None:
    source = made_up_page()
    ids = re.findall(r'\bid="([^"]*)"', source)
    assert len(ids) == len({*ids})
    targets = re.findall(r'(?:href="#|labelledby=")([^")]+)', source)
    assert len(targets) > 10 and {*targets} <= {*ids}


def test_a_drawing_stands_in_the_page_as_a_picture_which_browsers_run_nothing_of() -> None:
    drawing = DRAWING.replace("<text>", "<script>alert(1)</script><text>한국")
    picture = Picture(svg=drawing, caption="c")
    source = page.to_html(title="t", sections=[Section(title="s", pictures=(picture,))])
    ((_, image),) = (found for found in Elements(source).found if found[0] == "img")
    kind, _, data = str(image["src"]).partition(",")
    assert kind == "data:image/svg+xml;base64" and base64.b64decode(data).decode() == drawing
    assert "<svg" not in source and "script" not in source
    assert not picture.is_wide
    assert Picture(svg=drawing.replace("<svg", '<svg width="600pt"'), caption="c").is_wide


def test_headlines_come_before_contents_before_sections_and_parts_get_one_heading() -> None:
    sections = [
        dataclasses.replace(made_up_section(), title="first"),
        dataclasses.replace(made_up_section(part="model a"), title="second"),
        dataclasses.replace(made_up_section(part="model a"), title="third"),
    ]
    headline = Headline(title="answer", quantity="AUC %", warnings=("beware",))
    source = page.to_html(title="t", sections=sections, headlines=[headline])
    places = [source.index(text) for text in ("answer", "beware", "<nav", '<h2 id="section-1">')]
    assert places == sorted(places)
    assert source.count("<h2>model a</h2>") == 1
    assert '<h3 id="section-2">second</h3>' in source
    assert source.index("warnings", source.index("second</h3>")) < source.index(
        "<table", source.index("second</h3>")
    )
    assert source.count('class="strong"') == 3
    assert "<footer" not in source
    assert (
        '<th scope="row" class="name"><span>plain</span></th><td class="number">1.5</td>' in source
    )


def test_a_percent_sign_stays_with_its_number() -> None:
    section = Section(title="t", paragraphs=("covers 95 % of it",))
    assert "95\N{NO-BREAK SPACE}% of" in page.to_html(title="t", sections=[section])


_PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from avkd.reporting import page
from avkd.metrics.bootstrap import Metric, Resampling
from avkd.reporting.figures import curves
from avkd.reporting.figures.canvas import picture
from avkd.reporting.figures.results import heat_map
random = np.random.default_rng(0)
labels = random.integers(0, 2, 300)
scores = random.normal(labels, 1.0)
plan = Resampling.of(labels, groups=None, resamples=100, seed=0)
curve = curves.thin_roc(labels, scores)
drawn = curves.Curves(
    pooled=curve, pooled_name="all", band=curves.roc_band(labels, scores, plan),
    methods={"a": curve, "b": curve}, operating_point=(0.1, 0.5),
)
counted = curves.count_scores(scores[labels == 0], {"a": scores[labels == 1]})
figures = [
    curves.roc_figure(drawn), curves.det_figure(drawn),
    heat_map(["r"], ["c"], [[Metric(0.7)]], titles=("a", "b")),
    curves.histogram_figure(*counted, threshold=0.2, tallest=0.5),
]
pictures = tuple(picture(figure, "c") for figure in figures)
section = page.Section(title="s", pictures=pictures)
Path(sys.argv[1]).write_text(page.to_html(title="t", sections=[section]))
"""


def test_two_processes_write_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one, and one that hashes otherwise."""
    paths = [tmp_path / "here.html", tmp_path / "there.html"]
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    command = [sys.executable, "-c", _PROGRAM, str(paths[1])]
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, timeout=120)
    monkeypatch.setattr(sys, "argv", ["-c", str(paths[0])])
    exec(_PROGRAM, {})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    source = paths[0].read_text(encoding="utf-8")
    assert source.count("<img") == 4


_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
_MEASURING = """<!doctype html><body><iframe id="f" src="page.html"
style="width:390px;height:800px;border:0"></iframe><pre id="answer"></pre><script>
addEventListener("load", () => {
  const inside = document.getElementById("f").contentDocument.documentElement;
  document.getElementById("answer").textContent =
    "measured " + inside.scrollWidth + " of " + inside.clientWidth;
});
</script>"""


@pytest.mark.skipif(_BROWSER is None, reason="no chromium or google-chrome is installed")
def test_a_phone_need_not_scroll_sideways_and_the_browser_finds_nothing_to_say(
    tmp_path: Path,
) -> None:
    """Wide tables and drawings scroll in boxes of their own, whatever names they hold."""
    wide = Table(
        columns=("long_" * 40, *(f"column {k}" for k in range(20))),
        rows=(("x" * 400, *("100.0 [100.0, 100.0]" for _ in range(20))),),
    )
    drawing = DRAWING.replace("0 0 100 50", "0 0 900 50").replace("<svg", '<svg width="900pt"')
    section = Section(
        title="y" * 300,
        tables=(wide,),
        paragraphs=("z" * 500,),
        pictures=(Picture(svg=drawing, caption="w" * 200),),
        warnings=("v" * 200,),
    )
    headline = Headline(title="u" * 200, quantity="q" * 200, warnings=("t" * 200,))
    source = page.to_html(
        title="s" * 200, sections=[section], headlines=[headline], facts={"a": "b" * 300}
    )
    (tmp_path / "page.html").write_text(source)
    (tmp_path / "measuring.html").write_text(_MEASURING)
    command = [
        *(str(_BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *("--allow-file-access-from-files", "--enable-logging=stderr", "--hide-scrollbars"),
        *("--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}"),
        f"file://{tmp_path / 'measuring.html'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "measured 390 of 390" in done.stdout
    assert "CONSOLE" not in done.stderr
