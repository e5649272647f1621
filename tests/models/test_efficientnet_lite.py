"""Our EfficientNet-Lite0 against timm's: the same names, outputs, gradients and stages."""

import pytest
import timm
import torch
from timm.models._manipulate import group_parameters

from avkd.models.efficientnet_lite import EfficientNetLite0, fold_norms
from avkd.models.image_teacher import TimmNetwork


@pytest.fixture(scope="module")
def pair() -> tuple[EfficientNetLite0, torch.nn.Module]:
    torch.manual_seed(5)
    own, next_draw = EfficientNetLite0(), torch.rand(1)
    torch.manual_seed(5)
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    assert torch.equal(next_draw, torch.rand(1))
    for name, weights in theirs.state_dict().items():
        assert torch.equal(weights, own.state_dict()[name]), name
    return own, theirs


def test_names_and_facts_are_those_of_timm(pair) -> None:
    own, theirs = (network.state_dict() for network in pair)
    assert list(own) == list(theirs)
    for key in ("mean", "std", "classifier"):
        assert pair[0].pretrained_cfg[key] == pair[1].pretrained_cfg[key]
    assert pair[0].num_features == pair[1].num_features == pair[1].head_hidden_size
    assert pair[0].pretrained_cfg["hf_hub_id"] == pair[1].pretrained_cfg["hf_hub_id"]


@pytest.mark.parametrize("size", [(64, 64), (45, 70)])
def test_outputs_gradients_and_statistics_are_those_of_timm(pair, size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    pooled = []
    for network in pair:
        network.train().zero_grad()
        features = network.forward_features(image)
        pooled.append(network.forward_head(features, pre_logits=True))
        pooled[-1].square().sum().backward()
    torch.testing.assert_close(pooled[0], pooled[1])
    # Of the stem: all layers lie between it and the output.
    own, theirs = (network.conv_stem.weight.grad for network in pair)
    torch.testing.assert_close(own, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))
    torch.testing.assert_close(pair[0].bn2.running_var, pair[1].bn2.running_var)
    with torch.no_grad():
        torch.testing.assert_close(*(n.eval().forward_features(image) for n in pair))


def test_stages_are_those_of_timm(pair) -> None:
    network = TimmNetwork(name="efficientnet_lite0")
    names = {id(weights): name for name, weights in network.trunk.named_parameters()}
    own = [{names[id(weights)] for weights in stage} for stage in network.depth_groups()]
    theirs = group_parameters(pair[1], pair[1].group_matcher(coarse=True))
    assert own == [set(theirs[depth]) for depth in sorted(theirs)]


def test_norms_folded_into_their_convolutions_change_no_output() -> None:
    torch.manual_seed(6)
    network, image = EfficientNetLite0(), torch.randn(2, 3, 45, 70)
    with torch.no_grad():
        network.train().forward_features(image)  # running statistics other than 0 and 1
        before = network.eval().forward_features(image)
        fold_norms(network)
        assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())
        torch.testing.assert_close(network.forward_features(image), before, rtol=1e-4, atol=1e-5)
    assert network.forward_features(image.requires_grad_()).sum().requires_grad  # heat maps
