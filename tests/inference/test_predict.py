"""From any file to a verdict: every frame of every face is judged, and nothing is passed over.

The detector is a stand-in that reads the frame numbers painted into the faces.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from avkd.config.evaluation_config import PredictConfig
from avkd.data.crops.crop_store import CropStore
from avkd.data.faces import face_tracks
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.manifest import Manifest, Sample
from avkd.data.media.writing import write_video
from avkd.data.model_input import ModelInput
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.data.transforms import CHANNEL_MEAN, CHANNEL_STD
from avkd.inference import file_worker
from avkd.inference.file_predictor import FilePredictor
from avkd.inference.overlay import Overlay
from avkd.inference.verdict import Verdict
from avkd.models.calibration import Calibration
from avkd.models.decision import DecisionRule
from avkd.outcome import ModelRefused
from avkd.runtime import Runtime

RULE = DecisionRule(
    calibration=Calibration(kind="temperature"),
    threshold_logit=0.0,
    uncertain_half_width=0.1,
    source="made up",
)
SIZE = (180, 400)  # rows, columns: room for two faces


class NumberReader(nn.Module):
    """Notes the level of every frame it is shown; the logit is the mean level of the clip."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def forward(self, clip: Tensor) -> SimpleNamespace:
        assert clip.shape[1:] == (3, 25, 32, 32)
        assert not torch.is_grad_enabled()
        levels = clip[:, :, :, 12:20, 12:20].mean(dim=(3, 4))  # (B, 3, T)
        mean, std = (torch.tensor(v)[None, :, None] for v in (CHANNEL_MEAN, CHANNEL_STD))
        levels = 255 * (levels * std + mean).mean(dim=1)
        self.seen += list(levels.numpy())
        weights = levels / levels.sum(dim=1, keepdim=True)
        return SimpleNamespace(logit=(levels.mean(dim=1) - 128) / 64, importance=weights)


@pytest.fixture
def reader() -> NumberReader:
    return NumberReader()


@pytest.fixture
def judge(reader: NumberReader) -> Callable[..., Verdict]:
    def judge_one(path: Path, rule: DecisionRule = RULE, **settings) -> Verdict:
        predictor = FilePredictor(
            model=reader,
            rule=rule,
            input=ModelInput(image_size=32),
            fingerprint="stand-in",
            machine=Runtime(device=torch.device("cpu"), precision="fp32"),
        )
        return predictor.predict(path, **{"face_detector": "boxes", **settings})

    return judge_one


def left_level(frame: int) -> int:
    return 30 + 2 * frame


def right_level(frame: int) -> int:
    return 220 - frame


def write_faces(path: Path, frames: int, *, left: range, right: range = range(0)) -> None:
    """A grey face left and another right, each there (by the sidecar) in a range of frames."""
    images = []
    for number in range(frames):
        image = np.full((*SIZE, 3), 128, np.uint8)
        image[:, :200] = left_level(number)
        image[:, 200:] = right_level(number)
        images.append(image)
    write_video(path, images, crf=1)
    faces = []
    for x, there in ((10, left), (220, right)):
        points = (TEMPLATE + np.array([x, 10])).tolist()
        box = [x + 10, 20, x + 140, 160]
        faces += [{"frame": n, "box": box, "landmarks": points} for n in there]
    sidecar = {"frames_per_second": 25.0, "size": [SIZE[1], SIZE[0]], "faces": faces}
    face_tracks.face_sidecar_path(path).write_text(json.dumps(sidecar))


def codes(notes) -> list[str]:
    return [note.code for note in notes]


def assert_shown(seen: np.ndarray, levels: list[int]) -> None:
    np.testing.assert_allclose(seen, levels, atol=1.0)


# What is shown to the detector


