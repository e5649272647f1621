"""Heat maps: they lie where the score comes from, and they depend on the weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from avkd.data import transforms
from avkd.inference.heat_maps import heat_maps, last_spatial_layer
from avkd.models.build import create_model

pytest.importorskip("captum", reason="captum is not installed (pip install 'avkd[explain]')")
METHODS = ("grad_cam", "integrated_gradients")


class CornerNetwork(nn.Module):
    """Its score is the brightness of the upper left quarter, through a convolution."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        kind = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.layer = kind(3, 2, 3, padding=1)
        nn.init.constant_(self.layer.weight, 0.1)
        nn.init.zeros_(self.layer.bias)
        self.is_flat = dimensions == 2

    def forward(self, clip: Tensor, points: Tensor | None = None) -> SimpleNamespace:
        frames = clip.transpose(1, 2).flatten(0, 1) if self.is_flat else clip
        cells = self.layer(frames)
        half = cells.shape[-1] // 2
        corner = cells[..., :half, :half].mean(dim=(-1, -2))
        score = corner.reshape(len(clip), -1).mean(dim=1)
        return SimpleNamespace(logit=score if points is None else score + 0 * points.sum((1, 2, 3)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("with_points", [False, True])
def test_heat_lies_where_the_score_comes_from(
    method: str, dimensions: int, with_points: bool
) -> None:
    clip = torch.rand(2, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0)) + 0.5
    views = (clip, torch.zeros(2, 4, 5, 2)) if with_points else (clip,)
    model = CornerNetwork(dimensions).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    found = heat_maps(model, views, method)
    assert found.shape == (2, 4, 16, 16) and found.dtype == torch.float32
    assert found.min() >= 0 and torch.equal(found.amax(dim=(1, 2, 3)), torch.ones(2))
    assert not clip.requires_grad and clip.grad is None
    corner = found[:, :, :8, :8].sum() / found.sum()
    # A map of cells is as blurred as its layer; gradients reach one pixel beyond the corner.
    assert corner > (0.9 if method == "integrated_gradients" else 0.24)


def test_nothing_that_speaks_for_a_forgery_is_no_heat() -> None:
    model = CornerNetwork(2).eval()
    nn.init.constant_(model.layer.weight, -0.1)
    assert not heat_maps(model, (torch.ones(1, 3, 1, 16, 16),), "grad_cam").any()


def test_the_layer_shown_is_the_last_with_enough_cells() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1, stride=2), nn.MaxPool2d(4))
    last = nn.Conv2d(1, 1, 1)
    model = nn.Sequential(layers, last)
    assert last_spatial_layer(model, lambda: model(torch.zeros(1, 1, 16, 16))) is layers[1]
    with pytest.raises(ValueError, match="no convolution"):
        last_spatial_layer(nn.Linear(2, 2), lambda: None)


class Scored(nn.Module):
    """Any network as a detector: its score is the mean of its features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logit=self.network(clip).features.flatten(1).mean(dim=1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["resnet8_fast", "cnn3d_gru"])
def test_maps_depend_on_the_weights(method: str, name: str) -> None:
    """Two networks that differ in their weights alone look elsewhere (Adebayo et al. 2018)."""
    size = 64 if name == "cnn3d_gru" else 112
    arguments = {"width": 6, "reduced": 8, "hidden": 8} if name == "cnn3d_gru" else {}
    clip = torch.randn(
        1, 3, 25 if name == "cnn3d_gru" else 1, size, size,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    maps = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = create_model(name, image_size=size, **arguments).eval()
        maps.append(heat_maps(Scored(network), (clip,), method).flatten())
    assert maps[0].any() and maps[1].any()
    assert abs(spearmanr(*maps).statistic) < 0.6


def test_views_look_again_as_they_did() -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 2, 32, 32, 3)))
    views = transforms.center_views(1, 0)
    clip = transforms.apply_video(frames.byte(), views, 32, 1.0)
    assert np.abs(transforms.as_pictures(clip).astype(int) - frames.numpy()).max() <= 1
