"""The predictor: from a student's projection to the other modality's teacher projection.

One transformer block without positions: a step hidden from the student can be filled in from the
others, but not from its place in the clip. Knows neither modality nor loss.
"""

from __future__ import annotations

from torch import Tensor, nn

from avkd.models.projector import BatchNormOverTime
from avkd.models.temporal_attention import TemporalAttention

_WIDENING = 4  # the inner width of the block's perceptron over its outer width


class Predictor(nn.Module):
    """Linear, one pre-norm transformer block, batch norm, linear (method 3.3); no dropout.

    Raises:
        ValueError: ``heads`` does not divide ``predictor_dim``.
    """

    def __init__(
        self, *, projection_dim: int = 256, predictor_dim: int = 512, heads: int = 8
    ) -> None:
        super().__init__()
        inner_dim = _WIDENING * predictor_dim
        self.widen = nn.Linear(projection_dim, predictor_dim)
        self.attention = TemporalAttention(dim=predictor_dim, heads=heads)
        self.perceptron = nn.Sequential(
            BatchNormOverTime(predictor_dim),
            nn.Linear(predictor_dim, inner_dim),
            nn.GELU(),
            nn.Linear(inner_dim, predictor_dim),
        )
        self.norm = BatchNormOverTime(predictor_dim)
        self.narrow = nn.Linear(predictor_dim, projection_dim)

    def forward(self, projection: Tensor) -> Tensor:
        """Predict targets (B, T, P) from the student's ``projection`` (B, T, P)."""
        steps, _ = self.attention(self.widen(projection))
        steps = steps + self.perceptron(steps)
        return self.narrow(self.norm(steps))
