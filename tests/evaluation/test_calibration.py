"""From logits to a curve of probabilities, on validation scores only."""

import logging
import math

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from avkd.evaluation import calibration as fitting
from avkd.evaluation.calibration import fit, quality, require_enough_files
from avkd.models.calibration import Calibration

FITTED = ["platt", "temperature", "isotonic"]
# Few files of each class; isotonic refuses fewer than ten.
KINDS_AND_COUNTS = [(k, n) for k in FITTED for n in (1, 3, 10, 50) if k != "isotonic" or n >= 10]


def scores(num_reals: int = 60, num_fakes: int = 90, distance: float = 2.0, seed: int = 0):
    random = np.random.default_rng(seed)
    logits = np.concatenate([random.normal(0, 1, num_reals), random.normal(distance, 1, num_fakes)])
    return np.array([0] * num_reals + [1] * num_fakes), logits


def simulated(scale: float, offset: float, num_files: int = 20000, seed: int = 0):
    """Files whose share of fakes at each logit is the sigmoid of scale * logit + offset."""
    random = np.random.default_rng(seed)
    logits = random.uniform(-6, 6, num_files)
    fake = random.random(num_files) < 1 / (1 + np.exp(-(scale * logits + offset)))
    return fake.astype(int), logits


def probability(curve: Calibration, logits) -> np.ndarray:
    return np.array([curve.probability(float(logit)) for logit in logits])


def targets_and_weights(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Platt's smoothed targets, and weights that make the classes equal, from their words."""
    fakes, reals = sum(labels == 1), sum(labels == 0)
    target = [(fakes + 1) / (fakes + 2) if label else 1 / (reals + 2) for label in labels]
    return np.array(target), np.array([1 / fakes if label else 1 / reals for label in labels])


def pool_adjacent_violators(logits, target, weight) -> dict[float, float]:
    """The curve at each distinct logit: blocks that fall are merged until none does."""
    blocks: list[tuple[float, float, list[float]]] = []  # weight, weighted sum, logits
    for level in sorted(set(logits)):
        at = logits == level
        blocks.append((weight[at].sum(), (weight * target)[at].sum(), [level]))
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][0] >= blocks[-1][1] / blocks[-1][0]:
            (w1, s1, l1), (w2, s2, l2) = blocks[-2:]
            blocks[-2:] = [(w1 + w2, s1 + s2, l1 + l2)]
    return {level: s / w for w, s, levels in blocks for level in levels}


def test_overlapping_normal_scores_get_their_true_posterior():
    """Two unit normals at 0 and d have the posterior logit d x - d²/2."""
    curve = fit("platt", *scores(4000, 4000))
    assert curve.scale == pytest.approx(2.0, abs=0.15)
    assert curve.offset == pytest.approx(-2.0, abs=0.15)


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(scale):
    curve = fit("temperature", *simulated(scale, 0.0))
    assert (curve.kind, curve.offset) == ("temperature", 0.0)
    assert curve.scale == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 3.0])
def test_a_known_scale_and_offset_are_found(scale):
    """As many fakes as reals where the simulation is symmetric about its offset."""
    labels, logits = simulated(scale, 0.0)
    curve = fit("platt", labels, logits + 2.0)
    assert curve.scale == pytest.approx(scale, rel=0.05)
    assert curve.offset == pytest.approx(-2.0 * scale, rel=0.07)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 8])
def test_isotonic_is_the_pooling_of_adjacent_violators(seed, decimals):
    """Against the algorithm written out, with ties (one decimal) and without."""
    labels, logits = scores(40, 70, distance=1.0, seed=seed)
    logits = logits.round(decimals)
    expected = pool_adjacent_violators(logits, *targets_and_weights(labels))
    curve = fit("isotonic", labels, logits)
    assert len(curve.knots) < len(expected), "plateaus are kept as their two ends"
    np.testing.assert_allclose(
        probability(curve, list(expected)), list(expected.values()), atol=1e-12
    )


def test_isotonic_is_that_of_scikit_learn_also_between_and_beyond_the_files():
    labels, logits = scores(80, 50, distance=1.5)
    target, weight = targets_and_weights(labels)
    reference = IsotonicRegression(out_of_bounds="clip").fit(logits, target, weight)
    grid = np.linspace(-6, 8, 1001)
    curve = fit("isotonic", labels, logits)
    np.testing.assert_allclose(probability(curve, grid), reference.predict(grid), atol=1e-12)


