"""`resnet8`: the light student, a residual network of three stages in 0.146 M parameters.

He et al. 2016, the CIFAR form: a 3x3 stem, one residual stage per width, global mean, one logit.
The defaults are the honest reading of the "0.145 M" of the published student (145,839 parameters);
its published code builds widths 16/32/64 with two blocks per stage (174,673), see ``build.py`` for
the names of both. Legend: see ``image_network.py``.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from avkd.models.image_network import ImageNetwork, LogitHead
from avkd.models.residual import BasicBlock

_MAX_BLOCKS = 16  # per stage; more is a mistake, and slow to build


class ImageResNet8(ImageNetwork):
    """Stem, one residual stage per width (each but the first halves the map), mean, logit.

    Args:
        widths: channels of the stages; the stem has those of the first.
        blocks: residual blocks per stage.
        stem_stride: step of the stem, 1, 2 or 4.
        stem_pool: halve the map once more after the stem, by 3x3 maxima.

    Raises:
        ValueError: ``blocks`` or ``stem_stride`` is out of range.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (22, 44, 88),
        blocks: int = 1,
        stem_stride: int = 1,
        stem_pool: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= blocks <= _MAX_BLOCKS:
            raise ValueError(f"resnet8: blocks {blocks} must be from 1 to {_MAX_BLOCKS}")
        if stem_stride not in (1, 2, 4):
            raise ValueError(f"resnet8: stem_stride {stem_stride} must be 1, 2 or 4")
        channels = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1) if stem_pool else nn.Identity(),
        )
        stages: list[nn.Module] = []
        for index, width in enumerate(widths):
            residual_blocks: list[nn.Module] = []
            for block in range(blocks):
                stride = 2 if index > 0 and block == 0 else 1
                residual_blocks.append(
                    BasicBlock(channels, width, stride=(stride,) * 2, pools=True)
                )
                channels = width
            stages.append(nn.Sequential(*residual_blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.head = LogitHead(pooled_dim=channels)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, image: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Map (B, C, h, w) of ``image`` (B, 3, H, W)."""
        return self.stages(self.stem(image))

    def depth_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of the stem and of each stage."""
        return [list(part.parameters()) for part in (self.stem, *self.stages)]
