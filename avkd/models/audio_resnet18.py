"""The audio encoder: a ResNet18 over log-mel, one feature per video frame.

The stem quarters time (100 mel frames become 25 steps) and mel; later stages halve mel only
(RealForensics; method 3.3). Legend: see ``encoders.py``.
"""

from einops import reduce
from torch import Tensor, nn

from avkd.models.encoders import MEL_FRAMES_PER_VIDEO_FRAME
from avkd.models.residual import BasicBlock

_STAGES = 4
_BLOCKS_PER_STAGE = 2


class AudioResNet18(nn.Module):
    """Stem and four stages of two basic blocks (He et al. 2016), mean over mel.

    Args:
        width: channels of the stem and first stage; ``feature_dim`` is 8 times that.
    """

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(_STAGES):
            for block in range(_BLOCKS_PER_STAGE):
                mel_stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(channels, width * 2**stage, stride=(1, mel_stride)))
                channels = width * 2**stage
        self.stages = nn.Sequential(*blocks)
        self.feature_dim = channels
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, mel: Tensor) -> Tensor:
        """Encode ``mel`` (B, 1, 4T, M), in [-1, 1], to features (B, T, D)."""
        assert mel.ndim == 4 and mel.shape[2] % MEL_FRAMES_PER_VIDEO_FRAME == 0, (
            f"expected mel (B, 1, 4T, M), got {tuple(mel.shape)}"
        )
        return reduce(self.stages(self.stem(mel)), "b c t m -> b t c", "mean")
