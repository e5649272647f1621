"""The look of one picture on another: its colours and its sharpness, not its content."""

import numpy as np

from avkd.blending.look import with_look_of
from avkd.blending.picture_changes import blurred


def _picture(seed: int, softness: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = 128 + 60 * blurred(rng.standard_normal((96, 96, 3)).astype(np.float32), softness) * (
        softness + 1
    )
    return np.clip(image, 0, 255).astype(np.uint8)


def _sharpness(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(float).mean(-1), axis=1)).mean())


def test_colours_and_sharpness_are_taken_over():
    sharp, soft = _picture(0, 0.7), _picture(1, 2.0)
    soft = np.clip(soft * [0.9, 0.7, 0.5], 0, 255).astype(np.uint8)
    shown = with_look_of(sharp[None], soft)[0]
    gap = lambda a, b: np.abs(a.mean((0, 1)) - b.mean((0, 1))).max()  # noqa: E731
    assert gap(shown, soft) < 3 < gap(sharp, soft)
    assert abs(_sharpness(shown) - _sharpness(soft)) < 0.5 * abs(
        _sharpness(sharp) - _sharpness(soft)
    )


def test_the_content_stays():
    sharp, soft = _picture(0, 0.7), _picture(1, 2.0)
    grey = [image.astype(float).mean(-1).ravel() for image in (sharp, soft)]
    shown = with_look_of(sharp[None], soft)[0].astype(float).mean(-1).ravel()
    assert np.corrcoef(shown, grey[0])[0, 1] > 0.6 > np.corrcoef(shown, grey[1])[0, 1]


def test_its_own_look_changes_next_to_nothing():
    image = _picture(3, 1.0)
    assert np.abs(with_look_of(image[None], image)[0].astype(int) - image).mean() < 1.0


def test_all_frames_change_alike():
    image = _picture(4, 1.0)
    shown = with_look_of(np.stack([image, image, image]), _picture(5, 2.0), 0.5)
    assert np.array_equal(shown[0], shown[1]) and np.array_equal(shown[0], shown[2])
