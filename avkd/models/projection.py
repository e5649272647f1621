"""Projector and predictor: from features to the other modality's teacher projection.

Stage one's students have both, its teachers a projector, and the detector's auxiliary task both
again. Legend: see ``encoders.py``.
"""

from einops import rearrange
from torch import Tensor, nn

from avkd.models.temporal_attention import TemporalAttention

_WIDENING = 4  # the inner width of the predictor's perceptron over its outer width


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


class Predictor(nn.Module):
    """Linear, one pre-norm transformer block, batch norm, linear (method 3.3); no dropout.

    The block has no positions: a step hidden from the student can be filled in from the others,
    but not from its place in the clip.

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
