"""EfficientNet-Lite0 as timm builds it, name by name: what ships with avkd is made of it.

timm itself takes longer to import than a clip of 8 seconds to be judged. After Tan and Le,
"EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, Table 1; Lite
leaves out squeeze-and-excitation and cuts activations off at 6. Legend: see ``image_network.py``.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from einops import reduce
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

_STEM_CHANNELS, _LAST_CHANNELS = 32, 1280
_STAGES = (
    # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_NORM_EPSILON = 1e-3
_THROWN_AWAY = 2 * (8 * 8 + 8)


class _Conv(nn.Conv2d):
    """Padded as in TensorFlow: a stride of 2 halves sizes, rounded up; the end has more of it."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(
            channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        if self.stride[0] == 1:
            return super().forward(input)
        pads: list[int] = []
        for size in map(int, (input.shape[3], input.shape[2])):
            steps = math.ceil(size / self.stride[0])
            missing = max(0, (steps - 1) * self.stride[0] + self.kernel_size[0] - size)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(input, pads))


class _Norm(nn.BatchNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, _NORM_EPSILON)


class _Active(nn.Module):
    def forward(self, input: Tensor) -> Tensor:
        return functional.relu6(input, inplace=not torch.is_grad_enabled())


class _ActiveNorm(_Norm):
    def forward(self, input: Tensor) -> Tensor:
        return functional.relu6(super().forward(input))


class _Block(nn.Sequential):
    """More channels, each filtered alone, then fewer; around it the input, where sizes agree."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        self._is_residual = stride == 1 and channels_in == channels_out
        inside = expansion * channels_in
        depthwise = _Conv(inside, inside, kernel, stride, groups=inside)
        if expansion == 1:
            convolutions = {"conv_dw": depthwise, "conv_pw": _Conv(inside, channels_out, 1)}
        else:
            wider = _Conv(channels_in, inside, 1)
            convolutions = {"conv_pw": wider, "conv_dw": depthwise}
            convolutions["conv_pwl"] = _Conv(inside, channels_out, 1)
        for number, (name, convolution) in enumerate(convolutions.items(), start=1):
            norm = _Norm if number == len(convolutions) else _ActiveNorm
            self.add_module(name, convolution)
            self.add_module(f"bn{number}", norm(convolution.out_channels))

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = super().forward(input)
        return output + input if self._is_residual else output


class EfficientNetLite0(nn.Module):
    """The trunk of a `TimmNetwork` of this name; a seed draws the weights that timm draws."""

    num_features = head_hidden_size = _LAST_CHANNELS
    pretrained_cfg: Mapping[str, Any] = {
        **{"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "classifier": "classifier"},
        "hf_hub_id": "timm/tf_efficientnet_lite0.in1k",
    }

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _Conv(3, _STEM_CHANNELS, 3, stride=2)
        self.bn1 = _ActiveNorm(_STEM_CHANNELS)
        if not self.conv_stem.weight.is_meta:
            # timm draws a layer here that it throws away: a seed is to give the very same weights.
            torch.rand(_THROWN_AWAY)
        stages, before = [], _STEM_CHANNELS
        for blocks, kernel, stride, expansion, channels in _STAGES:
            sizes = [(before, stride), *[(channels, 1)] * (blocks - 1)]
            stages.append(
                nn.Sequential(*[_Block(n, channels, kernel, s, expansion) for n, s in sizes])
            )
            before = channels
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _Conv(before, _LAST_CHANNELS, 1)
        self.bn2 = _ActiveNorm(_LAST_CHANNELS)
        for convolution in self.modules():
            if isinstance(convolution, _Conv):
                fan_out = convolution.weight[:, 0].numel() // convolution.groups
                nn.init.normal_(convolution.weight, 0, math.sqrt(2 / fan_out))

    def forward_features(self, image: Tensor) -> Tensor:
        """Map (B, C, h, w) of ``image`` (B, 3, H, W)."""
        features: Tensor = self.blocks(self.bn1(self.conv_stem(image)))
        return self.bn2(self.conv_head(features))

    def forward_head(self, features: Tensor, *, pre_logits: bool) -> Tensor:
        """Pooled features (B, C) of what ``forward_features`` gave."""
        assert pre_logits, "the classifier of ImageNet is left out"
        return reduce(features, "b c h w -> b c", "mean")

    def group_matcher(self, *, coarse: bool) -> dict[str, Any]:
        """Which parameters belong together, stage by stage, as timm reads it."""
        assert coarse, "stages, not blocks"
        return {"stem": r"^(?:conv_stem|bn1)", "blocks": [(r"^blocks\.(\d+)", None)]}


def fold_norms(network: nn.Module) -> None:
    """Make the norms of an EfficientNet-Lite0 in ``network`` part of the convolutions before them.

    For judging only: half of the time on a CPU are norms and activations.
    """
    for part in list(network.modules()):
        for (_, convolution), (name, norm) in pairwise(list(part.named_children())):
            if isinstance(convolution, _Conv) and isinstance(norm, _Norm):
                assert norm.running_mean is not None and norm.running_var is not None
                convolution.weight, convolution.bias = fuse_conv_bn_weights(
                    *(convolution.weight, None, norm.running_mean, norm.running_var),
                    *(norm.eps, norm.weight, norm.bias),
                )
                active = isinstance(norm, _ActiveNorm)
                setattr(part, name, _Active() if active else nn.Identity())
