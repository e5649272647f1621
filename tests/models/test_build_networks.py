"""Arguments are refused by name before anything is built."""

import inspect

import pytest
import torch

from avkd.config.training_config import VideoModelConfig
from avkd.models.build import (
    build_cross_modal_network,
    build_detector,
    build_network,
)
from avkd.models.registry import NETWORKS, canonical_name, list_models
from avkd.models.strict import check_arguments
from avkd.models.video_cnn3d_gru import Cnn3dGru
from avkd.models.video_published_gru import PublishedGru

OURS = [name for name in list_models("image") if name in NETWORKS]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "cnn3d_gru",
            {"time_axis": "permuted"},
            "'cnn3d_gru' has no option 'time_axis'; it takes image_size",
        ),
        ("csn101", {"heads": 4}, "'csn101' has no option 'heads'"),
        ("csn101", {"kind": "audio"}, "'csn101' has no option 'kind'"),
        ("published_gru", {"time_axis": "sideways"}, "'permuted' or 'published'"),
        ("cnn3d_gur", {}, "no video network 'cnn3d_gur': did you mean 'cnn3d_gru'.; choose one of"),
        ("resnet18", {}, "no video network 'resnet18'; choose one of cnn3d_gru, published_gru"),
        ("cnn3d_gru", {"image_size": 100}, "multiple of 16"),
        ("cnn3d_gru", {"image_size": 0}, "image_size must be a whole number from 1"),
        ("cnn3d_gru", {"width": 10**12}, "width must be a whole number from 1"),
        ("cnn3d_gru", {"width": True}, "width must be"),
        ("cnn3d_gru", {"width": 32.0}, "width must be"),
        ("cnn3d_gru", {"heads": 3}, "3 attention heads do not divide 512"),
        ("cnn3d_gru", {"dropout": 1.0}, "dropout"),
        ("cnn3d_gru", {"dropout": float("nan")}, "dropout must be a finite number"),
        ("csn101", {"depths": (3, 4, 10**9, 3)}, "depths must be 1 to 8 whole numbers from 1 to"),
        ("csn101", {"depths": (3, 4, 1000, 3)}, "depths must be 4 whole numbers from 1 to 64"),
        ("csn101", {"depths": (3, 4, 23)}, "depths must be 4 whole numbers"),
        ("csn101", {"depths": (0, 4, 23, 3)}, "depths must be"),
        ("csn101", {"depths": "3463"}, "depths must be"),
    ],
)
def test_wrong_video_options_are_named_with_the_cure(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_network("video", name=name, **options)


def test_wrong_audio_options_are_named():
    with pytest.raises(ValueError, match="'resnet18' has no option 'depth'; it takes width"):
        build_network("audio", name="resnet18", depth=18)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": "max"}, "pool 'max' is not one of mean, attn"),
        ({"auxiliary": 1}, "auxiliary must be true or false"),
        ({"classifier_scale": 0.0}, "scale 0.0 must be positive"),
        ({"projection_dim": 0}, "projection_dim must be"),
        ({"video": "cnn3d_gru"}, "video must be a mapping"),
        ({"video": {"width": 4}}, "video must be a mapping with at least a 'name'"),
    ],
)
def test_wrong_detector_arguments_are_named(changes, message):
    small = {"name": "cnn3d_gru", "width": 4, "reduced": 4, "hidden": 8, "image_size": 16}
    with pytest.raises(ValueError, match=message):
        build_detector(**{"video": small, **changes})


def test_a_network_of_one_modality_is_refused():
    with pytest.raises(ValueError, match="audio must be a mapping"):
        build_cross_modal_network(
            video={"name": "cnn_lstm", "width": 2, "hidden": 4, "image_size": 16}, audio={}
        )


def test_the_former_names_of_networks_still_build_them():
    """Model files, configs and commands of earlier versions say `lgt` and `paper`."""
    for former, present in (("lgt", Cnn3dGru), ("paper", PublishedGru)):
        with torch.device("meta"):
            assert isinstance(build_network("video", name=former), present)
        assert VideoModelConfig(name=former) == VideoModelConfig(
            name=canonical_name(former, "video")
        )


@pytest.mark.parametrize("name", [*list_models("video"), *list_models("audio"), *OURS])
def test_every_option_of_every_network_has_a_rule_and_a_default(name):
    """What `check_arguments` cannot judge, a hostile model file could set to anything."""
    parameters = inspect.signature(NETWORKS[name].load()).parameters
    defaults = {option: parameter.default for option, parameter in parameters.items()}
    check_arguments(NETWORKS[name].load(), defaults, name)
    for option in defaults:
        with pytest.raises(ValueError, match=f"{option} must be"):
            check_arguments(NETWORKS[name].load(), {option: object()}, name)
