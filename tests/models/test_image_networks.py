"""One contract that every image network keeps, and the sizes that were published for them."""

import pytest
import torch
from torch import Tensor, nn

from avkd.models.build import build_image_detector
from avkd.models.cost import multiply_accumulates, num_parameters
from avkd.models.image_detector import ImageDetector
from avkd.models.model_file import ModelFileError, load_model, read_header, save_model
from avkd.models.registry import NETWORKS, TIMM_NAMES

SIZE = 48
BATCH = 3
SMALL = {
    "resnet8": {"widths": [4, 6, 8]},
    "resnet8_full": {"widths": [4, 6, 8]},
    "resnet8_published": {"widths": [4, 6, 8], "blocks": 2},
    "resnet8_fast": {"widths": [4, 6, 8, 10]},
    "small_cnn": {"widths": [4, 6, 8, 10]},
    "addnet2d": {"width_divisor": 16},
    "addnet2d as drawn": {"width_divisor": 16, "middle_pool": True},
    "addnet3d": {"width_divisor": 16, "frames": 3},
    "timm/test_resnet": {"head_dim": 6, "head_dropout": 0.3},
    "timm/test_vit": {},
    "timm/swin_tiny_patch4_window7_224": {},  # channels last, and tables that are not saved
}
PLAIN = [name for name in SMALL if not name.startswith("timm/swin")]
every_network = pytest.mark.parametrize("case", SMALL)
every_small_network = pytest.mark.parametrize("case", PLAIN)


def arguments(case: str) -> dict:
    return {"name": case.split(" ")[0], "image_size": SIZE, **SMALL[case]}


def built(case: str) -> ImageDetector:
    torch.manual_seed(0)
    detector = build_image_detector(**arguments(case))
    with torch.no_grad():  # timm begins with norms of zero, which hide the layers before them
        for parameter in detector.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return detector


