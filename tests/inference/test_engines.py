"""One file, one verdict, whatever computes the network; and the steps that took the time."""

import json
from pathlib import Path

import numpy as np
import pytest

import avkd
from avkd import cli
from avkd.data.media.writing import write_video
from avkd.data.stopwatch import Stopwatch
from avkd.outcome import ExitCode

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "noise.mp4"
    levels = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 3)).astype(np.uint8)
    write_video(path, [image.repeat(16, axis=0).repeat(16, axis=1) for image in levels])
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "fast.onnx"
    assert cli.main(["export", "--model", "starter-fast", "--out", str(path)]) == 0
    return path


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_the_verdict_is_that_of_torch(exported: Path, clip: Path, engine) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    before = avkd.load_model("starter-fast", device="cpu").predict(clip, face_detector="none")
    model = avkd.load_model(exported, engine=engine)
    with Stopwatch() as watch:
        after = model.predict(clip, face_detector="none")
    assert len(before.windows) == 6
    found = [window.logit for window in after.windows]
    assert found == pytest.approx([window.logit for window in before.windows], abs=1e-3)
    assert after.decision == before.decision and after.threshold == before.threshold
    assert after.warnings == before.warnings  # also that a starter judged
    assert after.model_fingerprint != before.model_fingerprint
    assert set(watch.seconds) == {"decoding", "colours", "alignment", "network", "rest"}
    assert min(watch.seconds.values()) > 0


def test_a_confined_worker_runs_it(exported: Path, clip: Path, capsys) -> None:
    """Neither the engine's threads nor its memory are in the way of the sandbox."""
    flags = ["--engine", "onnx", "--detector", "none", "--json", "true"]
    assert cli.main(["predict", str(clip), "--model", str(exported), *flags]) == ExitCode.DONE
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["decision"] in ("real", "uncertain", "fake") and len(verdict["windows"]) == 6


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--model", "BROKEN"], ExitCode.MODEL_REFUSED, "does not match its own SHA-256"),
        (["--engine", "onnx"], ExitCode.USER_MISTAKE, "make one with `avkd export --model starter"),
    ],
)
def test_what_no_engine_runs_is_said(
    exported: Path, clip: Path, tmp_path: Path, capfd, flags, code, message: str
) -> None:
    broken = tmp_path / "broken.onnx"
    content = bytearray(exported.read_bytes())
    content[1000] ^= 1
    broken.write_bytes(content)
    flags = [str(broken) if flag == "BROKEN" else flag for flag in flags]
    assert cli.main(["predict", str(clip), *flags]) == code
    assert message in capfd.readouterr().err
