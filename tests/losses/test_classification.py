"""The classification loss and the prior it corrects for."""

import math

import numpy as np
import pytest
import torch

from avkd.losses.classification import log_prior_odds, prior_corrected_cross_entropy


def published_fraction(forgery_methods: int, real_ratio: int) -> float:
    """Share of fakes with F equal methods and r further reals for each clip (method 4.4)."""
    return forgery_methods / ((forgery_methods + 1) * (real_ratio + 1))


@pytest.mark.parametrize(
    ("forgery_methods", "real_ratio", "expected"), [(4, 8, -2.327), (3, 8, -2.398), (4, 0, 1.386)]
)
def test_the_prior_has_its_analytic_values(forgery_methods, real_ratio, expected):
    """Method 11.9; the published fork was off by 6 here, which moves every threshold."""
    odds = log_prior_odds(published_fraction(forgery_methods, real_ratio))
    assert odds == pytest.approx(expected, abs=5e-4)


def test_equal_classes_need_no_correction():
    assert log_prior_odds(0.5) == 0.0


@pytest.mark.parametrize("fake_fraction", [0.0, 1.0, -0.1, 1.1])
def test_a_share_that_is_no_share_is_our_bug(fake_fraction):
    with pytest.raises(AssertionError):
        log_prior_odds(fake_fraction)


@pytest.mark.parametrize("fake_fraction", [0.1, 0.5, 0.8])
def test_the_loss_equals_a_loop_over_the_formula(fake_fraction):
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 3, 12), random.integers(0, 2, 12)
    total = 0.0
    for logit, label in zip(logits, labels, strict=True):
        p = 1 / (1 + math.exp(-(logit + math.log(fake_fraction / (1 - fake_fraction)))))
        total -= math.log(p) if label else math.log(1 - p)
    loss = prior_corrected_cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(labels), fake_fraction
    )
    assert loss.item() == pytest.approx(total / 12, rel=1e-5)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("fake_fraction", [0.1, 0.8])
def test_the_best_bare_logit_of_pure_noise_is_zero(fake_fraction):
    """The point of the correction: without evidence a clip is 50:50, whatever the sampler did."""
    num_fakes = round(1000 * fake_fraction)
    labels = torch.cat([torch.ones(num_fakes), torch.zeros(1000 - num_fakes)])
    logit = torch.zeros((), requires_grad=True)
    prior_corrected_cross_entropy(logit.expand(1000), labels, fake_fraction).backward()
    assert abs(logit.grad.item()) < 1e-6


def test_extreme_logits_stay_finite():
    """Logits are 64 x cosine: a sigmoid taken apart from the logarithm would overflow here."""
    logit = torch.tensor([64.0, -64.0, 1e4], requires_grad=True)
    loss = prior_corrected_cross_entropy(logit, torch.tensor([0.0, 1.0, 1.0]), 0.5)
    loss.backward()
    assert loss.item() == pytest.approx(128 / 3)
    assert torch.isfinite(logit.grad).all()
