"""`addnet2d` and `addnet3d`: Xception whose early stages look at the face only.

ADDNet (Zi et al. 2020, "WildDeepfake", arXiv 2101.01456, figures 1 to 3): the picture and the
outputs of the first four stages are multiplied by a mask of the face, five times in all. Gating
has no parameters, and a mask of ones leaves Xception (Chollet 2017). The figures give no widths:
they are Xception's. Legend: see ``image_network.py``.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avkd.models.attention_mask import attention_mask
from avkd.models.image_network import ImageNetwork, LogitHead

_WIDTHS = ((32, 64), (128, 256, 728), (1024, 1536, 2048))  # of stem, early stages and exit
_MIDDLE_BLOCKS = 8
_MIDDLE_BLOCKS_3D = 2
_HEAD_REDUCTION = 4  # features over hidden units of the two-layer head


class _Layers(NamedTuple):
    """The layers that differ between pictures and clips; nothing of ours strides over time."""

    convolution: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    pool: Callable[..., nn.Module]
    half: int | tuple[int, ...]
    """Stride that halves height and width."""
    window: int | tuple[int, ...]
    """Kernel of 3x3 pixels, and one frame."""
    margin: int | tuple[int, ...]
    """Padding that goes with it."""


_FLAT = _Layers(nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, 2, 3, 1)
_DEEP = _Layers(nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d, (1, 2, 2), (1, 3, 3), (0, 1, 1))


class _AddNet(ImageNetwork):
    """The gated early stages of every frame, Xception's middle and exit over all of them."""

    uses_landmarks = True

    def __init__(
        self,
        layers: _Layers,
        *,
        width_divisor: int,
        num_blocks: int,
        num_convolutions: int = 3,
        pools: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= width_divisor <= 32:  # or nothing would be left of the stem
            raise ValueError(f"addnet: width_divisor {width_divisor} must be from 1 to 32")
        stem, early, last = ([width // width_divisor for width in part] for part in _WIDTHS)
        middle = (early[-1],) * (num_convolutions + 1)
        self.gated = GatedStages(stem, early)
        self.middle = nn.Sequential(
            *(_Block(layers, middle, halves=False, pools=pools) for _ in range(num_blocks))
        )
        self.exit = _exit_flow(layers, early[-1], last)
        self.num_features = last[-1]
        # A 1x1 convolution of a 1x1 map is a linear layer; ReLU between and 1/4 width are ours.
        hidden_dim = max(1, self.num_features // _HEAD_REDUCTION)
        self.head = LogitHead(pooled_dim=self.num_features, hidden_dim=hidden_dim)

    def forward_features(self, image: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """As `ImageNetwork.forward_features`; without landmarks nothing is gated."""
        clip = image if self.frames > 1 else rearrange(image, "b c h w -> b c 1 h w")
        gated = self.gated(
            rearrange(clip, "b c l h w -> (b l) c h w"),
            rearrange(_mask(landmarks, like=clip), "b l 1 h w -> (b l) 1 h w"),
        )
        if self.frames > 1:
            gated = rearrange(gated, "(b l) c h w -> b c l h w", l=self.frames)
        return self.exit(self.middle(gated))

    def depth_groups(self) -> list[list[nn.Parameter]]:
        """Parameters of every stage of the gated part, of every middle block and of the exit."""
        return [list(p.parameters()) for p in (*self.gated.stages, *self.middle, self.exit)]


class AddNet2d(_AddNet):
    """Judges pictures.

    Args:
        width_divisor: all of Xception's widths are divided by it.
        middle_pool: middle blocks as drawn in figure 2c, two separable convolutions and a maximum
            over 3x3 pixels (at stride 1, or the shortcut would not fit); else Xception's own three
            convolutions without one.
    """

    def __init__(self, *, width_divisor: int = 1, middle_pool: bool = False) -> None:
        super().__init__(
            _FLAT,
            width_divisor=width_divisor,
            num_blocks=_MIDDLE_BLOCKS,
            num_convolutions=2 if middle_pool else 3,
            pools=middle_pool,
        )


class AddNet3d(_AddNet):
    """Judges clips: separable 3D blocks follow the gated stages.

    The figure leaves the 3D part open: two middle blocks and the exit of Xception with 3x3x3
    kernels are **our interpretation**. Time keeps its length, so every frame has its feature.

    Args:
        frames: frames L that are judged together, at least 2.
        width_divisor: all of Xception's widths are divided by it.

    Raises:
        ValueError: fewer than two frames.
    """

    def __init__(self, *, frames: int = 8, width_divisor: int = 1) -> None:
        if frames < 2:
            raise ValueError(f"addnet3d: frames {frames} must be at least 2; use addnet2d for one")
        super().__init__(_DEEP, width_divisor=width_divisor, num_blocks=_MIDDLE_BLOCKS_3D)
        self.frames = frames


class GatedStages(nn.Module):
    """The "ADD block": the picture and each of the first four stages' outputs times the mask."""

    def __init__(self, stem_widths: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        first, second = stem_widths
        stem = nn.Sequential(
            nn.Conv2d(3, first, 3, stride=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(),
        )
        low, mid, high = widths
        self.stages = nn.ModuleList(
            (
                stem,
                _Block(_FLAT, (second, low, low), activates_input=False),
                _Block(_FLAT, (low, mid, mid)),
                _Block(_FLAT, (mid, high, high)),
            )
        )

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Map (N, C, h, w) of ``image`` (N, 3, H, W) and ``mask`` (N, 1, H, W) in [0, 1]."""
        maps = image * mask
        for stage in self.stages:
            maps = stage(maps)
            mask = functional.adaptive_avg_pool2d(mask, maps.shape[-2:])
            maps = maps * mask.to(maps.dtype)
        return maps


class _Block(nn.Module):
    """Separable convolutions around a shortcut; halves the picture unless told otherwise."""

    def __init__(
        self,
        layers: _Layers,
        widths: tuple[int, ...],
        *,
        halves: bool = True,
        pools: bool = False,
        activates_input: bool = True,
    ) -> None:
        super().__init__()
        step = layers.half if halves else 1
        self.shortcut: nn.Module = nn.Identity()
        if halves:
            # Every other pixel first: see ``residual.py``.
            self.shortcut = nn.Sequential(
                layers.pool(1, stride=step),
                layers.convolution(widths[0], widths[-1], 1, bias=False),
                layers.norm(widths[-1]),
            )
        branch: list[nn.Module] = []
        for channels_in, channels_out in itertools.pairwise(widths):
            branch += [nn.ReLU(), *_separable(layers, channels_in, channels_out)]
        if halves or pools:
            branch.append(layers.pool(layers.window, stride=step, padding=layers.margin))
        self.branch = nn.Sequential(*branch[0 if activates_input else 1 :])

    def forward(self, maps: Tensor) -> Tensor:
        return self.shortcut(maps) + self.branch(maps)


def _separable(layers: _Layers, channels_in: int, channels_out: int) -> list[nn.Module]:
    """A convolution per channel, one across channels, and BatchNorm; 3D ones see three frames."""
    return [
        layers.convolution(channels_in, channels_in, 3, padding=1, groups=channels_in, bias=False),
        layers.convolution(channels_in, channels_out, 1, bias=False),
        layers.norm(channels_out),
    ]


def _exit_flow(layers: _Layers, middle: int, widths: Sequence[int]) -> nn.Sequential:
    first, second, third = widths
    return nn.Sequential(
        _Block(layers, (middle, middle, first)),
        *_separable(layers, first, second),
        nn.ReLU(),
        *_separable(layers, second, third),
        nn.ReLU(),
    )


def _mask(landmarks: Tensor | None, *, like: Tensor) -> Tensor:
    """(B, L, 1, H, W) for clips ``like`` this one, (B, 3, L, H, W) with H = W."""
    batch, _, frames, *size = like.shape
    if landmarks is None:
        return torch.ones(batch, frames, 1, *size, device=like.device)
    expected = (batch, frames, 5, 2)
    assert landmarks.shape == expected, f"want landmarks {expected}, got {tuple(landmarks.shape)}"
    return attention_mask(landmarks, size[-1])
