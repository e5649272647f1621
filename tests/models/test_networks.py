"""One contract that every network keeps, and the sizes the method gives for them."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from factories import use_channels_last
from torch import Tensor, nn

from avkd.models.build import (
    build_cross_modal_network,
    build_detector,
    build_network,
)
from avkd.models.encoders import VideoFeatures
from avkd.models.projection import Predictor, Projector
from avkd.models.registry import list_models
from avkd.models.weights import load_strict

SMALL_VIDEO = {
    "cnn3d_gru": {"width": 4, "reduced": 4, "hidden": 8, "heads": 2, "image_size": 32},
    "published_gru": {"width": 4, "hidden": 8, "feature_dim": 24, "image_size": 32},
    "cnn_lstm": {"width": 4, "hidden": 16, "image_size": 32},
    "csn101": {"width": 4, "depths": (1, 2, 1, 1), "image_size": 32},
}
SMALL_VIDEO_PUBLISHED = {**SMALL_VIDEO["published_gru"], "time_axis": "published"}
SMALL_HEAD = {"projection_dim": 12, "predictor_dim": 16, "predictor_heads": 4}
LGT = {"name": "cnn3d_gru", **SMALL_VIDEO["cnn3d_gru"]}
BATCH = 3


class Case(NamedTuple):
    build: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[Tensor, ...]]
    output_shape: Callable[[int], tuple[int, ...]]


def clips(num_frames: int) -> Tensor:
    return torch.randn(BATCH, 3, num_frames, 32, 32)


def mels(num_frames: int) -> Tensor:
    return torch.rand(BATCH, 1, 4 * num_frames, 80) * 2 - 1


def video_case(name: str, options: dict, feature_dim: int) -> Case:
    return Case(
        lambda: build_network("video", name=name, **options),
        lambda t: (clips(t),),
        lambda t: (BATCH, t, feature_dim),
    )


def detector_case(**options) -> Case:
    return Case(
        lambda: build_detector(video=LGT, **options, **SMALL_HEAD),
        lambda t: (clips(t),),
        lambda t: (BATCH,),
    )


CASES = {
    "cnn3d_gru": video_case("cnn3d_gru", SMALL_VIDEO["cnn3d_gru"], 16),
    "published_gru": video_case("published_gru", SMALL_VIDEO["published_gru"], 24),
    "paper_published": video_case("published_gru", SMALL_VIDEO_PUBLISHED, 24),
    "cnn_lstm": video_case("cnn_lstm", SMALL_VIDEO["cnn_lstm"], 16),
    "csn101": video_case("csn101", SMALL_VIDEO["csn101"], 128),
    "audio": Case(
        lambda: build_network("audio", name="resnet18", width=4),
        lambda t: (mels(t),),
        lambda t: (BATCH, t, 32),
    ),
    "projector": Case(
        lambda: Projector(feature_dim=16, projection_dim=12),
        lambda t: (torch.randn(BATCH, t, 16),),
        lambda t: (BATCH, t, 12),
    ),
    "predictor": Case(
        lambda: Predictor(projection_dim=12, predictor_dim=16, heads=4),
        lambda t: (torch.randn(BATCH, t, 12),),
        lambda t: (BATCH, t, 12),
    ),
    "cross_modal": Case(
        lambda: build_cross_modal_network(
            video=LGT, audio={"name": "resnet18", "width": 4}, **SMALL_HEAD
        ),
        lambda t: (clips(t), clips(t), mels(t), mels(t)),
        lambda t: (BATCH, t, 12),
    ),
    "detector_mean": detector_case(pool="mean"),
    "detector_attn": detector_case(pool="attn"),
    "detector_plain": detector_case(auxiliary=False),
}
every_network = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def tensors(output) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    return [t for part in output if part is not None for t in tensors(part)]


def built(case: Case) -> nn.Module:
    torch.manual_seed(0)
    return case.build()


def test_every_video_encoder_is_under_contract():
    assert set(SMALL_VIDEO) == set(list_models("video"))


@every_network
@pytest.mark.parametrize("num_frames", [1, 7, 25, 30])
def test_outputs_are_finite_and_of_the_promised_shape(case, num_frames):
    output = tensors(built(case)(*case.inputs(num_frames)))
    assert tuple(output[0].shape) == case.output_shape(num_frames)
    assert all(bool(torch.isfinite(part).all()) for part in output)


@every_network
def test_every_trainable_parameter_gets_a_gradient(case):
    """A parameter without one is dead weight, or a branch that forgot to be used."""
    model = built(case)
    for name, parameter in model.named_parameters():
        if name == "pooling.score.weight":  # zero at first, which hides the layer before it
            nn.init.normal_(parameter)
    output = model(*case.inputs(7))
    if hasattr(model, "auxiliary_prediction") and model.auxiliary_head is not None:
        output = (*output, model.auxiliary_prediction(output.features))
    with_gradient = [part for part in tensors(output) if part.requires_grad]
    weighted = sum((part * torch.randn_like(part)).sum() for part in with_gradient)
    weighted.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        else:
            assert "teacher" in name and parameter.grad is None, name


@every_network
def test_mixed_precision_trains_and_stays_near_full_precision(case):
    model = built(case)
    inputs = case.inputs(7)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    expected = tensors(model(*inputs))
    with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
        output = tensors(model(*inputs))
    for full, mixed in zip(expected, output, strict=True):
        difference = (full - mixed.float()).detach().norm() / full.detach().norm()
        assert float(difference) < 0.15
    sum(part.float().sum() for part in output if part.requires_grad).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(bool(gradient.isfinite().all()) for gradient in gradients)


@every_network
def test_evaluation_is_deterministic_and_independent_of_the_rest_of_the_batch(case):
    model = built(case).eval()
    inputs = case.inputs(7)
    first, again = tensors(model(*inputs)), tensors(model(*inputs))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    alone = tensors(model(*(part[:1] for part in inputs)))
    assert all(
        torch.allclose(a[:1], b, atol=1e-4, rtol=1e-4) for a, b in zip(first, alone, strict=True)
    )


@every_network
def test_copies_and_reloaded_networks_answer_the_same(case):
    model = built(case).eval()
    inputs = case.inputs(7)
    copied = copy.deepcopy(model)
    reloaded = case.build().eval()
    load_strict(reloaded, model.state_dict(), source="test")
    expected = tensors(model(*inputs))
    for other in (copied, reloaded):
        assert all(
            torch.equal(a, b) for a, b in zip(expected, tensors(other(*inputs)), strict=True)
        )


@every_network
def test_memory_layout_does_not_change_the_answer(case):
    model = built(case).eval()
    inputs = case.inputs(7)
    expected = tensors(model(*inputs))
    laid_out = [
        part.contiguous(memory_format=torch.channels_last_3d) if part.ndim == 5 else part
        for part in inputs
    ]
    use_channels_last(model)
    for a, b in zip(expected, tensors(model(*laid_out)), strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SMALL_VIDEO)
def test_importance_is_a_share_for_every_frame_where_there_is_attention(name):
    output: VideoFeatures = build_network("video", name=name, **SMALL_VIDEO[name])(clips(9))
    if name in ("csn101", "cnn_lstm"):
        assert output.importance is None
        return
    assert output.importance is not None
    assert not output.importance.requires_grad
    assert bool((output.importance >= 0).all())
    torch.testing.assert_close(output.importance.sum(dim=1), torch.ones(BATCH))


@pytest.mark.parametrize("name", SMALL_VIDEO)
def test_a_clip_of_another_size_is_refused_at_once(name):
    encoder = build_network("video", name=name, **SMALL_VIDEO[name])
    with pytest.raises(AssertionError, match="expected a clip"):
        encoder(torch.zeros(1, 3, 4, 48, 48))


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        (lambda: build_network("video", name="cnn3d_gru"), 7.45),
        (lambda: build_network("video", name="cnn3d_gru", hidden=128), 3.96),
        (lambda: build_network("video", name="cnn3d_gru", reduced=32), 5.04),
        (lambda: build_network("video", name="published_gru"), 44.69),
        (lambda: build_network("video", name="csn101"), 21.39),
        (lambda: build_network("audio", name="resnet18"), 11.17),
        (lambda: Predictor(), 3.41),
        (lambda: Projector(feature_dim=512), 0.13),
    ],
)
def test_default_networks_have_the_parameters_of_the_method(build, millions):
    """Method sections 8.1 and 9; on the meta device no weight is allocated."""
    with torch.device("meta"):
        network = build()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.02 if millions < 1 else 0.01)
