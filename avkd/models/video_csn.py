"""`csn101`: the channel-separated 3D ResNet of RealForensics, the strong and dear baseline.

Interaction-reduced CSN-101 (Tran et al. 2019, "Video Classification with Channel-Separated
Convolutional Networks"), temporal stride 1 everywhere, so that every frame keeps its feature
(method 3.3). Purely convolutional: no recurrence, no attention. Legend: see ``encoders.py``.
"""

from collections.abc import Sequence

from einops import reduce
from torch import Tensor, nn

from avkd.models.encoders import VideoFeatures, check_clip

_EXPANSION = 4  # outer over inner width of a bottleneck
_STEM_TEMPORAL_KERNEL = 3
_MAX_DEPTH = 64


class ChannelSeparatedNetwork(nn.Module):
    """Stem, four stages of depthwise-separated bottlenecks, mean over space.

    Args:
        image_size: height and width of the clips in pixels.
        width: channels of the stem; the stages put out 4, 8, 16 and 32 times as many.
        depths: bottlenecks per stage.

    Raises:
        ValueError: there are not exactly four depths, or one is out of range.
    """

    def __init__(
        self, *, image_size: int = 112, width: int = 64, depths: Sequence[int] = (3, 4, 23, 3)
    ) -> None:
        super().__init__()
        if len(depths) != 4 or not 1 <= min(depths) <= max(depths) <= _MAX_DEPTH:
            raise ValueError(
                f"csn101: depths must be 4 whole numbers from 1 to {_MAX_DEPTH}, got {list(depths)}"
            )
        self.image_size = image_size
        self.stem = nn.Sequential(
            nn.Conv3d(
                3,
                width,
                (_STEM_TEMPORAL_KERNEL, 7, 7),
                stride=(1, 2, 2),
                padding=(_STEM_TEMPORAL_KERNEL // 2, 3, 3),
                bias=False,
            ),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
        stages: list[nn.Module] = []
        channels = width
        for stage, depth in enumerate(depths):
            inner = width * 2**stage
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(_Bottleneck(channels, inner=inner, spatial_stride=stride))
                channels = inner * _EXPANSION
        self.stages = nn.Sequential(*stages)
        self.feature_dim = channels
        for part in self.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clip: Tensor) -> VideoFeatures:
        """Encode ``clip`` (B, 3, T, H, W), normalised, H = W = ``image_size``, any T."""
        check_clip(clip, self.image_size)
        maps = self.stages(self.stem(clip))
        return VideoFeatures(reduce(maps, "b c t h w -> b t c", "mean"), None)


class _Bottleneck(nn.Module):
    """1x1x1 down, depthwise 3x3x3, 1x1x1 up, around a shortcut."""

    def __init__(self, channels_in: int, *, inner: int, spatial_stride: int) -> None:
        super().__init__()
        channels_out = inner * _EXPANSION
        stride = (1, spatial_stride, spatial_stride)
        self.branch = nn.Sequential(
            nn.Conv3d(channels_in, inner, 1, bias=False),
            nn.BatchNorm3d(inner),
            nn.ReLU(),
            nn.Conv3d(inner, inner, 3, stride=stride, padding=1, groups=inner, bias=False),
            nn.BatchNorm3d(inner),
            nn.ReLU(),
            nn.Conv3d(inner, channels_out, 1, bias=False),
            nn.BatchNorm3d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels_out or spatial_stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv3d(channels_in, channels_out, 1, stride=stride, bias=False),
                nn.BatchNorm3d(channels_out),
            )
        self.activation = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        return self.activation(self.shortcut(maps) + self.branch(maps))
