"""Numbers of the stated probabilities against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from avkd.metrics import probability
from avkd.metrics.probability import (
    CALIBRATION_BINS,
    PROBABILITY_MARGIN,
)


def made_up(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, random.integers(0, 2, 30)]
    return labels, random.random(32)


@pytest.mark.parametrize("seed", range(10))
def test_log_loss_and_brier_score_agree_with_scikit_learn(seed: int) -> None:
    labels, probabilities = made_up(seed)
    found = probability.log_loss(labels, probabilities).value
    assert found == pytest.approx(reference.log_loss(labels, probabilities), abs=1e-12)
    found = probability.brier_score(labels, probabilities).value
    assert found == pytest.approx(reference.brier_score_loss(labels, probabilities), abs=1e-12)


def test_a_coin_costs_what_the_legend_says() -> None:
    assert probability.log_loss([0, 1], [0.5, 0.5]).value == pytest.approx(math.log(2))
    assert probability.brier_score([0, 1], [0.5, 0.5]).value == 0.25


def test_a_probability_rounded_to_certainty_does_not_cost_infinitely_much() -> None:
    """One logit of 40 on a real file would make the mean of a whole test set infinite."""
    dear = -math.log(PROBABILITY_MARGIN)
    assert probability.log_loss([0], [1.0]).value == pytest.approx(dear, rel=0.01)
    assert probability.log_loss([1], [0.0]).value == pytest.approx(dear)
    assert probability.log_loss([1, 0], [1.0, 0.0]).value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["log_loss", "brier_score", "expected_calibration_error"])
def test_no_file_and_no_probability_are_told(name: str) -> None:
    measure = getattr(probability, name)
    assert (measure([], []).value, measure([], []).reason) == (None, "no scored file")
    assert measure([1, 1], [0.9, 0.8]).value is not None
    for logits in ([1.5], [-0.1]):
        with pytest.raises(ValueError, match=r"\[0, 1\].*logits"):
            measure([0], logits)


def test_bins_hold_every_file_once_and_give_the_calibration_error() -> None:
    labels, probabilities = made_up(3)
    probabilities[:3] = 0.0, 1.0, 1 / CALIBRATION_BINS  # the ends, and an edge
    bins = probability.reliability(labels, probabilities)
    assert sum(bins.num_files) == labels.size
    assert sum(bins.num_fake) == labels.sum()
    gap = 0.0
    for place in range(CALIBRATION_BINS):
        low, high = place / CALIBRATION_BINS, (place + 1) / CALIBRATION_BINS
        inside = (probabilities >= low) & ((probabilities < high) | (high == 1.0))
        assert bins.num_files[place] == inside.sum()
        assert bins.num_fake[place] == labels[inside].sum()
        if not inside.any():
            assert bins.mean_probability[place] is None
            continue
        assert bins.mean_probability[place] == pytest.approx(probabilities[inside].mean())
        gap += abs(probabilities[inside].mean() - labels[inside].mean()) * inside.mean()
    error = probability.expected_calibration_error(labels, probabilities)
    assert error.value == pytest.approx(gap, abs=1e-12)
    assert sum(probability.reliability([], []).num_files) == 0


def test_calibration_error_by_hand_and_of_a_calibrated_forecaster() -> None:
    assert probability.expected_calibration_error([1, 1], [1.0, 1.0]).value == 0.0
    assert probability.expected_calibration_error([0, 0], [1.0, 1.0]).value == 1.0
    # One bin with mean 0.9 and half fakes, one with mean 0.1 and no fake.
    value = probability.expected_calibration_error([1, 0, 0, 0], [0.9, 0.9, 0.1, 0.1]).value
    assert value == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    random = np.random.default_rng(0)
    probabilities = random.random(50_000)
    labels = (random.random(50_000) < probabilities).astype(int)
    assert probability.expected_calibration_error(labels, probabilities).value < 0.02
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        probability.expected_calibration_error([0], [1.5])


def test_a_score_that_is_no_probability_gives_a_sentence_and_no_number() -> None:
    """A zero-shot score ranks files; an ECE of it would be read as calibration."""
    for name in ("expected_calibration_error", "log_loss", "brier_score"):
        found = getattr(probability, name)([0, 1, 1], [np.nan, np.nan, 0.5])
        assert (found.value, found.reason) == (None, "not calibrated: the score is no probability")
