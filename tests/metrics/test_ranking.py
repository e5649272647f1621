"""Metrics against slow versions written from their definitions, and against scikit-learn."""

import time

import numpy as np
import pytest
from sklearn import metrics as reference

from avkd.metrics import ranking


def auc_by_pairs(labels: np.ndarray, scores: np.ndarray) -> float:
    """Count the pairs, one by one."""
    points = [
        1.0 if fake > real else 0.5 if fake == real else 0.0
        for fake in scores[labels == 1]
        for real in scores[labels == 0]
    ]
    return sum(points) / len(points)


def made_up(seed: int, size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores; every other seed has many ties."""
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, random.integers(0, 2, size - 2)]
    scores = random.standard_normal(size) + labels
    return labels, scores if seed % 2 else np.round(scores)


@pytest.mark.parametrize("seed", range(12))
def test_auc_is_the_share_of_pairs_in_order_with_ties_one_half(seed: int) -> None:
    labels, scores = made_up(seed)
    value = ranking.auc(labels, scores).value
    assert value == pytest.approx(auc_by_pairs(labels, scores), abs=1e-12)
    assert value == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12)


def test_auc_of_equal_scores_is_one_half_and_of_turned_scores_the_complement() -> None:
    labels, scores = made_up(4)
    assert ranking.auc(labels, np.zeros(labels.size)).value == 0.5
    forward, backward = ranking.auc(labels, scores).value, ranking.auc(labels, -scores).value
    assert forward + backward == pytest.approx(1.0, abs=1e-12)
    assert forward > 0.5


def test_adding_thirty_to_all_logits_leaves_the_auc_but_would_not_after_a_half_sigmoid() -> None:
    """If this fails the ranking is taken after a saturating sigmoid."""
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], 300)
    logits = (random.standard_normal(600) + 1.2 * labels).astype(np.float32)
    plain = ranking.auc(labels, logits).value
    assert ranking.auc(labels, logits.astype(np.float64) + 30).value == pytest.approx(
        plain, abs=1e-12
    )
    half = 1 / (1 + np.exp(-(logits.astype(np.float64) + 30)))
    spoilt = ranking.auc(labels, half.astype(np.float16).astype(np.float32)).value
    assert abs(spoilt - plain) > 0.1


def test_half_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="half precision"):
        ranking.auc([0, 1], np.array([0, 1], dtype=np.float16))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        ranking.auc([0, 1], [0.0, bad])


def test_a_score_too_many_and_a_third_label_are_refused() -> None:
    with pytest.raises(ValueError, match="labels for"):
        ranking.auc([0, 1], [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="0 \\(real\\) or 1"):
        ranking.auc([0, 2], [0.0, 1.0])


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([1, 1], "no scored real"), ([0, 0], "no scored fake"), ([], "no scored")],
)
def test_one_class_only_gives_no_number_but_a_reason(labels: list[int], reason: str) -> None:
    """The field's scripts print 0.0000 here."""
    scores = np.arange(len(labels), dtype=float)
    found = [
        ranking.auc(labels, scores),
        ranking.average_precision(labels, scores),
        ranking.equal_error_rate(labels, scores),
    ]
    assert all(metric.value is None and reason in metric.reason for metric in found)
    with pytest.raises(ValueError, match=reason):
        ranking.best_threshold(labels, scores)
    interval = ranking.auc_interval(labels, scores)
    assert (interval.low, interval.high) == (None, None)
    assert reason in interval.reason


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_agrees_with_scikit_learn(seed: int) -> None:
    labels, scores = made_up(seed)
    expected = reference.average_precision_score(labels, scores)
    assert ranking.average_precision(labels, scores).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_equal_error_rate_lies_where_the_roc_meets_the_diagonal(seed: int) -> None:
    labels, scores = made_up(seed)
    false_positive, true_positive, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    grid = np.linspace(0, 1, 200_001)  # walk along the drawn curve
    path = np.linspace(0, 1, len(false_positive))
    rates = np.interp(grid, path, false_positive), 1 - np.interp(grid, path, true_positive)
    nearest = np.argmin(np.abs(rates[0] - rates[1]))
    value = ranking.equal_error_rate(labels, scores).value
    assert value == pytest.approx((rates[0][nearest] + rates[1][nearest]) / 2, abs=1e-4)


def test_equal_error_rate_by_hand() -> None:
    assert ranking.equal_error_rate([0, 0, 1, 1], [0, 1, 2, 3]).value == 0.0
    assert ranking.equal_error_rate([0, 0, 1, 1], [2, 3, 0, 1]).value == 1.0
    assert ranking.equal_error_rate([0, 1], [5, 5]).value == 0.5
    assert ranking.equal_error_rate([0, 0, 1, 1], [0, 2, 1, 3]).value == 0.5


@pytest.mark.parametrize("seed", range(8))
def test_the_best_threshold_is_the_highest_of_the_best(seed: int) -> None:
    labels, scores = made_up(seed, size=30)
    threshold, balanced_accuracy = ranking.best_threshold(labels, scores)
    levels = np.unique(scores)
    tried = [levels[0], *((levels[1:] + levels[:-1]) / 2), np.nextafter(levels[-1], np.inf)]
    values = [reference.balanced_accuracy_score(labels, scores >= t) for t in tried]
    assert balanced_accuracy == pytest.approx(max(values), abs=1e-12)
    best = [t for t, value in zip(tried, values, strict=True) if value > max(values) - 1e-9]
    assert threshold == pytest.approx(max(best), abs=1e-12)
    again = reference.balanced_accuracy_score(labels, scores >= threshold)
    assert again == pytest.approx(balanced_accuracy, abs=1e-12)


def test_the_best_threshold_accuses_nobody_when_nothing_can_be_told() -> None:
    threshold, balanced_accuracy = ranking.best_threshold([0, 1], [3.0, 3.0])
    assert balanced_accuracy == 0.5
    assert threshold > 3.0
    low, high = 1.0, np.nextafter(1.0, 2.0)  # no number lies between
    assert ranking.best_threshold([0, 1], [low, high])[0] == high


def test_frame_scores_average_the_windows_that_hold_a_frame() -> None:
    found = ranking.frame_scores(np.array([0, 2]), np.array([4, 4]), np.array([1.0, 3.0]))
    assert found.tolist() == [1, 1, 2, 2, 3, 3]
    holed = ranking.frame_scores(np.array([0, 5]), np.array([1, 1]), np.array([1.0, 3.0]))
    assert holed.tolist() == [1, 3]


def auc_by_table(real: np.ndarray, fake: np.ndarray) -> float:
    return float(np.mean((fake[:, None] > real) + 0.5 * (fake[:, None] == real)))


def resample_slowly(labels: np.ndarray, scores: np.ndarray, resamples: int) -> np.ndarray:
    random = np.random.default_rng(9)
    real, fake = scores[labels == 0], scores[labels == 1]
    values = []
    for _ in range(resamples):
        drawn = np.r_[random.choice(real, real.size), random.choice(fake, fake.size)]
        values.append(auc_by_table(drawn[: real.size], drawn[real.size :]))
    return np.quantile(values, [0.025, 0.975])


@pytest.mark.parametrize("seed", [2, 3])
def test_the_interval_agrees_with_a_bootstrap_written_as_a_loop(seed: int) -> None:
    labels, scores = made_up(seed)
    interval = ranking.auc_interval(labels, scores, resamples=4000)
    expected = resample_slowly(labels, scores, 1500)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=0.015)
    assert interval.unit == "files"


