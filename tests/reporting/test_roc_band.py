"""The drawn ROC curve and its band, against scikit-learn and a bootstrap done by hand."""

import numpy as np
import pytest
from sklearn import metrics as reference

from avkd.metrics.bootstrap import Resampling
from avkd.reporting import roc_band


def made_up(num_files: int, *, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, num_files)
    # Rounded, so that there are ties.
    return labels, np.round(random.normal(labels * 1.2, 1.0), decimals)


def test_the_points_are_those_of_scikit_learn() -> None:
    labels, scores = made_up(200)
    curve = roc_band.drawn_roc(labels, scores)
    rates = reference.roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(curve.false_positive, rates[0])
    assert np.allclose(curve.true_positive, rates[1])


def test_very_many_scores_become_few_corners_that_lie_on_the_curve() -> None:
    labels, scores = made_up(300_000, decimals=12)
    curve = roc_band.drawn_roc(labels, scores)
    assert curve.false_positive.size <= roc_band.MOST_POINTS
    assert (curve.false_positive[0], curve.true_positive[-1]) == (0.0, 1.0)
    rates = reference.roc_curve(labels, scores, drop_intermediate=False)[:2]
    corners = {*zip(*np.round(rates, 9).tolist(), strict=True)}
    kept = np.round([curve.false_positive, curve.true_positive], 9).tolist()
    assert {*zip(*kept, strict=True)} <= corners
    grid = np.linspace(0, 1, 1001)
    drawn = np.interp(grid, curve.false_positive, curve.true_positive)
    assert np.abs(drawn - np.interp(grid, *rates)).max() < 0.003
    # A DET curve needs the corners of rare errors too.
    assert np.sum((curve.false_positive > 0) & (curve.false_positive < 0.001)) >= 3


def band_by_hand(
    labels: np.ndarray, scores: np.ndarray, plan: Resampling
) -> tuple[np.ndarray, np.ndarray]:
    rates = []
    for weights in np.concatenate(list(plan.group_weights())):
        times = weights[plan.group_of_file]
        again = np.repeat(labels, times), np.repeat(scores, times)
        drawn = reference.roc_curve(*again, drop_intermediate=False)
        rates.append(np.interp(roc_band._GRID, drawn[0], drawn[1]))
    return tuple(np.quantile(rates, [0.025, 0.975], axis=0))


def test_the_band_over_groups_is_that_of_the_same_draws_done_by_hand() -> None:
    labels, scores = made_up(120)
    groups = np.random.default_rng(1).integers(0, 25, labels.size).astype(str)
    plan = Resampling.of(labels, groups=groups, resamples=150, seed=3)
    band = roc_band.roc_band(labels, scores, plan)
    low, high = band_by_hand(labels, scores, plan)
    assert np.allclose(band.low, low)
    assert np.allclose(band.high, high)


def test_the_band_over_files_is_that_of_the_bootstrap_up_to_chance() -> None:
    labels, scores = made_up(100)
    plan = Resampling.of(labels, groups=None, resamples=4000, seed=3)
    band = roc_band.roc_band(labels, scores, plan)
    low, high = band_by_hand(labels, scores, plan)
    assert np.abs(band.low - low).max() < 0.03
    assert np.abs(band.high - high).max() < 0.03


@pytest.mark.parametrize("groups", [None, np.arange(300) // 3])
def test_the_band_holds_the_curve_and_narrows_with_the_files(groups: np.ndarray | None) -> None:
    labels, scores = made_up(300, decimals=6)
    plan = Resampling.of(labels, groups=groups, resamples=300, seed=0)
    band = roc_band.roc_band(labels, scores, plan)
    curve = roc_band.drawn_roc(labels, scores)
    drawn = np.interp(band.false_positive, curve.false_positive, curve.true_positive)
    assert (band.low <= drawn + 1e-12).all()
    assert (drawn <= band.high + 1e-12).all()
    few = slice(0, 60)
    plan = Resampling.of(labels[few], groups=None, resamples=300, seed=0)
    wide = roc_band.roc_band(labels[few], scores[few], plan)
    assert np.mean(wide.high - wide.low) > 1.5 * np.mean(band.high - band.low)
