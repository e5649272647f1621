"""One score of a file: each rule against its definition, and what must not depend on rounding."""

import numpy as np
import pytest
from scipy.special import expit, logit

from avkd.metrics.pooling import RULES, pooled_scores

RULE_NAMES = sorted(RULES)


def published_confident(probabilities: np.ndarray) -> float:
    """The rule as its makers state it: sure fakes, else sure reals, else all."""
    fake, real = probabilities[probabilities > 0.8], probabilities[probabilities < 0.2]
    if len(fake) > len(probabilities) // 2.5 and len(fake) > 11:
        return float(np.mean(fake))
    if len(real) > 0.9 * len(probabilities):
        return float(np.mean(real))
    return float(np.mean(probabilities))


def test_mean_logit_averages_logits_and_log_odds() -> None:
    logits = [-3.0, 8.0, 1.5]
    calibrated = [float(expit(0.3 * x - 1.0)) for x in logits]
    score, probability = pooled_scores(logits, calibrated, "mean_logit")
    assert score == pytest.approx(np.mean(logits))
    assert probability == pytest.approx(expit(0.3 * np.mean(logits) - 1.0))


def test_mean_probability_ranks_by_the_mean_of_the_networks_own_probabilities() -> None:
    logits, calibrated = [-3.0, 8.0, 1.5], [0.1, 0.7, 0.4]
    score, probability = pooled_scores(logits, calibrated, "mean_probability")
    assert score == pytest.approx(logit(np.mean(expit(logits))))
    assert probability == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("num_fake", "num_real", "num_between", "counted"),
    [
        (13, 0, 19, "fake"),  # 32 // 2.5 = 12: one more
        (12, 0, 20, "all"),
        (12, 0, 12, "fake"),  # 24 // 2.5 = 9, and more than 11
        (11, 0, 0, "all"),  # all of them sure, but no more than 11
        (0, 29, 3, "real"),  # more than 28.8
        (0, 28, 4, "all"),
        (0, 9, 1, "all"),  # not more than nine tenths
        (13, 19, 0, "fake"),  # the fakes are asked first
    ],
)
def test_confident_counts_the_windows_that_are_sure(
    num_fake: int, num_real: int, num_between: int, counted: str
) -> None:
    random = np.random.default_rng(num_fake + num_real)
    parts = {
        "fake": random.uniform(0.81, 0.99, num_fake),
        "real": random.uniform(0.01, 0.19, num_real),
        "between": random.uniform(0.21, 0.79, num_between),
    }
    every = random.permutation(np.concatenate(list(parts.values())))
    expected = np.mean(every) if counted == "all" else np.mean(parts[counted])
    score, _ = pooled_scores(list(logit(every)), list(every), "confident")
    assert expit(score) == pytest.approx(expected)
    assert expit(score) == pytest.approx(published_confident(every))


def test_confident_is_the_published_rule_on_any_file() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        logits = random.normal(random.normal(0, 4), random.uniform(0, 4), random.integers(1, 40))
        score, _ = pooled_scores(list(logits), [0.5] * len(logits), "confident")
        assert expit(score) == pytest.approx(published_confident(expit(logits)), abs=1e-12)


def test_confident_states_the_calibrated_probability_of_the_windows_it_counts() -> None:
    logits = [5.0] * 13 + [0.0] * 5
    calibrated = [0.9] * 13 + [0.1] * 5
    assert pooled_scores(logits, calibrated, "confident")[1] == pytest.approx(0.9)


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_a_known_curve_makes_the_probability_of_the_pooled_logit(rule: str) -> None:
    """It was fitted on pooled logits; a mean over windows may lie beyond the threshold."""
    logits = [-2.5, -1.0, 2.9]
    stated = [float(expit(3 * x - 1)) for x in logits]
    score, probability = pooled_scores(logits, stated, rule, lambda x: float(expit(3 * x - 1)))
    assert score == pooled_scores(logits, stated, rule)[0]
    assert probability == pytest.approx(expit(3 * score - 1))


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_a_file_of_one_window_has_its_score_whatever_the_rule(rule: str) -> None:
    for value in (-700.0, -0.3, 0.0, 2.5, 1e300):
        assert pooled_scores([value], [0.25], rule) == (value, pytest.approx(0.25))


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_sure_files_keep_their_order_where_probabilities_round_to_one(rule: str) -> None:
    """A mean of probabilities near 1 would tie all fakes; its log-odds do not."""
    sure = [pooled_scores([x, x + 1, x], [1.0] * 3, rule)[0] for x in (40.0, 60.0, 800.0, 1e6)]
    assert sure == sorted(set(sure))
    surely_real = [pooled_scores([-x, -x], [0.0] * 2, rule)[0] for x in (40.0, 60.0, 800.0, 1e6)]
    assert surely_real == sorted(set(surely_real), reverse=True)


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_the_order_of_windows_does_not_matter(rule: str) -> None:
    logits = list(np.random.default_rng(1).normal(0, 5, 31))
    stated = list(expit(logits))
    assert pooled_scores(logits, stated, rule) == pooled_scores(logits[::-1], stated[::-1], rule)
    assert 0.0 <= pooled_scores(logits, stated, rule)[1] <= 1.0
