"""Frame rate, cropping and captions against their definitions; faces stay where faces are."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from avkd.data.crops.crop_store import CropStore
from avkd.data.crops.crop_writer import CropWriter, PackedTrack
from avkd.data.faces import face_crop, face_tracks
from avkd.data.faces.face_tracks import Faces
from avkd.data.faces.track_extraction import TrackPlan
from avkd.data.manifest import Sample
from avkd.data.media.frame import Frame
from avkd.data.media.writing import write_video
from avkd.data.perturbations import picture_perturbations
from avkd.data.perturbations.perturbations import KINDS, Perturbation
from avkd.data.perturbations.perturbed_file import perturbing
from avkd.data.prepare_file import PrepareJob, PrepareSettings, prepare_file

SEVERITIES = (1, 2, 3, 4, 5)
SHARES = (0.05, 0.1, 0.15, 0.2, 0.25)
NOTHING = ("sound_reencoding", "sound_noise", "sound_shift")


def numbered(count: int) -> list[Frame]:
    """Frames of one grey level each, as every third of a file."""
    picture = np.ones((4, 6, 3), np.uint8)
    return [Frame.of_image(3 * n, 3 * n / 25, picture * n) for n in range(count)]


def altered(name: str, severity: int, frames: list[Frame], scratch: Path) -> list[Frame]:
    with perturbing(
        Perturbation(name=name, severity=severity),
        lambda: iter(frames),
        sample_id="a",
        scratch=scratch,
    ) as open_frames:
        found = list(open_frames())
    assert len(found) == len(frames)
    return found


def test_every_kind_is_in_the_table_once_with_five_amounts() -> None:
    groups = Counter(kind.group for kind in KINDS.values())
    assert groups == {"deeperforensics": 7, "picture": 5, "video": 6, "sound": 3}
    of_pixels = [name for name, kind in KINDS.items() if kind.change is not None]
    assert len(of_pixels) == 11 and "compression" not in of_pixels
    assert {KINDS[name].group for name in of_pixels} == {"deeperforensics", "picture"}
    amounts = [Perturbation(name=n, severity=s).amount for n in KINDS for s in SEVERITIES]
    assert len(amounts) == 105 and {len(kind.amounts) for kind in KINDS.values()} == {5}


def test_no_two_perturbed_corpora_have_one_fingerprint() -> None:
    fixed = PrepareSettings(detector="none", max_seconds=None)
    every = [Perturbation(name=name, severity=s) for name in KINDS for s in SEVERITIES]
    prints = [replace(fixed, perturbation=one).fingerprint for one in every]
    assert len({fixed.fingerprint, *prints}) == 106


def test_deeperforensics_blocks_lie_where_they_always_lay() -> None:
    """The drawing of noise and places; another would make old corpora another test."""
    found = Perturbation(name="blocks", severity=3).picture(
        np.zeros((300, 260, 3), np.uint8), "set/real/a", 4
    )
    assert hashlib.sha256(found.tobytes()).hexdigest()[:16] == "906ee90513da1005"


@pytest.mark.parametrize(
    ("severity", "rate", "distinct"),
    [(1, 20, 20), (2, 15, 15), (3, 12.5, 13), (4, 10, 10), (5, 8, 8)],
)
def test_fewer_frames_are_shown_longer(
    severity: int, rate: float, distinct: int, tmp_path: Path
) -> None:
    """By the clock: picture j of the lower rate is the first frame that is there when it is due."""
    step = 1 / Fraction(rate)
    expected = []
    for number in range(60):
        now, due = Fraction(number, 25), Fraction(0)
        while due + step <= now:
            due += step
        expected.append(next(k for k in range(60) if Fraction(k, 25) >= due))
    frames = numbered(60)
    found = altered("frame_rate", severity, frames, tmp_path / "x")
    assert [frame.image[0, 0, 0] for frame in found] == expected
    assert [frame.source_index for frame in found] == [3 * number for number in expected]
    assert [frame.time_seconds for frame in found] == [3 * n / 25 for n in expected]
    assert len({*expected[:25]}) == distinct
    assert altered("frame_rate", severity, frames[:1], tmp_path / "x")[0] is frames[0]


@pytest.mark.parametrize("name", NOTHING)
def test_sound_perturbations_leave_the_frames_alone(name: str, tmp_path: Path) -> None:
    frames = numbered(5)
    found = altered(name, 5, frames, tmp_path / "x")
    assert all(one is other for one, other in zip(found, frames, strict=True))


@pytest.mark.parametrize(("severity", "share"), zip(SEVERITIES, SHARES, strict=True))
def test_cropping_enlarges_what_is_left(severity: int, share: float) -> None:
    """Bilinear by hand, where no edge of the old picture is near."""
    height, width = 30, 44
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = Perturbation(name="cropping", severity=severity).picture(image, "a", 0)
    assert found.shape == image.shape and found.dtype == np.uint8
    for row in range(height):
        for column in range(width):
            y = share * height + (row + 0.5) * (1 - 2 * share) - 0.5
            x = share * width + (column + 0.5) * (1 - 2 * share) - 0.5
            top, left, down, across = int(y), int(x), y - int(y), x - int(x)
            upper = image[top, left] * (1 - across) + image[top, left + 1] * across
            lower = image[top + 1, left] * (1 - across) + image[top + 1, left + 1] * across
            exact = upper * (1 - down) + lower * down
            assert np.abs(found[row, column] - exact).max() <= 1.5  # Pillow rounds twice


@pytest.mark.parametrize("severity", SEVERITIES)
def test_points_go_where_cropping_puts_their_pixels(severity: int) -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[118:122, 130:134] = 255  # about (132, 120)
    cropping = Perturbation(name="cropping", severity=severity)
    rows, columns = np.nonzero(cropping.picture(image, "a", 0)[..., 0] > 127)
    moved = face_crop.apply_transform(cropping.moves(300, 200), np.array([132.0, 120.0]))
    np.testing.assert_allclose(moved, [columns.mean() + 0.5, rows.mean() + 0.5], atol=0.6)
    stays = Perturbation(name="resize", severity=severity).moves(300, 200)
    np.testing.assert_array_equal(stays, [[1, 0, 0], [0, 1, 0]])


def test_a_moved_track_is_aligned_where_its_landmarks_are() -> None:
    """Also where a track begins late and the picture's size changes."""
    rng = np.random.default_rng(1)
    landmarks = face_crop.TEMPLATE + rng.normal(0, 4, (3, 5, 2))
    plan = TrackPlan(2, landmarks, face_crop.align_to_template(landmarks), 1.0)
    cropping = Perturbation(name="cropping", severity=4)
    sizes = [(9, 9), (9, 9), (200, 160), (300, 240), (200, 160), (9, 9)]
    moved = plan.moved(np.stack([cropping.moves(*size) for size in sizes]))
    for t, size in enumerate(sizes[2:5]):
        points = face_crop.apply_transform(cropping.moves(*size), landmarks[t])
        np.testing.assert_allclose(moved.landmarks[t], points)
    np.testing.assert_allclose(moved.transforms, face_crop.align_to_template(moved.landmarks))