def test_the_interval_covers_the_true_auc_of_shifted_normals_about_95_times_in_100() -> None:
    from scipy.stats import norm

    truth = norm.cdf(1.0 / np.sqrt(2))
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1], 60)
    hits = 0
    for seed in range(200):
        scores = random.standard_normal(120) + labels
        interval = ranking.auc_interval(labels, scores, resamples=400, seed=seed)
        hits += interval.low <= truth <= interval.high
    assert 180 <= hits <= 198  # 190 expected, standard deviation 3.1


def test_groups_of_equal_videos_widen_the_interval_as_if_each_were_one_video() -> None:
    """Ten copies of one face are one fact; pretending otherwise makes tables look sure."""
    labels, scores = made_up(5, size=40)
    once = ranking.auc_interval(labels, scores, resamples=3000)
    copies = np.repeat(np.arange(40), 10)
    tenfold = ranking.auc_interval(labels[copies], scores[copies], resamples=3000)
    grouped = ranking.auc_interval(labels[copies], scores[copies], groups=copies, resamples=3000)
    assert grouped.unit == "groups"
    width, narrow, wide = (i.high - i.low for i in (once, tenfold, grouped))
    assert wide == pytest.approx(width, abs=0.02)
    assert narrow < 0.5 * width


def test_groups_that_hold_reals_and_fakes_are_drawn_whole() -> None:
    """A real clip and its forgery that always rank alike leave no doubt about their order."""
    scores = np.random.default_rng(0).standard_normal(50) * 100
    labels = np.tile([0, 1], 50)
    paired = np.repeat(scores, 2) + 0.001 * labels
    pairs = np.repeat(np.arange(50), 2)
    together = ranking.auc_interval(labels, paired, groups=pairs)
    apart = ranking.auc_interval(labels, paired)
    assert together.high - together.low < 0.25 * (apart.high - apart.low)


