"""Histograms, ROC, DET and heat maps: every file counted, every mark where its number is."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm

from avkd.reporting import heat_map, roc_figure, score_histogram
from avkd.reporting.roc_band import RocBand, RocCurve


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures in the order in which they were turned into SVG."""
    figures: list[Figure] = []
    for module in (heat_map, roc_figure, score_histogram):
        monkeypatch.setattr(module, "to_svg", lambda figure: figures.append(figure) or "<svg/>")
    return figures


def test_every_file_is_in_a_bin_however_far_out_it_lies() -> None:
    random = np.random.default_rng(0)
    reals = np.append(random.normal(size=400), [-1e300, 1e300])
    fakes = {"swap": random.normal(1, 1, 250), "odd": np.array([5.0, 1e308])}
    histogram = score_histogram.count_scores(reals, fakes)
    assert histogram.reals.sum() == 402
    assert {name: counts.sum() for name, counts in histogram.fakes.items()} == {
        "swap": 250,
        "odd": 2,
    }
    assert np.isfinite(histogram.edges).all()
    assert histogram.reals[0] >= 1 and histogram.reals[-1] >= 1
    inside = (reals >= histogram.edges[8]) & (reals < histogram.edges[9])
    assert histogram.reals[8] == inside.sum()


def test_equal_scores_still_make_a_histogram(drawn: list[Figure]) -> None:
    histogram = score_histogram.count_scores(np.zeros(3), {"swap": np.zeros(2)})
    assert (histogram.reals.sum(), histogram.fakes["swap"].sum()) == (3, 2)
    score_histogram.histogram_svg(histogram, ["swap"], 0.0)
    assert len(drawn[0].axes) == 1


def test_each_method_has_its_panel_with_the_reals_behind_and_the_threshold(
    drawn: list[Figure],
) -> None:
    random = np.random.default_rng(0)
    fakes = {name: random.normal(2, 1, 50) for name in ("a", "b", "$c_{")}
    histogram = score_histogram.count_scores(random.normal(size=80), fakes)
    score_histogram.histogram_svg(histogram, ["a", "$c_{"], 0.5)
    titles = [axes.get_title(loc="left").split()[0] for axes in drawn[0].axes]
    assert titles == ["a", r"\$c_{"]
    for axes, name in zip(drawn[0].axes, ("a", "$c_{"), strict=True):
        reals, of_method = (patch.get_data().values for patch in axes.patches)
        assert np.allclose(reals * 80, histogram.reals)
        assert np.allclose(of_method * 50, histogram.fakes[name])
        assert [line.get_xdata()[0] for line in axes.lines] == [0.5]
        assert axes.get_ylim()[1] > max(reals.max(), of_method.max())


def made_up_curves(**changes: Any) -> roc_figure.DrawnCurves:
    rates = np.array([0.0, 0.1, 0.5, 1.0]), np.array([0.0, 0.7, 0.9, 1.0])
    curves = roc_figure.DrawnCurves(
        pooled=RocCurve(*rates),
        pooled_name="all forgeries",
        band=RocBand(rates[0], rates[1] / 2, np.sqrt(rates[1])),
        methods=(("swap", RocCurve(*rates)), ("morph", RocCurve(*rates))),
        operating_point=(0.1, 0.7),
    )
    return dataclasses.replace(curves, **changes)


def test_the_det_axes_are_normal_deviates_of_both_errors(drawn: list[Figure]) -> None:
    """A pair of normal distributions must give a straight line; swapped axes would mirror it."""
    thresholds = np.linspace(-2, 3, 60)
    normal = RocCurve(norm.sf(thresholds[::-1]), norm.sf(thresholds[::-1] - 1.5))
    roc_figure.det_svg(made_up_curves(pooled=normal))
    (axes,) = drawn[0].axes
    (line,) = (line for line in axes.lines if line.get_label() == "all forgeries")
    x, y = line.get_xdata(), line.get_ydata()
    assert np.allclose(x + y, -1.5)
    assert np.allclose(x, norm.ppf(normal.false_positive))
    assert np.allclose(norm.cdf(axes.get_xticks()), roc_figure.DET_TICKS)
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert ticks == ["0.1", "1", "5", "20", "50", "80", "95"]
    (dot,) = (line for line in axes.lines if line.get_marker() == "o")
    assert np.allclose((dot.get_xdata()[0], dot.get_ydata()[0]), norm.ppf([0.1, 0.3]))
    assert "FPR" in axes.get_xlabel() and "FNR" in axes.get_ylabel()


def test_the_roc_shows_curves_band_and_operating_point(drawn: list[Figure]) -> None:
    curves = made_up_curves()
    roc_figure.roc_svg(curves)
    (axes,) = drawn[0].axes
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert sorted(names) == ["all forgeries", "morph", "swap", "validation threshold"]
    (dot,) = (line for line in axes.lines if line.get_marker() == "o")
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (0.1, 0.7)
    corners = axes.collections[0].get_paths()[0].vertices
    assert [0.1, 0.35] in corners.tolist()
    roc_figure.roc_svg(made_up_curves(band=None, operating_point=None))
    assert not drawn[1].axes[0].collections


def test_methods_beyond_the_styles_are_grey_and_not_named(drawn: list[Figure]) -> None:
    curve = made_up_curves().pooled
    many = tuple((f"m{k}", curve) for k in range(roc_figure.MOST_NAMED + 5))
    roc_figure.roc_svg(made_up_curves(methods=many))
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert len(names) == roc_figure.MOST_NAMED + 2
    styles = {(line.get_color(), line.get_linestyle()) for line in drawn[0].axes[0].lines}
    assert len(styles) >= roc_figure.MOST_NAMED


def made_up_map() -> heat_map.HeatMap:
    return heat_map.HeatMap(
        title="t",
        rows=("one", "two"),
        columns=("x", "y", "z"),
        values=((0.9, 0.5, None), (0.2, 1.0, 0.7)),
        intervals=(((0.8, 0.95), None, None), (None, (0.99, 1.0), None)),
        marked=frozenset({(1, 2)}),
        row_title="trained on",
        column_title="tested on",
    )


def test_a_cell_has_its_number_its_interval_and_the_colour_of_its_side_of_chance(
    drawn: list[Figure],
) -> None:
    heat_map.heat_map(made_up_map())
    (axes,) = drawn[0].axes
    places = {(round(t.get_position()[0]), t.get_position()[1]): t.get_text() for t in axes.texts}
    numbers = {place: text for place, text in places.items() if not text.startswith("[")}
    assert {(x, round(y)): text for (x, y), text in numbers.items()} == {
        **{(0, 0): "90.0", (1, 0): "50.0", (2, 0): "none"},
        **{(0, 1): "20.0", (1, 1): "100.0", (2, 1): "70.0"},
    }
    assert sorted(t for t in places.values() if t.startswith("[")) == ["[80, 95]", "[99, 100]"]
    assert heat_map.cell_colour(0.5).tolist() == [1.0, 1.0, 1.0]
    better, worse = heat_map.cell_colour(0.8), heat_map.cell_colour(0.2)
    assert better[2] > better[0] and worse[0] > worse[2]
    assert heat_map.cell_colour(0.95).sum() < better.sum()
    frames = [patch.get_xy() for patch in axes.patches if not patch.get_fill()]
    assert np.allclose(frames, [(1.54, 0.54)])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("tested on", "trained on")


def test_a_heat_map_is_written_as_a_picture_too(tmp_path: Any) -> None:
    heat_map.draw_heat_map(made_up_map(), tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"map\.docx"):
        heat_map.draw_heat_map(made_up_map(), tmp_path / "map.docx")
