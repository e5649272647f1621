"""Faces through time: linking, gaps, smoothing; and the detector on real faces."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avkd.data.faces import face_detector_mtcnn, face_tracks, mtcnn_weights, track_extraction
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.faces.face_tracks import Faces
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


@dataclass
class Numbered:
    """A frame that only carries its number."""

    image: np.ndarray


def stream(count: int) -> list[Numbered]:
    return [Numbered(np.full((4, 4, 3), number, np.uint8)) for number in range(count)]


class Scripted:
    """A detector that knows where the faces are: frame number -> left edges."""

    def __init__(self, where: dict[int, list[float]], score: float = 0.99) -> None:
        self.where, self.score, self.asked = where, score, []

    def __call__(self, image: np.ndarray) -> Faces:
        number = int(image[0, 0, 0])
        self.asked.append(number)
        lefts = self.where.get(number, [])
        boxes = np.array([[x, 10, x + 60, 80] for x in lefts], float).reshape(-1, 4)
        points = np.array([TEMPLATE / 2 + [x, 10] for x in lefts]).reshape(-1, 5, 2)
        count = len(lefts)
        return Faces(boxes, np.full(count, self.score), points)


def test_a_steady_face_becomes_one_track_over_all_frames() -> None:
    detector = Scripted({number: [2.0 * number] for number in range(33)})
    tracks = face_tracks.find_tracks(stream(33), detector, detect_every_frames=5)
    assert detector.asked == [0, 5, 10, 15, 20, 25, 30, 32]
    (track,) = tracks
    assert (track.start_frame, len(track)) == (0, 33)
    # Between detections positions are exact for steady motion, smoothing included.
    np.testing.assert_allclose(track.landmarks[:, 0, 0], TEMPLATE[0, 0] / 2 + 2.0 * np.arange(33))


@pytest.mark.parametrize(("missing", "pieces"), [(9, 1), (10, 1), (11, 2)])
def test_gaps_up_to_ten_frames_are_filled_and_longer_ones_split(missing: int, pieces: int) -> None:
    seen = [n for n in range(60) if not 20 <= n < 20 + missing]
    detector = Scripted({number: [5.0] for number in seen})
    tracks = face_tracks.find_tracks(stream(60), detector, detect_every_frames=1)
    assert len(tracks) == pieces
    frames = sorted(track.start_frame + n for track in tracks for n in range(len(track)))
    assert frames == (list(range(60)) if pieces == 1 else seen)


def test_two_faces_are_two_tracks_and_the_longer_comes_first() -> None:
    where = {n: [10.0, 200.0] if n >= 20 else [200.0] for n in range(50)}
    tracks = face_tracks.find_tracks(stream(50), Scripted(where), detect_every_frames=5)
    assert [len(track) for track in tracks] == [50, 30]
    assert tracks[0].boxes[0, 0] == 200 and tracks[1].boxes[0, 0] == 10


def test_a_jump_across_the_picture_is_another_face() -> None:
    where = {n: [10.0] if n < 25 else [200.0] for n in range(50)}
    tracks = face_tracks.find_tracks(stream(50), Scripted(where), detect_every_frames=5)
    assert len(tracks) == 2


def test_unsure_tracks_are_left_out() -> None:
    """A nape that looks like a face scores 0.85 for seconds."""
    detector = Scripted({n: [10.0] for n in range(50)}, score=0.85)
    assert face_tracks.find_tracks(stream(50), detector) == []


def test_no_frames_and_no_faces_give_no_tracks() -> None:
    assert face_tracks.find_tracks([], Scripted({})) == []
    assert face_tracks.find_tracks(stream(7), Scripted({})) == []


def test_smoothing_steadies_jitter_and_keeps_steady_motion() -> None:
    rng = np.random.default_rng(0)
    line = TEMPLATE + np.arange(80)[:, None, None] * [1.0, 0.5]
    np.testing.assert_allclose(face_tracks.smooth_landmarks(line), line)
    noisy = line + rng.normal(0, 1, line.shape)
    error = face_tracks.smooth_landmarks(noisy) - line
    assert error[6:-6].std() < 0.5


def test_a_sidecar_gives_back_what_was_written(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    boxes = np.tile([10.0, 10, 70, 80], (30, 1))
    landmarks = np.repeat(TEMPLATE[None], 30, axis=0)
    face_tracks.write_face_sidecar(video, boxes, landmarks, (200, 100))
    (track,) = face_tracks.tracks_from_faces(face_tracks.read_face_sidecar(video))
    assert len(track) == 30
    np.testing.assert_allclose(track.landmarks, landmarks, atol=0.01)
    with pytest.raises(ValueError, match=r"b\.mp4\.faces\.json.*missing"):
        face_tracks.read_face_sidecar(tmp_path / "b.mp4")
    (tmp_path / "b.mp4.faces.json").write_text('{"faces": [{}], "frames_per_second": 25.0}')
    with pytest.raises(ValueError, match="not a face sidecar"):
        face_tracks.read_face_sidecar(tmp_path / "b.mp4")


def test_weights_are_read_without_unpickling_and_only_if_they_are_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A swapped file must be refused before a byte of it is interpreted."""
    path = tmp_path / "pnet.lz4"
    path.write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    pytest.importorskip("lz4.frame", reason="needs avkd[face]")
    monkeypatch.setattr(mtcnn_weights, "_weights_file", lambda name: path)
    with pytest.raises(ValueError, match="not the published weights"):
        mtcnn_weights.read_weights("pnet", [1])


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"avkd\[face\]"):
        face_detector_mtcnn.MtcnnDetector()


