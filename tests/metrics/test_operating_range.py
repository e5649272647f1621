"""The low false-alarm range against scikit-learn and against every threshold tried in turn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from avkd.metrics import ranking
from avkd.metrics.ranking import partial_auc, true_positive_rate_at


def made_up(seed: int, num_real: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores; every other seed has many ties."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat([0, 1], [num_real, 45]))
    scores = random.standard_normal(labels.size) + labels
    return labels, scores if seed % 2 else np.round(scores)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.25, 0.5, 1.0])
def test_the_partial_area_is_scikit_learns(seed: int, rate: float) -> None:
    labels, scores = made_up(seed)
    found = partial_auc(labels, scores, rate).value
    expected = reference.roc_auc_score(labels, scores, max_fpr=rate)
    assert found == pytest.approx(expected, abs=1e-12)
    if rate == 1.0:
        assert found == pytest.approx(ranking.auc(labels, scores).value, abs=1e-12)


def test_chance_is_one_half_and_perfect_is_one_in_any_range() -> None:
    labels = np.repeat([0, 1], 50)
    for rate in (0.05, 0.1, 0.7):
        assert partial_auc(labels, np.zeros(100), rate).value == pytest.approx(0.5)
        assert partial_auc(labels, labels, rate).value == pytest.approx(1.0)


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
    labels, scores = made_up(seed, num_real=100 if rate == 0.29 else 60)
    found = true_positive_rate_at(labels, scores, rate).value
    assert found == best_of_all_thresholds(labels, scores, rate)


def test_a_fake_level_with_a_spared_real_is_not_found() -> None:
    """Ties broken in the detector's favour would make a constant detector perfect."""
    labels, scores = np.repeat([0, 1], 100), np.ones(200)
    assert true_positive_rate_at(labels, scores, 0.01).value == 0.0


@pytest.mark.parametrize(("rate", "needed"), [(0.1, 10), (0.01, 100), (0.001, 1000)])
def test_fewer_reals_than_the_rate_can_be_seen_with_are_a_reason(rate: float, needed: int) -> None:
    """With 99 reals 'FPR 1 %' would be FPR 0 under another name."""
    for measure in (true_positive_rate_at, partial_auc):
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
def test_one_class_only_is_a_reason(labels: list[int], reason: str) -> None:
    for found in (
        partial_auc(labels, np.zeros(len(labels))),
        true_positive_rate_at(labels, np.zeros(len(labels)), 0.01),
    ):
        assert (found.value, found.reason) == (None, reason)
