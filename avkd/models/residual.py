"""The residual block of He et al. 2016, of pictures and of log-mels."""

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, projected where the shape changes.

    With ``pools`` a shortcut that strides takes every other pixel first: a 1x1 convolution of fewer
    than 16 channels that strides itself writes past its memory in oneDNN's backward pass (oneDNN
    issue 6035).
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, stride: tuple[int, int], pools: bool = False
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels_out or stride != (1, 1):
            step = 1 if pools else stride
            self.shortcut = nn.Sequential(
                *([nn.MaxPool2d(1, stride=stride)] if pools else []),
                nn.Conv2d(channels_in, channels_out, 1, stride=step, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        self.activation = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) to maps."""
        return self.activation(self.shortcut(maps) + self.branch(maps))
