"""The objective of both stages, against the formula and its invariants."""

import numpy as np
import pytest
import torch

from avkd.losses.agreement import center_double, center_per_step, negative_cosine


def slow_negative_cosine(prediction: np.ndarray, target: np.ndarray) -> float:
    """The formula of method 3.4, read word by word: per frame, then clips."""
    clips = []
    for p_clip, z_clip in zip(prediction, target, strict=True):
        cosines = [
            float(p @ z) / (float(np.sqrt(p @ p)) * float(np.sqrt(z @ z)))
            for p, z in zip(p_clip, z_clip, strict=True)
        ]
        clips.append(sum(cosines) / len(cosines))
    return -sum(clips) / len(clips)


def vectors(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def position_code(num_clips: int, *, seed: int = 0) -> torch.Tensor:
    """(B, 25, 8) that depends on the frame index alone."""
    return vectors(seed, 1, 25, 8).expand(num_clips, -1, -1).clone()


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_equals_a_loop_over_the_formula(seed):
    prediction, target = vectors(seed, 3, 25, 16), vectors(seed + 100, 3, 25, 16) + 0.5
    expected = slow_negative_cosine(prediction.double().numpy(), target.double().numpy())
    assert negative_cosine(prediction, target).item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_runs_from_minus_one_to_one():
    """The sign matters: the published stage two maximised what it should minimise."""
    x = vectors(0, 4, 25, 16)
    assert negative_cosine(x, x).item() == pytest.approx(-1.0)
    assert negative_cosine(x, -x).item() == pytest.approx(1.0)
    assert abs(negative_cosine(x, vectors(1, 4, 25, 16)).item()) < 0.1


def test_the_loss_ignores_lengths():
    prediction, target = vectors(0, 4, 25, 16), vectors(1, 4, 25, 16)
    lengths = torch.rand(4, 25, 1) + 0.1
    loss = negative_cosine(prediction, target)
    torch.testing.assert_close(negative_cosine(prediction * lengths, target), loss)
    torch.testing.assert_close(negative_cosine(prediction, target * 1000), loss)


def test_the_gradient_reaches_the_student_and_not_the_teacher():
    prediction = vectors(0, 2, 25, 16).requires_grad_()
    target = vectors(1, 2, 25, 16).requires_grad_()
    negative_cosine(prediction, target).backward()
    assert prediction.grad is not None and prediction.grad.abs().sum() > 0
    assert target.grad is None


def test_half_precision_input_is_compared_in_single_precision():
    prediction, target = vectors(0, 2, 25, 16).bfloat16(), vectors(1, 2, 25, 16).bfloat16()
    loss = negative_cosine(prediction, target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(
        slow_negative_cosine(prediction.double().numpy(), target.double().numpy()), abs=1e-6
    )


def test_centring_leaves_no_mean_at_any_frame():
    centred = center_per_step(vectors(0, 64, 25, 8) + vectors(1, 1, 25, 8) * 10)
    assert centred.mean(dim=0).abs().max() < 1e-5
    torch.testing.assert_close(center_per_step(centred), centred, atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_clips", [2, 3, 48, 64, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_centred_position_code_is_exactly_zero_and_so_is_its_cosine(num_clips, dtype):
    """A mean off by one rounding leaves a residue, which a cosine blows up to full length.

    The positional shortcut (method 8.3) would be back, through rounding alone.
    """
    target = center_per_step(position_code(num_clips).to(dtype))
    assert target.dtype == dtype
    assert torch.equal(target, torch.zeros_like(target))
    prediction = vectors(3, num_clips, 25, 8).requires_grad_()
    loss = negative_cosine(prediction, target)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_without_centring_a_position_code_wins_the_whole_loss():
    """Why the meters exist: -1 without a word of content."""
    assert negative_cosine(position_code(8), position_code(8)).item() == pytest.approx(-1.0)


def test_double_centring_equals_a_loop_and_leaves_neither_code():
    """What the meters compare: content alone, neither the place in the clip nor the clip."""
    z = vectors(0, 5, 25, 3)
    loop = torch.empty_like(z)
    for b in range(5):
        for t in range(25):
            loop[b, t] = z[b, t] - z[:, t].mean(0) - z[b].mean(0) + z.mean((0, 1))
    torch.testing.assert_close(center_double(z), loop, atol=1e-5, rtol=0)
    codes = position_code(5) + vectors(2, 5, 1, 8)
    assert abs(negative_cosine(codes, center_double(codes)).item()) < 1e-3