def test_isotonic_finds_a_curve_that_no_sigmoid_follows():
    """Scores that saturate: fakes never get surer than 70 %, reals never than 60 %."""
    random = np.random.default_rng(3)
    logits = random.uniform(-6, 6, 20000)
    labels = (random.random(20000) < np.where(logits > 0, 0.7, 0.4)).astype(int)
    weight = {1: 0.5 / labels.mean(), 0: 0.5 / (1 - labels.mean())}
    expected = 0.7 * weight[1] / (0.7 * weight[1] + 0.3 * weight[0])
    curve = fit("isotonic", labels, logits)
    assert curve.probability(3.0) == pytest.approx(expected, abs=0.04)
    platt = fit("platt", labels, logits)
    assert quality(labels, logits, curve).log_loss < quality(labels, logits, platt).log_loss - 0.005


@pytest.mark.parametrize("kind", FITTED)
def test_the_share_of_fakes_in_the_validation_set_does_not_matter(kind):
    """A probability assumes no prevalence: 10 % fakes and 90 % fakes fit the same curve."""
    for counts in ((9000, 1000), (1000, 9000)):
        labels, logits = scores(*counts)
        curve = fit(kind, labels, logits - 1.0)
        assert curve.probability(0.0) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("gap", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize(("kind", "count"), [*KINDS_AND_COUNTS, *((kind, 200) for kind in FITTED)])
def test_perfectly_separated_scores_stay_finite_and_off_zero_and_one(kind, gap, count):
    """Without smoothed targets the curve would become a step and every verdict a 0 or a 1."""
    spread = np.linspace(0, 1, count)
    logits = np.concatenate([spread, 1 + gap + spread]) - (1 + gap / 2)
    labels = np.repeat([0, 1], count)
    curve = fit(kind, labels, logits)
    p = probability(curve, logits)
    assert ((p >= 0.5) == (labels == 1)).all()
    assert p.min() > 0.0 and p.max() < 1.0
    assert math.isfinite(quality(labels, logits, curve).log_loss)


@pytest.mark.parametrize(("kind", "count"), KINDS_AND_COUNTS)
def test_two_points_get_the_smoothed_shares_of_their_classes(kind, count):
    """However far apart: n of n files seen right do not prove that the next one is (Platt 2.2)."""
    labels = np.repeat([0, 1], count)
    curve = fit(kind, labels, 1000.0 * labels - 500.0)
    expected = (1 / (count + 2), (count + 1) / (count + 2))
    assert tuple(probability(curve, [-500.0, 500.0])) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", FITTED)
def test_no_probability_falls_even_where_the_detector_is_worse_than_chance(kind):
    """A falling curve would call the most suspicious file the most real."""
    labels, logits = scores(distance=-2.0)
    curve = fit(kind, labels, logits)
    p = probability(curve, np.linspace(-50, 50, 500))
    assert (np.diff(p) >= 0).all()
    assert probability(curve, logits) == pytest.approx(np.full(len(logits), 0.5), abs=0.05)


def test_a_slope_of_nothing_is_said_aloud(caplog):
    labels, logits = scores()
    with caplog.at_level(logging.WARNING):
        fit("platt", labels, logits)
        assert not caplog.records
        fit("platt", labels, -logits)
        fit("temperature", labels, logits + 100.0)  # all on one side of zero
    upside_down, shifted = (record.getMessage() for record in caplog.records)
    assert "do not tell fake from real files" in upside_down and "platt" not in upside_down
    assert "one side of 0" in shifted and "take platt" in shifted


@pytest.mark.parametrize(("shift", "factor"), [(100.0, 1.0), (-7.0, 0.05), (0.0, 64.0), (0, 1e7)])
def test_shifting_and_scaling_the_logits_changes_no_probability(shift, factor):
    labels, logits = scores()
    moved = factor * logits + shift
    for kind in ("platt", "isotonic"):
        first, second = fit(kind, labels, logits), fit(kind, labels, moved)
        np.testing.assert_allclose(
            probability(second, moved), probability(first, logits), atol=1e-3
        )
    first, second = fit("temperature", labels, logits), fit("temperature", labels, factor * logits)
    assert second.scale == pytest.approx(first.scale / factor, rel=1e-3)


@pytest.mark.parametrize("kind", FITTED)
def test_the_order_of_the_files_does_not_matter(kind):
    labels, logits = scores()
    order = np.random.default_rng(1).permutation(len(labels))
    first, second = fit(kind, labels, logits), fit(kind, labels[order], logits[order])
    np.testing.assert_allclose(probability(first, logits), probability(second, logits), atol=1e-4)


@pytest.mark.parametrize("kind", FITTED)
def test_equal_scores_know_nothing_and_make_no_error(kind):
    labels, logits = [0, 1] * 20, [3.0] * 40
    curve = fit(kind, labels, logits)
    expected = 0.5 if kind != "temperature" else pytest.approx(0.5, abs=0.01)
    assert curve.probability(3.0) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["none", *FITTED])
