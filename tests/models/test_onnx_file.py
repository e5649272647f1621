"""A file of `avkd export` answers as the model it was made from; any other ONNX file is refused."""

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avkd import cli
from avkd.models import onnx_file
from avkd.models.build import build_image_detector
from avkd.models.decision import DecisionRule
from avkd.models.model_file import (
    ModelFileError,
    load_detector,
    load_model,
    read_header,
    save_model,
)

onnx = pytest.importorskip("onnx")

MODEL = {"name": "resnet8", "image_size": 32, "widths": [4, 4, 4]}
RULE = DecisionRule(threshold_logit=0.2, source="validation")
END = len(onnx_file._DIGEST_ENTRY) + onnx_file._DIGEST_CHARACTERS


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(
        path,
        build_image_detector(**MODEL),
        kind="image_detector",
        arguments=MODEL,
        preprocessing={
            **{"clip_frames": 1, "crop_pixels": 36, "view_share": 32 / 36, "image_size": 32},
            **{"windows_per_file": 1, "landmarks": False, "faces": "whole"},
            **{"channel_mean": [0.485, 0.456, 0.406], "channel_std": [0.229, 0.224, 0.225]},
        },
        provenance={"seed": 7},
        decision=RULE,
    )
    return path


@pytest.fixture(scope="module")
def exported(original: Path) -> bytes:
    out = original.with_name("model.onnx")
    assert cli.main(["export", "--model", str(original), "--out", str(out)]) == 0
    return out.read_bytes()


@pytest.fixture
def file(tmp_path: Path, exported: bytes) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(exported)
    return path


