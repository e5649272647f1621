"""The robustness curves: a panel for each perturbation, and marks where the numbers say."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from test_robustness_table import pooled, tables

from avkd.reporting import robustness_figure


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    return figures


def test_each_panel_goes_from_clean_to_the_strongest(tmp_path: Path, drawn: list[Figure]) -> None:
    found = tables(lost=7)
    robustness_figure.draw_curves(found, tmp_path / "r.png")
    table = pooled(found)
    panels = {axes.get_title(): axes for axes in drawn[0].axes if axes.get_title()}
    assert list(panels) == ["mean of all", "blur", "jpeg"]
    for title, name in (("mean of all", "mean"), ("blur", "blur"), ("jpeg", "jpeg")):
        entries = [table.clean, table.at(name, 1), table.at(name, 3)]
        (line,) = (x for x in panels[title].lines if len(x.get_xdata()) == 3)
        assert list(line.get_xdata()) == [0, 1, 3]
        assert list(line.get_ydata()) == [100 * e.auc.value for e in entries]
        marks = [x for x in panels[title].lines if len(x.get_xdata()) == 1]
        hollow = [x.get_xdata()[0] for x in marks if x.get_markerfacecolor() == "white"]
        assert hollow == ([3] if name == "blur" else [])
        low, high = panels[title].get_ylim()
        assert low < min(100 * e.interval.low for e in entries) and high > 100


def test_a_cell_without_a_number_is_a_gap(tmp_path: Path, drawn: list[Figure]) -> None:
    robustness_figure.draw_curves(tables(lost=14), tmp_path / "r.png")
    (blur,) = (axes for axes in drawn[0].axes if axes.get_title() == "blur")
    (line,) = (x for x in blur.lines if len(x.get_xdata()) == 3)
    values = list(line.get_ydata())
    assert values[2] != values[2] and values[0] == values[0]


def test_many_models_go_to_several_files_and_each_has_its_own_look(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    models = tuple(
        f"model $x_{number}" for number in range(robustness_figure.MODELS_PER_FIGURE + 1)
    )
    paths = robustness_figure.draw_curves(tables(models=models), tmp_path / "r.png")
    assert [path.name for path in paths] == ["r.png", "r_2.png"]
    (key,) = drawn[0].legends
    assert len(key.get_texts()) == len(models) - 1
    looks = {(h.get_color(), h.get_linestyle(), h.get_marker()) for h in key.legend_handles}
    assert len({colour for colour, _, _ in looks}) == len({m for _, _, m in looks}) == len(looks)


def test_the_page_gets_the_same_drawing_twice_with_a_caption_that_names_the_models() -> None:
    found = tables(models=("one", "two <b>"))
    first, second = (robustness_figure.pictures(found) for _ in range(2))
    assert first == second
    (picture,) = first
    assert "one, two <b>" in picture.caption and "<b>" not in picture.svg


def test_a_figure_is_written_whole(tmp_path: Path) -> None:
    (path,) = robustness_figure.draw_curves(tables(), tmp_path / "r.png")
    assert path.read_bytes().startswith(b"\x89PNG") and list(tmp_path.iterdir()) == [path]
