"""Which tracks show one face: alike in their pictures, and never on screen together."""

import numpy as np
import pytest

from avkd.inference.shots import JoinedShots, similarity, thumbnail


def crops(seed: int, *, shift: float = 0.0, length: int = 3) -> np.ndarray:
    """A made-up face: smooth, its own for every seed."""
    draw = np.random.default_rng(seed)
    coarse = draw.uniform(0, 255, (8, 8, 3))
    face = coarse.repeat(8, axis=0).repeat(8, axis=1)
    return np.clip(face + shift + draw.normal(0, 3, (length, 64, 64, 3)), 0, 255).astype(np.uint8)


def test_shots_of_one_face_are_one_face_and_others_are_not() -> None:
    faces = JoinedShots([(0, 10), (10, 20), (20, 30), (30, 40)])
    shown = [faces.face_of(track, crops(seed)) for track, seed in enumerate([1, 2, 1, 2])]
    assert shown == [0, 1, 0, 1] and faces.num_joined == 2
    assert faces.tracks_of({0}) == {0, 2} and faces.tracks_of({1}) == {1, 3}


def test_faces_on_screen_together_are_two_however_alike() -> None:
    faces = JoinedShots([(0, 10), (5, 20), (20, 30)])
    assert [faces.face_of(track, crops(1)) for track in range(3)] == [0, 1, 0]


def test_a_later_shot_is_compared_with_the_last_one_of_a_face() -> None:
    faces = JoinedShots([(0, 10), (10, 20)])
    first, last = crops(1), crops(2)
    assert faces.face_of(0, first) == 0 and faces.face_of(0, last) == 0
    assert faces.face_of(1, last) == 0


@pytest.mark.parametrize("shift", [0.0, 15.0])
def test_brightness_alone_makes_no_other_face(shift: float) -> None:
    assert similarity(thumbnail(crops(3)), thumbnail(crops(3, shift=shift))) > 0.95
    assert similarity(thumbnail(crops(3)), thumbnail(crops(4))) < 0.5


def test_a_blank_crop_is_like_nothing() -> None:
    blank = thumbnail(np.zeros((2, 64, 64, 3), np.uint8))
    assert similarity(blank, blank) == 0.0 and np.isfinite(blank).all()
