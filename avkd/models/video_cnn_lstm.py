"""`cnn_lstm`: a plain 3D-CNN + LSTM video encoder, the authors' second baseline (method 0.2).

Only the channels 32, 64, 128 are published; the remaining sizes are ours. No normalisation, no
attention, and the state runs forward in time only. Legend: see ``encoders.py``.
"""

from einops import rearrange
from torch import Tensor, nn

from avkd.models.encoders import VideoFeatures, check_clip, check_image_size, run_recurrence

_SHRINKING = 16  # max-pools of 2, 2 and 4


class CnnLstm(nn.Module):
    """Three {3x3x3 convolution, ReLU, spatial max-pool} blocks and one LSTM.

    Args:
        image_size: height and width of the clips in pixels, a multiple of 16.
        width: channels of the first block; the blocks have 1, 2 and 4 times as many.
        hidden: LSTM width, which is also ``feature_dim``.

    Raises:
        ValueError: ``image_size`` is not a multiple of 16.
    """

    def __init__(self, *, image_size: int = 112, width: int = 32, hidden: int = 512) -> None:
        super().__init__()
        check_image_size(image_size, divisor=_SHRINKING, network="cnn_lstm")
        self.image_size = image_size
        self.feature_dim = hidden
        cells = (image_size // _SHRINKING) ** 2
        self.convolutions = nn.Sequential(
            _block(3, width, shrinking=2),
            _block(width, 2 * width, shrinking=2),
            _block(2 * width, 4 * width, shrinking=4),
        )
        self.lstm = nn.LSTM(4 * width * cells, hidden, batch_first=True)

    def forward(self, clip: Tensor) -> VideoFeatures:
        """Encode ``clip`` (B, 3, T, H, W), normalised, H = W = ``image_size``, any T."""
        check_clip(clip, self.image_size)
        frames = rearrange(self.convolutions(clip), "b c t h w -> b t (c h w)")
        return VideoFeatures(run_recurrence(self.lstm, frames), None)


def _block(channels_in: int, channels_out: int, *, shrinking: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool3d((1, shrinking, shrinking)),
    )
