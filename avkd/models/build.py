"""From plain arguments to networks, by the names of `registry`.

A model file stores exactly these arguments, so every value is checked against the parameters'
annotations and bounds before anything is built. The weights are drawn from torch's global
generator: seed it first.
"""

import functools
import typing
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from torch import nn

from avkd.models.cross_modal_network import CrossModalNetwork, VideoStudent
from avkd.models.detector import AttentionPooling, CosineClassifier, Detector, MeanPooling
from avkd.models.encoders import AudioEncoder, VideoEncoder
from avkd.models.image_detector import ImageDetector
from avkd.models.image_teacher import TimmNetwork
from avkd.models.projection import Predictor, Projector
from avkd.models.registry import (
    NETWORKS,
    TIMM_NAMES,
    TIMM_PREFIX,
    Kind,
    canonical_name,
    did_you_mean,
    list_models,
)
from avkd.models.starter import STARTERS
from avkd.models.strict import check_arguments
from avkd.models.target_normalisation import TargetNormalisation

Pool = Literal["mean", "attn"]

CLIP_FRAMES = 25  # of stage one's clips: one second

_Build = TypeVar("_Build", bound=Callable[..., Any])


def _checked(build: _Build) -> _Build:
    """``build``, after every argument was compared with its annotation."""
    what = build.__name__.removeprefix("build_").replace("_", " ")

    @functools.wraps(build)
    def checked(**arguments: Any) -> Any:
        check_arguments(build, arguments, what)
        return build(**arguments)

    return typing.cast(_Build, checked)


def create_model(name: str, **arguments: Any) -> nn.Module:
    """A network with random weights, by its name in `list_models`.

    >>> import avkd
    >>> encoder = avkd.create_model("cnn3d_gru", image_size=32, width=4, hidden=16)
    >>> encoder.feature_dim
    32

    Args:
        name: a video backbone (a `VideoEncoder`: clips (B, 3, T, H, W) to features), an audio
            network (an `AudioEncoder`: log-mels (B, 1, 4T, 80) to features), or an image network or
            ``timm/NAME`` (an `ImageDetector`: pictures (B, 3, 1, H, W) to logits).
        **arguments: its keyword arguments, e.g. ``image_size``, ``width``.

    Raises:
        ValueError: the name or an argument is unknown, or a value is out of range; names those
            there are.
    """
    if name in STARTERS:
        raise ValueError(f"{name} is a trained model: avkd.load_model({name!r})")
    kind = NETWORKS[name].kind if name in NETWORKS else "image"
    if kind != "image":
        network: nn.Module = build_network(kind, name=name, **arguments)
        return network
    if name not in list_models("image") and not name.startswith(TIMM_PREFIX):
        close = did_you_mean(name, list_models())
        raise ValueError(f"there is no network {name!r}{close}; see avkd.list_models()")
    return build_image_detector(name=name, **arguments)


def build_network(kind: Kind, /, *, name: str, **options: Any) -> Any:
    """The network ``name`` of this kind in the registry with its own keyword ``options``.

    Raises:
        ValueError: the name or an option is unknown, or a value is out of range.
    """
    name = canonical_name(name, kind)
    network = NETWORKS[name]
    check_arguments(network.load(), options, f"{kind} network {name!r}")
    return network.load()(**{**network.preset, **options})


