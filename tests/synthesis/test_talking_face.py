"""The face renderer: seeded, plausible in size, and its mouth does what it is told."""

import numpy as np
import pytest

from avkd.blending.bilinear import sample_bilinear
from avkd.synthesis import talking_face

SIZE = talking_face.FRAME_SIZE


def _film(mouth, seed=0, person=0, style="broadcast"):
    identity = talking_face.Identity.draw(np.random.default_rng(person))
    rng = np.random.default_rng(seed)
    return talking_face.render(identity, mouth, style=talking_face.STYLES[style], rng=rng)


def _mouth(opening, rounding=0.0, num_frames=3):
    return np.tile(np.array([opening, rounding, 0.0, 0.0], np.float32), (num_frames, 1))


def test_bilinear_sampling_is_exact_on_a_plane():
    y, x = np.mgrid[0:6, 0:8].astype(np.float32)
    image = np.stack([2 * x + 3 * y, x - y], -1)
    at_x, at_y = np.array([[1.25, 6.5]]), np.array([[2.5, 0.75]])
    expected = np.stack([2 * at_x + 3 * at_y, at_x - at_y], -1)
    assert np.allclose(sample_bilinear(image, at_x, at_y), expected, atol=1e-5)


def test_same_seed_gives_the_same_film():
    first, points = _film(_mouth(0.5))
    again, points_again = _film(_mouth(0.5))
    other, _ = _film(_mouth(0.5), seed=1)
    assert np.array_equal(first, again) and np.array_equal(points, points_again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("style", talking_face.STYLES)
def test_landmarks_lie_in_a_face_of_ninety_pixels(style):
    frames, points = _film(_mouth(0.2, num_frames=20), style=style)
    assert frames.shape == (20, SIZE, SIZE, 3) and frames.dtype == np.uint8
    assert points.shape == (20, 5, 2)
    assert points.min() > 0 and points.max() < SIZE
    left_eye, right_eye, nose, left_mouth, right_mouth = points.transpose(1, 0, 2)
    assert (left_eye[:, 0] < nose[:, 0]).all() and (nose[:, 0] < right_eye[:, 0]).all()
    assert (left_eye[:, 1] < nose[:, 1]).all() and (nose[:, 1] < left_mouth[:, 1]).all()
    assert (right_mouth[:, 0] > left_mouth[:, 0]).all()
    between = np.linalg.norm(right_eye - left_eye, axis=1)
    assert (between > 26).all() and (between < 55).all()


def test_pupils_are_darker_than_the_skin_between_the_eyes():
    """Landmarks that drifted off the picture would miss the pupils."""
    frames, points = _film(_mouth(0.2, num_frames=4), person=3)
    image, eyes = frames[0].mean(-1), points[0, :2]
    dark = [image[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4].min() for x, y in eyes]
    middle_x, middle_y = np.rint(eyes.mean(0)).astype(int)
    assert max(dark) < 0.6 * image[middle_y, middle_x]


def test_an_open_mouth_is_dark_inside():
    shut, points = _film(_mouth(0.0))
    wide, _ = _film(_mouth(1.0))
    x, y = np.rint(points[0, 3:].mean(0)).astype(int)
    inside = (slice(0, 1), slice(y + 5, y + 9), slice(x - 3, x + 4))
    assert wide[inside].mean() < 0.6 * shut[inside].mean()


def test_rounding_narrows_the_mouth():
    _, spread = _film(_mouth(0.3, rounding=-1.0))
    _, rounded = _film(_mouth(0.3, rounding=1.0))
    assert np.ptp(rounded[0, 3:, 0]) < 0.75 * np.ptp(spread[0, 3:, 0])


def test_people_differ_and_heads_move():
    frames, points = _film(_mouth(0.2, num_frames=25))
    other, _ = _film(_mouth(0.2, num_frames=25), person=1)
    assert np.abs(frames[0].astype(int) - other[0]).mean() > 5
    assert np.ptp(points[:, 2], axis=0).max() > 1
