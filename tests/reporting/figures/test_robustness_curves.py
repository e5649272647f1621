"""The robustness curves: a panel for each perturbation, and marks where the numbers say."""

from pathlib import Path

from factories import pooled, tables

from avkd.reporting.figures.canvas import picture, save
from avkd.reporting.figures.robustness_curves import MODELS_PER_FIGURE, robustness_figures


def test_each_panel_goes_from_clean_to_the_strongest() -> None:
    found = tables(lost=7)
    ((figure, _),) = robustness_figures(found)
    table = pooled(found)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
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
        assert low < min(100 * e.auc.interval.low for e in entries) and high > 100


def test_a_cell_without_a_number_is_a_gap() -> None:
    ((figure, _),) = robustness_figures(tables(lost=14))
    (blur,) = (axes for axes in figure.axes if axes.get_title() == "blur")
    (line,) = (x for x in blur.lines if len(x.get_xdata()) == 3)
    values = list(line.get_ydata())
    assert values[2] != values[2] and values[0] == values[0]


def test_many_models_go_to_several_files_and_each_has_its_own_look(tmp_path: Path) -> None:
    models = tuple(f"model $x_{number}" for number in range(MODELS_PER_FIGURE + 1))
    figures = [figure for figure, _ in robustness_figures(tables(models=models))]
    paths = save(figures, tmp_path / "r.png")
    assert [path.name for path in paths] == ["r.png", "r_2.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    (key,) = figures[0].legends
    assert len(key.get_texts()) == len(models) - 1
    looks = {(h.get_color(), h.get_linestyle(), h.get_marker()) for h in key.legend_handles}
    assert len({colour for colour, _, _ in looks}) == len({m for _, _, m in looks}) == len(looks)


def test_the_page_gets_the_same_drawing_twice_with_a_caption_that_names_the_models() -> None:
    found = tables(models=("one", "two <b>"))
    first, second = ([picture(*drawn) for drawn in robustness_figures(found)] for _ in range(2))
    assert first == second
    assert "one, two <b>" in first[0].caption and "<b>" not in first[0].svg
