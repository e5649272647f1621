"""How far a student's logit is from its teacher's: the soft losses of distillation.

Pure functions over one logit per sample, higher = fake. A two-logit head with logits (r, f) is the
one-logit head f - r: softmax and sigmoid then give the same probabilities and the same divergence.
"""

from torch import Tensor
from torch.nn import functional

TEMPERATURE = 4.0
"""Of the published distillation of EfficientNet-B7 into a ResNet8."""


def soft_loss(
    student: Tensor, teacher: Tensor, *, temperature: float | None, weight: Tensor | None = None
) -> Tensor:
    """`softened_divergence`, or `logit_mean_squares` where ``temperature`` is None."""
    if temperature is None:
        return logit_mean_squares(student, teacher, weight=weight)
    return softened_divergence(student, teacher, temperature=temperature, weight=weight)


def softened_divergence(
    student: Tensor, teacher: Tensor, *, temperature: float, weight: Tensor | None = None
) -> Tensor:
    """T^2 x KL(sigmoid(teacher / T) || sigmoid(student / T)), averaged over the samples.

    T^2 keeps the gradient's size independent of T (Hinton, Vinyals, Dean 2015, section 2.1). Both
    are (B,) raw logits; the gradient flows into the student's only. A ``weight`` (B,),
    non-negative, says how much each sample counts; it is not normalised: the caller decides what
    its mean means.

    Returns:
        Scalar, at least 0, fp32; 0 exactly where the two agree everywhere.
    """
    assert temperature > 0
    wanted = teacher.detach().float() / temperature
    given = student.float() / temperature
    share = wanted.sigmoid()
    divergence = share * (functional.logsigmoid(wanted) - functional.logsigmoid(given)) + (
        1.0 - share
    ) * (functional.logsigmoid(-wanted) - functional.logsigmoid(-given))
    return temperature**2 * _weighted_mean(divergence, weight)


def logit_mean_squares(student: Tensor, teacher: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Mean squared difference of the raw logits (Ba and Caruana 2014); arguments as above."""
    return _weighted_mean((student.float() - teacher.detach().float()).square(), weight)


def _weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    return (values if weight is None else values * weight).mean()