def test_a_probability_that_was_never_calibrated_is_warned_of(judge, tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    write_faces(path, 30, left=range(30))
    assert "uncalibrated" not in codes(judge(path).warnings)
    bare = DecisionRule(threshold_logit=0.0, source="made up")
    assert "uncalibrated" in codes(judge(path, rule=bare).warnings)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_windows_show_every_frame_of_the_face_in_order(
    judge, reader: NumberReader, tmp_path: Path, batch_size: int
) -> None:
    path = tmp_path / "one.mp4"
    write_faces(path, 60, left=range(60))
    verdict = judge(path, batch_size=batch_size)
    assert [w.start_frame for w in verdict.windows] == [0, 25, 35]
    for seen, start in zip(reader.seen, (0, 25, 35), strict=True):
        assert_shown(seen, [left_level(n) for n in range(start, start + 25)])
    assert verdict.windows[2].start_seconds == 1.4 and verdict.windows[2].end_seconds == 2.4
    assert verdict.warnings == () and verdict.skipped == ()
    logits = [(seen.mean() - 128) / 64 for seen in reader.seen]
    assert [w.logit for w in verdict.windows] == pytest.approx(logits, abs=1e-4)
    assert verdict.tracks[0].logit == pytest.approx(np.mean(logits), abs=1e-4)
    assert verdict.probability == pytest.approx(RULE.probability(float(np.mean(logits))), abs=1e-4)
    assert verdict.decision == "real" and verdict.threshold_origin == "made up"


def test_two_faces_are_two_tracks_and_the_more_suspicious_one_decides(
    judge, reader: NumberReader, tmp_path: Path
) -> None:
    """The right face comes later and leaves earlier; each keeps its own frames and times."""
    path = tmp_path / "two.mp4"
    write_faces(path, 60, left=range(60), right=range(10, 50))
    verdict = judge(path)
    assert codes(verdict.warnings) == ["several_faces"]
    windows = {(w.track, w.start_frame): w for w in verdict.windows}
    tracks = {track.num_windows: track for track in verdict.tracks}
    left, right = tracks[3].track, tracks[2].track
    expected = [*((left, start) for start in (0, 25, 35)), (right, 10), (right, 25)]
    assert sorted(windows) == sorted(expected)
    for (track, start), window in windows.items():
        level = left_level if track == left else right_level
        levels = [level(n) for n in range(start, start + 25)]
        assert any(np.allclose(seen, levels, atol=1.0) for seen in reader.seen)
        assert window.logit == pytest.approx((np.mean(levels) - 128) / 64, abs=0.02)
    assert verdict.tracks[0].track == right and verdict.decision == "fake"
    assert verdict.probability == verdict.tracks[0].probability
    assert (verdict.tracks[0].start_seconds, verdict.tracks[0].end_seconds) == (0.4, 2.0)


def test_what_is_judged_is_what_a_prepared_corpus_holds(
    judge, reader: NumberReader, tmp_path: Path
) -> None:
    """Compression moves pixels; a detector trained on compressed crops must be shown such ones."""
    path = tmp_path / "noise.mp4"
    write_faces(path, 25, left=range(25))
    noise = np.random.default_rng(0).integers(0, 256, (25, *SIZE, 3), dtype=np.uint8)
    write_video(path, list(noise), crf=1)
    sample = Sample(
        sample_id="a/b", path="noise.mp4", kind="video", label=0, dataset="a", method="real"
    )
    out = tmp_path / "prepared"
    prepare(
        Manifest(root=tmp_path, samples=(sample,)),
        out,
        PrepareSettings(detector="boxes"),
        workers=1,
    )
    (prepared,) = Manifest.load(out / "manifest.jsonl").samples
    stored = CropStore(out).frames(prepared.path, 0, 25)
    shown: list[np.ndarray] = []
    plain = FilePredictor.preprocess
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            FilePredictor,
            "preprocess",
            lambda self, crops, points: shown.append(crops) or plain(self, crops, points),
        )
        judge(path)
    np.testing.assert_array_equal(shown[0][0], stored)


# Files with something to warn of


