"""The forgery detector of the image branch: any image network, given the input it was made for.

The only place that changes normalisation: everything before it is normalised by ImageNet's mean
and deviation. Legend: see ``image_network.py``.
"""

from collections.abc import Sequence
from itertools import chain

import torch
from einops import rearrange
from torch import Tensor, nn

from avkd.models.detector import DetectorOutput
from avkd.models.encoders import check_clip
from avkd.models.image_network import IMAGENET_MEAN, IMAGENET_STD, ImageNetwork


class ImageDetector(nn.Module):
    """An image network behind the interface of the video detector, for square pictures of one size.

    ``mean`` and ``std`` of red, green and blue (0..1) are those the network wants its input
    normalised by.
    """

    frames: int
    """Frames L of the clips it judges."""
    uses_landmarks: bool
    """Whether it looks at the landmarks it is given."""
    scale: Tensor | None
    shift: Tensor | None

    def __init__(
        self,
        *,
        network: ImageNetwork,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        image_size: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.frames, self.uses_landmarks = network.frames, network.uses_landmarks
        self.image_size = image_size
        # (x s + m - mean) / std for x normalised by m and s. Stored with the weights: what timm
        # says of a network's normalisation may change with its version.
        given = list(zip(IMAGENET_MEAN, IMAGENET_STD, mean, std, strict=True))
        is_same = tuple(mean) == IMAGENET_MEAN and tuple(std) == IMAGENET_STD
        scale = torch.tensor([s / wanted_s for _, s, _, wanted_s in given])
        shift = torch.tensor([(m - wanted_m) / wanted_s for m, _, wanted_m, wanted_s in given])
        self.register_buffer("scale", None if is_same else scale)
        self.register_buffer("shift", None if is_same else shift)

    def forward(self, clip: Tensor, landmarks: Tensor | None = None) -> DetectorOutput:
        """Judge pictures, or clips as one.

        Args:
            clip: (B, 3, L, S, S), normalised by ImageNet's mean and deviation (0 = mean colour),
                L = ``frames``, S = ``image_size``.
            landmarks: (B, L, 5, 2) in shares of the picture, NaN or None where they are not known;
                looked at only where ``uses_landmarks``.

        Returns:
            Logits in float32, pooled features (B, L, D) in float32, no importance.
        """
        check_clip(clip, self.image_size)
        assert clip.shape[2] == self.frames, (
            f"expected clips of {self.frames} frame(s), got {clip.shape[2]}"
        )
        if self.scale is not None and self.shift is not None:
            clip = clip * _per_channel(self.scale) + _per_channel(self.shift)
        image = clip if self.frames > 1 else rearrange(clip, "b c 1 h w -> b c h w")
        inputs = (image, landmarks) if self.uses_landmarks else (image,)
        features = self.network.forward_features(*inputs)
        # Half precision makes ties of confident logits and breaks the ranking (method 0.6).
        with torch.autocast(device_type=clip.device.type, enabled=False):
            pooled = self.network.pool(features.float())
            logit = self.network.head(pooled)
        return DetectorOutput(logit, pooled, None)

    def set_trainable(self, part: str) -> None:
        """Freeze all parameters but those of ``part``.

        Args:
            part: ``all``; ``head``; ``norms``: the head, scale and shift of every norm; or
                ``blocks:K``: the head and the last K of the blocks, as ``depth_groups`` counts
                them.

        Raises:
            ValueError: there is no such part, or fewer than K blocks.
        """
        network = self.network
        kind, _, count = part.partition(":")
        trained: list[list[nn.Parameter]] = []
        if kind == "blocks" and count.isdigit():
            groups = network.depth_groups()
            if not 1 <= int(count) <= len(groups):
                raise ValueError(f"trainable {part!r}: the network has 1 to {len(groups)} blocks")
            trained = groups[-int(count) :]
        elif part == "norms":
            norms = [m for m in network.modules() if "Norm" in type(m).__name__]
            trained = [list(norm.parameters(recurse=False)) for norm in norms]
            if not any(trained):
                raise ValueError(
                    "trainable 'norms': the network has no norm; give all, head or blocks:K"
                )
        elif part not in ("all", "head"):
            raise ValueError(
                f"trainable {part!r}: give all, head, norms or blocks:K, e.g. blocks:2"
            )
        network.requires_grad_(part == "all")
        for parameter in (*network.head.parameters(), *chain.from_iterable(trained)):
            parameter.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ImageDetector":
        """Set the mode of all parts but the frozen ones, which stay in eval mode.

        Otherwise BatchNorm would go on following the new data with weights that cannot.
        """
        super().train(mode)
        for part in self.network.modules():
            parameters = list(part.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                part.eval()
        return self


def _per_channel(values: Tensor) -> Tensor:
    return rearrange(values, "c -> 1 c 1 1 1")
