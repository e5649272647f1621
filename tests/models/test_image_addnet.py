"""ADDNet looks at the face only, and is Xception where there is nothing to hide."""

import pytest
import torch
from torch import nn

from avkd.models.attention_mask import attention_mask
from avkd.models.cost import num_parameters
from avkd.models.image_addnet import AddNet2d, AddNet3d
from avkd.models.image_teacher import TimmNetwork

FACE = torch.tensor([(0.35, 0.4), (0.65, 0.4), (0.5, 0.58), (0.4, 0.72), (0.6, 0.72)])
SIZE = 100


def mask_of(points=FACE):
    return attention_mask(points[None, None], SIZE)[0, 0, 0]


def at(mask, x, y):
    return float(mask[int(y * SIZE), int(x * SIZE)])


def test_organs_are_one_skin_a_half_and_the_background_zero():
    mask = mask_of()
    assert mask.shape == (SIZE, SIZE) and float(mask.min()) >= 0 and float(mask.max()) <= 1
    for x, y in FACE[:3].tolist():
        assert at(mask, x, y) > 0.95
    assert at(mask, 0.5, 0.72) > 0.95  # between the corners of the mouth
    for x, y in ((0.5, 0.34), (0.27, 0.6), (0.73, 0.6), (0.5, 0.9)):  # brow, cheeks, chin
        assert at(mask, x, y) == pytest.approx(0.5, abs=0.03)
    for x, y in ((0.02, 0.02), (0.98, 0.5), (0.5, 0.02), (0.5, 0.99)):
        assert at(mask, x, y) < 0.01


def test_the_edge_is_soft():
    mask = mask_of()
    assert float((mask[:, 1:] - mask[:, :-1]).abs().max()) < 0.4


def test_the_mask_turns_and_mirrors_with_the_face():
    mirrored = FACE.clone()
    mirrored[:, 0] = 1 - mirrored[:, 0]
    torch.testing.assert_close(mask_of(mirrored), mask_of().flip(1), atol=1e-5, rtol=0)
    turned = torch.stack((1 - FACE[:, 1], FACE[:, 0]), dim=1)  # a quarter turn clockwise
    expected = torch.rot90(mask_of(), k=-1)
    torch.testing.assert_close(mask_of(turned), expected, atol=1e-5, rtol=0)


def test_a_frame_without_landmarks_is_seen_whole_and_its_neighbours_are_not():
    points = torch.stack((FACE, torch.full((5, 2), float("nan")), FACE * 0 + 0.5, FACE))[None]
    points[0, 3, 2, 0] = float("nan")  # one number is enough
    mask = attention_mask(points, SIZE)
    assert mask.shape == (1, 4, 1, SIZE, SIZE) and bool(mask.isfinite().all())
    assert torch.equal(mask[0, 0, 0], mask_of())
    assert torch.equal(mask[0, 1:], torch.ones(3, 1, SIZE, SIZE))


def test_no_gradient_of_a_broken_frame_reaches_the_rest():
    points = torch.full((1, 1, 5, 2), float("nan"))
    network = AddNet2d(width_divisor=16)
    network(
        torch.randn(1, 3, 64, 64).repeat(2, 1, 1, 1), points.repeat(2, 1, 1, 1)
    ).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.fixture
def xception():
    """Two networks, timm's Xception and ours with its weights: same tensors, same order.

    In training mode, where BatchNorm brings the features of random weights to a size that counts.
    """
    torch.manual_seed(0)
    published = TimmNetwork(name="xception").train()
    ours = AddNet2d().train()
    trunk = {n: t for n, t in ours.state_dict().items() if not n.startswith("head.")}
    pairs = zip(trunk, published.trunk.state_dict().values(), strict=True)
    ours.load_state_dict({**ours.state_dict(), **dict(pairs)})
    return published, ours


