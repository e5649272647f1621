"""The curve from a logit to P(fake): rising, finite, and strict about what a file says it is."""

import itertools
import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from avkd.models.calibration import MAX_KNOTS, Calibration
from avkd.models.strict import read_record

KNOTS = ((-2.0, 0.1), (-1.0, 0.5), (2.0, 0.5), (3.0, 0.9))
ISOTONIC = Calibration(kind="isotonic", knots=KNOTS)
CURVES = [
    Calibration(),
    Calibration(kind="temperature", scale=0.3),
    Calibration(kind="platt", scale=0.5, offset=-1.0),
    Calibration(kind="platt", scale=1e-30, offset=3.0),
    Calibration(kind="platt", scale=1e30, offset=-1e30),
    ISOTONIC,
    Calibration(kind="isotonic", knots=((1.0, 0.1), (math.nextafter(1.0, 2.0), 0.7))),
]


@pytest.mark.parametrize("logit", [-64.0, -3.0, 0.0, 2.0, 64.0])
def test_probability_is_the_sigmoid_of_the_calibrated_logit(logit):
    platt = Calibration(kind="platt", scale=0.5, offset=-1.0)
    assert platt.probability(logit) == pytest.approx(1 / (1 + math.exp(1 - 0.5 * logit)), rel=1e-12)
    temperature = Calibration(kind="temperature", scale=0.5)
    assert temperature.probability(logit) == pytest.approx(1 / (1 + math.exp(-0.5 * logit)))
    assert Calibration().probability(logit) == pytest.approx(1 / (1 + math.exp(-logit)))


def test_isotonic_draws_straight_lines_between_knots_and_is_flat_beyond_them():
    logits = np.linspace(-5, 6, 400)
    expected = np.interp(logits, *zip(*KNOTS, strict=True))
    found = [ISOTONIC.probability(logit) for logit in logits]
    np.testing.assert_allclose(found, expected, atol=1e-15)
    assert [ISOTONIC.probability(x) for x, _ in KNOTS] == [y for _, y in KNOTS]


@pytest.mark.parametrize("curve", CURVES, ids=lambda c: f"{c.kind}-{c.scale}")
def test_no_curve_falls_or_leaves_the_unit_interval(curve):
    """Also from one float to the next: a verdict a last bit below the threshold must not flip."""
    steps = [-1.0]
    for _ in range(2000):
        steps.append(math.nextafter(steps[-1], math.inf))
    logits = [-math.inf, -1e300, -1e9, -800.0, *steps, *np.linspace(-0.9, 5, 3000), 800.0, 1e300]
    values = [curve.probability(float(logit)) for logit in [*logits, math.inf]]
    assert all(0.0 <= value <= 1.0 for value in values)
    assert all(low <= high for low, high in itertools.pairwise(values))


def test_isotonic_probabilities_stay_off_zero_and_one():
    """A log-loss over them must stay finite however sure the curve would like to be."""
    assert ISOTONIC.probability(-math.inf) == 0.1 and ISOTONIC.probability(math.inf) == 0.9


@pytest.mark.parametrize("curve", CURVES, ids=lambda c: f"{c.kind}-{c.scale}")
def test_what_is_not_a_number_has_no_probability(curve):
    with pytest.raises(ValueError, match="NaN"):
        curve.probability(math.nan)


@pytest.mark.parametrize("curve", CURVES, ids=lambda c: f"{c.kind}-{c.scale}")
def test_a_curve_reads_back_equal_from_json(curve):
    assert read_record(Calibration, json.loads(json.dumps(asdict(curve)))) == curve


def stored(**changes) -> dict:
    return {"kind": "isotonic", "scale": 1.0, "offset": 0.0, "knots": list(KNOTS), **changes}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (stored(kind="beta"), "kind 'beta'"),
        (stored(kind=["platt"]), "kind"),
        (stored(kind=None), "kind"),
        (stored(kind="platt", knots=[], scale=0.0), "reverse the ranking"),
        (stored(kind="platt", knots=[], scale=-1.0), "reverse the ranking"),
        (stored(kind="platt", knots=[], scale=math.nan), "scale is nan"),
        (stored(kind="platt", knots=[], scale=10**5000), "scale is a whole number"),
        (stored(kind="platt", knots=[], scale=True), "scale is True"),
        (stored(kind="platt", knots=[], offset=math.inf), "offset is inf"),
        (stored(kind="platt", knots=[], offset="0"), "offset is '0'"),
        (stored(kind="temperature", knots=[], offset=0.5), "offset has no effect"),
        (stored(kind="none", knots=[], scale=2.0), "scale has no effect"),
        (stored(scale=2.0), "scale has no effect"),
        (stored(kind="platt"), "knots belong to isotonic"),
        (stored(knots=[]), "isotonic needs them"),
        (stored(knots=None), "knots must be a list"),
        (stored(knots={"0": 1}), "knots must be a list"),
        (stored(knots=KNOTS[:1]), "1 knots"),
        (stored(knots=[(n, 0.5) for n in range(1_000_000)]), "knots must be a list of at most"),
        (stored(knots=[(0.0, 0.2), (0.0, 0.3)]), "knots must rise"),
        (stored(knots=[(1.0, 0.2), (0.0, 0.3)]), "knots must rise"),
        (stored(knots=[(0.0, 0.3), (1.0, 0.2)]), "must not fall"),
        (stored(knots=[(0.0, 0.0), (1.0, 0.2)]), "not inside"),
        (stored(knots=[(0.0, 0.3), (1.0, 1.0)]), "not inside"),
        (stored(knots=[(0.0, 0.3), (math.nan, 0.4)]), "logit of a knot is nan"),
        (stored(knots=[(0.0, 0.3), (1.0, math.nan)]), "probability of a knot is nan"),
        (stored(knots=[(0.0, 0.3), (math.inf, 0.4)]), "logit of a knot is inf"),
        (stored(knots=[(-1e308, 0.3), (1e308, 0.4)]), "logit of a knot"),
        (stored(knots=[(0.0, 0.3), (1.0,)]), "not a .logit, probability. pair"),
        (stored(knots=[(0.0, 0.3), "ab"]), "not a .logit, probability. pair"),
        (stored(knots=[(0.0, 0.3), [[1.0], 0.4]]), "logit of a knot"),
        (stored(more=1), "more"),
        ({"kind": "none"}, "knots"),
        ("none", "must be a mapping"),
    ],
)
def test_a_hostile_or_broken_curve_is_refused_in_a_short_sentence(values, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_record(Calibration, values)
    assert len(str(caught.value)) < 400


def test_as_many_knots_as_are_allowed_are_read():
    knots = tuple((float(n), (n + 1) / (MAX_KNOTS + 1)) for n in range(MAX_KNOTS))
    assert read_record(Calibration, stored(knots=knots)).knots == knots