@pytest.fixture(scope="module")
def detector() -> face_detector_mtcnn.MtcnnDetector:
    pytest.importorskip("lz4.frame", reason="needs avkd[face]")
    if not (SHARED / "photos").is_dir():
        pytest.skip("needs the real pictures in ../shared/data/photos")
    return face_detector_mtcnn.MtcnnDetector()


def read(name: str) -> np.ndarray:
    return np.array(Image.open(SHARED / "photos" / name).convert("RGB"))


def test_mtcnn_finds_the_astronaut_and_her_landmarks(
    detector: face_detector_mtcnn.MtcnnDetector,
) -> None:
    found = detector(read("astronaut.png"))
    landmarks = found.landmarks
    assert len(found) == 1 and found.scores[0] > 0.95
    by_eye = np.array([[202, 103], [245, 104], [231, 125], [200, 142], [248, 143]])
    assert np.abs(landmarks[0] - by_eye).max() < 9
    # Twice the size, the same face at twice the place.
    large = np.array(Image.fromarray(read("astronaut.png")).resize((1024, 1024)))
    twice = detector(large).landmarks
    assert len(twice) == 1 and np.abs(twice[0] / 2 - landmarks[0]).max() < 4


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "brick.png", "grass.png"])
def test_mtcnn_sees_no_face_where_none_is(
    detector: face_detector_mtcnn.MtcnnDetector, name: str
) -> None:
    assert (detector(read(name)).scores < face_tracks.MIN_TRACK_SCORE).all()


def test_mtcnn_finds_the_physicists_of_1927(detector: face_detector_mtcnn.MtcnnDetector) -> None:
    small = face_detector_mtcnn.MtcnnDetector(min_face_fraction=0.03)
    assert 26 <= len(small(read("solvay1927_29faces.jpg"))) <= 30


def test_small_faces_of_a_single_picture_are_found_too(
    detector: face_detector_mtcnn.MtcnnDetector,
) -> None:
    """Faces below a tenth of the picture are searched where nothing larger is."""
    crowd = SourceFile(SHARED / "photos" / "solvay1927_29faces.jpg", "image")
    plan = track_extraction.plan_tracks(crowd, crop_pixels=64)
    assert len(plan.tracks) >= 20 and plan.num_frames == 1
    shorter_side = min(crowd.sizes[0])
    assert plan.smallest_face_pixels == pytest.approx(max(20, 0.03 * shorter_side))
    with pytest.raises(MediaError, match="no face"):
        track_extraction.plan_tracks(SourceFile(SHARED / "photos" / "coffee.png", "image"))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_in_a_turned_picture_is_where_it_is_in_the_upright_one(
    detector: face_detector_mtcnn.MtcnnDetector, quarters: int
) -> None:
    upright = read("astronaut.png")[:400]  # not square
    expected = detector(upright)
    found = face_tracks.turned(detector, quarters)(np.rot90(upright, -quarters).copy())
    height, width = upright.shape[:2]
    across, down = expected.landmarks[0].T
    there = {
        1: (height - down, across),
        2: (width - across, height - down),
        3: (down, width - across),
    }[quarters]
    np.testing.assert_allclose(found.landmarks[0], np.stack(there, axis=1), atol=1e-3)
    left, top, right, bottom = found.boxes[0]
    assert left < right and top < bottom
    assert ((found.landmarks[0] > (left, top)) & (found.landmarks[0] < (right, bottom))).all()


def test_a_sideways_photograph_is_judged_upright(
    detector: face_detector_mtcnn.MtcnnDetector, tmp_path: Path
) -> None:
    path = tmp_path / "sideways.png"
    Image.fromarray(np.rot90(read("astronaut.png"), 1)).save(path)
    plan = track_extraction.plan_tracks(SourceFile(path, "image"), crop_pixels=64)
    upright = SourceFile(SHARED / "photos" / "astronaut.png", "image")
    expected = track_extraction.plan_tracks(upright, crop_pixels=64)

    def crop(plan: track_extraction.FilePlan, source: SourceFile) -> np.ndarray:
        (_, _, pixels), *_ = track_extraction.cut_crops(source.frames(), plan.tracks)
        return pixels.astype(float)

    difference = crop(plan, SourceFile(path, "image")) - crop(expected, upright)
    assert np.abs(difference).mean() < 1


@pytest.mark.parametrize("size", [(2, 2), (12, 500), (500, 13), (25, 31)])
def test_mtcnn_survives_odd_picture_sizes(
    detector: face_detector_mtcnn.MtcnnDetector, size: tuple[int, int]
) -> None:
    found = detector(np.zeros((*size, 3), np.uint8))
    shapes = (found.boxes.shape, found.scores.shape, found.landmarks.shape)
    assert shapes == ((0, 4), (0,), (0, 5, 2))


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"faces": 1}', '{"faces": [{"frame": 1e400}]}']
)
def test_a_hostile_sidecar_is_one_sentence(tmp_path: Path, content: str) -> None:
    face_tracks.face_sidecar_path(tmp_path / "a.mp4").write_text(content)
    with pytest.raises(ValueError, match=r"a\.mp4\.faces\.json: not a face sidecar"):
        face_tracks.read_face_sidecar(tmp_path / "a.mp4")


def test_a_sidecar_that_is_a_pipe_or_too_large_is_not_read(tmp_path: Path) -> None:
    sidecar = face_tracks.face_sidecar_path(tmp_path / "a.mp4")
    os.mkfifo(sidecar)
    with pytest.raises(ValueError, match="not a regular file"):
        face_tracks.read_face_sidecar(tmp_path / "a.mp4")
    sidecar.unlink()
    with sidecar.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(ValueError, match="larger than 64 MB"):
        face_tracks.read_face_sidecar(tmp_path / "a.mp4")