@torch.no_grad()
def test_with_a_mask_of_ones_it_is_xception(xception):
    published, ours = xception
    image = torch.randn(2, 3, 96, 96)
    expected = published.forward_features(image)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(ours.forward_features(image), expected, atol=1e-3, rtol=1e-3)
    unknown = torch.full((2, 1, 5, 2), float("nan"))
    assert torch.equal(ours.forward_features(image, unknown), ours.forward_features(image))
    seen = ours.forward_features(image, FACE.repeat(2, 1, 1, 1))
    assert float((seen - expected).abs().max()) > 0.1


def test_gating_adds_no_parameter():
    with torch.device("meta"):
        network, trunk = AddNet2d(), TimmNetwork(name="xception").trunk
    assert num_parameters(network) == num_parameters(trunk) + num_parameters(network.head)
    assert num_parameters(network.head) == 2049 * 512 + 513


def test_the_mask_is_multiplied_five_times():
    gated = AddNet2d(width_divisor=16).gated
    gated.stages = nn.ModuleList([nn.Identity() for _ in gated.stages])
    image = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(gated(image, torch.full((2, 1, 8, 8), 0.5)), image * 0.5**5)


def test_each_mask_is_pooled_from_the_one_before():
    """From 7 to 3 to 2 pixels; from 7 straight to 2 the windows would be others."""
    gated = AddNet2d(width_divisor=16).gated
    sizes = (3, 2)
    gated.stages = nn.ModuleList([nn.AdaptiveAvgPool2d(size) for size in sizes])
    mask = torch.rand(1, 1, 7, 7)
    pool = nn.functional.adaptive_avg_pool2d
    first = pool(mask, 3)
    expected = pool(pool(mask, 3) * first, 2) * pool(first, 2)
    torch.testing.assert_close(gated(torch.ones(1, 1, 7, 7), mask), expected)


def test_what_lies_outside_the_face_does_not_count():
    network = AddNet2d(width_divisor=16).train()
    landmarks = (FACE * 0.4 + 0.3).repeat(4, 1, 1, 1)  # a small face amid much background
    image, other = torch.randn(2, 4, 3, 96, 96)
    seen = attention_mask(landmarks, 96)[:, 0] > 1e-6
    mixed = torch.where(seen, image, other)
    torch.testing.assert_close(network(mixed, landmarks), network(image, landmarks))
    assert not torch.allclose(network(mixed), network(image), atol=1e-3)


def test_the_middle_as_drawn_has_two_convolutions_and_a_maximum():
    plain, drawn = AddNet2d(width_divisor=16), AddNet2d(width_divisor=16, middle_pool=True)

    def layers(network, kind):
        return sum(isinstance(part, kind) for part in network.middle.modules())

    assert layers(plain, nn.MaxPool2d) == 0 and layers(drawn, nn.MaxPool2d) == 8
    assert layers(plain, nn.Conv2d) == 8 * 6 and layers(drawn, nn.Conv2d) == 8 * 4


def test_every_frame_of_a_clip_has_its_own_mask():
    network = AddNet3d(frames=3, width_divisor=16).eval()
    clip = torch.randn(2, 3, 3, 64, 64)
    landmarks = FACE.repeat(2, 3, 1, 1)
    gated = []
    network.middle.register_forward_pre_hook(lambda _, inputs: gated.append(inputs[0]))
    network(clip, landmarks)
    landmarks[:, 1] = float("nan")
    network(clip, landmarks)
    same = [torch.allclose(gated[0][:, :, i], gated[1][:, :, i], atol=1e-6) for i in range(3)]
    assert same == [True, False, True]


def test_a_clip_network_sees_the_order_of_time():
    network = AddNet3d(frames=3, width_divisor=16).train()
    clip = torch.randn(4, 3, 3, 64, 64)
    assert not torch.allclose(network(clip), network(clip.flip(2)), atol=1e-3)


def test_landmarks_of_another_number_of_frames_are_refused():
    with pytest.raises(AssertionError, match="want landmarks"):
        AddNet2d(width_divisor=16)(torch.zeros(1, 3, 64, 64), FACE.repeat(1, 2, 1, 1))
