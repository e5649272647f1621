"""Every network there is, by name. A new one is its own file and a line here; imports no torch."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from avkd.models.starter import STARTERS

Kind = Literal["video", "audio", "image"]

TIMM_PREFIX = "timm/"


@dataclass(frozen=True)
class Network:
    """Where a network is built, and which of its arguments the name stands for."""

    kind: Kind
    constructor: str
    """``module:Class`` below `avkd.models`; keyword arguments only, each with a default."""
    preset: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """The class; imports torch."""
        module, _, name = self.constructor.partition(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(f"avkd.models.{module}"), name)
        return loaded

    def options(self) -> list[str]:
        """Names of the arguments it takes; imports torch."""
        return list(inspect.signature(self.load()).parameters)


NETWORKS: dict[str, Network] = {
    "cnn3d_gru": Network("video", "video_cnn3d_gru:Cnn3dGru"),
    "published_gru": Network("video", "video_published_gru:PublishedGru"),
    "cnn_lstm": Network("video", "video_cnn_lstm:CnnLstm"),
    "csn101": Network("video", "video_csn:ChannelSeparatedNetwork"),
    "resnet18": Network("audio", "audio_resnet18:AudioResNet18"),
    # An early quarter of the size, as ImageNet's residual networks begin: the parameters are the
    # same, a sixteenth of the work, and more is learnt in the same time (README).
    "resnet8": Network(
        "image", "image_resnet8:ImageResNet8", {"stem_stride": 2, "stem_pool": True}
    ),
    "resnet8_full": Network("image", "image_resnet8:ImageResNet8"),
    # What the published student's code builds, whatever its paper counts (174,673 parameters).
    "resnet8_published": Network(
        "image", "image_resnet8:ImageResNet8", {"widths": (16, 32, 64), "blocks": 2}
    ),
    # A fourth stage and narrow early ones, in the same budget (137,769 parameters).
    "resnet8_fast": Network(
        "image",
        "image_resnet8:ImageResNet8",
        {"widths": (16, 32, 48, 72), "stem_stride": 2, "stem_pool": True},
    ),
    "small_cnn": Network("image", "image_small_cnn:SmallCnn"),
    "addnet2d": Network("image", "image_addnet:AddNet2d"),
    "addnet3d": Network("image", "image_addnet:AddNet3d"),
}
# Published image networks by a short name; timm/NAME gives any other one of timm's.
TIMM_NAMES = {
    "vgg19": "vgg19",
    "resnet152": "resnet152",
    "efficientnet_b7": "tf_efficientnet_b7",
    "resnet50": "resnet50",
    "resnext50": "resnext50_32x4d",
    "resnext101": "resnext101_32x8d",
    "xception": "legacy_xception",
    "vit": "vit_base_patch16_224",
    "convnextv2": "convnextv2_base",
    "efficientnet_lite0": "tf_efficientnet_lite0",
}
# What model files, configs and commands of earlier versions say.
FORMER_NAMES = {"lgt": "cnn3d_gru", "paper": "published_gru"}


def list_models(kind: Literal["weights", "video", "audio", "image"] | None = None) -> list[str]:
    """Names for `load_model` (kind ``weights``) and `create_model` (the networks).

    >>> import avkd
    >>> avkd.list_models("weights"), avkd.list_models("video")[0]
    (['starter', 'starter-fast'], 'cnn3d_gru')

    Args:
        kind: Only these; None = all. Of the image networks, any of timm's can also be had as
            ``timm/NAME``.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in (None, "weights", *get_args(Kind)):
        raise ValueError(f"kind {kind!r}: choose weights, video, audio, image or None")
    names = [*STARTERS] if kind in (None, "weights") else []
    names += [name for name, network in NETWORKS.items() if kind in (None, network.kind)]
    return names + ([*TIMM_NAMES] if kind in (None, "image") else [])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of a message about an unknown ``name``."""
    close = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def canonical_name(name: str, kind: Kind) -> str:
    """The present name of the network that ``name`` means.

    Raises:
        ValueError: there is none of this kind; names those there are.
    """
    name = FORMER_NAMES.get(name, name)
    network = NETWORKS.get(name)
    if network is None or network.kind != kind:
        names = [other for other, found in NETWORKS.items() if found.kind == kind]
        close = difflib.get_close_matches(name, names, n=1)
        raise ValueError(
            f"there is no {kind} network {name!r}{f': did you mean {close[0]!r}?' if close else ''}"
            f"; choose one of {', '.join(names)}"
        )
    return name
