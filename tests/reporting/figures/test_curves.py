"""Histograms, ROC and DET curves: every file counted, every mark where its number is."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as reference

from avkd.metrics.bootstrap import Resampling
from avkd.reporting.figures import curves


def test_every_file_is_in_a_bin_however_far_out_it_lies() -> None:
    random = np.random.default_rng(0)
    reals = np.append(random.normal(size=400), [-1e300, 1e300])
    fakes = {"swap": random.normal(1, 1, 250), "odd": np.array([5.0, 1e308])}
    edges, real, fake = curves.count_scores(reals, fakes)
    assert real.sum() == 402
    assert {name: counts.sum() for name, counts in fake.items()} == {
        "swap": 250,
        "odd": 2,
    }
    assert np.isfinite(edges).all()
    assert real[0] >= 1 and real[-1] >= 1
    inside = (reals >= edges[8]) & (reals < edges[9])
    assert real[8] == inside.sum()


def test_equal_scores_still_make_a_histogram() -> None:
    edges, reals, fakes = curves.count_scores(np.zeros(3), {"swap": np.zeros(2)})
    assert (reals.sum(), fakes["swap"].sum()) == (3, 2)
    assert len(curves.histogram_figure(edges, reals, fakes, tallest=1.0).axes) == 1


def test_each_method_has_its_panel_with_the_reals_behind_and_the_threshold() -> None:
    random = np.random.default_rng(0)
    fakes = {name: random.normal(2, 1, 50) for name in ("a", "b", "$c_{")}
    edges, real, fake = curves.count_scores(random.normal(size=80), fakes)
    shown = {name: fake[name] for name in ("a", "$c_{")}
    figure = curves.histogram_figure(edges, real, shown, threshold=0.5, tallest=0.5)
    titles = [axes.get_title(loc="left").split()[0] for axes in figure.axes]
    assert titles == ["a", r"\$c_{"]
    for axes, name in zip(figure.axes, ("a", "$c_{"), strict=True):
        reals, of_method = (patch.get_data().values for patch in axes.patches)
        assert np.allclose(reals * 80, real)
        assert np.allclose(of_method * 50, fake[name])
        assert [line.get_xdata()[0] for line in axes.lines] == [0.5]
        assert axes.get_ylim()[1] > max(reals.max(), of_method.max())


def made_up_curves(**changes: Any) -> curves.Curves:
    rates = np.array([0.0, 0.1, 0.5, 1.0]), np.array([0.0, 0.7, 0.9, 1.0])
    made = curves.Curves(
        pooled=rates,
        pooled_name="all forgeries",
        band=(rates[0], rates[1] / 2, np.sqrt(rates[1])),
        methods={"swap": rates, "morph": rates},
        operating_point=(0.1, 0.7),
    )
    return dataclasses.replace(made, **changes)


def test_the_det_axes_are_normal_deviates_of_both_errors() -> None:
    """A pair of normal distributions must give a straight line; swapped axes would mirror it."""
    thresholds = np.linspace(-2, 3, 60)
    normal = norm.sf(thresholds[::-1]), norm.sf(thresholds[::-1] - 1.5)
    (axes,) = curves.det_figure(made_up_curves(pooled=normal)).axes
    (line,) = (line for line in axes.lines if line.get_label() == "all forgeries")
    x, y = line.get_xdata(), line.get_ydata()
    assert np.allclose(x + y, -1.5)
    assert np.allclose(x, norm.ppf(normal[0]))
    assert np.allclose(norm.cdf(axes.get_xticks()), curves.DET_TICKS)
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert ticks == ["0.1", "1", "5", "20", "50", "80", "95"]
    (dot,) = (line for line in axes.lines if line.get_marker() == "o")
    assert np.allclose((dot.get_xdata()[0], dot.get_ydata()[0]), norm.ppf([0.1, 0.3]))
    assert "FPR" in axes.get_xlabel() and "FNR" in axes.get_ylabel()
    (axes,) = curves.det_figure(made_up_curves(operating_point=(0.0, 1.0))).axes
    (dot,) = (line for line in axes.lines if line.get_marker() == "o")
    corner = axes.get_xlim()[0], axes.get_ylim()[0]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == corner, "no error at all: still in the frame"


def test_the_roc_shows_curves_band_and_operating_point() -> None:
    figure = curves.roc_figure(made_up_curves())
    (axes,) = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == ["all forgeries", "morph", "swap", "validation threshold"]
    (dot,) = (line for line in axes.lines if line.get_marker() == "o")
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (0.1, 0.7)
    corners = axes.collections[0].get_paths()[0].vertices
    assert [0.1, 0.35] in corners.tolist()
    bare = curves.roc_figure(made_up_curves(band=None, operating_point=None))
    assert not bare.axes[0].collections


def test_methods_beyond_the_styles_are_grey_and_not_named() -> None:
    curve = made_up_curves().pooled
    many = {f"m{k}": curve for k in range(curves.MOST_NAMED + 5)}
    figure = curves.roc_figure(made_up_curves(methods=many))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(names) == curves.MOST_NAMED + 2
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(styles) >= curves.MOST_NAMED


def made_up_scores(num_files: int, *, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, num_files)
    # Rounded, so that there are ties.
    return labels, np.round(random.normal(labels * 1.2, 1.0), decimals)


def test_the_points_are_those_of_scikit_learn() -> None:
    labels, scores = made_up_scores(200)
    curve = curves.thin_roc(labels, scores)
    rates = reference.roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(curve, rates[:2])


def test_very_many_scores_become_few_corners_that_lie_on_the_curve() -> None:
    labels, scores = made_up_scores(300_000, decimals=12)
    false_positive, true_positive = curves.thin_roc(labels, scores)
    assert false_positive.size <= curves.MOST_POINTS
    assert (false_positive[0], true_positive[-1]) == (0.0, 1.0)
    rates = reference.roc_curve(labels, scores, drop_intermediate=False)[:2]
    corners = {*zip(*np.round(rates, 9).tolist(), strict=True)}
    kept = np.round([false_positive, true_positive], 9).tolist()
    assert {*zip(*kept, strict=True)} <= corners
    grid = np.linspace(0, 1, 1001)
    drawn = np.interp(grid, false_positive, true_positive)
    assert np.abs(drawn - np.interp(grid, *rates)).max() < 0.003
    # A DET curve needs the corners of rare errors too.
    assert np.sum((false_positive > 0) & (false_positive < 0.001)) >= 3


def band_by_hand(
    labels: np.ndarray, scores: np.ndarray, plan: Resampling
) -> tuple[np.ndarray, np.ndarray]:
    rates = []
    for weights in np.concatenate(list(plan.group_weights())):
        times = weights[plan.group_of_file]
        again = np.repeat(labels, times), np.repeat(scores, times)
        drawn = reference.roc_curve(*again, drop_intermediate=False)
        rates.append(np.interp(curves.GRID, drawn[0], drawn[1]))
    return tuple(np.quantile(rates, [0.025, 0.975], axis=0))


def test_the_band_over_groups_is_that_of_the_same_draws_done_by_hand() -> None:
    labels, scores = made_up_scores(120)
    groups = np.random.default_rng(1).integers(0, 25, labels.size).astype(str)
    plan = Resampling.of(labels, groups=groups, resamples=150, seed=3)
    _, *band = curves.roc_band(labels, scores, plan)
    assert np.allclose(band, band_by_hand(labels, scores, plan))


def test_the_band_over_files_is_that_of_the_bootstrap_up_to_chance() -> None:
    labels, scores = made_up_scores(100)
    plan = Resampling.of(labels, groups=None, resamples=4000, seed=3)
    _, *band = curves.roc_band(labels, scores, plan)
    assert np.abs(np.array(band) - band_by_hand(labels, scores, plan)).max() < 0.03


@pytest.mark.parametrize("groups", [None, np.arange(300) // 3])
def test_the_band_holds_the_curve_and_narrows_with_the_files(groups: np.ndarray | None) -> None:
    labels, scores = made_up_scores(300, decimals=6)
    plan = Resampling.of(labels, groups=groups, resamples=300, seed=0)
    grid, low, high = curves.roc_band(labels, scores, plan)
    drawn = np.interp(grid, *curves.thin_roc(labels, scores))
    assert (low <= drawn + 1e-12).all()
    assert (drawn <= high + 1e-12).all()
    few = slice(0, 60)
    plan = Resampling.of(labels[few], groups=None, resamples=300, seed=0)
    _, wide_low, wide_high = curves.roc_band(labels[few], scores[few], plan)
    assert np.mean(wide_high - wide_low) > 1.5 * np.mean(high - low)
