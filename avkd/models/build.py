"""From plain arguments to networks, by the names of `registry`.

A model file stores exactly these arguments, so every value is checked against the parameters'
annotations and bounds before anything is built. The weights are drawn from torch's global
generator: seed it first.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from torch import nn

from avkd.models.cross_modal_network import AudioStudent, CrossModalNetwork, VideoStudent
from avkd.models.detector import AuxiliaryHead, CosineClassifier, Detector
from avkd.models.encoders import AudioEncoder, VideoEncoder
from avkd.models.image_detector import ImageDetector
from avkd.models.image_teacher import TimmNetwork, close_names, did_you_mean
from avkd.models.pooling import AttentionPooling, MeanPooling
from avkd.models.predictor import Predictor
from avkd.models.projector import Projector
from avkd.models.registry import (
    NETWORKS,
    TIMM_NAMES,
    TIMM_PREFIX,
    Kind,
    canonical_name,
    list_models,
)
from avkd.models.target_normalisation import TargetNormalisation

POOLS = ("mean", "attn")

CLIP_FRAMES = 25  # of stage one's clips: one second
MAX_SIZE = 8192  # of a width, an image side ...: no network of ours comes near
MAX_STAGES = 8

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
    if name in list_models("weights"):
        raise ValueError(f"{name} is a trained model: avkd.load_model({name!r})")
    for kind, build in (("video", build_video_encoder), ("audio", build_audio_encoder)):
        if name in list_models(kind):  # type: ignore[arg-type]
            return build(name=name, **arguments)  # type: ignore[return-value]
    if name in list_models("image") or name.startswith(TIMM_PREFIX):
        return build_image_detector(name=name, **arguments)
    close = did_you_mean(difflib.get_close_matches(name, list_models(), n=3))
    raise ValueError(f"there is no network {name!r}{close}; see avkd.list_models()")


def build_video_encoder(*, name: str, **options: Any) -> VideoEncoder:
    """The video backbone ``name`` of the registry with its own keyword ``options``.

    Raises:
        ValueError: the name or an option is unknown, or a value is out of range.
    """
    return _build("video", name, options)


def build_audio_encoder(*, name: str, **options: Any) -> AudioEncoder:
    """The audio network ``name`` of the registry with its own keyword ``options``.

    Raises:
        ValueError: the name or an option is unknown, or a value is out of range.
    """
    return _build("audio", name, options)


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
    sizes = {
        "projection_dim": projection_dim,
        "predictor_dim": predictor_dim,
        "heads": predictor_heads,
    }
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


@_checked
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
    if pool not in POOLS:
        raise ValueError(f"pool {pool!r} is not one of {', '.join(POOLS)}")
    encoder = build_video_encoder(**_arguments(video, "video"))
    auxiliary_head = None
    if auxiliary:
        projector, predictor = _head(
            encoder.feature_dim,
            projection_dim=projection_dim,
            predictor_dim=predictor_dim,
            heads=predictor_heads,
        )
        auxiliary_head = AuxiliaryHead(projector=projector, predictor=predictor)
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
        return ImageDetector(network=_build("image", name, options), image_size=image_size)
    if not (name in TIMM_NAMES or name.startswith(TIMM_PREFIX)):
        names = list_models("image")
        close = difflib.get_close_matches(name, names, n=3) + close_names(name)
        raise ValueError(
            f"there is no image network {name!r}{did_you_mean(list(dict.fromkeys(close)))}; choose "
            f"one of {', '.join(names)} or {TIMM_PREFIX}NAME"
        )
    given: dict[str, Any] = {"name": name, "image_size": image_size}
    check_arguments(TimmNetwork, options, f"image network {name!r}", given=given)
    network = TimmNetwork(**given, **options)
    return ImageDetector(network=network, mean=network.mean, std=network.std, image_size=image_size)


def check_arguments(
    build: Callable[..., Any],
    arguments: Mapping[str, Any],
    what: str,
    given: Mapping[str, Any] | None = None,
) -> None:
    """Refuse arguments that ``build`` does not take or lacks, or of another type than annotated.

    Args:
        build: function or class; one that takes ``**options`` checks those itself.
        arguments: what it is to be called with.
        what: what it builds, for messages.
        given: further arguments that are not to be chosen.

    Raises:
        ValueError: names the first wrong argument and the ones there are.
    """
    given = given or {}
    parameters = inspect.signature(build).parameters
    types_by_name = typing.get_type_hints(build.__init__ if inspect.isclass(build) else build)
    named = {n: p for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD and n not in given}
    passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in arguments:
        if name not in named and not passes_on:
            raise ValueError(f"{what} has no option {name!r}; it takes {', '.join(named)}")
    for name, parameter in named.items():
        if name in arguments:
            _check_value(name, arguments[name], types_by_name[name])
        elif parameter.default is parameter.empty:
            raise ValueError(f"{what} needs {name!r}")


def _build(kind: Kind, name: str, options: Mapping[str, Any]) -> Any:
    name = canonical_name(name, kind)
    network = NETWORKS[name]
    check_arguments(network.load(), options, f"{kind} network {name!r}")
    return network.load()(**{**network.preset, **options})


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


def _arguments(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(value.get("name"), str):
        raise ValueError(f"{name} must be a mapping with at least a 'name', got {value!r}")
    return value


def _check_value(name: str, value: Any, annotation: Any) -> None:
    """Refuse a value of another type than annotated, or a size beyond all reason.

    Raises:
        ValueError: names the argument and what it may be.
    """
    if isinstance(annotation, types.UnionType):  # X | None
        if value is None:
            return
        annotation = next(part for part in annotation.__args__ if part is not types.NoneType)
    is_good, wanted = _RULES[typing.get_origin(annotation) or annotation]
    if not is_good(value):
        raise ValueError(f"{name} must be {wanted}, got {value!r}")


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_SIZE


def _are_sizes(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and 1 <= len(value) <= MAX_STAGES
    return is_list and all(_is_size(size) for size in value)


# By annotation: whether a value will do, and what it must be. Whole numbers are sizes here.
_RULES: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_is_size, f"a whole number from 1 to {MAX_SIZE}"),
    float: (lambda value: type(value) in (int, float) and math.isfinite(value), "a finite number"),
    str: (lambda value: isinstance(value, str), "a word"),
    Sequence: (_are_sizes, f"1 to {MAX_STAGES} whole numbers from 1 to {MAX_SIZE}"),
    Mapping: (lambda value: isinstance(value, Mapping), "a mapping with at least a 'name'"),
}
