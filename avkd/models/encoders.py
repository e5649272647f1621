"""What every video and audio encoder promises: one feature per video frame.

Everything downstream (projectors, heads, stages) relies on these contracts only, not on a
particular network. Legend of this folder: ``B`` clips, ``T`` video frames, ``M`` mel bins,
``C`` channels, ``H W`` pixels, ``D`` features, ``P`` projected features.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

MEL_FRAMES_PER_VIDEO_FRAME = 4  # 100 mel frames and 25 video frames per second (method 2.3)


class VideoFeatures(NamedTuple):
    """What a video encoder makes of a clip.

    ``features`` is (B, T, D). ``importance`` is (B, T), non-negative with sum 1 over T: the share
    of attention each frame received, detached (for reports); None where there is no attention.
    """

    features: Tensor
    importance: Tensor | None


class VideoEncoder(Protocol):
    """A module from a normalised clip to one feature per frame."""

    feature_dim: int

    def __call__(self, clip: Tensor) -> VideoFeatures:
        """Encode ``clip`` (B, 3, T, H, W), float, H = W = the size the encoder was built for."""
        ...


class AudioEncoder(Protocol):
    """A module from a log-mel spectrogram to one feature per *video* frame."""

    feature_dim: int

    def __call__(self, mel: Tensor) -> Tensor:
        """Encode ``mel`` (B, 1, 4T, M), float in [-1, 1], to features (B, T, D)."""
        ...


def check_image_size(image_size: int, *, divisor: int, network: str) -> None:
    """Refuse sizes that the network's spatial halvings do not divide.

    Raises:
        ValueError: ``image_size`` is not a positive multiple of ``divisor``.
    """
    if image_size < divisor or image_size % divisor:
        raise ValueError(
            f"{network}: image_size {image_size} must be a positive multiple of {divisor}"
        )


def check_clip(clip: Tensor, image_size: int) -> None:
    """Stop at once when a clip does not have the shape the network was built for."""
    expected = (3, image_size, image_size)
    found = (clip.shape[1], *clip.shape[3:])
    assert clip.ndim == 5 and found == expected, (
        f"expected a clip (B, 3, T, {image_size}, {image_size}), got {tuple(clip.shape)}"
    )


def run_recurrence(recurrence: nn.GRU | nn.LSTM, steps: Tensor) -> Tensor:
    """Run ``recurrence`` over ``steps`` (B, T, D) from a zero state, in float32 whatever autocast.

    Rounding adds up over the steps in half precision, and not every device has the kernel.
    """
    with torch.autocast(device_type=steps.device.type, enabled=False):
        outputs, _ = recurrence(steps.float())
    return outputs


def flatten_recurrent_parameters(module: nn.Module) -> None:
    """Give cuDNN its single weight buffer back after a copy or a load (a no-op on the CPU)."""
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            part.flatten_parameters()
