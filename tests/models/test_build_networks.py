"""Arguments are refused by name before anything is built."""

import pytest

from avkd.models.build import (
    build_audio_encoder,
    build_cross_modal_network,
    build_detector,
    build_video_encoder,
)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lgt", {"time_axis": "permuted"}, "'lgt' has no option 'time_axis'; it takes image_size"),
        ("csn101", {"heads": 4}, "'csn101' has no option 'heads'"),
        ("paper", {"time_axis": "sideways"}, "'permuted' or 'published'"),
        ("lgtt", {}, "no video encoder 'lgtt'; choose one of lgt, paper, cnn_lstm, csn101"),
        ("lgt", {"image_size": 100}, "multiple of 16"),
        ("lgt", {"image_size": 0}, "image_size must be a whole number from 1"),
        ("lgt", {"width": 10**12}, "width must be a whole number from 1"),
        ("lgt", {"width": True}, "width must be"),
        ("lgt", {"width": 32.0}, "width must be"),
        ("lgt", {"heads": 3}, "3 attention heads do not divide 512"),
        ("lgt", {"dropout": 1.0}, "dropout"),
        ("lgt", {"dropout": float("nan")}, "dropout must be a finite number"),
        ("csn101", {"depths": (3, 4, 10**9, 3)}, "depths must be 4 whole numbers"),
        ("csn101", {"depths": (3, 4, 23)}, "depths must be 4 whole numbers"),
    ],
)
def test_wrong_video_options_are_named_with_the_cure(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_video_encoder(name=name, **options)


def test_wrong_audio_options_are_named():
    with pytest.raises(ValueError, match="'resnet18' has no option 'depth'; it takes width"):
        build_audio_encoder(name="resnet18", depth=18)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": "max"}, "pool 'max' is not one of mean, attn"),
        ({"auxiliary": 1}, "auxiliary must be true or false"),
        ({"classifier_scale": 0.0}, "scale 0.0 must be positive"),
        ({"projection_dim": 0}, "projection_dim must be"),
        ({"video": "lgt"}, "video must be a mapping"),
        ({"video": {"width": 4}}, "video must be a mapping with at least a 'name'"),
    ],
)
def test_wrong_detector_arguments_are_named(changes, message):
    small = {"name": "lgt", "width": 4, "reduced": 4, "hidden": 8, "image_size": 16}
    with pytest.raises(ValueError, match=message):
        build_detector(**{"video": small, **changes})


def test_a_network_of_one_modality_is_refused():
    with pytest.raises(ValueError, match="audio must be a mapping"):
        build_cross_modal_network(
            video={"name": "cnn_lstm", "width": 2, "hidden": 4, "image_size": 16}, audio={}
        )
