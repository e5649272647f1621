"""What every image network is, and the head that it ends in.

``forward_features`` and ``forward_head`` are timm's words on purpose; between them stands ``pool``,
one feature per frame, which reports and feature losses read. Legend of the image files: ``B``
pictures or clips, ``L`` frames of one, ``C`` channels, ``H W`` and ``h w`` pixels of the input and
of a map, ``N`` tokens, ``D`` pooled features.
"""

from einops import rearrange, reduce
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class LogitHead(nn.Module):
    """One logit from pooled features: mean over the frames, then one or two linear layers.

    Args:
        pooled_dim: features D per frame.
        hidden_dim: width of a layer with ReLU before the last; None = no such layer.
        dropout: share of features dropped before the last layer, in training.

    Raises:
        ValueError: ``dropout`` is no share.
    """

    def __init__(
        self, *, pooled_dim: int, hidden_dim: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if hidden_dim is not None:
            layers += [nn.Linear(pooled_dim, hidden_dim), nn.ReLU()]
        layers += [nn.Dropout(dropout), nn.Linear(hidden_dim or pooled_dim, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pooled: Tensor) -> Tensor:
        """Logits (B,) of ``pooled`` (B, L, D)."""
        return rearrange(self.layers(reduce(pooled, "b l d -> b d", "mean")), "b 1 -> b")


class ImageNetwork(nn.Module):
    """From normalised pictures to one logit each, higher = more likely fake.

    A network of its own names ``num_features``, ``head``, ``forward_features`` and
    ``depth_groups``. With ``frames`` = 1 a picture is (B, 3, H, W), else (B, 3, L, H, W) with
    L = ``frames``. Where ``uses_landmarks``, ``forward`` and ``forward_features`` take as a second
    argument ``landmarks``: (B, L, 5, 2) in shares of the picture, or None.
    """

    num_features: int
    """Channels C of the map, or width of the tokens, that ``forward_features`` gives."""
    frames: int = 1
    uses_landmarks: bool = False
    head: LogitHead
    """Pooled features (B, L, D) to logits (B,)."""

    def forward_features(self, image: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Map (B, C, h, w), tokens (B, N, C), or (B, C, L, h, w) where ``frames`` is above 1."""
        raise NotImplementedError

    def depth_groups(self) -> list[list[nn.Parameter]]:
        """All parameters but the head's, from the stem to the last block before the head."""
        raise NotImplementedError

    def pool(self, features: Tensor) -> Tensor:
        """Pooled features (B, L, D) of what ``forward_features`` gave: the mean over the pixels."""
        pattern = "b c h w -> b 1 c" if self.frames == 1 else "b c l h w -> b l c"
        return reduce(features, pattern, "mean")

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits (B,) of what ``forward_features`` gave."""
        return self.head(self.pool(features))

    def forward(self, image: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Logits (B,) of ``image``."""
        return self.forward_head(self.forward_features(image, landmarks))
