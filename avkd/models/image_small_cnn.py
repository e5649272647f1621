"""`small_cnn`: the plain network from scratch in the comparison of five CNNs.

The comparison names "a custom CNN" beside four pretrained ones and publishes no layers of it that
we know of: the layers below are ours (four stages of the usual doubling widths), and so are its
results. Legend: see ``image_network.py``.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from avkd.models.image_network import ImageNetwork, LogitHead


class SmallCnn(ImageNetwork):
    """Convolution, BatchNorm, ReLU and 2x2 maxima per width; mean, dropout, logit.

    Raises:
        ValueError: ``dropout`` is no share.
    """

    def __init__(self, *, widths: Sequence[int] = (32, 64, 128, 256), dropout: float = 0.5) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels_out),
                    nn.ReLU(),
                    nn.MaxPool2d(2, ceil_mode=True),  # so that no picture is too small
                )
                for channels_in, channels_out in zip((3, *widths), widths, strict=False)
            )
        )
        self.num_features = widths[-1]
        self.head = LogitHead(pooled_dim=self.num_features, dropout=dropout)

    def forward_features(self, image: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Map (B, C, h, w) of ``image`` (B, 3, H, W)."""
        return self.stages(image)

    def depth_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of each stage."""
        return [list(stage.parameters()) for stage in self.stages]