def portrait() -> np.ndarray:
    """A smooth picture (200, 260) around a face whose crop needs no enlarging."""
    y, x = np.mgrid[:200, :260] / 25
    base = np.stack([np.sin(x) + np.cos(y), np.sin(x + y), np.cos(x - 0.5 * y)], axis=2)
    return (128 + 40 * base).clip(0, 255).astype(np.uint8)


POINTS = face_crop.TEMPLATE * 0.6 + [85, 50]
BOX = np.array([85.0, 50, 175, 140])
TRACK = "d/real/a/track-0"


def prepared(
    file: Path, detector: str, perturbation: Perturbation | None
) -> tuple[dict[str, Any], PackedTrack]:
    """One file, in this process: its row and its face."""
    sample = Sample(
        sample_id="d/real/a",
        path=file.name,
        kind="image" if file.suffix == ".png" else "video",
        label=0,
        dataset="d",
        method="real",
        split="test",
    )
    settings = PrepareSettings(
        detector=detector,
        min_frames=1,
        max_seconds=None,
        perturbation=perturbation,
    )
    work = file.parent / "work"
    done = prepare_file(PrepareJob(sample=sample, source=file, work=work, settings=settings))
    assert done.row["status"] == "ok", done.row["message"]
    (track,) = done.tracks
    return done.row, track


def corpus_of(file: Path, detector: str, perturbation: Perturbation | None) -> CropStore:
    """With the one track `TRACK`."""
    _, track = prepared(file, detector, perturbation)
    out = file.parent / f"out-{len(list(file.parent.iterdir()))}"
    CropWriter(out).append([track])
    return CropStore(out)


def first_crop(file: Path, detector: str, perturbation: Perturbation | None) -> np.ndarray:
    return corpus_of(file, detector, perturbation).frames(TRACK, 0, 1)[0].astype(int)


def test_known_faces_are_found_again_in_a_cropped_picture(tmp_path: Path) -> None:
    """With the sidecar's boxes left where they were, the crop would show another part."""
    video = tmp_path / "a.mp4"
    write_video(video, [portrait()] * 3, crf=4)
    boxes, points = np.tile(BOX, (3, 1)), np.tile(POINTS, (3, 1, 1))
    face_tracks.write_face_sidecar(video, boxes, points, (260, 200))
    clean = first_crop(video, "boxes", None)
    for severity in (1, 5):
        cropping = Perturbation(name="cropping", severity=severity)
        difference = np.abs(first_crop(video, "boxes", cropping) - clean)
        assert difference[20:130, 20:130].mean() < 2


