"""The second opinion: on each face by itself, second by second, and only where there is sound.

Bright pictures belong to loud sound; the network that judges sees and hears nothing else.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from einops import reduce
from torch import Tensor, nn

from avkd.data import audio_features
from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.faces import face_tracks
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.media.writing import write_video
from avkd.data.model_input import ModelInput
from avkd.inference.agreement import StageOne
from avkd.inference.file_predictor import FilePredictor
from avkd.inference.verdict import Verdict
from avkd.models.build import build_cross_modal_network
from avkd.models.decision import DecisionRule
from avkd.models.model_file import ModelFileError, save_model
from avkd.runtime import Runtime

FRAMES = 150
LEFT, RIGHT = (np.random.default_rng(seed).integers(0, 2, FRAMES) for seed in (0, 1))
MACHINE = Runtime(device=torch.device("cpu"), precision="fp32")


class Brightness(nn.Module):
    """Predicts loud where it is bright, and bright where it is loud."""

    def forward(self, clip: Tensor, _: Tensor, mel: Tensor, __: Tensor) -> Any:
        seen = reduce(clip, "b c t h w -> b t 1", "mean").sign()
        loudness = reduce(mel, "b 1 (t four) m -> b t 1", "mean", four=4)
        heard = (loudness - loudness.mean(dim=1, keepdim=True)).sign()
        return SimpleNamespace(
            video_prediction=seen, audio_prediction=heard, video_target=seen, audio_target=heard
        )


class Half(nn.Module):
    """A detector that says nothing."""

    def forward(self, clip: Tensor) -> Any:
        return SimpleNamespace(logit=torch.zeros(len(clip)), importance=None)


def write_clip(path: Path, *, with_sound: bool = True, right_from: int = 0) -> Path:
    """Sound that follows the left face and then, in the last two seconds, the opposite of it."""
    pictures = np.full((FRAMES, 180, 400, 3), 128, np.uint8)
    pictures[:, :, :200] = (30 + 190 * LEFT)[:, None, None, None]
    pictures[:, :, 200:] = (30 + 190 * RIGHT)[:, None, None, None]
    loud = np.where(np.arange(FRAMES) < 100, LEFT, 1 - LEFT)
    level = np.repeat(0.02 + 0.4 * loud, SAMPLES_PER_FRAME)
    sound = level * np.random.default_rng(2).uniform(-1, 1, len(level))
    write_video(path, list(pictures), crf=1, waveform=sound if with_sound else None)
    faces = []
    for x, first in ((10, 0), (220, right_from)):
        points = (TEMPLATE + np.array([x, 10])).tolist()
        box = [x + 10, 20, x + 140, 160]
        faces += [{"frame": n, "box": box, "landmarks": points} for n in range(first, FRAMES)]
    sidecar = {"frames_per_second": 25.0, "size": [400, 180], "faces": faces}
    face_tracks.face_sidecar_path(path).write_text(json.dumps(sidecar))
    return path


def judged(path: Path, **settings: object) -> Verdict:
    network: Any = Brightness()
    # Stage one was trained on smaller crops than the detector: each sees the face as it is used to.
    stage_one = StageOne(network, ModelInput(image_size=16, crop_pixels=100), MACHINE, "stage-one")
    predictor = FilePredictor(
        model=Half(),
        rule=DecisionRule(threshold_logit=1.0, source="made up"),
        input=ModelInput(image_size=32),
        fingerprint="stand-in",
        machine=MACHINE,
        stage_one=stage_one,
    )
    return predictor.predict(path, face_detector="boxes", **settings)


def test_the_face_that_speaks_agrees_until_its_sound_is_another(tmp_path: Path) -> None:
    verdict = judged(write_clip(tmp_path / "two.mp4", right_from=50))
    assert verdict.decision == "real" and verdict.agreement_model == "stage-one"
    left, right = (dict(opinion.disagreement) for opinion in verdict.agreement)
    assert [opinion.track for opinion in verdict.agreement] == [0, 1]
    assert list(left) == list(range(6)) and list(right) == list(range(2, 6))
    assert all(left[second] < -0.6 for second in (0, 1, 2)) and left[5] > 0.3
    assert all(abs(value) < 0.5 for value in right.values())
    stored = json.loads(verdict.to_json())["agreement"][0]
    assert stored["disagreement"][5] == [5, left[5]] and stored["reason"] == ""


def test_a_silent_film_has_no_second_opinion_and_says_so(tmp_path: Path) -> None:
    verdict = judged(write_clip(tmp_path / "mute.mp4", with_sound=False))
    assert [(o.disagreement, o.reason) for o in verdict.agreement] == [
        ((), "the file has no sound")
    ] * 2
    assert "face 1, picture against sound" in verdict.to_text()
    brief = judged(write_clip(tmp_path / "brief.mp4"), max_seconds=1.0)
    assert "frames between leading and trailing silence" in brief.agreement[0].reason


def test_a_file_that_is_no_stage_one_or_of_other_faces_is_refused(tmp_path: Path) -> None:
    arguments = {
        "video": {"name": "cnn3d_gru", "image_size": 32, "width": 4, "reduced": 8, "hidden": 16},
        "audio": {"name": "resnet18", "width": 8},
        "projection_dim": 16,
        "predictor_dim": 32,
    }
    seen = ModelInput(image_size=32)
    save_model(
        tmp_path / "model.safetensors",
        build_cross_modal_network(**arguments),
        kind="cross_modal",
        arguments=arguments,
        preprocessing={**seen.describe(), **audio_features.preprocessing()},
        provenance={},
    )
    path = tmp_path / "model.safetensors"
    loaded = StageOne.load(path, MACHINE, beside=seen)
    assert loaded.input == seen and len(loaded.fingerprint) == 16
    with pytest.raises(ModelFileError, match="faces 'aligned', the detector at 'whole'"):
        StageOne.load(path, MACHINE, beside=ModelInput(image_size=32, faces="whole"))
    with pytest.raises(ModelFileError, match="stage one is needed"):
        StageOne.load(Path("starter-fast"), MACHINE, beside=seen)
