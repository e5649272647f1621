"""The image detector gives every network the input it was made for, and trains what it is told."""

import pytest
import torch
from torch import nn

from avkd.data.transforms import CHANNEL_MEAN, CHANNEL_STD
from avkd.models.build import build_image_detector
from avkd.models.image_detector import ImageDetector
from avkd.models.image_network import IMAGENET_MEAN, IMAGENET_STD, LogitHead
from avkd.models.image_teacher import load_pretrained

SIZE = 32


class MeanNetwork(nn.Module):
    """A network whose feature is its input's mean colour."""

    frames, uses_landmarks, num_features = 1, False, 3

    def __init__(self):
        super().__init__()
        self.head = LogitHead(pooled_dim=3)

    def forward_features(self, image):
        return image

    def pool(self, features):
        return features.mean((2, 3))[:, None]

    def forward_head(self, features):
        return self.head(self.pool(features))

    def depth_groups(self):
        return []


def of_colour(*rgb):
    """A picture of one colour (0..1), normalised by ImageNet as everything is."""
    values = [(v - m) / s for v, m, s in zip(rgb, CHANNEL_MEAN, CHANNEL_STD, strict=True)]
    return torch.tensor(values)[None, :, None, None, None].expand(1, 3, 1, SIZE, SIZE)


def test_imagenet_means_the_same_to_the_data_and_to_the_networks():
    assert (IMAGENET_MEAN, IMAGENET_STD) == (CHANNEL_MEAN, CHANNEL_STD)


def test_a_network_with_another_normalisation_gets_it():
    detector = ImageDetector(
        network=MeanNetwork(), mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.1), image_size=SIZE
    )
    seen = detector(of_colour(0.0, 0.65, 0.4)).features[0, 0]
    torch.testing.assert_close(seen, torch.tensor([-1.0, 1.0, 1.0]))


def test_imagenets_own_normalisation_is_left_untouched():
    detector = ImageDetector(network=MeanNetwork(), image_size=SIZE)
    clip = of_colour(0.2, 0.5, 0.9)
    torch.testing.assert_close(detector(clip).features[0, 0], clip[0, :, 0, 0, 0])
    assert set(detector.state_dict()) == {
        "network.head.layers.1.weight",
        "network.head.layers.1.bias",
    }


def test_a_vit_is_given_values_from_minus_one_to_one():
    detector = build_image_detector(name="timm/vit_tiny_patch16_224", image_size=SIZE).eval()
    seen = []
    detector.network.trunk.patch_embed.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    detector(of_colour(0.0, 0.5, 1.0))
    torch.testing.assert_close(
        seen[0][0, :, 0, 0], torch.tensor([-1.0, 0.0, 1.0]), atol=1e-6, rtol=0
    )


def test_the_normalisation_travels_with_the_weights():
    """What timm says of a network may change with its version; what was trained may not."""
    make = {"network": MeanNetwork(), "image_size": SIZE}
    first = ImageDetector(**make, mean=(0.5,) * 3, std=(0.5,) * 3)
    second = ImageDetector(**make, mean=(0.4,) * 3, std=(0.3,) * 3)
    second.load_state_dict(first.state_dict())
    clip = of_colour(0.1, 0.2, 0.3)
    assert torch.equal(first(clip).features, second(clip).features)


def test_logits_stay_in_full_precision_under_autocast():
    """In half precision confident pictures tie, and the AUC is of the ties (method 0.6)."""
    detector = build_image_detector(name="resnet8", image_size=SIZE, widths=[4, 4, 4]).eval()
    network = detector.network
    clip = torch.randn(64, 3, 1, SIZE, SIZE)
    with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
        output = detector(clip)
        features = network.forward_features(clip[:, :, 0])
    assert features.dtype == torch.bfloat16
    assert output.logit.dtype == torch.float32
    torch.testing.assert_close(output.logit, network.forward_head(features.float()))


