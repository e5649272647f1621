"""Alignment: the similarity is recovered, the warp puts pixels where the transform says."""

import numpy as np
import pytest

from avkd.data.faces import face_crop
from avkd.data.faces.face_tracks import smooth_landmarks


def turned(
    points: np.ndarray, scale: float, degrees: float, shift: tuple[float, float]
) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ rotation.T + np.array(shift)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("degrees", [-40.0, 0.0, 15.0, 170.0])
def test_every_similarity_is_recovered(scale: float, degrees: float) -> None:
    landmarks = turned(face_crop.TEMPLATE, scale, degrees, (310.0, 95.0))
    noisy = landmarks + np.random.default_rng(0).normal(0, 0.2 * scale, landmarks.shape)
    for points in (landmarks, noisy):
        matrix = face_crop.align_to_template(points)
        placed = face_crop.apply_transform(matrix, landmarks)
        assert np.abs(placed - face_crop.TEMPLATE).max() < 0.5


def test_a_stack_of_frames_equals_frame_by_frame() -> None:
    landmarks = np.stack([turned(face_crop.TEMPLATE, 2, d, (d, 50)) for d in range(0, 50, 10)])
    together = face_crop.align_to_template(landmarks)
    for matrix, points in zip(together, landmarks, strict=True):
        np.testing.assert_allclose(matrix, face_crop.align_to_template(points))


def test_a_mirrored_face_is_never_mirrored_back() -> None:
    mirrored = face_crop.TEMPLATE * [-1, 1]
    matrix = face_crop.align_to_template(mirrored)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_coinciding_landmarks_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        face_crop.align_to_template(np.ones((5, 2)))


def dots_at(points: np.ndarray, width: int, height: int, radius: float) -> np.ndarray:
    """White discs on black."""
    y, x = np.mgrid[:height, :width] + 0.5
    near = [np.hypot(x - px, y - py) < radius for px, py in points]
    return np.repeat((np.any(near, axis=0) * 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(("scale", "degrees"), [(0.5, 0.0), (1.0, 30.0), (4.6, -12.0)])
def test_landmarks_land_on_the_template_within_half_a_pixel(scale: float, degrees: float) -> None:
    """Also for close-ups, which are averaged down before the warp."""
    landmarks = turned(face_crop.TEMPLATE, scale, degrees, (100.0, 150.0))
    frame = dots_at(landmarks, 900, 900, 4 * scale)
    matrix = face_crop.align_to_template(landmarks)
    window = face_crop.needed_window(matrix, 900, 900)
    assert window is not None
    left, top, right, bottom = window
    crop = face_crop.warp(frame[top:bottom, left:right], matrix, origin=(left, top))
    assert crop.shape == (150, 150, 3) and crop.dtype == np.uint8
    for x, y in face_crop.TEMPLATE:
        rows, columns = np.mgrid[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9]
        weights = crop[rows, columns, 0].astype(float)
        centre = [((g + 0.5) * weights).sum() / weights.sum() for g in (columns, rows)]
        assert np.abs(np.array(centre) - [x, y]).max() < 0.5


def test_the_window_is_enough_and_the_outside_is_black() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    landmarks = turned(face_crop.TEMPLATE, 0.9, 20, (10.0, -20.0))  # hangs over the border
    matrix = face_crop.align_to_template(landmarks)
    left, top, right, bottom = face_crop.needed_window(matrix, 400, 300) or (0, 0, 0, 0)
    from_window = face_crop.warp(frame[top:bottom, left:right], matrix, origin=(left, top))
    np.testing.assert_array_equal(from_window, face_crop.warp(frame, matrix, origin=(0, 0)))
    assert (from_window[:9, :9] == 0).all() and from_window[75:].any()
    far_away = face_crop.align_to_template(landmarks + 5000)
    assert face_crop.needed_window(far_away, 400, 300) is None


def test_the_fine_texture_of_a_close_up_does_not_alias() -> None:
    """Stripes of one pixel, shrunk to less than a quarter, are grey and no new stripes."""
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[0.23, 0.0, 6.0], [0.0, 0.23, 6.0]])
    inside = face_crop.warp(stripes, matrix, origin=(0, 0))[20:130, 20:130].astype(float)
    assert abs(inside.mean() - 127.5) < 2 and inside.std() < 2


def test_talking_does_not_move_the_crop() -> None:
    """Mouth corners pulled up and down at syllable rate must not shake the whole face."""
    frames = np.arange(60)
    still = np.repeat(turned(face_crop.TEMPLATE, 1.5, 5, (80, 60))[None], 60, axis=0)
    talking = still.copy()
    talking[:, 3:, 1] += 6 * np.sin(2 * np.pi * frames / 5)[:, None]  # 5 Hz, 4 crop pixels
    moved = face_crop.align_to_template(smooth_landmarks(talking))
    fixed = face_crop.align_to_template(smooth_landmarks(still))
    eyes = still[:, :2]
    shift = (
        np.einsum("tij,tpj->tpi", (moved - fixed)[..., :2], eyes) + (moved - fixed)[:, None, :, 2]
    )
    assert np.abs(shift[8:-8]).max() < 0.5


def test_ready_made_crops_are_only_resized() -> None:
    matrix = face_crop.resize_to_crop(300, 200)
    np.testing.assert_allclose(
        face_crop.apply_transform(matrix, np.array([150.0, 100.0])), [75, 75]
    )
    frame = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    same = face_crop.warp(frame, face_crop.resize_to_crop(150, 150), origin=(0, 0))
    np.testing.assert_array_equal(same, frame)


def test_a_margin_shows_more_around_the_same_middle() -> None:
    landmarks = face_crop.TEMPLATE * 2.0 + 30
    near, wide = (face_crop.align_to_template(landmarks, margin=m) for m in (1.0, 1.5))
    seen_near = face_crop.apply_transform(near, landmarks) - 75
    seen_wide = face_crop.apply_transform(wide, landmarks) - 75
    np.testing.assert_allclose(seen_near, 1.5 * seen_wide, atol=1e-9)
    np.testing.assert_allclose(face_crop.template_points(300, 1.5), 2 * (seen_wide + 75))