@pytest.mark.parametrize("faces", ["clean", "perturbed"])
def test_where_no_face_is_known_the_middle_of_the_cropped_picture_is_taken(
    faces: Literal["clean", "perturbed"], tmp_path: Path
) -> None:
    """Moving the whole picture's frame along would undo the cropping."""
    Image.fromarray(portrait()).save(tmp_path / "a.png")
    cropping = Perturbation(name="cropping", severity=5, faces=faces)
    found = first_crop(tmp_path / "a.png", "none", cropping)
    rest = Image.fromarray(portrait()[50:150, 80:180]).resize((150, 150), Image.Resampling.BILINEAR)
    assert np.abs(found - np.asarray(rest)).mean() < 3


@pytest.mark.parametrize("faces", ["clean", "perturbed"])
def test_faces_found_before_cropping_move_along(
    faces: Literal["clean", "perturbed"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finder that sees where the face is in either picture: both give the same crop."""
    Image.fromarray(portrait()).save(tmp_path / "a.png")
    cropping = Perturbation(name="cropping", severity=3, faces=faces)
    places = POINTS
    if faces == "perturbed":
        places = face_crop.apply_transform(cropping.moves(260, 200), POINTS)

    def finder(min_face_fraction: float) -> Callable[[np.ndarray], Faces]:
        return lambda _: Faces(BOX[None], np.ones(1), places[None])

    name = f"finder before cropping, {faces}"  # detectors are kept by name
    monkeypatch.setattr(face_tracks, "DETECTORS", {name: finder})
    landmarks = corpus_of(tmp_path / "a.png", name, cropping).geometry(TRACK, "landmarks")
    expected = face_crop.apply_transform(cropping.moves(260, 200), POINTS)
    np.testing.assert_allclose(landmarks[0], expected, atol=1e-3)


def test_a_caption_is_what_pillow_writes(tmp_path: Path) -> None:
    """One line of 6 % of the height, letters 80 % of it, centred, its last line 5 % above."""
    image = np.full((200, 400, 3), 90, np.uint8)
    overlay = Perturbation(name="overlay_text", severity=1)
    rng = overlay.drawing_of_file("a")
    font = ImageFont.load_default(10)  # 0.8 * 12, rounded
    words = [str(rng.choice(picture_perturbations._WORDS))]
    while True:
        words.append(str(rng.choice(picture_perturbations._WORDS)))
        if font.getlength(" ".join(words)) > 360:
            words.pop()
            break
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text(
        (200, 184),
        " ".join(words),
        (255, 255, 255),
        font,
        "mm",
        stroke_width=1,
        stroke_fill=(0,) * 3,
    )
    np.testing.assert_array_equal(overlay.picture(image, "a", 7), np.asarray(picture))


def test_captions_grow_from_the_lower_edge_into_the_face_and_stand_still() -> None:
    image = np.full((200, 300, 3), 90, np.uint8)
    tops, covered = [], []
    for severity in SEVERITIES:
        overlay = Perturbation(name="overlay_text", severity=severity)
        found = overlay.picture(image, "a", 0)
        np.testing.assert_array_equal(found, overlay.picture(image, "a", 20))
        assert (found != overlay.picture(image, "b", 0)).any()
        changed = (found != image).any(axis=(1, 2))
        tops.append(int(changed.argmax()))
        covered.append(float((found != image).mean()))
        assert not changed[192:].any()
        assert found.min() == 0 and found.max() > 200
    assert tops == sorted(tops, reverse=True) and covered == sorted(covered)
    assert tops[0] > 170 and 85 < tops[-1] < 100  # half of the height
    assert not image[image != 90].size


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 33)])
@pytest.mark.parametrize("name", ["overlay_text", "cropping"])
def test_small_pictures_survive(name: str, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 90, np.uint8)
    for severity in SEVERITIES:
        found = Perturbation(name=name, severity=severity).picture(image, "a", 0)
        assert found.shape == image.shape and found.dtype == np.uint8


@pytest.mark.parametrize("name", ["frame_rate", "av1", "chain", "cropping"])
def test_videos_of_any_rate_keep_their_number_of_frames(name: str, tmp_path: Path) -> None:
    """30 a second are 25 before anything is done to them."""
    write_video(tmp_path / "a.mp4", [portrait()] * 36, frames_per_second=30)
    row, _ = prepared(tmp_path / "a.mp4", "none", Perturbation(name=name, severity=5))
    assert row["num_frames"] == row["file_frames"] == 30
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "work-0.track"}
