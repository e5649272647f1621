"""From plain arguments to networks; the only file of this room that chooses by name.

A model file stores exactly these arguments, so every value is checked against the networks' own
keyword names, types and bounds before anything is built. The weights are drawn from torch's
global generator: seed it first.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from avkd.models.audio_resnet18 import AudioResNet18
from avkd.models.cross_modal_network import AudioStudent, CrossModalNetwork, VideoStudent
from avkd.models.detector import AuxiliaryHead, CosineClassifier, Detector
from avkd.models.encoders import AudioEncoder, VideoEncoder
from avkd.models.image_addnet import AddNet2d, AddNet3d
from avkd.models.image_detector import ImageDetector
from avkd.models.image_network import ImageNetwork
from avkd.models.image_resnet8 import ImageResNet8
from avkd.models.image_small_cnn import SmallCnn
from avkd.models.image_teacher import (
    ALIASES,
    TIMM_PREFIX,
    TimmNetwork,
    close_names,
    did_you_mean,
)
from avkd.models.pooling import AttentionPooling, MeanPooling
from avkd.models.predictor import Predictor
from avkd.models.projector import Projector
from avkd.models.target_normalisation import TargetNormalisation
from avkd.models.video_cnn3d_gru import Cnn3dGru
from avkd.models.video_cnn_lstm import CnnLstm
from avkd.models.video_csn import ChannelSeparatedNetwork
from avkd.models.video_published_gru import PublishedGru

VIDEO_ENCODERS: dict[str, Callable[..., VideoEncoder]] = {
    "lgt": Cnn3dGru,
    "paper": PublishedGru,
    "cnn_lstm": CnnLstm,
    "csn101": ChannelSeparatedNetwork,
}
AUDIO_ENCODERS: dict[str, Callable[..., AudioEncoder]] = {"resnet18": AudioResNet18}
IMAGE_NETWORKS: dict[str, Callable[..., ImageNetwork]] = {
    # An early quarter of the size, as ImageNet's residual networks begin: the parameters are the
    # same, a sixteenth of the work, and more is learnt in the same time (README).
    "resnet8": partial(ImageResNet8, stem_stride=2, stem_pool=True),
    "resnet8_full": ImageResNet8,
    # What the published student's code builds, whatever its paper counts (174,673 parameters).
    "resnet8_published": partial(ImageResNet8, widths=(16, 32, 64), blocks=2),
    # A fourth stage and narrow early ones, in the same budget (137,769 parameters).
    "resnet8_fast": partial(ImageResNet8, widths=(16, 32, 48, 72), stem_stride=2, stem_pool=True),
    "small_cnn": SmallCnn,
    "addnet2d": AddNet2d,
    "addnet3d": AddNet3d,
}
POOLS = ("mean", "attn")

CLIP_FRAMES = 25  # of stage one's clips: one second
MAX_SIZE = 8192  # of a width, an image side ...: no network of ours comes near
MAX_STAGES = 8
MAX_DEPTH = 64  # of a list entry: layers per stage


def build_video_encoder(*, name: str, **options: Any) -> VideoEncoder:
    """The video encoder ``name`` of ``VIDEO_ENCODERS`` with its own keyword ``options``.

    Raises:
        ValueError: the name or an option is unknown, or a value is out of range.
    """
    return _build_encoder(VIDEO_ENCODERS, "video encoder", name, options)


def build_audio_encoder(*, name: str, **options: Any) -> AudioEncoder:
    """The audio encoder ``name`` of ``AUDIO_ENCODERS`` with its own keyword ``options``.

    Raises:
        ValueError: the name or an option is unknown, or a value is out of range.
    """
    return _build_encoder(AUDIO_ENCODERS, "audio encoder", name, options)


def build_cross_modal_network(
    *,
    video: Mapping[str, Any],
    audio: Mapping[str, Any],
    projection_dim: int = 256,
    predictor_dim: int = 512,
    predictor_heads: int = 8,
    target_center: str = "none",
) -> CrossModalNetwork:
    """The stage-one network.

    Args:
        video: arguments of ``build_video_encoder``.
        audio: arguments of ``build_audio_encoder``.
        projection_dim: features P in which students and teachers are compared.
        predictor_dim: width of the predictors' transformer block.
        predictor_heads: its attention heads.
        target_center: what is taken from the targets, see `TargetNormalisation`.

    Raises:
        ValueError: an argument is unknown or out of range.
    """
    sizes = _sizes(projection_dim, predictor_dim, predictor_heads)
    _check_value("target_center", target_center, like="none")
    video_encoder = build_video_encoder(**_arguments(video, "video"))
    audio_encoder = build_audio_encoder(**_arguments(audio, "audio"))
    video_projector, video_predictor = _head(video_encoder.feature_dim, **sizes)
    audio_projector, audio_predictor = _head(audio_encoder.feature_dim, **sizes)
    return CrossModalNetwork(
        video_student=VideoStudent(
            encoder=video_encoder, projector=video_projector, predictor=video_predictor
        ),
        audio_student=AudioStudent(
            encoder=audio_encoder, projector=audio_projector, predictor=audio_predictor
        ),
        video_normalisation=_normalisation(target_center, projection_dim),
        audio_normalisation=_normalisation(target_center, projection_dim),
    )


def build_detector(
    *,
    video: Mapping[str, Any],
    pool: str = "mean",
    auxiliary: bool = True,
    projection_dim: int = 256,
    predictor_dim: int = 512,
    predictor_heads: int = 8,
    classifier_scale: float = 64.0,
) -> Detector:
    """The stage-two detector.

    Args:
        video: arguments of ``build_video_encoder``.
        pool: one of ``POOLS``: how the frames of a clip are averaged.
        auxiliary: with a projector and predictor for stage one's task; the next three sizes are
            theirs alone.
        projection_dim: must equal the stage-one teacher's.
        predictor_dim: width of the predictor's transformer block.
        predictor_heads: its attention heads.
        classifier_scale: logit of a perfect match with the "fake" direction.

    Raises:
        ValueError: an argument is unknown or out of range.
    """
    sizes = _sizes(projection_dim, predictor_dim, predictor_heads)
    _check_value("classifier_scale", classifier_scale, like=64.0)
    _check_value("auxiliary", auxiliary, like=True)
    if pool not in POOLS:
        raise ValueError(f"pool {pool!r} is not one of {', '.join(POOLS)}")
    encoder = build_video_encoder(**_arguments(video, "video"))
    auxiliary_head = None
    if auxiliary:
        projector, predictor = _head(encoder.feature_dim, **sizes)
        auxiliary_head = AuxiliaryHead(projector=projector, predictor=predictor)
    return Detector(
        encoder=encoder,
        pooling=(
            MeanPooling() if pool == "mean" else AttentionPooling(feature_dim=encoder.feature_dim)
        ),
        classifier=CosineClassifier(feature_dim=encoder.feature_dim, scale=classifier_scale),
        auxiliary_head=auxiliary_head,
    )


def build_image_detector(*, name: str, image_size: int = 224, **options: Any) -> ImageDetector:
    """A detector of single pictures, or of a few frames. Never fetches or reads weights.

    Args:
        name: one of ``IMAGE_NETWORKS``, a short name of ``image_teacher.ALIASES``, or
            ``timm/NAME`` with any name timm has.
        image_size: side of the pictures in pixels.
        **options: the network's own keyword arguments.

    Raises:
        ValueError: the name or an option is unknown, or a value is out of range.
    """
    _check_value("name", name, like="")
    _check_value("image_size", image_size, like=224)
    if name in IMAGE_NETWORKS:
        network = _build_encoder(IMAGE_NETWORKS, "image network", name, options)
        return ImageDetector(network=network, image_size=image_size)
    if not (name in ALIASES or name.startswith(TIMM_PREFIX)):
        close = difflib.get_close_matches(name, IMAGE_NETWORKS, n=3) + close_names(name)
        raise ValueError(
            f"there is no image network {name!r}{did_you_mean(close)}; choose one of "
            f"{', '.join((*IMAGE_NETWORKS, *ALIASES))} or {TIMM_PREFIX}NAME"
        )
    network = _build_timm(name, image_size, options)
    return ImageDetector(network=network, mean=network.mean, std=network.std, image_size=image_size)


def check_arguments(function: Callable[..., Any], arguments: Mapping[str, Any], what: str) -> None:
    """Refuse arguments that ``function`` does not take, or that it needs and does not get.

    Raises:
        ValueError: names the first wrong argument and the ones there are.
    """
    parameters = inspect.signature(function).parameters
    named = {n: p for n, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    passes_on = len(named) < len(parameters)  # to a function that checks them itself
    for name in arguments:
        if name not in named and not passes_on:
            raise ValueError(f"{what} has no option {name!r}; it takes {', '.join(named)}")
    for name, parameter in named.items():
        if parameter.default is inspect.Parameter.empty and name not in arguments:
            raise ValueError(f"{what} needs {name!r}")


def _build_encoder(
    table: dict[str, Callable[..., Any]], kind: str, name: str, options: Mapping[str, Any]
) -> Any:
    if name not in table:
        raise ValueError(f"there is no {kind} {name!r}; choose one of {', '.join(table)}")
    constructor = table[name]
    check_arguments(constructor, options, f"{kind} {name!r}")
    parameters = inspect.signature(constructor).parameters
    for option, value in options.items():
        _check_value(option, value, like=parameters[option].default)
    return constructor(**options)


def _build_timm(name: str, image_size: int, options: Mapping[str, Any]) -> TimmNetwork:
    likes = {"head_dim": 512, "head_dropout": 0.0}
    for option, value in options.items():
        if option not in likes:
            raise ValueError(
                f"image network {name!r} has no option {option!r}; it takes {', '.join(likes)}"
            )
        _check_value(option, value, like=likes[option])
    return TimmNetwork(name=name, image_size=image_size, **options)


def _head(
    feature_dim: int, *, projection_dim: int, predictor_dim: int, heads: int
) -> tuple[Projector, Predictor]:
    projector = Projector(feature_dim=feature_dim, projection_dim=projection_dim)
    predictor = Predictor(projection_dim=projection_dim, predictor_dim=predictor_dim, heads=heads)
    return projector, predictor


def _normalisation(target_center: str, projection_dim: int) -> TargetNormalisation:
    return TargetNormalisation(
        center=target_center, projection_dim=projection_dim, clip_frames=CLIP_FRAMES
    )


def _sizes(projection_dim: int, predictor_dim: int, predictor_heads: int) -> dict[str, int]:
    _check_value("projection_dim", projection_dim, like=256)
    _check_value("predictor_dim", predictor_dim, like=512)
    _check_value("predictor_heads", predictor_heads, like=8)
    return {
        "projection_dim": projection_dim,
        "predictor_dim": predictor_dim,
        "heads": predictor_heads,
    }


def _arguments(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError(f"{name} must be a mapping with at least a 'name', got {value!r}")
    return value


def _check_value(name: str, value: Any, *, like: Any) -> None:
    """Refuse a value of another type than ``like``, or a size beyond all reason.

    Raises:
        ValueError: names the argument and what it may be.
    """

    def is_size(size: Any, largest: int) -> bool:
        return isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= largest

    if isinstance(like, bool):
        good, wanted = isinstance(value, bool), "true or false"
    elif isinstance(like, int):
        good, wanted = is_size(value, MAX_SIZE), f"a whole number from 1 to {MAX_SIZE}"
    elif isinstance(like, float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        good, wanted = is_number and math.isfinite(value), "a finite number"
    elif isinstance(like, str):
        good, wanted = isinstance(value, str), "a word"
    else:
        assert isinstance(like, tuple), f"no rule for {name} = {like!r}"
        # Channels per stage, of any number of stages; or layers per stage, of all of them.
        lengths = range(1, MAX_STAGES + 1) if name == "widths" else (len(like),)
        largest = MAX_SIZE if name == "widths" else MAX_DEPTH
        good = isinstance(value, list | tuple) and len(value) in lengths
        good = good and all(is_size(size, largest) for size in value)
        count = f"1 to {MAX_STAGES}" if name == "widths" else len(like)
        wanted = f"{count} whole numbers from 1 to {largest}"
    if not good:
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
