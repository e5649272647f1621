"""Calibrated probabilities and the words made of them."""

import dataclasses
import json
import math

import numpy as np
import pytest

from avkd.models.calibration import Calibration, CalibrationFit
from avkd.models.decision import DecisionRule, PredictionSets

# A curve with a plateau from -1 to 2 at one half, where verdicts are hardest to keep consistent.
PLATEAU = Calibration(kind="isotonic", knots=((-2.0, 0.1), (-1.0, 0.5), (2.0, 0.5), (3.0, 0.9)))
CONSTANT = Calibration(kind="isotonic", knots=((0.0, 0.5), (1.0, 0.5)))
CALIBRATIONS = [
    Calibration(),
    Calibration(kind="temperature", scale=0.3),
    Calibration(kind="platt", scale=0.5, offset=-1.0),
    Calibration(kind="platt", scale=40.0, offset=-39.7),
    PLATEAU,
    CONSTANT,
]
FIT = CalibrationFit(
    num_real=30,
    num_fake=70,
    datasets=("grid", "seen"),
    methods=("FaceSwap",),
    files_fingerprint="0123456789abcdef",
    same_files_log_loss_before=0.7,
    same_files_log_loss_after=0.5,
    same_files_calibration_error_before=0.2,
    same_files_calibration_error_after=0.1,
    replaced_source="validation files of run y",
)

SETS = PredictionSets(
    coverage=0.95, largest_real=3.0, least_fake=1.0, num_real=40, num_fake=30, unit="identities"
)


def rule(**changes) -> DecisionRule:
    values = {
        "calibration": Calibration(kind="platt", scale=0.5, offset=-1.0),
        "threshold_logit": 2.0,  # probability 0.5
        "uncertain_half_width": 0.1,
        "source": "validation scores of run x",
        "fit": FIT,
    }
    return DecisionRule(**{**values, **changes})


def logit_of(probability: float) -> float:
    """The logit to which `rule` gives this probability."""
    return (math.log(probability / (1 - probability)) + 1) / 0.5


@pytest.mark.parametrize(
    ("probability", "word"),
    [(1e-9, "real"), (0.39, "real"), (0.41, "uncertain"), (0.59, "uncertain"), (0.61, "fake")],
)
def test_the_band_around_the_threshold_is_uncertain(probability, word):
    assert rule().decide(logit_of(probability)) == word


def test_without_a_band_the_threshold_itself_is_fake():
    plain = rule(uncertain_half_width=0.0)
    assert plain.decide(2.0) == "fake" and plain.decide(math.nextafter(2.0, 0)) == "real"


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda c: f"{c.kind}-{c.scale}")
@pytest.mark.parametrize("threshold_logit", [-3.0, -1.0, 0.3, 1.0, 2.0, 2.5, 9.0])
@pytest.mark.parametrize("share_of_room", [0.0, 0.5, 1.0])
def test_the_word_the_logit_and_the_probability_never_contradict_each_other(
    calibration, threshold_logit, share_of_room
):
    """`predict` says the word, `evaluate` compares logits: one file, one verdict, on plateaus too.

    Logits are also taken a last bit apart around the threshold, where rounding would show.
    """
    threshold = calibration.probability(threshold_logit)
    width = share_of_room * min(threshold, 1 - threshold)
    decider = rule(
        calibration=calibration, threshold_logit=threshold_logit, uncertain_half_width=width
    )
    assert decider.threshold == threshold
    near = [threshold_logit]
    for _ in range(50):
        near = [math.nextafter(near[0], -math.inf), *near, math.nextafter(near[-1], math.inf)]
    for logit in [*near, *np.linspace(-12, 12, 97), -math.inf, math.inf]:
        word, probability = decider.decide(logit), decider.probability(logit)
        if word == "uncertain":
            assert abs(probability - threshold) < width
        elif word == "fake":
            assert logit >= threshold_logit and probability >= threshold + width - 1e-15
        else:
            assert logit < threshold_logit and probability <= threshold - width + 1e-15
    if width == 0:
        assert decider.decide(threshold_logit) == "fake"
        assert decider.decide(math.nextafter(threshold_logit, -math.inf)) == "real"


def test_a_saturated_threshold_still_decides_by_its_logit():
    """Uncalibrated logits around 40 have the probability 1; the words must not become one."""
    saturated = rule(
        calibration=Calibration(), threshold_logit=40.0, uncertain_half_width=0.0, fit=None
    )
    assert saturated.threshold == 1.0 == saturated.probability(39.0)
    assert [saturated.decide(logit) for logit in (39.0, 40.0)] == ["real", "fake"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold_logit": math.nan}, "threshold_logit"),
        ({"threshold_logit": math.inf}, "threshold_logit"),
        ({"threshold_logit": "0"}, "threshold_logit"),
        ({"threshold_logit": True}, "threshold_logit"),
        ({"threshold_logit": 10**5000}, "threshold_logit"),
        ({"threshold_logit": -9.0}, "inside"),
        ({"uncertain_half_width": 0.6}, "inside"),
        ({"uncertain_half_width": -0.1}, "uncertain_half_width"),
        ({"uncertain_half_width": math.nan}, "uncertain_half_width"),
        ({"source": " "}, "source"),
        ({"source": 7}, "source"),
    ],
)
def test_a_rule_that_cannot_decide_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        rule(**changes)


def test_a_number_of_numpy_is_one():
    """What is fitted comes from arrays; a threshold of `float64` is as good as any."""
    assert rule(threshold_logit=np.float64(2.0)) == rule()
    assert dataclasses.replace(SETS, coverage=np.float64(0.95)) == SETS