@_checked
def build_cross_modal_network(
    *,
    video: Mapping[str, Any],
    audio: Mapping[str, Any],
    projection_dim: int = 256,
    predictor_dim: int = 512,
    predictor_heads: int = 8,
    target_center: str = "none",
) -> CrossModalNetwork:
    """The stage-one network; students and teachers are compared in ``projection_dim`` features.

    ``video`` and ``audio`` are arguments of `build_network`, ``predictor_dim`` and
    ``predictor_heads`` the sizes of the predictors' transformer block, ``target_center`` is that of
    `TargetNormalisation`.

    Raises:
        ValueError: an argument is unknown or out of range.
    """
    sizes = {
        "projection_dim": projection_dim,
        "predictor_dim": predictor_dim,
        "heads": predictor_heads,
    }
    video_encoder: VideoEncoder = build_network("video", **video)
    audio_encoder: AudioEncoder = build_network("audio", **audio)
    of_video = _head(video_encoder.feature_dim, **sizes)
    projector, predictor = _head(audio_encoder.feature_dim, **sizes)
    video_normalisation, audio_normalisation = (
        TargetNormalisation(
            center=target_center, projection_dim=projection_dim, clip_frames=CLIP_FRAMES
        )
        for _ in range(2)
    )
    return CrossModalNetwork(
        video_student=VideoStudent(video_encoder, *of_video),
        audio_student=_in_line(encoder=audio_encoder, projector=projector, predictor=predictor),
        video_normalisation=video_normalisation,
        audio_normalisation=audio_normalisation,
    )


@_checked
def build_detector(
    *,
    video: Mapping[str, Any],
    pool: Pool = "mean",
    auxiliary: bool = True,
    projection_dim: int = 256,
    predictor_dim: int = 512,
    predictor_heads: int = 8,
    classifier_scale: float = 64.0,
) -> Detector:
    """The stage-two detector.

    ``auxiliary`` adds a projector and predictor for stage one's task; the next three sizes are
    theirs alone, and ``projection_dim`` must equal the stage-one teacher's. ``classifier_scale`` is
    the logit of a perfect match with the "fake" direction.

    Raises:
        ValueError: an argument is unknown or out of range.
    """
    encoder: VideoEncoder = build_network("video", **video)
    auxiliary_head = None
    if auxiliary:
        projector, predictor = _head(
            encoder.feature_dim,
            projection_dim=projection_dim,
            predictor_dim=predictor_dim,
            heads=predictor_heads,
        )
        auxiliary_head = _in_line(projector=projector, predictor=predictor)
    return Detector(
        encoder=encoder,
        pooling=(
            MeanPooling() if pool == "mean" else AttentionPooling(feature_dim=encoder.feature_dim)
        ),
        classifier=CosineClassifier(feature_dim=encoder.feature_dim, scale=classifier_scale),
        auxiliary_head=auxiliary_head,
    )


@_checked
def build_image_detector(*, name: str, image_size: int = 224, **options: Any) -> ImageDetector:
    """A detector of single pictures, or of a few frames. Never fetches or reads weights.

    Args:
        name: an image network of the registry, a short name of ``TIMM_NAMES``, or ``timm/NAME``
            with any name timm has.
        image_size: side of the pictures in pixels.
        **options: the network's own keyword arguments.

    Raises:
        ValueError: the name or an option is unknown, or a value is out of range.
    """
    if name in NETWORKS:
        network = build_network("image", name=name, **options)
        return ImageDetector(network=network, image_size=image_size)
    if not (name in TIMM_NAMES or name.startswith(TIMM_PREFIX)):
        names = list_models("image")
        raise ValueError(
            f"there is no image network {name!r}{did_you_mean(name, names)}; choose one of "
            f"{', '.join(names)} or {TIMM_PREFIX}NAME"
        )
    given: dict[str, Any] = {"name": name, "image_size": image_size}
    check_arguments(TimmNetwork, options, f"image network {name!r}", given=given)
    network = TimmNetwork(**given, **options)
    return ImageDetector(network=network, mean=network.mean, std=network.std, image_size=image_size)


def _head(
    feature_dim: int, *, projection_dim: int, predictor_dim: int, heads: int
) -> tuple[Projector, Predictor]:
    projector = Projector(feature_dim=feature_dim, projection_dim=projection_dim)
    predictor = Predictor(projection_dim=projection_dim, predictor_dim=predictor_dim, heads=heads)
    return projector, predictor


def _in_line(**parts: Any) -> nn.Sequential:
    return nn.Sequential(OrderedDict(parts))