def signed(content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest().encode()
    return content + onnx_file._DIGEST_ENTRY + digest


def altered(exported: bytes, edit: Callable[[Any], object]) -> bytes:
    """Changed and signed again, as a malicious writer would."""
    message = onnx.ModelProto()
    message.ParseFromString(exported[:-END])
    edit(message)
    return signed(message.SerializeToString())


def test_it_is_an_onnx_file_that_others_can_read(exported: bytes) -> None:
    message = onnx.load_model_from_string(exported)
    onnx.checker.check_model(message)
    assert [entry.key for entry in message.metadata_props] == ["avkd", "avkd_sha256"]


@pytest.mark.parametrize("engine", ["auto", "onnx", "openvino"])
@pytest.mark.parametrize("count", [1, 3])
def test_every_engine_answers_as_torch(file: Path, original: Path, engine, count) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    model, header = load_detector(file, engine)
    before, said = load_model(original, kind="image_detector")
    assert header.decision == said.decision and header.preprocessing == said.preprocessing
    assert header.provenance["export"]["exported_from"] == said.sha256
    assert header.sha256 != said.sha256 and read_header(file) == header
    clip = torch.randn(count, 3, 1, 32, 32)
    with torch.no_grad():
        expected, found = before(clip), model(clip)
    torch.testing.assert_close(found.logit, expected.logit, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.features, expected.features, atol=1e-4, rtol=0)
    assert found.importance is None


def test_a_file_for_three_clips_at_once_judges_any_number() -> None:
    """The last batch is filled up, and what was filled in is not answered."""

    def run(given: list[np.ndarray]) -> list[np.ndarray]:
        (clip,) = given
        assert len(clip) == 3
        return [clip.mean(axis=(1, 2, 3, 4)), clip[:, 0, :, :, 0]]

    model = onnx_file.OnnxDetector(run, batch=3)
    for count in (1, 3, 7):
        clip = torch.randn(count, 3, 1, 4, 4)
        torch.testing.assert_close(model(clip).logit, clip.mean(dim=(1, 2, 3, 4)))


def test_the_engine_must_fit_the_file(file: Path, original: Path) -> None:
    with pytest.raises(ValueError, match=r"onnx runs ONNX files only.*avkd export --model"):
        load_detector(original, "onnx")
    with pytest.raises(ValueError, match="not run by torch"):
        load_detector(file, "torch")


def keep_outside(message: Any) -> None:
    weights = message.graph.initializer[0]
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.ClearField("raw_data")
    weights.external_data.add(key="location", value="/etc/passwd")


def keep_outside_in_an_attribute(message: Any) -> None:
    node = message.graph.node.add(op_type="Constant", output=["secret"])
    tensor = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
    tensor.external_data.add(key="location", value="../weights.bin")


def loop(message: Any) -> None:
    node = message.graph.node.add(op_type="Loop", input=["", ""], output=["never"])
    node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "again"


def foreign(message: Any) -> None:
    message.graph.node.add(op_type="EPContext", domain="com.microsoft", output=["x"])


def without_domain(message: Any) -> None:
    message.graph.node.add(op_type="RunThis", input=["clip"], output=["x"])


def many_at_once(message: Any) -> None:
    message.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 10**9


def header(edit: Callable[[str], str]) -> Callable[[Any], object]:
    def change(message: Any) -> None:
        entry = next(e for e in message.metadata_props if e.key == "avkd")
        entry.value = edit(entry.value)

    return change


HOSTILE: list[tuple[Callable[[Any], object], str]] = [
    (keep_outside, "weights in another file, which is never opened"),
    (keep_outside_in_an_attribute, "weights in another file"),
    (loop, "a network within the network"),
    (foreign, "'EPContext' of 'com.microsoft' is not ONNX's own"),
    (without_domain, "onnx cannot run it"),
    (lambda m: m.functions.add(name="f", domain="d"), "functions of its own"),
    (lambda m: m.graph.ClearField("node"), "onnx cannot run it"),
    (lambda m: m.graph.ClearField("input"), "onnx cannot run it"),
    (many_at_once, "1000000000 clips at once"),
    (lambda m: m.graph.output.reverse(), "does not fit its header"),
    (lambda m: m.ClearField("metadata_props"), "no 'avkd' metadata"),
    (header(lambda text: "[]"), "no 'avkd' metadata"),
    (header(lambda text: text[:-1]), "damaged"),
    (header(lambda text: "[" * 100_000), "damaged"),
    (header(lambda text: text.replace('"image_detector"', '"cross_modal"')), "'cross_modal' model"),
    (header(lambda text: text.replace('"image_size": 32', '"image_size": 64')), "does not fit"),
    (header(lambda text: text.replace('"image_size": 32', '"image_size": 1000000')), "1000000"),
    (header(lambda text: text.replace('"clip_frames": 1', '"clip_frames": "1"')), "'1'"),
    (header(lambda text: text.replace('"clip_frames": 1', '"clip_frames": 2')), "does not fit"),
    (header(lambda text: text.replace('"threshold_logit": 0.2', '"threshold_logit": "x"')), "rule"),
]


@pytest.mark.parametrize(("edit", "message"), HOSTILE)
def test_a_hostile_file_is_refused(file: Path, exported: bytes, edit, message: str) -> None:
    file.write_bytes(altered(exported, edit))
    with pytest.raises(ModelFileError, match=message) as caught:
        load_detector(file)
    assert str(file) in str(caught.value) and len(str(caught.value)) < 1000


def test_every_flipped_bit_and_every_cut_is_noticed(file: Path, exported: bytes) -> None:
    source = random.Random(0)
    places = [source.randrange(8 * len(exported)) for _ in range(150)]
    places += [8 * (len(exported) - 1 - back) for back in range(END + 20)]  # and the digest itself
    for place in places:
        content = bytearray(exported)
        content[place // 8] ^= 1 << place % 8
        file.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"SHA-256|cut off"):
            read_header(file)
    for length in (0, 1, END - 1, END, len(exported) // 2, len(exported) - 1):
        file.write_bytes(exported[:length])
        with pytest.raises(ModelFileError, match="cut off"):
            read_header(file)


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, exported: bytes) -> None:
    path = tmp_path / "model.onnx"
    for content in (exported[:-END], b"PK\x03\x04" + bytes(200), b"\x80\x02" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="not a file of avkd export"):
            load_detector(path)
    path.write_bytes(signed(b"\xff" * 1000))
    with pytest.raises(ModelFileError, match="not ONNX"):
        load_detector(path)
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(ModelFileError, match="at most"):
        load_detector(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelFileError, match="not a regular file"):
        load_detector(path)
