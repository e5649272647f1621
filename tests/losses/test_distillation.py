"""The soft losses of distillation against formulas written out slowly."""

import math

import pytest
import torch

from avkd.losses.distillation import logit_mean_squares, softened_divergence


def logits(seed: int, count: int = 6, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(count, generator=torch.Generator().manual_seed(seed))


def slow_divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> float:
    """T^2 x mean of sum_c p_c log(p_c / q_c), both classes written out."""
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p = 1 / (1 + math.exp(-t / temperature))
        q = 1 / (1 + math.exp(-s / temperature))
        total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_the_divergence_is_the_formula(temperature: float) -> None:
    student, teacher = logits(0), logits(1)
    value = softened_divergence(student, teacher, temperature=temperature)
    assert value.item() == pytest.approx(slow_divergence(student, teacher, temperature), rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_one_logit_and_two_logits_give_the_same_divergence(temperature: float) -> None:
    """A head with logits (real, fake) is the one-logit head fake - real."""
    two_student = torch.stack([logits(2), logits(3)], dim=1)
    two_teacher = torch.stack([logits(4), logits(5)], dim=1)
    expected = temperature**2 * torch.nn.functional.kl_div(
        (two_student / temperature).log_softmax(1),
        (two_teacher / temperature).log_softmax(1),
        reduction="batchmean",
        log_target=True,
    )
    value = softened_divergence(
        two_student[:, 1] - two_student[:, 0],
        two_teacher[:, 1] - two_teacher[:, 0],
        temperature=temperature,
    )
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_it_is_zero_exactly_where_the_two_agree_and_never_negative() -> None:
    teacher = logits(6, scale=50.0)
    assert softened_divergence(teacher, teacher, temperature=4.0).item() == 0.0
    assert softened_divergence(-teacher, teacher, temperature=4.0).item() > 0.0
    assert softened_divergence(teacher + 1e-3, teacher, temperature=4.0).item() >= 0.0


def test_sure_teachers_give_finite_losses_and_gradients() -> None:
    student = torch.tensor([-300.0, 300.0, 0.0], requires_grad=True)
    loss = softened_divergence(student, torch.tensor([300.0, -300.0, 1e4]), temperature=1.0)
    loss.backward()
    assert math.isfinite(loss.item()) and bool(torch.isfinite(student.grad).all())


def test_the_gradient_reaches_the_student_alone_and_does_not_shrink_with_the_temperature() -> None:
    norms = []
    for temperature in (1.0, 10.0, 100.0):
        student, teacher = logits(7).requires_grad_(), logits(8).requires_grad_()
        softened_divergence(student, teacher, temperature=temperature).backward()
        assert teacher.grad is None
        norms.append(student.grad.norm().item())
    assert norms[2] == pytest.approx(norms[1], rel=0.1) and norms[1] > 0.2 * norms[0]
    student, teacher = logits(7).requires_grad_(), logits(8).requires_grad_()
    logit_mean_squares(student, teacher).backward()
    assert teacher.grad is None
    torch.testing.assert_close(student.grad, 2 * (student - teacher).detach() / len(student))


def test_weights_multiply_each_samples_share() -> None:
    student, teacher = logits(9), logits(10)
    weight = torch.tensor([0.0, 2.0, 0.0, 1.0, 0.0, 3.0])
    for loss in (
        lambda s, t, w: softened_divergence(s, t, temperature=2.0, weight=w),
        lambda s, t, w: logit_mean_squares(s, t, weight=w),
    ):
        single = [loss(student[i : i + 1], teacher[i : i + 1], None).item() for i in range(6)]
        expected = sum(w * v for w, v in zip(weight.tolist(), single, strict=True)) / 6
        assert loss(student, teacher, weight).item() == pytest.approx(expected, rel=1e-5)


def test_squares_of_the_logits_are_the_formula_in_half_precision_too() -> None:
    student, teacher = logits(11), logits(12)
    expected = sum((s - t) ** 2 for s, t in zip(student.tolist(), teacher.tolist(), strict=True))
    assert logit_mean_squares(student, teacher).item() == pytest.approx(expected / 6, rel=1e-5)
    assert logit_mean_squares(student.bfloat16(), teacher).dtype == torch.float32
