"""DeLong's test against the pairs counted one by one, the paired bootstrap, Holm's correction."""

import math

import numpy as np
import pytest

from avkd.metrics import ranking
from avkd.metrics.paired import auc_difference, delong_p_value, holm


def made_up(seed: int, size: int = 80, second: float = 0.5) -> tuple[np.ndarray, ...]:
    """Two models that share what is hard; every other seed has many ties."""
    random = np.random.default_rng(seed)
    labels = np.r_[0, 0, 1, 1, random.integers(0, 2, size - 4)]
    hard = random.standard_normal(size)
    one = hard + 0.7 * random.standard_normal(size) + labels
    other = hard + 0.7 * random.standard_normal(size) + second * labels
    return (labels, one, other) if seed % 2 else (labels, np.round(one), np.round(other))


def delong_by_pairs(labels: np.ndarray, *models: np.ndarray) -> float:
    """The paper of 1988 as it stands: kernel of every pair, components, covariances, z."""
    of_fakes, of_reals = [], []
    for scores in models:
        gap = scores[labels == 1][:, None] - scores[labels == 0][None, :]
        kernel = (gap > 0) + 0.5 * (gap == 0)
        of_fakes.append(kernel.mean(axis=1))
        of_reals.append(kernel.mean(axis=0))
    covariance = np.cov(of_fakes) / len(of_fakes[0]) + np.cov(of_reals) / len(of_reals[0])
    contrast = np.array([1.0, -1.0])
    difference = contrast @ np.mean(of_fakes, axis=1)
    return math.erfc(abs(difference) / math.sqrt(2 * contrast @ covariance @ contrast))


@pytest.mark.parametrize("seed", range(20))
def test_the_fast_algorithm_gives_the_p_value_of_the_slow_one(seed: int) -> None:
    labels, one, other = made_up(seed, size=10 + 7 * seed)
    found = delong_p_value(labels, one, other).value
    assert found == pytest.approx(delong_by_pairs(labels, one, other), rel=1e-9)
    assert delong_p_value(labels, other, one).value == pytest.approx(found, rel=1e-12)
    assert delong_p_value(labels, np.exp(one / 9), other).value == pytest.approx(found, rel=1e-12)


def test_equal_models_are_called_different_as_often_as_the_level_says() -> None:
    """A test that ignores that the files are shared would hardly ever reject here."""
    p_values = [delong_p_value(*made_up(2 * k + 1, second=1.0)).value for k in range(400)]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("labels", "one", "other", "reason"),
    [
        ([], [], [], "no scored file"),
        ([0, 0], [0, 1], [1, 0], "no scored fake file"),
        ([1, 1], [0, 1], [1, 0], "no scored real file"),
        ([0, 1, 1], [0, 1, 2], [1, 0, 2], "fewer than two real files"),
        ([0, 0, 1], [0, 1, 2], [1, 2, 1], "fewer than two fake files"),
        ([0, 0, 1, 1], [0, 1, 1, 2], [0, 10, 10, 20], "same for every file"),
        ([0, 0, 1, 1], [0, 1, 2, 3], [3, 2, 1, 0], "same for every file"),
    ],
)
def test_what_cannot_be_tested_has_a_reason(
    labels: list[int], one: list[float], other: list[float], reason: str
) -> None:
    found = delong_p_value(labels, one, other)
    assert found.value is None
    assert reason in found.reason


def test_the_difference_is_that_of_the_two_aucs() -> None:
    labels, one, other = made_up(1)
    found = auc_difference(labels, one, other, resamples=100)
    assert found.first == ranking.auc(labels, one)
    assert found.second == ranking.auc(labels, other)
    assert found.difference.value == found.first.value - found.second.value
    assert found.p_value == delong_p_value(labels, one, other)
    lone = auc_difference([0, 0], [1.0, 2.0], [2.0, 1.0], resamples=100)
    told = (lone.first, lone.difference, lone.difference.interval, lone.p_value)
    reasons = {each.reason for each in told}
    assert reasons == {"no scored fake file"}


@pytest.mark.parametrize("grouped", [False, True])
def test_the_interval_agrees_with_a_paired_bootstrap_written_as_a_loop(grouped: bool) -> None:
    labels, one, other = made_up(3, size=150)
    groups = np.arange(150) // 3 if grouped else np.arange(150)
    found = auc_difference(
        labels, one, other, groups=groups if grouped else None, resamples=3000, seed=2
    ).difference.interval
    random = np.random.default_rng(7)
    kind = {g: frozenset(labels[groups == g].tolist()) for g in np.unique(groups)}
    strata = [[g for g in kind if kind[g] == k] for k in set(kind.values())]
    values = []
    for _ in range(500):
        drawn = [np.flatnonzero(groups == g) for s in strata for g in random.choice(s, len(s))]
        files = np.concatenate(drawn)
        aucs = [ranking.auc(labels[files], scores[files]).value for scores in (one, other)]
        values.append(aucs[0] - aucs[1])
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.02)
    assert found.unit == ("groups" if grouped else "files")


def test_a_model_and_its_copy_differ_by_nothing_in_every_draw() -> None:
    """Other draws for the second model would give an interval as wide as that of an AUC."""
    labels, one, _ = made_up(5)
    found = auc_difference(labels, one, 3 * one + 1, resamples=200)
    assert (found.difference.value, found.difference.interval.ends) == (0.0, (0.0, 0.0))


def test_holm_by_hand() -> None:
    """The smallest of four is multiplied by 4, the next by 3 ...; never below a smaller one."""
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx((0.06, 0.03, 0.06, 0.02))
    assert holm([0.6, None, 0.7]) == (1.0, None, 1.0)
    assert holm([0.02]) == (0.02,)
    assert holm([]) == ()


# Albumin, total protein, K-G score and outcome of 43 patients: the complete records of
# the example of DeLong, DeLong, Clarke-Pearson (Biometrics 44, 1988), as SAS/STAT's documentation
# of PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves", prints them.
PUBLISHED_RECORDS = """
    3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
    1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
    4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
    3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
    3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
    3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
    3.6 6.6 5 1
"""


@pytest.mark.parametrize(
    ("column", "area", "difference", "p_value"),
    [(0, 0.7366, 0.0108, 0.9102), (1, 0.6478, -0.0780, 0.4561)],
    ids=["albumin", "total protein"],
)
def test_the_published_example_of_delong(
    column: int, area: float, difference: float, p_value: float
) -> None:
    records = np.array(PUBLISHED_RECORDS.split(), dtype=float).reshape(-1, 4)
    found = auc_difference(
        records[:, 3].astype(int), records[:, column], -records[:, 2], resamples=100
    )
    assert found.first.value == pytest.approx(area, abs=5e-5)
    assert found.second.value == pytest.approx(0.7258, abs=5e-5)
    assert found.difference.value == pytest.approx(difference, abs=5e-5)
    assert found.p_value.value == pytest.approx(p_value, abs=5e-5)
