"""What is taken from a teacher's targets before a student of the other modality predicts them.

Without negatives two codes lower the loss and say nothing of speech: one of the frame index, which
both teachers can count, and one that is constant over the clip (who speaks, in which room). Taking
off the batch mean of each frame closes the first way only; taking off the clip's mean as well
closes both. Whitening then makes all directions count alike, the few loud and the many quiet ones
(shared/method.md, section 12). Like a batch norm without learnt parameters: while training by the
statistics of the batch, which is also noted; in eval mode by what was noted, so that a single clip
has a target. Legend: B clips, T frames, P target size.
"""

from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn

TargetCenter = Literal["none", "per_step", "double", "whitened"]

_FLOOR_SHARE = 0.01  # of the largest variance, added to all: the weakest are mostly noise
# Of the power of the targets before centring, likewise: a rounding left of a mere code stays small.
_LEAST_SHARE = 1e-8
_TINY = 1e-30
_LEAST_MOMENTUM = 0.05  # of the noted statistics: about the last twenty batches


class TargetNormalisation(nn.Module):
    """Centres and maybe whitens the targets (B, T, P) of one teacher.

    ``per_step``: z[b, t] - mean_b z[b, t]. ``double``: also minus the mean over time of that.
    ``whitened``: ``double``, then ZCA over all clips and frames: with e and u the eigenvalues and
    eigenvectors of the covariance, z u diag(1 / sqrt(e + 0.01 max e)) u'. ``none``: as they are.

    Raises:
        ValueError: ``center`` is none of them.
    """

    position_mean: Tensor
    covariance: Tensor
    num_batches: Tensor

    def __init__(self, *, center: str, projection_dim: int, clip_frames: int) -> None:
        super().__init__()
        if center not in get_args(TargetCenter):
            raise ValueError(
                f"target_center {center!r} is not one of {', '.join(get_args(TargetCenter))}"
            )
        self.center = center
        if center != "none":
            self.register_buffer("num_batches", torch.zeros((), dtype=torch.long))
            self.register_buffer("position_mean", torch.zeros(clip_frames, projection_dim))
        if center == "whitened":
            self.register_buffer("covariance", torch.eye(projection_dim))

    def forward(self, target: Tensor) -> Tensor:
        """Normalise ``target`` (B, T, P), no gradient; returns (B, T, P) in float32."""
        if self.center == "none":
            return target.float()
        # In double precision the mean of equal numbers is exact; in single precision it may be off
        # by a rounding, and a cosine would blow that residue of a code up to unit length.
        with torch.autocast(target.device.type, enabled=False):
            exact = target.detach().double()
            mean = exact.mean(dim=0) if self.training else self.position_mean.double()
            centred = exact - mean
            if self.center != "per_step":
                centred = centred - centred.mean(dim=1, keepdim=True)
            if self.training:
                self._note("position_mean", mean)
            if self.center == "whitened":
                centred = self._whitened(centred, power=exact.square().mean())
            if self.training:
                self.num_batches += 1
        return centred.float()

    def _whitened(self, centred: Tensor, *, power: Tensor) -> Tensor:
        covariance = self.covariance.double()
        if self.training:
            covariance = covariance_of(centred)
            self._note("covariance", covariance)
        return centred @ whitening(covariance, least=(_LEAST_SHARE * power).clamp_min(_TINY))

    def _note(self, name: str, value: Tensor) -> None:
        """Move a noted statistic towards that of this batch; the first batches count alike."""
        noted = getattr(self, name)
        share = (1.0 / (self.num_batches.double() + 1.0)).clamp_min(_LEAST_MOMENTUM)
        noted.lerp_(value.to(noted.dtype), share.to(noted.dtype))


def covariance_of(centred: Tensor) -> Tensor:
    """Covariance (P, P) of targets (B, T, P) whose mean is zero, over all clips and frames."""
    flat = rearrange(centred, "b t p -> (b t) p")
    return flat.T @ flat / len(flat)


def whitening(covariance: Tensor, *, least: Tensor) -> Tensor:
    """The symmetric map (P, P) after which every direction has about the same variance.

    ``least``, above 0, is added to every variance of the covariance (P, P) whatever they are.
    """
    # Where it is not, the loss says so, with the step and the clips. Asking would wait for a GPU.
    is_finite = covariance.isfinite().all()
    values, vectors = torch.linalg.eigh(torch.where(is_finite, covariance, 0.0))
    scale = (values.clamp_min(0.0) + _FLOOR_SHARE * values.amax() + least).rsqrt()
    return torch.where(is_finite, (vectors * scale) @ vectors.T, torch.nan)
