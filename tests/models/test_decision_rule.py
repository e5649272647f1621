"""Calibrated probabilities and the words made of them."""

import math

import pytest

from avkd.models.decision import DecisionRule


def rule(**changes) -> DecisionRule:
    values = {
        "calibration_scale": 0.5,
        "calibration_offset": -1.0,
        "threshold": 0.6,
        "uncertain_half_width": 0.1,
        "source": "validation scores of run x",
    }
    return DecisionRule(**{**values, **changes})


@pytest.mark.parametrize("logit", [-64.0, -3.0, 0.0, 2.0, 64.0])
def test_probability_is_the_sigmoid_of_the_calibrated_logit(logit):
    expected = 1 / (1 + math.exp(-(0.5 * logit - 1)))
    assert rule().probability(logit) == pytest.approx(expected, rel=1e-12)


def test_extreme_logits_neither_overflow_nor_leave_the_unit_interval():
    assert rule().probability(1e9) == 1.0 and rule().probability(-1e9) == 0.0
    assert rule().probability(math.inf) == 1.0 and rule().probability(-math.inf) == 0.0


@pytest.mark.parametrize(
    ("probability", "word"),
    [(0.0, "real"), (0.49, "real"), (0.55, "uncertain"), (0.65, "uncertain"), (0.71, "fake")],
)
def test_the_band_around_the_threshold_is_uncertain(probability, word):
    assert rule().decide(probability) == word


def test_without_a_band_the_threshold_itself_is_fake():
    plain = rule(uncertain_half_width=0.0)
    assert plain.decide(0.6) == "fake" and plain.decide(math.nextafter(0.6, 0)) == "real"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration_scale": -1.0}, "calibration_scale"),
        ({"calibration_scale": math.nan}, "calibration_scale"),
        ({"calibration_offset": "0"}, "calibration_offset"),
        ({"threshold": 1.0, "uncertain_half_width": 0.0}, "inside"),
        ({"threshold": 0.05}, "inside"),
        ({"uncertain_half_width": -0.1}, "uncertain_half_width"),
        ({"source": " "}, "source"),
    ],
)
def test_a_rule_that_cannot_decide_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        rule(**changes)


def test_what_is_not_a_number_gets_no_verdict():
    with pytest.raises(ValueError, match="NaN"):
        rule().probability(math.nan)
    with pytest.raises(ValueError, match="outside"):
        rule().decide(math.nan)


def test_a_rule_reads_back_equal_and_strictly():
    assert DecisionRule.from_json(rule().as_json()) == rule()
    with pytest.raises(ValueError, match="surprise"):
        DecisionRule.from_json({**rule().as_json(), "surprise": 1})
    with pytest.raises(ValueError, match="threshold"):
        DecisionRule.from_json({k: v for k, v in rule().as_json().items() if k != "threshold"})
