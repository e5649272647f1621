"""From one feature per frame to one feature per clip. Knows neither images nor classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange, reduce
from torch import Tensor, nn


class PooledFeatures(NamedTuple):
    """``feature`` (B, D); ``weights`` (B, T) with sum 1 where they are learnt, else None."""

    feature: Tensor
    weights: Tensor | None


class MeanPooling(nn.Module):
    """Every frame counts the same."""

    def forward(self, features: Tensor) -> PooledFeatures:
        """Average ``features`` (B, T, D) over time."""
        return PooledFeatures(reduce(features, "b t d -> b d", "mean"), None)


class AttentionPooling(nn.Module):
    """Learnt weights: softmax over time of u . tanh(U f_t) (method 8.2; Ilse et al. 2018, eq. 8).

    ``u`` starts at zero, so that training starts from the mean.
    """

    def __init__(self, *, feature_dim: int, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Linear(feature_dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, features: Tensor) -> PooledFeatures:
        """Average ``features`` (B, T, D) over time with learnt weights."""
        score = rearrange(self.score(torch.tanh(self.hidden(features))), "b t 1 -> b t")
        weights = score.float().softmax(dim=1)
        feature = torch.einsum("bt,btd->bd", weights.to(features.dtype), features)
        return PooledFeatures(feature, weights.detach())
