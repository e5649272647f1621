"""Real/fake classification under the prior of the sampler that made the batch."""

import math

from torch import Tensor
from torch.nn import functional


def log_prior_odds(fake_fraction: float) -> float:
    """log(pi / (1 - pi)) for a share pi of fakes among the training clips, 0 < pi < 1."""
    assert 0.0 < fake_fraction < 1.0
    return math.log(fake_fraction / (1.0 - fake_fraction))


def prior_corrected_cross_entropy(logit: Tensor, label: Tensor, fake_fraction: float) -> Tensor:
    """Binary cross-entropy of ``logit + log prior odds``, so that the bare logit is prior-free.

    Logit adjustment (Menon et al. 2021), the mean over (B,) logits and labels, 1 = fake, in fp32.
    ``fake_fraction`` must come from the actual sampler: a wrong one shifts every threshold.
    """
    adjusted = logit.float() + log_prior_odds(fake_fraction)
    return functional.binary_cross_entropy_with_logits(adjusted, label.float())