def test_a_clip_of_another_length_or_size_is_refused_at_once():
    detector = build_image_detector(name="addnet3d", image_size=64, width_divisor=16, frames=3)
    assert detector.frames == 3 and detector.uses_landmarks
    with pytest.raises(AssertionError, match=r"3 frame\(s\), got 2"):
        detector(torch.zeros(1, 3, 2, 64, 64))
    with pytest.raises(AssertionError, match="expected a clip"):
        detector(torch.zeros(1, 3, 3, 48, 48))


def test_landmarks_reach_the_networks_that_use_them_and_no_other():
    points = torch.rand(2, 1, 5, 2)
    for name, options, counts in (
        ("addnet2d", {"width_divisor": 16}, True),
        ("resnet8", {"widths": [4, 4, 4]}, False),
    ):
        detector = build_image_detector(name=name, image_size=64, **options).eval()
        clip = torch.randn(2, 3, 1, 64, 64)
        assert torch.equal(detector(clip).logit, detector(clip, points).logit) is not counts


def batch_norms_and_head(detector):
    norms = [m for m in detector.network.modules() if isinstance(m, nn.BatchNorm2d)]
    return norms, list(detector.network.head.parameters())


@pytest.mark.parametrize("name", ["resnet8", "timm/test_resnet"])
def test_training_the_head_leaves_everything_else_as_it_was(name):
    detector = build_image_detector(name=name, image_size=SIZE).train()
    detector.set_trainable("head")
    detector.train()  # a loop says this before every epoch
    norms, head = batch_norms_and_head(detector)
    before = {n: t.clone() for n, t in detector.state_dict().items() if ".head." not in n}
    assert norms and not any(norm.training for norm in norms)
    assert detector.network.head.training
    trained = [p for p in detector.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in head}
    optimiser = torch.optim.SGD(trained, lr=0.1)
    detector(torch.randn(4, 3, 1, SIZE, SIZE) + 3).logit.sum().backward()
    optimiser.step()
    assert all(torch.equal(detector.state_dict()[n], t) for n, t in before.items())


def test_the_last_blocks_train_with_their_norms_and_the_first_do_not():
    detector = build_image_detector(name="resnet8", image_size=SIZE)
    detector.set_trainable("blocks:1")
    detector.train()
    network = detector.network
    trained = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert trained == {"stages", "head"}
    assert all(p.requires_grad for p in network.stages[2].parameters())
    assert not any(p.requires_grad for p in network.stages[:2].parameters())
    training = {
        n for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d) and m.training
    }
    assert training and all(name.startswith("stages.2.") for name in training)
    detector.set_trainable("all")
    assert all(norm.training for norm in batch_norms_and_head(detector)[0])
    assert all(p.requires_grad for p in detector.parameters())


@pytest.mark.parametrize("part", ["blocks", "blocks:0", "blocks:5", "blocks:x", "tail", ""])
def test_a_part_there_is_not_is_refused(part):
    detector = build_image_detector(name="resnet8", image_size=SIZE)
    with pytest.raises(ValueError, match="trainable"):
        detector.set_trainable(part)
    assert all(p.requires_grad for p in detector.parameters())


def test_a_frozen_teacher_never_follows_the_data():
    """Method: the published teacher was not in eval mode, and its BatchNorm drifted."""
    teacher = build_image_detector(name="resnet8", image_size=SIZE).requires_grad_(False)
    assert not any(part.training for part in teacher.train().network.modules())


def test_networks_of_ours_have_no_published_weights():
    detector = build_image_detector(name="resnet8", image_size=SIZE)
    with pytest.raises(ValueError, match="trained from scratch"):
        load_pretrained(detector.network, "hub")


def test_training_the_norms_leaves_every_convolution_as_it_was():
    detector = build_image_detector(name="resnet8", image_size=32)
    detector.set_trainable("norms")
    trained = {n for n, p in detector.named_parameters() if p.requires_grad}
    vectors = {n for n, p in detector.named_parameters() if p.ndim == 1}
    head = {n for n, _ in detector.named_parameters() if ".head." in n}
    assert trained == vectors | head
    assert head and trained - head
