"""From logits to probabilities and a threshold, on validation scores only."""

import math

import numpy as np
import pytest

from avkd.evaluation.calibration import Calibration, calibrate


def scores(num_reals: int = 60, num_fakes: int = 90, distance: float = 2.0, seed: int = 0):
    random = np.random.default_rng(seed)
    logits = np.concatenate([random.normal(0, 1, num_reals), random.normal(distance, 1, num_fakes)])
    return np.array([0] * num_reals + [1] * num_fakes), logits


def probability(fitted: Calibration, logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(fitted.scale * logits + fitted.offset)))


def test_overlapping_normal_scores_get_their_true_posterior():
    """Two unit normals at 0 and d have the posterior logit d x - d²/2."""
    fitted = calibrate(*scores(4000, 4000))
    assert fitted.scale == pytest.approx(2.0, abs=0.15)
    assert fitted.offset == pytest.approx(-2.0, abs=0.15)
    assert fitted.threshold == pytest.approx(0.5, abs=0.1)


def test_the_share_of_fakes_in_the_validation_set_does_not_matter():
    """A probability assumes no prevalence: 10 % fakes and 90 % fakes fit the same curve."""
    few, many = calibrate(*scores(9000, 1000)), calibrate(*scores(1000, 9000))
    middle = np.array([1.0])
    assert probability(few, middle)[0] == pytest.approx(0.5, abs=0.05)
    assert probability(many, middle)[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("gap", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("count", [1, 3, 200])
def test_perfectly_separated_scores_stay_finite_and_the_threshold_separates_them(gap, count):
    """Without smoothed targets the curve would become a step and every verdict a 0 or a 1."""
    spread = np.linspace(0, 1, count)
    logits = np.concatenate([spread, 1 + gap + spread])
    labels = np.repeat([0, 1], count)
    fitted = calibrate(labels, logits)
    assert all(math.isfinite(value) for value in vars(fitted).values())
    p = probability(fitted, logits)
    assert ((p >= fitted.threshold) == (labels == 1)).all()
    assert p.min() > 0.0 and p.max() < 1.0


@pytest.mark.parametrize("count", [1, 3, 50])
def test_two_points_get_the_smoothed_shares_of_their_classes(count):
    """However far apart: n of n files seen right do not prove that the next one is (Platt 2.2)."""
    labels = np.repeat([0, 1], count)
    fitted = calibrate(labels, 1000.0 * labels)
    low, high = probability(fitted, np.array([0.0, 1000.0]))
    assert (low, high) == pytest.approx((1 / (count + 2), (count + 1) / (count + 2)), abs=1e-3)


def test_probability_rises_with_the_logit_even_where_the_detector_is_worse_than_chance():
    """A falling curve would call the most suspicious file the most real."""
    labels, logits = scores(distance=-2.0)
    assert calibrate(labels, logits).scale > 0
    assert calibrate(*scores()).scale > 0


@pytest.mark.parametrize(("shift", "factor"), [(100.0, 1.0), (-7.0, 0.05), (0.0, 64.0)])
def test_shifting_and_scaling_the_logits_changes_no_probability(shift, factor):
    labels, logits = scores()
    first, second = calibrate(labels, logits), calibrate(labels, factor * logits + shift)
    np.testing.assert_allclose(
        probability(second, factor * logits + shift), probability(first, logits), atol=1e-3
    )
    assert second.threshold == pytest.approx(first.threshold, abs=1e-3)


def test_the_order_of_the_files_does_not_matter():
    labels, logits = scores()
    order = np.random.default_rng(1).permutation(len(labels))
    first, second = calibrate(labels, logits), calibrate(labels[order], logits[order])
    assert vars(second) == pytest.approx(vars(first), abs=1e-3)


def test_the_threshold_is_the_one_with_the_best_balanced_accuracy():
    labels, logits = scores(40, 40, distance=1.5)
    fitted = calibrate(labels, logits)

    def accuracy(called_fake: np.ndarray) -> float:
        return called_fake[labels == 1].mean() + (~called_fake)[labels == 0].mean()

    best = max(accuracy(logits >= cut) for cut in logits)
    assert accuracy(probability(fitted, logits) >= fitted.threshold) == pytest.approx(best)


def test_equal_scores_give_a_threshold_inside_and_no_error():
    fitted = calibrate([0, 1, 0, 1], [3.0, 3.0, 3.0, 3.0])
    assert 0.0 < fitted.threshold < 1.0 and fitted.scale > 0
    assert probability(fitted, np.array([3.0]))[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_alone_cannot_be_calibrated(labels):
    with pytest.raises(ValueError, match="both classes"):
        calibrate(labels, [0.1 * n for n in range(len(labels))])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        calibrate([0, 1, 1], [0.0, 1.0, bad])
