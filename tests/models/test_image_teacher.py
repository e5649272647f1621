"""Published networks: their weights are loaded whole or not at all, and never unpickled."""

import os
import time

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from avkd.models.build import build_image_detector
from avkd.models.image_teacher import TimmNetwork, load_pretrained
from avkd.models.registry import TIMM_NAMES
from avkd.models.weights import ModelFileError


def published(name: str, *, num_classes: int = 7, **options) -> dict:
    """Weights as timm publishes them, classifier included."""
    torch.manual_seed(5)
    return timm.create_model(name, num_classes=num_classes, **options).state_dict()


@pytest.fixture
def resnet_file(tmp_path):
    path = tmp_path / "resnet.safetensors"
    save_file(published("test_resnet"), path)
    return path


def resave(path, edit):
    tensors = published("test_resnet")
    edit(tensors)
    save_file(tensors, path)


def test_all_but_the_classifier_is_loaded(resnet_file):
    network = TimmNetwork(name="timm/test_resnet")
    head = {n: t.clone() for n, t in network.head.state_dict().items()}
    load_pretrained(network, str(resnet_file))
    expected = published("test_resnet")
    loaded = network.trunk.state_dict()
    assert all(torch.equal(loaded[n], expected[n]) for n in loaded)
    assert set(expected) - set(loaded) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(t, head[n]) for n, t in network.head.state_dict().items())


def test_weights_without_step_counts_are_welcome(resnet_file):
    def drop(tensors):
        for name in [n for n in tensors if n.endswith("num_batches_tracked")]:
            del tensors[name]

    resave(resnet_file, drop)
    network = TimmNetwork(name="timm/test_resnet")
    load_pretrained(network, str(resnet_file))
    assert torch.equal(network.trunk.conv1[0].weight, published("test_resnet")["conv1.0.weight"])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("layer1.0.bn1.weight"), r"1 missing \(first: layer1\.0\.bn1\.weight"),
        (lambda t: t.update(extra=torch.zeros(1)), r"1 unexpected \(first: extra"),
        (
            lambda t: t.update({"bn1.bias": torch.zeros(99)}),
            r"another shape or type \(first: bn1\.bias",
        ),
        (lambda t: t["bn1.bias"].fill_(float("nan")), r"bn1\.bias holds NaN"),
    ],
)
def test_any_difference_is_named_and_nothing_is_loaded(resnet_file, edit, message):
    """Non-strict loading left the published student's teacher partly random."""
    resave(resnet_file, edit)
    network = TimmNetwork(name="timm/test_resnet")
    before = {n: t.clone() for n, t in network.state_dict().items()}
    with pytest.raises(ModelFileError, match=message) as caught:
        load_pretrained(network, str(resnet_file))
    assert str(resnet_file) in str(caught.value)
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())


def test_the_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "vit.safetensors"
    save_file(published("test_vit"), path)
    with pytest.raises(ModelFileError, match=r"missing .* unexpected"):
        load_pretrained(TimmNetwork(name="timm/test_resnet"), str(path))


def test_the_first_blocks_of_a_trained_detector_begin_a_smaller_one(tmp_path):
    """They give the very maps that they give inside it; the head is new."""
    torch.manual_seed(0)
    whole = build_image_detector(name="timm/test_efficientnet", image_size=64).eval()
    path = tmp_path / "teacher.safetensors"
    save_file(whole.state_dict(), path)
    cut = build_image_detector(name="timm/test_efficientnet", image_size=64, blocks=3).eval()
    load_pretrained(cut.network, str(path))
    parts = {}
    stages = whole.network.trunk.blocks
    hook = [block for stage in stages for block in stage][2].register_forward_hook(
        lambda *called: parts.update(third=called[2])
    )
    picture = torch.rand(2, 3, 64, 64)
    whole.network(picture)
    hook.remove()
    features = cut.network.forward_features(picture)
    assert torch.equal(features, parts["third"])
    assert cut.network.pool(features).shape == (2, 1, cut.network.num_features)
    assert cut.network.num_features == features.shape[1]
    counts = [sum(p.numel() for p in network.parameters()) for network in (cut, whole)]
    assert counts[0] < counts[1] / 2
    assert not any(name.startswith("network.trunk.conv_head") for name in cut.state_dict())
    logit = cut(picture[:, :, None]).logit
    logit.sum().backward()
    assert all(parameter.grad is not None for parameter in cut.parameters())


def test_a_cut_network_misses_what_its_file_lacks(tmp_path):
    path = tmp_path / "weights.safetensors"
    weights = published("test_efficientnet")
    del weights["blocks.1.0.bn1.bias"]
    save_file(weights, path)
    network = TimmNetwork(name="timm/test_efficientnet", blocks=3)
    with pytest.raises(ModelFileError, match=r"1 missing \(first: blocks\.1\.0\.bn1\.bias"):
        load_pretrained(network, str(path))


