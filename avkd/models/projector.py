"""The projector: features to the space in which student and teacher are compared.

Knows neither modality nor loss.
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn


class BatchNormOverTime(nn.Module):
    """Batch normalisation of each feature over all clips and all steps together."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, steps: Tensor) -> Tensor:
        """Normalise ``steps`` (B, T, D); same shape out."""
        flat = self.norm(rearrange(steps, "b t d -> (b t) d"))
        return rearrange(flat, "(b t) d -> b t d", t=steps.shape[1])


class Projector(nn.Module):
    """One linear map per step and a batch norm (RealForensics, section 3; method 3.3).

    The map has no bias: the batch norm behind it would cancel one.
    """

    def __init__(self, *, feature_dim: int, projection_dim: int = 256) -> None:
        super().__init__()
        self.projection_dim = projection_dim
        self.linear = nn.Linear(feature_dim, projection_dim, bias=False)
        self.norm = BatchNormOverTime(projection_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Project ``features`` (B, T, D) to (B, T, P)."""
        return self.norm(self.linear(features))
