"""`published_gru`: the 3D-CNN + GRU + attention encoder published at IEIE 2024, rebuilt.

A baseline, written from the layer facts in method section 1. Its authors reshape (C, T) into
steps without moving the axes; that variant is kept for comparison. Legend: see ``encoders.py``.
"""

from itertools import pairwise

import torch
from einops import pack, rearrange, reduce
from torch import Tensor, nn

from avkd.models.encoders import VideoFeatures, check_clip, check_image_size, run_recurrence

_STAGES = 4
_SHRINKING = 2**_STAGES
_KEY_SHARE = 8  # queries and keys have an eighth of the features


class PublishedGru(nn.Module):
    """Convolutions and max-pools without normalisation, bidirectional GRU, single-head attention.

    Args:
        image_size: height and width of the clips in pixels, a multiple of 16.
        width: channels of the first block; the blocks have 1, 2, 4 and 8 times as many.
        hidden: GRU width per direction.
        feature_dim: features per frame that come out.
        time_axis: "permuted": each GRU step is a frame. "published": each step is a slice of
            channel-major memory mixing all frames, as the authors' reshape makes it; features are
            then per frame in name only and no importance is given.

    Raises:
        ValueError: ``image_size`` is not a multiple of 16, or ``time_axis`` is neither word.
    """

    def __init__(
        self,
        *,
        image_size: int = 112,
        width: int = 32,
        hidden: int = 512,
        feature_dim: int = 2048,
        time_axis: str = "permuted",
    ) -> None:
        super().__init__()
        check_image_size(image_size, divisor=_SHRINKING, network="published_gru")
        if time_axis not in ("permuted", "published"):
            raise ValueError(
                f"published_gru: time_axis {time_axis!r} must be 'permuted' or 'published'"
            )
        self.image_size = image_size
        self.feature_dim = feature_dim
        self.time_axis = time_axis
        widths = [3, *(width * 2**stage for stage in range(_STAGES))]
        cells = (image_size // _SHRINKING) ** 2
        steps_dim = 2 * hidden
        self.convolutions = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv3d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool3d((1, 2, 2))
                )
                for before, after in pairwise(widths)
            )
        )
        self.gru = nn.GRU(widths[-1] * cells, hidden, batch_first=True, bidirectional=True)
        self.query = nn.Linear(steps_dim, steps_dim // _KEY_SHARE)
        self.key = nn.Linear(steps_dim, steps_dim // _KEY_SHARE)
        self.value = nn.Linear(steps_dim, steps_dim)
        self.output = nn.Linear(steps_dim, feature_dim)

    def forward(self, clip: Tensor) -> VideoFeatures:
        """Encode ``clip`` (B, 3, T, H, W), normalised, H = W = ``image_size``, any T."""
        check_clip(clip, self.image_size)
        steps = run_recurrence(self.gru, self._steps(self.convolutions(clip)))
        scores = torch.einsum("bqd,bkd->bqk", self.query(steps), self.key(steps))
        attention = scores.float().softmax(dim=-1)
        steps = steps + attention.to(steps.dtype) @ self.value(steps)
        importance = reduce(attention.detach(), "b q k -> b k", "mean")
        return VideoFeatures(
            self.output(steps), importance if self.time_axis == "permuted" else None
        )

    def _steps(self, maps: Tensor) -> Tensor:
        """Cut the maps (B, C, T, H, W) into T steps of C H W values each."""
        if self.time_axis == "permuted":
            return rearrange(maps, "b c t h w -> b t (c h w)")
        memory, _ = pack([maps], "b *")
        return rearrange(memory, "b (steps values) -> b steps values", steps=maps.shape[2])
