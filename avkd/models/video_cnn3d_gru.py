"""`cnn3d_gru`, the default video encoder: 3D convolutions, a GRU, self-attention over time.

Convolutions see 9 neighbouring frames, the bidirectional GRU and the attention the whole clip
(method section 8). Legend: see ``encoders.py``.
"""

from einops import rearrange
from torch import Tensor, nn

from avkd.models.encoders import VideoFeatures, check_clip, check_image_size, run_recurrence
from avkd.models.temporal_attention import TemporalAttention

_SHRINKING = 16  # four convolutions of spatial stride 2
_RELATIVE_REACH_FRAMES = 24  # every distance inside a clip of 25 frames


class Cnn3dGru(nn.Module):
    """Four strided 3D convolutions, 1x1x1 reduction, bidirectional GRU, attention (method 8.1).

    Args:
        image_size: height and width of the clips in pixels, a multiple of 16.
        width: channels of the first stage; the stages have 1, 2, 4 and 8 times as many.
        reduced: channels kept per cell before a frame is flattened for the GRU.
        hidden: GRU width per direction; ``feature_dim`` is twice that.
        heads: attention heads, a divisor of ``feature_dim``.
        dropout: share of the flattened frame dropped in training, in [0, 1).

    Raises:
        ValueError: ``image_size`` or ``heads`` does not divide as said, or ``dropout`` is outside.
    """

    def __init__(
        self,
        *,
        image_size: int = 112,
        width: int = 32,
        reduced: int = 64,
        hidden: int = 256,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_image_size(image_size, divisor=_SHRINKING, network="cnn3d_gru")
        if not 0 <= dropout < 1:
            raise ValueError(f"cnn3d_gru: dropout {dropout} must be in [0, 1)")
        self.image_size = image_size
        self.feature_dim = 2 * hidden
        cells = (image_size // _SHRINKING) ** 2
        self.convolutions = nn.Sequential(
            _halving(3, width, spatial_kernel=5),
            _halving(width, 2 * width),
            _halving(2 * width, 4 * width),
            _halving(4 * width, 8 * width),
        )
        self.reduction = _normalised(nn.Conv3d(8 * width, reduced, 1, bias=False))
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(reduced * cells, hidden, batch_first=True, bidirectional=True)
        self.attention = TemporalAttention(
            dim=self.feature_dim, heads=heads, relative_reach_frames=_RELATIVE_REACH_FRAMES
        )
        self.norm = nn.LayerNorm(self.feature_dim)
        _initialise_gru(self.gru)

    def forward(self, clip: Tensor) -> VideoFeatures:
        """Encode ``clip`` (B, 3, T, H, W), normalised, H = W = ``image_size``, any T."""
        check_clip(clip, self.image_size)
        maps = self.reduction(self.convolutions(clip))
        # Time moves beside the batch *before* flattening: a step is a frame (method 0.4).
        frames = rearrange(maps, "b c t h w -> b t (c h w)")
        steps = run_recurrence(self.gru, self.dropout(frames))
        steps, importance = self.attention(steps)
        return VideoFeatures(self.norm(steps), importance)


def _halving(channels_in: int, channels_out: int, *, spatial_kernel: int = 3) -> nn.Sequential:
    """A convolution that halves height and width and keeps time."""
    convolution = nn.Conv3d(
        channels_in,
        channels_out,
        kernel_size=(3, spatial_kernel, spatial_kernel),
        stride=(1, 2, 2),
        padding=(1, spatial_kernel // 2, spatial_kernel // 2),
        bias=False,
    )
    return _normalised(convolution)


def _normalised(convolution: nn.Conv3d) -> nn.Sequential:
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm3d(convolution.out_channels), nn.ReLU())


def _initialise_gru(gru: nn.GRU) -> None:
    """Xavier per gate for the input, orthogonal per gate for the state, zero biases."""
    for name, parameter in gru.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
            continue
        initialise = nn.init.xavier_uniform_ if "_ih_" in name else nn.init.orthogonal_
        for gate in parameter.detach().chunk(3):
            initialise(gate)