def test_what_is_not_a_number_gets_no_verdict():
    with pytest.raises(ValueError, match="NaN"):
        rule().probability(math.nan)
    with pytest.raises(ValueError, match="NaN"):
        rule().decide(math.nan)


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda c: f"{c.kind}-{c.scale}")
@pytest.mark.parametrize("fit", [FIT, None])
def test_a_rule_reads_back_equal_from_json(calibration, fit):
    original = rule(calibration=calibration, fit=fit, uncertain_half_width=0.0)
    assert DecisionRule.from_json(json.loads(json.dumps(original.as_json()))) == original


def test_the_pooling_is_written_where_it_is_not_the_usual_one_and_old_files_are_read():
    assert "pooling" not in rule().as_json()
    other = rule(pooling="confident")
    assert DecisionRule.from_json(json.loads(json.dumps(other.as_json()))) == other
    with pytest.raises(ValueError, match="pooling 'best' is not one of"):
        DecisionRule.from_json({**rule().as_json(), "pooling": "best"})


@pytest.mark.parametrize(
    ("largest_real", "least_fake", "words"),
    [  # of the logits 0, 1.5, 2.5 and 4; the threshold is 2
        (3.0, 1.0, ("real", "uncertain", "uncertain", "fake")),  # both between them
        (1.0, 3.0, ("real", "uncertain", "uncertain", "fake")),  # neither
        (1.0, 1.0, ("real", "uncertain", "fake", "fake")),  # {fake} below the threshold
        (3.0, 3.0, ("real", "real", "uncertain", "fake")),
    ],
)
def test_a_word_needs_a_set_of_that_one_label(largest_real, least_fake, words) -> None:
    sets = dataclasses.replace(SETS, largest_real=largest_real, least_fake=least_fake)
    decider = rule(sets=sets, uncertain_half_width=0.0)
    assert tuple(decider.decide(logit) for logit in (0.0, 1.5, 2.5, 4.0)) == words
    low, high = decider.uncertain_range
    for logit, word in zip((0.0, 1.5, 2.5, 4.0), words, strict=True):
        assert (low <= decider.probability(logit) <= high) == (word == "uncertain")


def test_a_set_says_why_nothing_is_said() -> None:
    assert [SETS.of(logit) for logit in (0.0, 1.0, 3.0, 4.0)] == [
        *(("real",), ("real", "fake"), ("real", "fake"), ("fake",))
    ]
    assert "usual for real files and for fake ones, at 95.0% coverage" in SETS.why_uncertain(2.0)
    apart = dataclasses.replace(SETS, largest_real=1.0, least_fake=3.0)
    assert apart.of(2.0) == () and "unusual" in apart.why_uncertain(2.0)
    assert "other side of the threshold" in apart.why_uncertain(0.0)
    assert "40 real and 30 fake validation identities" in SETS.origin
    assert "identities not known" in dataclasses.replace(SETS, unit="files").origin


def test_sets_travel_and_files_without_them_are_read() -> None:
    assert "sets" not in rule().as_json()
    with_sets = rule(sets=SETS, uncertain_half_width=0.0)
    assert DecisionRule.from_json(json.loads(json.dumps(with_sets.as_json()))) == with_sets
    with pytest.raises(ValueError, match="no effect beside sets"):
        rule(sets=SETS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coverage": 1.0}, "not inside 0..1"),
        ({"coverage": "0.9"}, "coverage"),
        ({"largest_real": math.inf}, "largest_real"),
        ({"num_real": 0}, "whole number"),
        ({"num_fake": 2.0}, "whole number"),
        ({"num_fake": True}, "num_fake"),
        ({"unit": "people"}, "unit 'people' is not one of"),
        ({"more": 1}, "more"),
    ],
)
def test_sets_of_a_file_are_read_strictly(changes, message) -> None:
    values = rule(sets=SETS, uncertain_half_width=0.0).as_json()
    values["sets"].update(changes)
    with pytest.raises(ValueError, match=message):
        DecisionRule.from_json(values)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v.update(surprise=1), "surprise"),
        (lambda v: v.pop("threshold_logit"), "threshold_logit"),
        (lambda v: v.pop("fit"), "fit"),
        (lambda v: v.update(threshold=0.5), "threshold"),
        (lambda v: v.update(calibration=None), "calibration must be a mapping"),
        (lambda v: v.update(fit=[1]), "calibration fit must be a mapping"),
        (lambda v: v["fit"].update(num_real=-1), "num_real"),
        (lambda v: v["fit"].update(num_fake=True), "num_fake"),
        (lambda v: v["fit"].update(datasets="grid"), "datasets"),
        (lambda v: v["fit"].update(methods=[1]), "methods"),
        (lambda v: v["fit"].update(same_files_log_loss_after=math.nan), "log_loss_after"),
        (lambda v: v["fit"].update(same_files_calibration_error_before=-0.1), "error_before"),
        (lambda v: v["fit"].update(replaced_source=None), "replaced_source"),
        (lambda v: v["fit"].update(more=1), "more"),
    ],
)
def test_a_stored_rule_is_read_strictly(edit, message):
    values = json.loads(json.dumps(rule().as_json()))
    edit(values)
    with pytest.raises(ValueError, match=message):
        DecisionRule.from_json(values)


@pytest.mark.parametrize("values", [None, [], "rule", 3])
def test_what_is_no_rule_at_all_is_refused(values):
    with pytest.raises(ValueError, match="must be a mapping"):
        DecisionRule.from_json(values)
