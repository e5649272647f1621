"""The overlay: what was judged, drawn where it is; it harms no file and costs no verdict."""

from pathlib import Path

import numpy as np
import pytest

from avkd.data.faces.track_extraction import TrackPlan
from avkd.data.media import drawing
from avkd.data.media.drawing import FaceMark
from avkd.data.media.frame import Frame
from avkd.data.media.source_file import SourceFile
from avkd.data.media.video import iter_frames
from avkd.data.media.writing import write_video
from avkd.inference import overlay as overlay_file
from avkd.inference.overlay import Overlay
from avkd.inference.predict import _check_overlays
from avkd.inference.verdict import WindowScore

GREY = np.full((120, 200, 3), 90, np.uint8)
SQUARE = np.array([[20.0, 20.0], [80.0, 20.0], [80.0, 80.0], [20.0, 80.0]])


def window(start: int, probability: float, face: int = 0) -> WindowScore:
    return WindowScore(
        track=face,
        start_frame=start,
        num_frames=25,
        start_seconds=start / 25,
        end_seconds=(start + 25) / 25,
        logit=0.0,
        probability=probability,
    )


def is_like(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(pixels.astype(int) - colour).max(axis=-1) < 60


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((200, 121), (200, 120)),
        ((3840, 2160), (1280, 720)),
        ((720, 1280), (404, 720)),
        ((9, 9), (64, 64)),
    ],
)
def test_frames_are_brought_to_an_even_size(size, fitted) -> None:
    assert drawing.fitted_size(*size) == fitted


def test_a_face_has_its_frame_its_heat_and_its_place_on_the_time_line() -> None:
    heat = np.zeros((4, 4), np.uint8)
    heat[:2, 2:] = 255  # the upper right quarter
    mark = FaceMark(SQUARE, "face 0", (255, 0, 0), heat, SQUARE)
    line = [(0.0, 0.0), (1.0, 1.0)]
    # Drawn at twice the size of the frame.
    frame = Frame.of_image(0, 0.0, GREY)
    picture = drawing.drawn(frame, (400, 240), [mark], [((0, 0, 255), line)], 0.5)
    assert picture.shape == (288, 400, 3)
    assert is_like(picture[100, 40], (255, 0, 0)) and is_like(picture[160, 100], (255, 0, 0))
    hot = is_like(picture[:240], (189, 156, 36))
    assert hot[60, 140] and hot[90, 110] and not hot[60, 60] and not hot[140, 140]
    assert (picture[200, 300] == 90).all()
    strip = picture[240:]
    assert (strip[10, 199:201] == 255).any() and is_like(strip[3:9, -8:], (0, 0, 255)).any()
    assert (
        is_like(strip[-9:, :8], (0, 0, 255)).any() and not is_like(strip[:9, :8], (0, 0, 255)).any()
    )


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    write_video(tmp_path / "in.mp4", [GREY] * 50, crf=1)
    found = SourceFile(tmp_path / "in.mp4", "video")
    assert sum(1 for _ in found.frames()) == 50
    return found


def tracks() -> list[TrackPlan]:
    """A face of 60 pixels at the same place in all 50 frames; crops of 30 pixels."""
    transform = np.array([[0.5, 0.0, -10.0], [0.0, 0.5, -10.0]])
    return [TrackPlan(0, np.full((50, 5, 2), np.nan), np.repeat(transform[None], 50, 0), 1.0, 30)]


def test_the_video_shows_every_frame_and_each_window_in_its_time(source, tmp_path: Path) -> None:
    seen: list[int] = []

    def show(crops: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(crops))
        return crops[0], np.ones((112, 112))

    out = tmp_path / "out" / "in.mp4.overlay.mp4"
    overlay = Overlay(out, show, view_share=0.8)
    crops = np.zeros((25, 30, 30, 3), np.uint8)
    for start, probability in ((25, 0.9), (0, 0.1)):
        overlay.add(window(start, probability), crops, np.zeros((25, 5, 2)))
    before = source.path.read_bytes()
    overlay.write(source, tracks(), {0: 0}, threshold=0.5)
    pictures = [frame.image for frame in iter_frames(out)]
    assert len(pictures) == 50 and pictures[0].shape == (168, 200, 3) and seen == [25, 25]
    assert source.path.read_bytes() == before
    edge = {number: pictures[number][78:82, 40:60].astype(int) for number in (5, 45)}
    redder = {number: (part[..., 0] - part[..., 2]).max() for number, part in edge.items()}
    bluer = {number: (part[..., 2] - part[..., 0]).max() for number, part in edge.items()}
    assert bluer[5] > 50 and redder[5] < 30 and redder[45] > 50 and bluer[45] < 30
    # The heat fills what the network sees: the middle four fifths of the crop.
    assert pictures[5][50, 50, 0] > 150 and pictures[5][50, 23, 0] < 120


def test_a_long_file_is_cut_and_the_file_that_was_judged_stays(
    source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay_file, "_MOST_SECONDS", 1)
    overlay = Overlay(tmp_path / "out.mp4", None, view_share=1.0)
    overlay.add(window(0, 0.3), np.zeros((25, 30, 30, 3), np.uint8), np.zeros((25, 5, 2)))
    overlay.write(source, tracks(), {0: 0}, threshold=0.5)
    assert sum(1 for _ in iter_frames(tmp_path / "out.mp4")) == 25
    with pytest.raises(AssertionError, match="stays"):
        Overlay(source.path, None, view_share=1.0).write(source, tracks(), {0: 0}, threshold=0.5)


def test_no_overlay_is_written_over_another_or_over_a_file() -> None:
    _check_overlays(Path("out"), [Path("a/x.mp4"), Path("a/y.mp4")])
    with pytest.raises(ValueError, match="two files want this overlay"):
        _check_overlays(Path("out"), [Path("a/x.mp4"), Path("b/x.mp4")])
    with pytest.raises(ValueError, match="give another --overlay"):
        _check_overlays(Path("a"), [Path("a/x.mp4"), Path("a/x.mp4.overlay.mp4")])