@pytest.mark.parametrize(
    ("name", "blocks", "message"),
    [
        ("test_efficientnet", 0, "want 1 to"),
        ("test_efficientnet", 99, "blocks 99: want 1 to"),
        ("test_resnet", 1, "EfficientNets only"),
    ],
)
def test_blocks_that_a_network_has_not_are_refused(name, blocks, message):
    with pytest.raises(ValueError, match=message):
        TimmNetwork(name=f"timm/{name}", blocks=blocks)


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".pt", ""])
def test_a_pickle_is_never_opened(tmp_path, suffix):
    witness = tmp_path / "code_ran"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    path = tmp_path / f"weights{suffix}"
    torch.save({"weights": Evil()}, path)
    network = TimmNetwork(name="timm/test_resnet")
    with pytest.raises(ValueError, match="convert to safetensors"):
        load_pretrained(network, str(path))
    path.rename(tmp_path / "weights.safetensors")
    with pytest.raises(ModelFileError, match="pickle"):
        load_pretrained(network, str(tmp_path / "weights.safetensors"))
    assert not witness.exists()


def test_positions_are_resampled_for_another_picture_size(tmp_path):
    path = tmp_path / "vit.safetensors"
    weights = published("test_vit", img_size=64)
    save_file(weights, path)
    same, larger = (TimmNetwork(name="timm/test_vit", image_size=size) for size in (64, 96))
    load_pretrained(same, str(path))
    assert torch.equal(same.trunk.pos_embed, weights["pos_embed"])
    load_pretrained(larger, str(path))
    assert larger.trunk.pos_embed.shape[1] == 1 + 6 * 6
    assert torch.equal(larger.trunk.pos_embed[:, 0], weights["pos_embed"][:, 0])
    assert larger(torch.zeros(1, 3, 96, 96)).shape == (1,)


def test_the_hub_is_asked_for_safetensors_only(resnet_file, monkeypatch):
    asked = []

    def download(repository, name, **_):
        asked.append((repository, name))
        return str(resnet_file)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    network = TimmNetwork(name="timm/test_resnet")
    load_pretrained(network, "hub")
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors")]
    assert torch.equal(network.trunk.conv1[0].weight, published("test_resnet")["conv1.0.weight"])


def test_what_was_fetched_before_needs_no_net(resnet_file, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(resnet_file))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    network = TimmNetwork(name="timm/test_resnet")
    load_pretrained(network, "hub")
    assert torch.equal(network.trunk.conv1[0].weight, published("test_resnet")["conv1.0.weight"])


def test_without_a_net_one_line_says_what_to_do(monkeypatch):
    def unreachable(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"cannot be fetched .* give its path") as caught:
        load_pretrained(TimmNetwork(name="timm/test_resnet"), "hub")
    assert "\n" not in str(caught.value) and time.monotonic() - begin < 5


def test_what_was_never_published_as_safetensors_is_said():
    with torch.device("meta"):
        network = TimmNetwork(name="xception")
    with pytest.raises(ValueError, match=r"no safetensors of 'xception'"):
        load_pretrained(network, "hub")


def test_the_head_of_two_layers_has_its_hidden_units_and_dropout():
    """The EfficientNet-B7 teacher of the published distillation: 512 units, dropout 0.3."""
    with torch.device("meta"):
        network = TimmNetwork(name="efficientnet_b7", head_dim=512, head_dropout=0.3)
    hidden, _, dropout, last = network.head.layers
    assert (hidden.in_features, hidden.out_features, last.out_features) == (2560, 512, 1)
    assert dropout.p == 0.3


def test_the_last_blocks_are_those_before_the_head():
    with torch.device("meta"):
        vit, resnet, vgg, convnext = (
            TimmNetwork(name=name) for name in ("vit", "resnet50", "vgg19", "convnextv2")
        )
    for network, parts in (
        (vit, {"blocks.11", "norm"}),
        (resnet, {"layer4"}),
        (vgg, {"features.34", "pre_logits"}),
        (convnext, {"stages.3", "head.norm"}),
    ):
        last = {id(p) for p in network.depth_groups()[-1]}
        names = [n for n, p in network.trunk.named_parameters() if id(p) in last]
        assert names and {part for part in parts for n in names if n.startswith(part)} == parts
        assert all(any(n.startswith(part) for part in parts) for n in names)


def test_a_network_whose_blocks_timm_does_not_tell_apart_says_so():
    with torch.device("meta"):
        network = TimmNetwork(name="timm/poolformer_s12")
    with pytest.raises(ValueError, match="train all of it, or the head"):
        network.depth_groups()


def test_the_door_names_timms_own_normalisation():
    with torch.device("meta"):
        vit, resnet = TimmNetwork(name="vit"), TimmNetwork(name="resnet50")
    assert vit.mean == vit.std == (0.5, 0.5, 0.5)
    assert resnet.mean == (0.485, 0.456, 0.406)


def test_every_short_name_is_a_network_of_timm():
    assert all(timm.is_model(architecture) for architecture in TIMM_NAMES.values())
