"""Targets without the two codes that say nothing: against loops over the formulas, and in use."""

from typing import get_args

import numpy as np
import pytest
import torch

from avkd.config import training_config
from avkd.data.windows import WINDOW_FRAMES
from avkd.losses.agreement import negative_cosine
from avkd.models.build import CLIP_FRAMES
from avkd.models.target_normalisation import TargetCenter, TargetNormalisation

B, T, P = 12, 25, 6
CENTERED = ["double", "whitened"]


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def normalisation(center: str) -> TargetNormalisation:
    return TargetNormalisation(center=center, projection_dim=P, clip_frames=T)


def content(seed: int = 0) -> torch.Tensor:
    """Targets of very unequal directions, with both codes on top."""
    speech = random(seed, B, T, P) * torch.tensor([9.0, 3.0, 1.0, 0.5, 0.3, 0.1])
    return speech @ torch.linalg.qr(random(1, P, P))[0] + codes("both") * 5


def codes(which: str) -> torch.Tensor:
    """(B, T, P) of the frame index alone, of the clip alone, or their sum."""
    position, clip = random(2, 1, T, P).expand(B, -1, -1), random(3, B, 1, P).expand(-1, T, -1)
    return {"position": position, "clip": clip, "both": position + clip}[which].clone()


def slow_double(z: np.ndarray) -> np.ndarray:
    """z[b, t] - mean_b z[b, t] - mean_t z[b, t] + mean, word by word."""
    out = np.empty_like(z)
    for b in range(len(z)):
        for t in range(z.shape[1]):
            of_frame = sum(z[k, t] for k in range(len(z))) / len(z)
            of_clip = sum(z[b, k] for k in range(z.shape[1])) / z.shape[1]
            everything = sum(z[i, j] for i in range(len(z)) for j in range(z.shape[1]))
            out[b, t] = z[b, t] - of_frame - of_clip + everything / (len(z) * z.shape[1])
    return out


def slow_whitened(z: np.ndarray) -> np.ndarray:
    residual = slow_double(z)
    covariance = np.zeros((P, P))
    for clip in residual:
        for frame in clip:
            covariance += np.outer(frame, frame) / (len(z) * z.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    out = np.zeros_like(residual)
    for value, vector in zip(values, vectors.T, strict=True):
        scale = 1.0 / np.sqrt(value + 0.01 * values.max())
        for b in range(len(z)):
            for t in range(z.shape[1]):
                out[b, t] += scale * (residual[b, t] @ vector) * vector
    return out


def slow_loss(prediction: np.ndarray, target: np.ndarray) -> float:
    cosines = [
        p @ z / (np.linalg.norm(p) * np.linalg.norm(z))
        for p, z in zip(prediction.reshape(-1, P), target.reshape(-1, P), strict=True)
    ]
    return -float(np.mean(cosines))


@pytest.mark.parametrize(("center", "slow"), [("double", slow_double), ("whitened", slow_whitened)])
def test_targets_and_their_loss_equal_a_loop_over_the_formula(center, slow):
    target, prediction = content(), random(7, B, T, P)
    expected = slow(target.double().numpy())
    found = normalisation(center)(target)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4, rtol=1e-4)
    loss = slow_loss(prediction.double().numpy(), expected)
    assert negative_cosine(prediction, found).item() == pytest.approx(loss, abs=1e-5)


def test_per_step_takes_the_batch_mean_of_each_frame_alone():
    target = content()
    expected = target - target.mean(dim=0)
    torch.testing.assert_close(normalisation("per_step")(target), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("center", CENTERED)
@pytest.mark.parametrize("which", ["position", "clip"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_neither_code_lowers_the_loss(center, which, dtype):
    """The shortcuts of stage one; a residue of rounding must not be blown up by the cosine."""
    code = codes(which).to(dtype)
    target = normalisation(center)(code)
    assert target.dtype == torch.float32
    prediction = code.float().requires_grad_()
    loss = negative_cosine(prediction, target)
    loss.backward()
    assert abs(loss.item()) < 1e-3
    assert prediction.grad.abs().max() < 1e-3


@pytest.mark.parametrize("center", CENTERED)
def test_the_sum_of_both_codes_leaves_nothing_but_its_own_rounding(center):
    """Which no student can predict: about 0 on average, where the code itself would be at -1."""
    code = codes("both")
    assert abs(negative_cosine(code, normalisation(center)(code)).item()) < 0.15
    assert negative_cosine(code, code).item() == pytest.approx(-1.0)


def test_per_step_leaves_the_code_of_the_clip():
    """Why centring per step is not enough."""
    code = codes("clip") - codes("clip").mean(dim=0)
    assert negative_cosine(code, normalisation("per_step")(code)).item() == pytest.approx(-1.0)


def test_whitened_directions_count_alike_but_the_noise():
    target = normalisation("whitened")(content())
    values = torch.linalg.eigvalsh(torch.cov(target.reshape(-1, P).T))
    assert values[-4:].min() > 0.2 and values.max() < 1.1
    before = normalisation("double")(content()).reshape(-1, P)
    before = torch.linalg.eigvalsh(torch.cov(before.T))
    assert before[-1] / before[-4] > 100


@pytest.mark.parametrize("center", ["per_step", *CENTERED])
def test_one_clip_is_normalised_by_what_training_noted(center):
    """The zero-shot score and the meters must not depend on which other clips are there."""
    module = normalisation(center)
    trained = torch.cat([module(content(seed)) for seed in range(40)])
    module.eval()
    noted = {name: buffer.clone() for name, buffer in module.named_buffers()}
    alone = torch.cat([module(clip[None]) for seed in range(40) for clip in content(seed)])
    assert all(torch.equal(noted[name], buffer) for name, buffer in module.named_buffers())
    agreement = torch.nn.functional.cosine_similarity(alone, trained, dim=-1)
    assert agreement.mean() > 0.9
    module.train()
    module(content(99))
    assert not all(torch.equal(noted[n], b) for n, b in module.named_buffers())


def test_the_first_batches_count_alike_and_later_ones_pass():
    module = normalisation("double")
    for value in (1.0, 2.0, 6.0):
        module(torch.full((B, T, P), value))
    torch.testing.assert_close(module.position_mean, torch.full((T, P), 3.0))
    for _ in range(200):
        module(torch.full((B, T, P), 8.0))
    torch.testing.assert_close(module.position_mean, torch.full((T, P), 8.0), atol=1e-2, rtol=0)


def test_none_changes_nothing_and_stores_nothing():
    """Files of before there was a choice have no such tensors, and load."""
    module = normalisation("none")
    assert torch.equal(module(content()), content()) and not module.state_dict()


def test_an_unknown_centring_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="'per_frame' is not one of none, per_step, double"):
        normalisation("per_frame")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so_and_is_the_loss_s_to_report(value):
    """The loop then names the step and the clips; an error from linear algebra would not."""
    target = content()
    target[1, 2, 3] = value
    assert not normalisation("whitened")(target).isfinite().all()


def test_targets_of_nothing_are_nothing():
    assert torch.equal(normalisation("whitened")(torch.zeros(B, T, P)), torch.zeros(B, T, P))


def test_config_and_network_know_the_same_centrings_and_clips():
    """The rooms may not import each other; this is where they are held together."""
    assert get_args(training_config.TargetCenter) == get_args(TargetCenter)
    assert CLIP_FRAMES == WINDOW_FRAMES
