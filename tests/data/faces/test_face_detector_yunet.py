"""YuNet's outputs become faces in pixels of the picture.

The published file cannot be had here: a made-up one with its inputs and outputs stands in for it,
whose outputs are constants, but for the score: the bluer the picture's first pixel, the surer.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import avkd
from avkd import cli
from avkd.config.data_config import PrepareConfig
from avkd.config.evaluation_config import PredictConfig, ServeConfig
from avkd.data.faces import face_detector_yunet, face_tracks, track_extraction
from avkd.data.faces.face_detector_yunet import YunetDetector
from avkd.data.manifest import Sample
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile
from avkd.data.prepare_file import PrepareJob, PrepareSettings, prepare_file
from avkd.outcome import ExitCode, ModelRefused

ONE = (416, 640)  # such a picture fills the network's square with its copy: a pixel is a pixel
COPY_TOP = 416 + 16
POINTS = np.array([[-0.5, -0.5], [0.5, -0.4], [0.0, 0.1], [-0.4, 0.6], [0.4, 0.7]])
Face = tuple[int, float, float, float, float]
"""Stride, middle x and y, side and score, in pixels of the network's square."""


def blue(height: int, width: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 2] = 255
    return picture


def outputs(*faces: Face) -> dict[str, np.ndarray]:
    found = {}
    for stride in (8, 16, 32):
        cells = (640 // stride) ** 2
        found |= {f"cls_{stride}": np.zeros((1, cells, 1)), f"obj_{stride}": np.ones((1, cells, 1))}
        found |= {f"{n}_{stride}": np.zeros((1, cells, k)) for n, k in (("bbox", 4), ("kps", 10))}
    for stride, x, y, side, score in faces:
        column, row = int(x // stride), int(y // stride)
        cell = row * (640 // stride) + column
        found[f"cls_{stride}"][0, cell] = score**2
        place = np.array([x / stride - column, y / stride - row])
        found[f"bbox_{stride}"][0, cell] = [*place, *[np.log(side / stride)] * 2]
        found[f"kps_{stride}"][0, cell] = (place + POINTS * side / 2 / stride).ravel()
    return {name: values.astype(np.float32) for name, values in found.items()}


def write_network(path: Path, *faces: Face) -> Path:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    given = outputs(*faces)
    weights = {"scale": np.array(1 / 255, np.float32)}
    weights |= {name: np.array(values) for name, values in (("start", [0, 0, 0]), ("end", [1] * 3))}
    weights |= {"axes": np.array([1, 2, 3])} | {f"{name}_made": a for name, a in given.items()}
    nodes = [
        helper.make_node("Slice", ["input", "start", "end", "axes"], ["first"]),
        helper.make_node("Mul", ["first", "scale"], ["share"]),
        helper.make_node("Squeeze", ["share", "axes"], ["surely"]),
    ]
    for name in given:
        is_score = name.startswith("obj")
        kind, inputs = ("Mul", ["surely"]) if is_score else ("Identity", [])
        nodes.append(helper.make_node(kind, [f"{name}_made", *inputs], [name]))
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in given.items()],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a stand-in and has it taken for the published file."""

    def write(*faces: Face) -> Path:
        path = write_network(tmp_path / "yunet.onnx", *faces)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(face_detector_yunet, "SHA256", digest)
        return path

    track_extraction.load_detector.cache_clear()
    yield write
    track_extraction.load_detector.cache_clear()


def test_a_face_is_where_its_cell_and_its_offsets_say(network) -> None:
    faces = [(8, 101.0, 203.0, 30.0, 0.93), (16, 300.0, 60.0, 80.0, 0.97)]
    faces += [(32, 480.0, 300.0, 200.0, 0.95)]
    found = YunetDetector(network(*faces), min_face_fraction=0.03)(blue(*ONE))
    for (_, x, y, side, score), box, confidence, five in zip(
        sorted(faces, key=lambda face: -face[4]),
        found.boxes,
        found.scores,
        found.landmarks,
        strict=True,
    ):
        half = side / 2
        np.testing.assert_allclose(box, [x - half, y - half, x + half, y + half], atol=1e-2)
        assert confidence == pytest.approx(score, abs=1e-4)
        np.testing.assert_allclose(five, np.array([x, y]) + POINTS * half, atol=1e-2)


def test_a_large_face_is_found_in_the_half_size_copy(network) -> None:
    file = network((32, 160.0, COPY_TOP + 100.0, 180.0, 0.9))
    found = YunetDetector(file)(blue(*ONE))
    np.testing.assert_allclose(found.boxes, [[140, 20, 500, 380]], atol=0.1)
    np.testing.assert_allclose(found.landmarks[0], [320, 200] + POINTS * 180, atol=0.1)
    upright = YunetDetector(network((32, COPY_TOP + 100.0, 160.0, 180.0, 0.9)))(blue(*ONE[::-1]))
    np.testing.assert_allclose(upright.boxes, [[20, 140, 380, 500]], atol=0.1)


def test_pixels_are_those_of_the_picture_and_colours_those_of_the_network(network) -> None:
    detector = YunetDetector(network((16, 320.0, 80.0, 64.0, 0.9)))
    wide = blue(320, 1280)  # shown at half its size
    found = detector(wide)
    np.testing.assert_allclose(found.boxes, [[576, 96, 704, 224]], atol=0.1)
    assert len(detector(wide[..., ::-1])) == 0  # red: the network wants blue first


def test_one_face_in_two_cells_or_copies_is_one_and_what_is_unsure_is_none(network) -> None:
    twice = [(8, 101.0, 203.0, 60.0, 0.93), (16, 105.0, 205.0, 60.0, 0.96)]
    copy = (8, 51.0, COPY_TOP + 102.0, 30.0, 0.8)
    found = YunetDetector(network(*twice, copy, (8, 400.0, 300.0, 60.0, 0.69)))(blue(*ONE))
    assert found.scores == pytest.approx([0.96], abs=1e-4)
    assert found.boxes[0, 0] == pytest.approx(75, abs=0.1)
    beside = [(8, 101.0, 203.0, 60.0, 0.93), (8, 141.0, 203.0, 60.0, 0.92)]
    assert len(YunetDetector(network(*beside))(blue(*ONE))) == 2


def test_faces_smaller_than_asked_for_are_left_out(network) -> None:
    file = network((8, 101.0, 203.0, 30.0, 0.93), (16, 300.0, 60.0, 60.0, 0.97))
    assert len(YunetDetector(file, min_face_fraction=0.1)(blue(*ONE))) == 1
    assert len(YunetDetector(file, min_face_fraction=0.2)(blue(*ONE))) == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 3), (25, 31), (900, 901)])
def test_pictures_of_any_size_may_be_empty(network, size: tuple[int, int]) -> None:
    found = YunetDetector(network((8, 101.0, 203.0, 30.0, 0.93)))(np.zeros((*size, 3), np.uint8))
    shapes = (found.boxes.shape, found.scores.shape, found.landmarks.shape)
    assert shapes == ((0, 4), (0,), (0, 5, 2))


def test_a_sideways_picture_has_its_face_where_it_lies(network, tmp_path: Path) -> None:
    """Its first pixel is blue, and the network sure, only where it is turned to the left."""
    height, width = ONE[::-1]
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:30, -30:] = (0, 0, 255)
    Image.fromarray(picture).save(tmp_path / "sideways.png")
    file = network((16, 300.0, 160.0, 80.0, 0.85))
    source = SourceFile(tmp_path / "sideways.png", "image")
    plan = track_extraction.plan_tracks(source, detector="yunet", detector_file=file)
    turned = np.array([300.0, 160.0]) + POINTS * 40
    expected = np.stack([width - turned[:, 1], turned[:, 0]], axis=1)
    (track,) = plan.tracks
    np.testing.assert_allclose(track.landmarks[0], expected, atol=0.1)


@pytest.mark.parametrize(("score", "is_found"), [(0.75, True), (0.65, False)])
def test_the_scores_of_yunet_are_not_held_against_those_of_mtcnn(
    network, tmp_path: Path, score: float, is_found: bool
) -> None:
    Image.fromarray(blue(*ONE)).save(tmp_path / "a.png")
    source = SourceFile(tmp_path / "a.png", "image")
    given = {"detector": "yunet", "detector_file": network((16, 300.0, 160.0, 80.0, score))}
    if is_found:
        (track,) = track_extraction.plan_tracks(source, **given).tracks
        assert track.score == pytest.approx(score, abs=1e-4)
        assert score < face_tracks.MIN_TRACK_SCORE
    else:
        with pytest.raises(MediaError, match="no face"):
            track_extraction.plan_tracks(source, **given)


def test_prepare_stores_the_faces_and_names_the_detector(network, tmp_path: Path) -> None:
    Image.fromarray(blue(*ONE)).save(tmp_path / "a.png")
    sample = Sample(
        sample_id="a", path="a.png", kind="image", label=0, dataset="d", method="real", split="test"
    )
    settings = PrepareSettings(detector="yunet")
    job = PrepareJob(
        sample=sample,
        source=tmp_path / "a.png",
        work=tmp_path / "work",
        settings=settings,
        detector_file=network((16, 300.0, 160.0, 80.0, 0.9)),
    )
    done = prepare_file(job)
    assert done.row["status"] == "ok", done.row["message"]
    assert len(done.tracks) == 1 and settings.fingerprint != PrepareSettings().fingerprint


@pytest.mark.parametrize("kind", ["other", "damaged", "large", "folder", "none"])
def test_any_other_file_is_refused_in_one_sentence(
    network, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "face_detection_yunet_2023mar.onnx"
    if kind == "other":
        write_network(file)
    elif kind == "damaged":
        content = bytearray(network((8, 101.0, 203.0, 30.0, 0.93)).read_bytes())
        content[5000] ^= 1
        file.write_bytes(content)
    elif kind == "large":
        with file.open("wb") as written:
            written.truncate(1 << 40)  # read as a whole it would not fit in memory
    elif kind == "folder":
        file.mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "fake").mkdir()
    for name in ("real/a.png", "fake/b.png"):
        Image.fromarray(blue(*ONE)).save(tmp_path / name)
    command = ["prepare", "--layout", "real_fake_images", "--source", str(tmp_path)]
    command += ["--options.val_fraction", "0", "--options.test_fraction", "0"]
    command += ["--out", str(tmp_path / "out"), "--detector", "yunet", "--detector_file", str(file)]
    assert cli.main(command) == ExitCode.MODEL_REFUSED
    (line,) = [line for line in capsys.readouterr().err.splitlines() if str(file) in line]
    assert "cannot be read" in line if kind == "none" else "not YuNet as published" in line


def test_without_onnxruntime_the_cure_is_said(network, monkeypatch: pytest.MonkeyPatch) -> None:
    file = network()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'avkd\[yunet\]'"):
        YunetDetector(file)


@pytest.mark.parametrize("given", [{"detector": "yunet"}, {"detector_file": Path("y.onnx")}])
def test_detector_and_file_go_together(given: dict, tmp_path: Path) -> None:
    out = {"source": tmp_path, "out": tmp_path, "layout": "real_fake"}
    for config, needed in (
        (PredictConfig, {"files": (Path("a.mp4"),)}),
        (PrepareConfig, out),
        (ServeConfig, {}),
    ):
        config(**needed)
        with pytest.raises(ValueError, match="go together"):
            config(**needed, **given)
    name, file = given.get("detector", "mtcnn"), given.get("detector_file")
    with pytest.raises(ValueError, match="belongs to detector yunet"):
        track_extraction.load_detector(name, file=file)


def test_a_refused_file_is_no_verdict(tmp_path: Path) -> None:
    predictor = avkd.load_model("starter-fast", threads=1)
    Image.fromarray(blue(*ONE)).save(tmp_path / "a.png")
    with pytest.raises(ModelRefused, match=r"none\.onnx: cannot be read"):
        predictor.predict(
            tmp_path / "a.png", face_detector="yunet", detector_file=tmp_path / "none.onnx"
        )