def test_a_file_shorter_than_a_window_is_judged_with_a_warning(
    judge, reader: NumberReader, tmp_path: Path
) -> None:
    path = tmp_path / "short.mp4"
    write_faces(path, 10, left=range(10))
    verdict = judge(path)
    assert verdict.decision != "cannot_tell" and codes(verdict.warnings) == ["short"]
    (window,) = verdict.windows
    assert (window.num_frames, window.num_repeated) == (10, 15)
    assert_shown(reader.seen[0], [left_level(min(n, 9)) for n in range(25)])


def test_a_face_seen_for_a_moment_is_told_but_not_judged(judge, tmp_path: Path) -> None:
    path = tmp_path / "moment.mp4"
    write_faces(path, 60, left=range(60), right=range(20, 30))
    verdict = judge(path)
    assert len(verdict.tracks) == 1 and codes(verdict.skipped) == ["face_too_brief"]


def test_a_face_in_a_small_part_of_the_file_is_told(judge, tmp_path: Path) -> None:
    path = tmp_path / "part.mp4"
    write_faces(path, 80, left=range(40, 70))
    verdict = judge(path)
    assert codes(verdict.warnings) == ["low_coverage"]
    assert [w.start_frame for w in verdict.windows] == [40, 45]


def test_a_limit_is_kept_and_told(judge, reader: NumberReader, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    write_faces(path, 80, left=range(80))
    verdict = judge(path, max_seconds=1.2)
    assert [w.start_frame for w in verdict.windows] == [0, 5]
    assert "stopped_by_limit" in codes(verdict.warnings)
    assert len(reader.seen) == 2


def test_a_damaged_file_is_judged_as_far_as_it_can_be_read(judge, tmp_path: Path) -> None:
    path = tmp_path / "whole.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), dtype=np.uint8)
    write_video(path, list(noise))
    damaged = tmp_path / "damaged.mp4"

    def judged(num_flips: int) -> Verdict:
        content = bytearray(path.read_bytes())
        rng = np.random.default_rng(0)
        first, last = content.index(b"mdat") + 200, content.index(b"moov")
        for position in rng.integers(first, last, num_flips):
            content[position] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(content)
        return judge(damaged, face_detector="none")

    assert "damaged" not in codes(judge(path, face_detector="none").warnings)
    scratched, wreck = judged(4), judged(60)
    assert scratched.decision != "cannot_tell" and "damaged" in codes(scratched.warnings)
    assert wreck.decision == "cannot_tell" and codes(wreck.skipped) == ["too_damaged"]


# Files about which nothing can be said


def no_face(path: Path) -> None:
    write_faces(path, 30, left=range(0))


def brief_face(path: Path) -> None:
    write_faces(path, 60, left=range(5))


def playlist(path: Path) -> None:
    """Media libraries would follow it to other files and into the network."""
    secret = path.with_name("secret.ts")
    secret.write_bytes(b"")
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def absent(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


def without_sidecar(path: Path) -> None:
    write_video(path, [np.zeros((64, 64, 3), np.uint8)] * 30)


def broken_sidecar(path: Path) -> None:
    without_sidecar(path)
    face_tracks.face_sidecar_path(path).write_text('{"faces": [')


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (no_face, "no_face"),
        (brief_face, "face_too_brief"),
        (playlist, None),
        (empty, "empty_file"),
        (absent, None),
        (folder, None),
        (without_sidecar, "bad_input"),
        (broken_sidecar, "bad_input"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_file_that_cannot_be_judged_says_so_and_why(
    judge, reader: NumberReader, tmp_path: Path, make, code: str | None
) -> None:
    path = tmp_path / "file.mp4"
    make(path)
    verdict = judge(path)
    assert verdict.decision == "cannot_tell" and verdict.probability is None
    assert verdict.summary_line().count(path.name) == 1 + (code == "bad_input")
    assert verdict.model_fingerprint == "stand-in"
    assert [note.message for note in verdict.skipped] == [verdict.reason]
    assert code is None or codes(verdict.skipped) == [code]
    assert reader.seen == [], "nothing was scored"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_windows_without_a_finite_score_are_told_and_not_judged(
    judge, reader: NumberReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    path = tmp_path / "one.mp4"
    write_faces(path, 60, left=range(60))
    for logits, kept in (([1.0, value, 2.0], [0, 35]), ([value] * 3, [])):
        out = SimpleNamespace(logit=torch.tensor(logits), importance=None)
        monkeypatch.setattr(reader, "forward", lambda clip, out=out: out)
        verdict = judge(path)
        assert [w.start_frame for w in verdict.windows] == kept
        assert codes(verdict.skipped) == ["logit_not_finite"]
        assert verdict.decision == ("fake" if kept else "cannot_tell")
        assert kept or "no number" in verdict.reason


@pytest.mark.parametrize("frames", [30, 20])  # two windows, and one filled up with its last frame
def test_every_frame_has_its_weight_and_copies_count_for_their_frame(
    judge, tmp_path: Path, frames: int
) -> None:
    path = tmp_path / "one.mp4"
    write_faces(path, frames, left=range(frames))
    verdict = judge(path)
    assert len(verdict.windows) == (2 if frames == 30 else 1)
    for window in verdict.windows:
        levels = [left_level(window.start_frame + k) for k in range(window.num_frames)]
        copies = [levels[-1]] * window.num_repeated
        expected = [level / sum(levels + copies) for level in levels]
        expected[-1] *= 1 + len(copies)
        np.testing.assert_allclose(window.importance, expected, atol=2e-3)
        assert sum(window.importance) == pytest.approx(1, abs=1e-4)
    stored = json.loads(verdict.to_json())["windows"][0]["importance"]
    assert stored == list(verdict.windows[0].importance)


def test_an_overlay_that_cannot_be_written_costs_no_verdict(judge, tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    write_faces(path, 30, left=range(30))
    (tmp_path / "file").write_text("no folder")
    for folder, noted in ((tmp_path / "out", []), (tmp_path / "file", ["no_overlay"])):
        overlay = Overlay(folder / "one.mp4.overlay.mp4", None, view_share=0.9)
        verdict = judge(path, overlay=overlay)
        assert codes(verdict.skipped) == noted and len(verdict.windows) == 2
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["one.mp4.overlay.mp4"]


# An image detector on videos


class FrameReader(nn.Module):
    """Notes level and landmarks of every single frame it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[float] = []
        self.landmarks: list[np.ndarray] = []

    def forward(self, clip: Tensor, landmarks: Tensor) -> SimpleNamespace:
        assert clip.shape[1:] == (3, 1, 32, 32) and landmarks.shape[1:] == (1, 5, 2)
        levels = clip[:, 0, 0, 12:20, 12:20].mean(dim=(1, 2)) * CHANNEL_STD[0] + CHANNEL_MEAN[0]
        self.levels += (255 * levels).tolist()
        self.landmarks += list(landmarks[:, 0].numpy())
        return SimpleNamespace(logit=levels, importance=None)


def test_an_image_detector_sees_frames_spread_over_every_face(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    write_faces(path, 60, left=range(60), right=range(20, 30))  # the right one is soon gone
    reader = FrameReader()
    seen = ModelInput(
        clip_frames=1,
        crop_pixels=300,
        view_share=0.875,
        image_size=32,
        windows_per_file=4,
        landmarks=True,
    )
    machine = Runtime(device=torch.device("cpu"), precision="fp32")
    predictor = FilePredictor(model=reader, rule=RULE, input=seen, fingerprint="x", machine=machine)
    verdict = predictor.predict(path, face_detector="boxes")
    assert [(w.track, w.start_frame, w.num_frames) for w in verdict.windows] == [
        *((0, frame, 1) for frame in (7, 22, 37, 52)),
        *((1, frame, 1) for frame in (21, 23, 26, 28)),
    ]
    expected = [left_level(f) for f in (7, 22, 37, 52)] + [right_level(f) for f in (21, 23, 26, 28)]
    np.testing.assert_allclose(sorted(reader.levels), sorted(expected), atol=1.5)
    # The template's points, of a 300-pixel crop seen through its middle 262 pixels.
    shares = (TEMPLATE * 2 - 19) / 262
    np.testing.assert_allclose(reader.landmarks, [shares] * 8, atol=0.01)
    assert codes(verdict.warnings) == ["several_faces"]


def test_a_video_model_says_of_a_picture_that_it_cannot_tell(judge, tmp_path: Path) -> None:
    path = tmp_path / "picture.PNG"
    Image.new("RGB", (8, 8)).save(path)
    verdict = judge(path)
    assert verdict.decision == "cannot_tell" and codes(verdict.skipped) == ["single_picture"]
    assert "avkd distill" in verdict.reason


# What leaves a file uncertain, and what is one face


def write_textured(path: Path, there: list[range], *, scale: float = 1.0) -> None:
    """One textured face that stands still, in some stretches of 70 frames."""
    coarse = np.random.default_rng(0).integers(0, 255, (9, 20, 3), dtype=np.uint8)
    write_video(path, [coarse.repeat(20, axis=0).repeat(20, axis=1)] * 70, crf=1)
    points = (TEMPLATE * scale + np.array([10, 10])).tolist()
    faces = [
        {"frame": n, "box": [20, 20, 150, 160], "landmarks": points} for part in there for n in part
    ]
    sidecar = {"frames_per_second": 25.0, "size": [SIZE[1], SIZE[0]], "faces": faces}
    face_tracks.face_sidecar_path(path).write_text(json.dumps(sidecar))


def test_two_shots_of_one_face_are_one_face(judge, tmp_path: Path) -> None:
    path = tmp_path / "shots.mp4"
    write_textured(path, [range(26), range(40, 70)])
    verdict = judge(path)
    assert len(verdict.tracks) == 1
    assert verdict.tracks[0].num_windows == len(verdict.windows) == 4
    assert "joined_shots" in codes(verdict.warnings)
    assert "several_faces" not in codes(verdict.warnings)


@pytest.mark.parametrize(("pixels", "is_tiny"), [(15.0, True), (17.0, False)])
def test_a_tiny_face_is_uncertain_whatever_its_score(
    judge, tmp_path: Path, pixels: float, is_tiny: bool
) -> None:
    path = tmp_path / "tiny.mp4"
    between = float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))
    write_textured(path, [range(70)], scale=pixels / between)
    verdict = judge(path)
    assert ("tiny_face" in codes(verdict.warnings)) == is_tiny
    assert not is_tiny or (verdict.decision == "uncertain" and "tiny" in verdict.reason)


def test_hdr_is_uncertain(judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain.mp4"
    write_textured(path, [range(70)])
    assert "hdr" not in codes(judge(path).warnings)
    monkeypatch.setattr("avkd.data.media.video._HDR_TRANSFERS", range(20))  # every transfer
    verdict = judge(path)
    assert verdict.decision == "uncertain" and "hdr" in codes(verdict.warnings)


def test_a_worker_hands_on_how_faces_are_to_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And tries the detector before any file is judged."""
    given: dict[str, object] = {}

    def judge(file: Path, **settings: object) -> Verdict:
        given.update(settings)
        return Verdict(
            file=str(file),
            decision="cannot_tell",
            reason="made up",
            skipped=(),
            model_fingerprint="m",
        )

    predictor = SimpleNamespace(face_detector="mtcnn", predict=judge, show=judge)
    monkeypatch.setattr(file_worker, "_predictor", lambda config: predictor)
    network = tmp_path / "yunet.onnx"
    config = PredictConfig(
        files=(tmp_path / "a.mp4",), detector="yunet", detector_file=network, min_face=0.2
    )
    file_worker.work(config, config.files[0])
    names = ("face_detector", "detector_file", "min_face")
    assert [given[name] for name in names] == ["yunet", network, 0.2]
    with pytest.raises(ModelRefused, match=r"yunet\.onnx: cannot be read"):
        file_worker.work(config, None)
