"""Broken files by the hundred: every one has its row, none ends or hangs a worker, twice alike."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from factories import write_image_model
from PIL import Image

from avkd.config.evaluation_config import PredictConfig
from avkd.inference.judging import judged_files, judges, model_facts
from avkd.models.calibration import Calibration
from avkd.models.decision import DecisionRule

CONTAINERS = {
    "a.mp4": ("mp4", "libx264"),
    "b.mkv": ("matroska", "libx264"),
    "c.avi": ("avi", "mpeg4"),
    "d.ts": ("mpegts", "mpeg2video"),
    "e.webm": ("webm", "libvpx"),
}
PICTURES = {"f.jpg": "JPEG", "g.png": "PNG", "h.webp": "WEBP", "i.gif": "GIF", "j.tiff": "TIFF"}
RULE = DecisionRule(calibration=Calibration(kind="platt"), threshold_logit=0.0, source="val")


def originals(folder: Path) -> dict[str, bytes]:
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 255, (30, 6, 6, 3), dtype=np.uint8)
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)
    for name, (container, codec) in CONTAINERS.items():
        with av.open(str(folder / name), "w", format=container) as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
            stream.thread_count = 1
            for number, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(picture))
            output.mux(stream.encode(None))
    for name, kind in PICTURES.items():
        Image.fromarray(frames[0]).save(folder / name, kind)
    return {name: (folder / name).read_bytes() for name in (*CONTAINERS, *PICTURES)}


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    """One way of breaking a file: flipped, cut, zeroed, doubled, exchanged, or with a lie in it."""
    data = bytearray(content)
    first, last = sorted(draw.integers(0, len(data), 2).tolist())
    match draw.integers(0, 7):
        case 0:
            for place in draw.integers(0, len(data), 1 + len(data) // 500):
                data[place] ^= 1 << int(draw.integers(0, 8))
        case 1:
            del data[last:]
        case 2:
            data[first : min(last, first + 400)] = bytes(min(last, first + 400) - first)
        case 3:
            data[first:first] = data[first : min(last, first + 2000)]
        case 4:
            del data[first : min(last, first + 300)]
        case 5:  # in the header, where sizes and rates are
            place = int(draw.integers(0, min(200, len(data) - 4)))
            data[place : place + 4] = draw.choice(
                [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)]
            )
        case _:
            data[first:last] = draw.bytes(last - first)
    return bytes(data)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """As many windows as the starter's, of a network that costs nothing: files are in question."""
    return write_image_model(tmp_path / "model.safetensors", decision=RULE, windows_per_file=16)


def classes_of(folder: Path, model: Path) -> dict[str, str]:
    """What `avkd predict` says of every file: its decision, or the code of its reason."""
    config = PredictConfig(
        files=(folder,),
        model=model,
        detector="none",
        device="cpu",
        threads=1,
        max_minutes=0.5,
        max_gigabytes=1.0,
    )
    files = sorted(folder.iterdir())
    found = {}
    with judges(config, 2) as workers:
        facts = model_facts(config, workers)
        for path, file in judged_files(config, workers, files, facts, some_worked=True):
            verdict = file.verdict
            warned = " ".join(n.code for n in verdict.warnings if n.code != "starter_model")
            code = verdict.skipped[0].code if verdict.skipped else ""
            found[path.name] = code if verdict.decision == "cannot_tell" else f"judged {warned}"
    return found


@pytest.mark.parametrize("number", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_every_mutant_has_its_row_and_the_same_one_twice(
    tmp_path: Path, model: Path, number: int
) -> None:
    (tmp_path / "originals").mkdir()
    (tmp_path / "mutants").mkdir()
    whole = originals(tmp_path / "originals")
    healthy = classes_of(tmp_path / "originals", model)
    assert set(healthy.values()) == {"judged "}, healthy
    names = list(whole)
    for index in range(number):
        name = names[index % len(names)]
        content = mutated(whole[name], np.random.default_rng([index, 1]))
        (tmp_path / "mutants" / f"{index:04}_{name}").write_bytes(content)
    once = classes_of(tmp_path / "mutants", model)
    assert len(once) == number
    counts = Counter(once.values())
    assert not counts.keys() & {"crashed", "timeout", "internal_error"}, counts
    assert classes_of(tmp_path / "mutants", model) == once
    # Both sorts are there, or the mutants would prove nothing.
    assert counts["judged "] and len(counts) >= 5, counts


def test_a_video_that_lost_its_second_half_says_so(tmp_path: Path, model: Path) -> None:
    (tmp_path / "originals").mkdir()
    (tmp_path / "cut").mkdir()
    for name, content in originals(tmp_path / "originals").items():
        if name in ("b.mkv", "c.avi"):
            (tmp_path / "cut" / name).write_bytes(content[: int(0.55 * len(content))])
    assert all("damaged" in told for told in classes_of(tmp_path / "cut", model).values())