def pictures(detector: ImageDetector, *, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    clip = torch.randn(batch, 3, detector.frames, SIZE, SIZE, generator=generator)
    points = torch.tensor([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    return clip, points.repeat(batch, detector.frames, 1, 1)


def test_every_image_network_is_under_contract():
    ours = {name for name, network in NETWORKS.items() if network.kind == "image"}
    assert ours == {c.split(" ")[0] for c in SMALL if not c.startswith("timm/")}


@every_network
def test_features_pooled_features_and_logits_have_the_promised_shape(case):
    detector = built(case).eval()
    network = detector.network
    clip, landmarks = pictures(detector)
    image = clip if network.frames > 1 else clip[:, :, 0]
    inputs = (image, landmarks) if network.uses_landmarks else (image,)
    features = network.forward_features(*inputs)
    width = features.shape[2] if features.ndim == 3 else features.shape[1]
    assert features.shape[0] == BATCH and width == network.num_features
    pooled, logit = network.pool(features), network.forward_head(features)
    assert pooled.shape[:2] == (BATCH, network.frames) and logit.shape == (BATCH,)
    assert bool(logit.isfinite().all())
    assert torch.equal(network(*inputs), logit)
    output = detector(clip, landmarks)
    assert output.logit.shape == (BATCH,) and output.features.shape == pooled.shape


@every_network
def test_every_parameter_gets_a_gradient(case):
    detector = built(case).train()
    clip, landmarks = pictures(detector, batch=8)
    (detector(clip, landmarks).logit * torch.randn(8)).sum().backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@every_network
def test_evaluation_is_deterministic_and_independent_of_the_rest_of_the_batch(case):
    detector = built(case).eval()
    clip, landmarks = pictures(detector)
    logit = detector(clip, landmarks).logit
    assert torch.equal(detector(clip, landmarks).logit, logit)
    alone = detector(clip[:1], landmarks[:1]).logit
    torch.testing.assert_close(alone, logit[:1], atol=1e-4, rtol=1e-4)
    assert logit.unique().numel() == BATCH


@every_network
def test_a_saved_network_comes_back_bit_for_bit(case, tmp_path):
    """Tables that timm computes and never saves were once memory of chance after loading."""
    detector = built(case).train()
    clip, landmarks = pictures(detector)
    detector(clip, landmarks)  # running statistics that are not the initial ones
    detector.eval()
    path = tmp_path / "model.safetensors"
    notes = {"preprocessing": {"image_size": SIZE}, "provenance": {}}
    save_model(path, detector, kind="image_detector", arguments=arguments(case), **notes)
    loaded = load_model(path, kind="image_detector").model
    assert torch.equal(loaded(clip, landmarks).logit, detector(clip, landmarks).logit)
    assert read_header(path).arguments == arguments(case)


@every_small_network
def test_the_groups_of_depth_hold_each_parameter_but_the_heads_once(case):
    network = built(case).network
    grouped = [id(p) for group in network.depth_groups() for p in group]
    head = {id(p) for p in network.head.parameters()}
    assert len(grouped) == len(set(grouped)) and not head & set(grouped)
    assert {*grouped, *head} == {id(p) for p in network.parameters()}
    assert all(network.depth_groups())


@every_small_network
def test_half_precision_stays_near_full_precision(case):
    detector = built(case).eval()
    clip, landmarks = pictures(detector)
    expected = detector(clip, landmarks)
    with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
        output = detector(clip, landmarks)
    assert output.logit.dtype == torch.float32 and output.features.dtype == torch.float32
    distance = (output.features - expected.features).norm() / expected.features.norm()
    assert float(distance.detach()) < 0.1


PARAMETERS = {
    "resnet8": 145_839,  # protocols 3c
    "resnet8_full": 145_839,
    "resnet8_published": 174_673,
    "resnet8_fast": 137_769,
    # torchvision's and timm's counts at 1000 classes, less the classifier, plus one logit.
    "vgg19": 143_667_240 - 4097 * 1000 + 4097,
    "resnet50": 25_557_032 - 2049 * 1000 + 2049,
    "resnet152": 60_192_808 - 2049 * 1000 + 2049,
    "resnext50": 25_028_904 - 2049 * 1000 + 2049,
    "resnext101": 88_791_336 - 2049 * 1000 + 2049,
    "efficientnet_b7": 66_347_960 - 2561 * 1000 + 2561,
    "efficientnet_lite0": 4_652_008 - 1281 * 1000 + 1281,
    "xception": 22_855_952 - 2049 * 1000 + 2049,
    "vit": 86_567_656 - 769 * 1000 + 769,
    "convnextv2": 88_717_800 - 1025 * 1000 + 1025,
}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items(), ids=PARAMETERS.keys())
def test_networks_have_the_published_number_of_parameters(name, count):
    with torch.device("meta"):
        detector = build_image_detector(name=name, image_size=224)
    assert num_parameters(detector) == count


def test_every_short_name_of_timm_is_counted():
    assert set(TIMM_NAMES) <= set(PARAMETERS)


def test_the_students_keep_the_budget_and_do_ever_less_work():
    with torch.device("meta"):
        image = torch.zeros(1, 3, 224, 224)
        names = ("resnet8_full", "resnet8", "resnet8_fast")
        networks = [build_image_detector(name=name, image_size=224).network for name in names]
        assert [num_parameters(network) <= 145_839 for network in networks] == [True] * 3
        full, early, fast = (multiply_accumulates(network, image) for network in networks)
        assert early * 14 < full and fast * 1.8 < early


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "resnet9"}, "no image network 'resnet9'; did you mean .*resnet8"),
        ({"name": "vgg16"}, "did you mean vgg19"),
        ({"name": "timm/resnet51"}, "timm has no network .*did you mean timm/resnet"),
        ({"name": "timm/hf-hub:timm/resnet18"}, "timm has no network"),
        ({"name": "timm/local-dir:/tmp"}, "timm has no network"),
        ({"name": "timm/resnet18.nothing"}, "timm cannot build"),
        ({"name": ["resnet8"]}, "name must be a word"),
        ({"image_size": 10**6}, "image_size must be a whole number"),
        ({"image_size": "224"}, "image_size must be a whole number"),
        ({"widths": [22, 44, 10**9]}, "widths must be 1 to 8 whole numbers"),
        ({"widths": []}, "widths must be 1 to 8 whole numbers"),
        ({"widths": [4] * 9}, "widths must be 1 to 8 whole numbers"),
        ({"blocks": 8192}, "blocks 8192 must be from 1 to 16"),
        ({"stem_stride": 3}, "stem_stride 3 must be 1, 2 or 4"),
        ({"stem_pool": 1}, "stem_pool must be true or false"),
        ({"head_dim": 5}, "'resnet8' has no option 'head_dim'"),
        ({"pretrained": True}, "'resnet8' has no option 'pretrained'"),
        ({"options": {}}, "'resnet8' has no option 'options'"),
        ({"name": "resnet50", "pretrained": True}, "'resnet50' has no option 'pretrained'"),
        ({"name": "resnet50", "checkpoint_path": "x"}, "has no option 'checkpoint_path'"),
        ({"name": "resnet50", "head_dim": 0}, "head_dim must be a whole number"),
        ({"name": "resnet50", "head_dropout": 1.5}, "dropout"),
        ({"name": "addnet2d", "width_divisor": 64}, "width_divisor 64 must be from 1 to 32"),
        ({"name": "addnet3d", "frames": 1}, "frames 1 must be at least 2"),
        ({"name": "small_cnn", "dropout": -1.0}, "dropout"),
        (
            {"name": "timm/beit_base_patch16_224", "image_size": 2048},
            "takes too much memory at 2048 pixels",
        ),
    ],
)
def test_wrong_arguments_are_named_with_the_cure(changes, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build_image_detector(**{"name": "resnet8", "image_size": 64, **changes})


def test_a_hostile_header_fetches_nothing(tmp_path, monkeypatch):
    """A model file names its network; whatever it says, no weight may come from elsewhere."""
    import huggingface_hub

    def refuse(*_, **__):
        raise AssertionError("a model file reached for the net")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    detector = built("timm/test_resnet")
    path = tmp_path / "model.safetensors"
    for changes in (
        {"name": "timm/hf-hub:timm/test_resnet.r160_in1k"},
        {"pretrained": True},
        {"pretrained_cfg": {"file": "/etc/passwd"}},
        {"weights": "hub"},
    ):
        with pytest.raises(ModelFileError, match="build no network"):
            save_model(
                path,
                detector,
                kind="image_detector",
                arguments={**arguments("timm/test_resnet"), **changes},
                preprocessing={},
                provenance={},
            )
    assert not path.exists()


@pytest.mark.parametrize(("name", "first"), [("resnet8", 2), ("resnet8_full", 1)])
def test_a_projection_stands_where_the_shape_changes_and_nowhere_else(name, first):
    network = build_image_detector(name=name).network
    projections = [n for n, m in network.named_modules() if n.endswith("shortcut.0")]
    assert projections == ["stages.1.0.shortcut.0", "stages.2.0.shortcut.0"]
    strides = [m.stride[0] for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert strides == [first, 1, 1, 2, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("case", ["resnet8", "addnet2d", "addnet3d"])
def test_no_convolution_of_one_pixel_strides(case):
    """With few channels, channels last, its backward pass writes past its memory (oneDNN 6035)."""
    for part in built(case).modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d) and set(part.kernel_size) == {1}:
            assert set(part.stride) == {1}


def test_channels_last_pictures_train_to_the_same_gradients():
    detector = build_image_detector(name="resnet8", image_size=64, widths=[12, 24, 48])
    clip = torch.randn(4, 3, 1, 64, 64)
    gradients = []
    for pictures_seen in (clip, clip.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)):
        detector.zero_grad()
        detector(pictures_seen).logit.square().sum().backward()
        gradients.append([p.grad.clone() for p in detector.parameters()])
    for plain, last in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, last, atol=1e-3, rtol=1e-2)
