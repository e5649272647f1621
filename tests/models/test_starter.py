"""The models that ship: there, small, described by their card, found by name."""

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from avkd.config.evaluation_config import PredictConfig
from avkd.data.faces import face_tracks
from avkd.inference.predict import predict
from avkd.models import starter
from avkd.models.model_file import load_detector, read_header

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_BYTES = {"starter": 8_000_000, "starter-fast": 1_000_000}


@pytest.mark.parametrize("name", starter.STARTERS)
def test_a_starter_loads_by_name_is_small_and_has_a_rule(name):
    path = starter.STARTERS[name]
    assert path.stat().st_size <= MOST_BYTES[name]
    model, header = load_detector(Path(name))
    assert header.decision is not None and "called fake" in header.decision.source
    size = header.arguments["image_size"]
    logits = model(torch.zeros(2, 3, 1, size, size)).logit
    assert logits.shape == (2,) and bool(torch.isfinite(logits).all())


@pytest.mark.parametrize("name", starter.STARTERS)
def test_the_card_speaks_of_these_very_weights(name):
    card = starter.CARD.read_text(encoding="utf-8")
    section = card.split(f"## {name}\n")[1].split("\n## ")[0]
    (digest,) = re.findall(r"SHA-256 `([0-9a-f]{64})`", section)
    assert hashlib.sha256(starter.STARTERS[name].read_bytes()).hexdigest() == digest
    threshold = read_header(Path(name)).decision.threshold
    assert f"P(fake) {threshold:.3f}" in section


def test_tools_were_not_trained_on():
    for name in starter.STARTERS:
        methods = set(read_header(Path(name)).provenance["training_methods"])
        assert methods <= {"real", "sfhq_stylegan", "sfhq_t2i"}


def test_a_file_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert starter.is_starter(Path("starter"))
    (tmp_path / "starter").touch()
    assert not starter.is_starter(Path("starter"))
    assert starter.resolved(Path("starter")) == Path("starter")


def test_a_model_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(FileNotFoundError, match=r"other.safetensors: no such .*: starter, star"):
        starter.resolved(Path("other.safetensors"))
    with pytest.raises(FileNotFoundError, match="did you mean 'starter-fast'"):
        starter.resolved(Path("starter_fast"))


def test_pip_installs_models_and_card(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--wheel-dir", str(tmp_path), str(REPOSITORY)]
    subprocess.run(command, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = [*starter.STARTERS.values(), starter.CARD]
    assert {f"avkd/models/starter/{path.name}" for path in shipped} <= names


def test_predict_without_a_model_uses_the_starter_and_says_so_everywhere(tmp_path, capsys):
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    picture = tmp_path / "portrait.jpg"
    picture.write_bytes(portrait.read_bytes())
    size = Image.open(picture).size
    points = np.array([[[222.0, 193], [308, 189], [267, 241], [234, 280], [307, 276]]])
    boxes = np.array([[185.0, 110, 345, 330]])
    face_tracks.write_face_sidecar(picture, boxes, points, size)
    table = tmp_path / "verdicts.csv"
    predict(PredictConfig(files=(picture,), detector="boxes", out=table))
    told = capsys.readouterr().out
    assert "ships with avkd" in told and "avkd/models/starter/card.md" in told
    assert "starter_model" in table.read_text()
    predict(PredictConfig(files=(picture,), detector="boxes", json=True))
    assert '"code": "starter_model"' in capsys.readouterr().out