def test_scores_of_a_million_times_the_usual_size_make_no_error(kind):
    labels, logits = scores()
    curve = fit(kind, labels, np.float32(3e37) * logits)
    assert all(0 <= p <= 1 for p in probability(curve, [-1e38, -1.0, 0.0, 1.0, 1e38]))


def test_none_fits_nothing():
    assert fit("none", *scores()) == Calibration()


@pytest.mark.parametrize("kind", ["none", *FITTED])
@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_alone_cannot_be_calibrated(kind, labels):
    with pytest.raises(ValueError, match="both classes"):
        fit(kind, labels, [0.1 * n for n in range(len(labels))])


@pytest.mark.parametrize("kind", ["none", *FITTED])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused(kind, bad):
    with pytest.raises(ValueError, match="finite"):
        fit(kind, [0, 1, 1], [0.0, 1.0, bad])


def test_isotonic_on_a_handful_of_files_is_refused_with_the_cure():
    for labels in ([0] * 9 + [1] * 500, [0] * 500 + [1] * 9):
        for refuse in (require_enough_files, lambda k, y: fit(k, y, np.arange(len(y)))):
            with pytest.raises(ValueError, match="--calibration platt"):
                refuse("isotonic", labels)
    for kind in ("none", "platt", "temperature"):
        require_enough_files(kind, [0, 1])


def test_isotonic_on_few_files_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        require_enough_files("isotonic", [0, 1] * (fitting.FEW_FILES // 2))
        assert not caplog.records
        require_enough_files("isotonic", [0, 1] * (fitting.FEW_FILES // 2 - 1))
    assert "98 validation files" in caplog.text


def test_a_curve_of_too_many_knots_is_thinned_out_and_keeps_its_ends(monkeypatch):
    """A model file holds so many and no more, whatever the validation set."""
    labels, logits = simulated(1.0, 0.0)
    whole = fit("isotonic", labels, logits)
    monkeypatch.setattr(fitting, "MAX_KNOTS", 20)
    thin = fit("isotonic", labels, logits)
    assert len(thin.knots) == 20 < len(whole.knots)
    assert (thin.knots[0], thin.knots[-1]) == (whole.knots[0], whole.knots[-1])
    grid = np.linspace(-6, 6, 200)
    np.testing.assert_allclose(probability(thin, grid), probability(whole, grid), atol=0.1)


def test_quality_by_hand():
    """Two reals at 0.25, one fake at 0.75: classes weigh alike, not files."""
    curve = Calibration(kind="isotonic", knots=((-1.0, 0.25), (1.0, 0.75)))
    found = quality([0, 0, 1], [-1.0, -1.0, 1.0], curve)
    assert found.log_loss == pytest.approx(-math.log(0.75))
    # Half of the weight says 0.25 where nothing is fake, half 0.75 where all is.
    assert found.calibration_error == pytest.approx(0.5 * 0.25 + 0.5 * 0.25)
    mixed = quality([0, 1, 0, 1, 0], [-1.0, -1.0, 1.0, 1.0, 1.0], curve)
    reals, fakes = (-math.log(0.75) - 2 * math.log(0.25)) / 3, -math.log(0.25 * 0.75) / 2
    assert mixed.log_loss == pytest.approx((reals + fakes) / 2)
    low = abs(0.25 * (1 / 6 + 1 / 4) - 1 / 4)
    high = abs(0.75 * (2 / 6 + 1 / 4) - 1 / 4)
    assert mixed.calibration_error == pytest.approx(low + high)


@pytest.mark.parametrize("kind", FITTED)
def test_a_fit_is_no_worse_on_its_own_files_than_no_calibration(kind):
    labels, logits = simulated(0.2, 0.0, 2000)
    before, after = (quality(labels, logits, c) for c in (Calibration(), fit(kind, labels, logits)))
    assert after.log_loss < before.log_loss
    assert after.calibration_error < before.calibration_error
