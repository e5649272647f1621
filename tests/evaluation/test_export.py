"""`avkd export`: what does not judge as the original does is not written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from factories import write_grey_corpus, write_image_model
from torch.nn import functional

from avkd import cli
from avkd.config.evaluation_config import ExportConfig
from avkd.data.model_input import ModelInput
from avkd.evaluation import export as verb
from avkd.evaluation.export import export
from avkd.models import onnx_file
from avkd.models.build import build_detector
from avkd.models.decision import DecisionRule
from avkd.models.efficientnet_lite import _Conv
from avkd.models.model_file import load_detector, save_model
from avkd.outcome import Bug, ExitCode

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

VIDEO = {"name": "cnn3d_gru", "width": 4, "reduced": 4, "hidden": 8, "heads": 2, "image_size": 16}
RULE = DecisionRule(threshold_logit=0.0, source="validation")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grey_corpus(tmp_path_factory.mktemp("corpus"), "grey")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_image_model(tmp_path / "model.safetensors", decision=RULE)


def config_of(model: Path, **settings: object) -> ExportConfig:
    return ExportConfig(model=model, out=model.with_name("new") / "model.onnx", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [None, 2])
def test_a_video_detector_keeps_its_logits_and_its_attention(tmp_path: Path, batch) -> None:
    torch.manual_seed(0)
    path, arguments = tmp_path / "model.safetensors", {"video": VIDEO, "pool": "attn"}
    network = build_detector(**arguments).eval()
    save_model(
        path,
        network,
        kind="detector",
        arguments=arguments,
        preprocessing=ModelInput(image_size=16).describe(),
        provenance={},
        decision=RULE,
    )
    config = config_of(path, batch=batch)
    assert export(config).exit_code == ExitCode.DONE
    exported, header = load_detector(config.out)
    assert header.provenance["export"]["batch"] == batch
    clip = torch.randn(3, 3, 25, 16, 16)
    with torch.no_grad():
        for found, expected in zip(exported(clip), network(clip), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_eight_bits_are_measured_and_written_down(model: Path, corpus: Path) -> None:
    config = config_of(model, precision="int8", data=(corpus,), max_auc_loss=0.5)
    text = export(config).text
    facts = load_detector(config.out).header.provenance["export"]
    assert facts["files"] == 36 and facts["datasets"] == ["grey"]
    assert facts["auc_loss"] == facts["auc_fp32"] - facts["auc_int8"]
    assert 0 < facts["mean_logit_drift"] <= facts["max_logit_drift"] < facts["logit_deviation"]
    assert 0 <= facts["fp32_max_logit_difference"] < 1e-3
    assert "on 36 validation files of grey" in text
    operators = {node.op_type for node in onnx.load(config.out).graph.node}
    assert "QuantizeLinear" in operators


def test_margins_of_zeros_are_run_within_the_convolution_and_others_are_not(
    model: Path, tmp_path: Path
) -> None:
    class Padded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.halving = _Conv(3, 4, 3, stride=2)
            self.plain = torch.nn.Conv2d(3, 4, 3, padding=(1, 0))
            self.twice = torch.nn.Conv2d(3, 4, 3)

        def forward(self, clip: torch.Tensor) -> tuple[torch.Tensor, ...]:
            image, pad = clip[:, :, 0], functional.pad
            shared = pad(image, (1, 1, 1, 1))
            maps = [
                *(self.halving(image), self.plain(pad(image, (0, 2, 1, 0)))),
                *(self.twice(shared) + shared.mean(), self.twice(pad(image, (1, 2), value=0.5))),
                *(self.twice(pad(image, (2, 1, 1, 3), mode="reflect")),),
            ]
            values = torch.cat([m.flatten(1) for m in maps], dim=1)
            return values.mean(dim=1), values[:, None]

    torch.manual_seed(0)
    network = Padded().eval()
    header = load_detector(model).header
    body = verb._as_onnx(network, header, config_of(model))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(body, options)
    nodes = [node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node]
    assert nodes.count("Conv") == 5 and nodes.count("Pad") == 3
    (clip,) = onnx_file.made_up_views(header.preprocessing, 2)
    found = onnx_file.run_of(body)([clip.numpy()])[1]
    np.testing.assert_allclose(found, network(clip)[1].detach().numpy(), atol=1e-5)


def test_too_large_a_loss_is_refused_unless_it_is_allowed(
    model: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight bits that take the bright pictures, which are the fakes, for the real ones."""

    class Turned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trained = trained

        def forward(self, clip: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return -clip.mean(dim=(1, 2, 3, 4)), self.trained(clip).features

    trained, header = load_detector(model)
    turned = verb._as_onnx(Turned(), header, config_of(model))
    monkeypatch.setattr(verb, "_quantised", lambda body, clips: turned)
    config = config_of(model, precision="int8", data=(corpus,))
    with pytest.raises(ValueError, match=r"more than the 0\.003 allowed.*--max_auc_loss"):
        export(config)
    assert list(model.parent.rglob("*.onnx*")) == []
    assert export(config_of(model, precision="int8", data=(corpus,), max_auc_loss=1.0)).text


def test_other_logits_in_fp32_are_a_bug_and_leave_nothing(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "MAX_LOGIT_DIFFERENCE", -1.0)
    with pytest.raises(Bug, match="nothing was written"):
        export(config_of(model))
    assert list(model.parent.rglob("*.onnx*")) == []


def test_a_network_that_onnx_cannot_say_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Strange(torch.nn.Module):
        def forward(self, clip: torch.Tensor) -> tuple[torch.Tensor, ...]:
            value = torch.special.bessel_j0(clip.mean(dim=(1, 2, 3, 4)))
            return value, value[:, None, None]

    header = load_detector(model).header
    with pytest.raises(ValueError, match="cannot be exported to ONNX"):
        verb._as_onnx(Strange(), header, config_of(model))


def test_files_of_one_class_have_no_auc(model: Path, tmp_path: Path) -> None:
    reals = write_grey_corpus(tmp_path, "reals", only_real=True)
    with pytest.raises(ValueError, match="one class only"):
        export(config_of(model, precision="int8", data=(reals,)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "int8"], "at least one prepared corpus"),
        (["--out", "model.pt"], "an ONNX file ends in .onnx"),
        (["--model", "model.onnx"], "give the model.safetensors that it was made from"),
    ],
)
def test_mistakes_are_said_at_once(arguments: list[str], message: str, capsys) -> None:
    given = ["export", "--model", "starter", "--out", "model.onnx", *arguments]
    assert cli.main(given) == ExitCode.USER_MISTAKE
    assert message in capsys.readouterr().err
