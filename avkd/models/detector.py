"""The forgery detector of stage two: one logit per clip, and stage one's task beside it.

Raw logits only; what they mean as a probability is ``decision.py``'s. Legend: see ``encoders.py``.
"""

from typing import NamedTuple

import torch
from einops import rearrange, reduce
from torch import Tensor, nn
from torch.nn import functional

from avkd.models.encoders import VideoEncoder


class DetectorOutput(NamedTuple):
    """What the detector says of a batch of clips.

    ``logit`` (B,) float32, higher = more likely fake. ``features`` (B, T, D) per frame.
    ``importance`` (B, T), sum 1, detached: how much each frame counts in the clip feature where
    the pooling learns that, else the encoder's attention, else None.
    """

    logit: Tensor
    features: Tensor
    importance: Tensor | None


class MeanPooling(nn.Module):
    """Every frame counts the same."""

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        """Average ``features`` (B, T, D) over time: (B, D), and no weights."""
        return reduce(features, "b t d -> b d", "mean"), None


class AttentionPooling(nn.Module):
    """Learnt weights: softmax over time of u . tanh(U f_t) (method 8.2; Ilse et al. 2018, eq. 8).

    ``u`` starts at zero, so that training starts from the mean.
    """

    def __init__(self, *, feature_dim: int, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Linear(feature_dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Average ``features`` (B, T, D) over time: (B, D), and the weights (B, T), sum 1."""
        score = rearrange(self.score(torch.tanh(self.hidden(features))), "b t 1 -> b t")
        weights = score.float().softmax(dim=1)
        feature = torch.einsum("bt,btd->bd", weights.to(features.dtype), features)
        return feature, weights.detach()


class CosineClassifier(nn.Module):
    """logit = scale * cos(weight, feature), no bias (method 4.3), always computed in float32.

    Raises:
        ValueError: ``scale``, the largest logit there is, is not positive.
    """

    def __init__(self, *, feature_dim: int, scale: float = 64.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"the classifier's scale {scale} must be positive")
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(1, feature_dim))
        nn.init.normal_(self.weight)

    def forward(self, feature: Tensor) -> Tensor:
        """Logits (B,), in [-scale, scale], of clip features (B, D)."""
        # Half precision makes ties of confident logits and breaks the ranking (method 0.6).
        with torch.autocast(device_type=feature.device.type, enabled=False):
            direction = functional.normalize(self.weight.float(), dim=1)
            cosine = functional.linear(functional.normalize(feature.float(), dim=1), direction)
        return self.scale * rearrange(cosine, "b 1 -> b")


class Detector(nn.Module):
    """Encoder, pooling over time, cosine classifier, and (for training) an auxiliary head.

    That is projector and predictor in line, with which it still solves stage one's task; None where
    that has no weight.
    """

    def __init__(
        self,
        *,
        encoder: VideoEncoder,
        pooling: MeanPooling | AttentionPooling,
        classifier: CosineClassifier,
        auxiliary_head: nn.Module | None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.classifier = classifier
        self.auxiliary_head = auxiliary_head

    def forward(self, clip: Tensor) -> DetectorOutput:
        """Judge ``clip`` (B, 3, T, H, W), normalised as the model file's preprocessing says."""
        encoded = self.encoder(clip)
        feature, weights = self.pooling(encoded.features)
        importance = encoded.importance if weights is None else weights
        return DetectorOutput(self.classifier(feature), encoded.features, importance)

    def auxiliary_prediction(self, features: Tensor) -> Tensor:
        """Predict stage one's video targets (B, T, P) from ``features`` (B, T, D) of real clips."""
        assert self.auxiliary_head is not None, "this detector was built with auxiliary=False"
        return self.auxiliary_head(features)