def test_every_draw_keeps_the_number_of_reals_and_of_fakes() -> None:
    """Two reals among 200 fakes: drawn together, one draw in seven would have no real at all."""
    labels, scores = np.r_[0, 0, np.ones(200, dtype=int)], np.r_[0.0, 10.0, np.full(200, 5.0)]
    groups = np.r_[["a", "b"], np.repeat(["c", "d"], 100)]
    for interval in (
        ranking.auc_interval(labels, scores),
        ranking.auc_interval(labels, scores, groups=groups),
    ):
        assert (interval.low, interval.high) == (0.0, 1.0)  # both reals low, or both high


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    labels, scores = made_up(1)
    first, again = (ranking.auc_interval(labels, scores, seed=7) for _ in range(2))
    assert first == again
    assert first.low != ranking.auc_interval(labels, scores, seed=8).low


def test_a_single_group_gives_no_interval_but_a_reason() -> None:
    interval = ranking.auc_interval([0, 1, 0, 1], [0, 1, 2, 3], groups=["a"] * 4)
    assert interval.low is None
    assert "fewer than two groups" in interval.reason


def test_two_thousand_resamples_of_a_thousand_videos_take_under_two_seconds() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    scores = random.standard_normal(1000) + labels
    start = time.process_time()
    ranking.auc_interval(labels, scores, resamples=2000)
    assert time.process_time() - start < 2.0


# The low false-alarm range, against scikit-learn and against every threshold tried in turn


def made_up_range(seed: int, num_real: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores; every other seed has many ties."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat([0, 1], [num_real, 45]))
    scores = random.standard_normal(labels.size) + labels
    return labels, scores if seed % 2 else np.round(scores)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.25, 0.5, 1.0])
def test_the_partial_area_is_scikit_learns(seed: int, rate: float) -> None:
    labels, scores = made_up_range(seed)
    found = ranking.partial_auc(labels, scores, rate).value
    expected = reference.roc_auc_score(labels, scores, max_fpr=rate)
    assert found == pytest.approx(expected, abs=1e-12)
    if rate == 1.0:
        assert found == pytest.approx(ranking.auc(labels, scores).value, abs=1e-12)


def test_chance_is_one_half_and_perfect_is_one_in_any_range() -> None:
    labels = np.repeat([0, 1], 50)
    for rate in (0.05, 0.1, 0.7):
        assert ranking.partial_auc(labels, np.zeros(100), rate).value == pytest.approx(0.5)
        assert ranking.partial_auc(labels, labels, rate).value == pytest.approx(1.0)


def best_of_all_thresholds(labels: np.ndarray, scores: np.ndarray, rate: float) -> float:
    reals, fakes = scores[labels == 0], scores[labels == 1]
    return max(
        float(np.mean(fakes >= threshold))
        for threshold in (*scores, np.inf)
        if np.sum(reals >= threshold) <= rate * reals.size + 1e-9
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.29, 1.0])
def test_the_rate_of_fakes_found_is_the_best_that_keeps_the_false_alarms(
    seed: int, rate: float
) -> None:
    labels, scores = made_up_range(seed, num_real=100 if rate == 0.29 else 60)
    found = ranking.true_positive_rate_at(labels, scores, rate).value
    assert found == best_of_all_thresholds(labels, scores, rate)


def test_a_fake_level_with_a_spared_real_is_not_found() -> None:
    """Ties broken in the detector's favour would make a constant detector perfect."""
    labels, scores = np.repeat([0, 1], 100), np.ones(200)
    assert ranking.true_positive_rate_at(labels, scores, 0.01).value == 0.0


@pytest.mark.parametrize(("rate", "needed"), [(0.1, 10), (0.01, 100), (0.001, 1000)])
def test_fewer_reals_than_the_rate_can_be_seen_with_are_a_reason(rate: float, needed: int) -> None:
    """With 99 reals 'FPR 1 %' would be FPR 0 under another name."""
    for measure in (ranking.true_positive_rate_at, ranking.partial_auc):
        few = np.repeat([0, 1], [needed - 1, 5])
        found = measure(few, few.astype(float), rate)
        assert found.value is None
        assert f"{100 * rate:g} % needs {needed} scored real files" in found.reason
        enough = np.repeat([0, 1], [needed, 5])
        assert measure(enough, enough.astype(float), rate).value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([], "no scored file"), ([1], "no scored real file"), ([0] * 200, "no scored fake file")],
)
def test_one_class_only_is_a_reason_in_the_range_too(labels: list[int], reason: str) -> None:
    for found in (
        ranking.partial_auc(labels, np.zeros(len(labels))),
        ranking.true_positive_rate_at(labels, np.zeros(len(labels)), 0.01),
    ):
        assert (found.value, found.reason) == (None, reason)
