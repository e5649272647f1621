"""Where a face is changed: several shapes laid by five landmarks, with crooked borders.

A shape is a *radius*: a field that is below 1 inside and grows outwards, so that softness and the
course of the border are drawn alike for all. After the masks of Face X-ray (Li et al. 2020) and of
self-blended images (Shiohara and Yamasaki 2022), which need 68 or 81 landmarks; five do here.
"""

from collections.abc import Callable

import numpy as np

from avkd.blending.smooth_noise import smooth_noise

Shape = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""From u and v (S, S) and a generator to the radius (S, S). The middle between eyes and mouth is
(0, 0), u points to the right of the face, v down, eyes and mouth are 1 apart."""


def _ellipse(
    u: np.ndarray,
    v: np.ndarray,
    centre: tuple[float, float],
    axes: tuple[float, float],
    power: float = 2.0,
) -> np.ndarray:
    across, down = np.abs((u - centre[0]) / axes[0]), np.abs((v - centre[1]) / axes[1])
    return (across**power + down**power) ** (1 / power)


def _face(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes = (rng.uniform(0.75, 1.0), rng.uniform(0.95, 1.3))
    return _ellipse(u, v, (0.0, rng.uniform(-0.1, 0.15)), axes)


def _rounded_box(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes = (rng.uniform(0.6, 0.95), rng.uniform(0.75, 1.15))
    return _ellipse(u, v, (0.0, rng.uniform(-0.05, 0.2)), axes, power=rng.uniform(3.0, 8.0))


def _lower_face(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes = (rng.uniform(0.55, 0.85), rng.uniform(0.4, 0.7))
    return _ellipse(u, v, (0.0, rng.uniform(0.45, 0.65)), axes, power=rng.uniform(2.0, 4.0))


def _mouth(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes = (rng.uniform(0.4, 0.6), rng.uniform(0.2, 0.35))
    return _ellipse(u, v, (0.0, rng.uniform(0.47, 0.55)), axes)


def _nose(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes = (rng.uniform(0.2, 0.35), rng.uniform(0.35, 0.5))
    return _ellipse(u, v, (0.0, rng.uniform(-0.05, 0.1)), axes)


def _eyes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes = (rng.uniform(0.7, 0.95), rng.uniform(0.22, 0.4))
    return _ellipse(u, v, (0.0, rng.uniform(-0.55, -0.45)), axes, power=rng.uniform(2.0, 4.0))


def _one_eye(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axes = (rng.uniform(0.25, 0.4), rng.uniform(0.18, 0.3))
    return _ellipse(u, v, (rng.choice([-0.42, 0.42]), rng.uniform(-0.53, -0.47)), axes)


def _half(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    side = 1.0 + np.cos(angle) * u + np.sin(angle) * v
    return np.maximum(_face(u, v, rng), side)


def _blob(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    holes = 1.0 - 0.6 * (0.4 + smooth_noise(rng, len(u), int(rng.integers(3, 6))))
    return np.maximum(_face(u, v, rng), holes)


SHAPES: dict[str, Shape] = {
    "face": _face,
    "rounded_box": _rounded_box,
    "lower_face": _lower_face,
    "mouth": _mouth,
    "nose": _nose,
    "eyes": _eyes,
    "one_eye": _one_eye,
    "half": _half,
    "blob": _blob,
}


def draw_mask(
    rng: np.random.Generator, shapes: tuple[str, ...], landmarks: np.ndarray, size: int
) -> np.ndarray:
    """A mask (size, size) float32 in 0..1: 1 inside, 0 outside and along the edge of the crop.

    Args:
        rng: Draws sizes, softness and the course of the border.
        shapes: Names of `SHAPES`; the mask is all of them together.
        landmarks: (5, 2) pixels of the crop: eyes, nose, mouth corners, as seen in the image.
        size: Side of the crop.
    """
    u, v = _face_coordinates(landmarks, size)
    radius = np.minimum.reduce([SHAPES[shape](u, v, rng) for shape in shapes])
    crooked = rng.uniform(0.0, 0.12) * smooth_noise(rng, size, int(rng.integers(3, 9)))
    softness = np.exp(rng.uniform(np.log(0.04), np.log(0.6)))
    share = np.clip((1 - radius + crooked) / softness, 0, 1)
    mask = (share**2 * (3 - 2 * share)).astype(np.float32)
    mask[[0, -1]] = 0
    mask[:, [0, -1]] = 0
    return mask


def _face_coordinates(landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    down = mouth - eyes
    length = max(float(np.hypot(*down)), 1.0)
    down = down / length
    x, y = np.meshgrid(*2 * (np.arange(size, dtype=np.float32) + 0.5,))
    x, y = (x - (eyes + mouth)[0] / 2) / length, (y - (eyes + mouth)[1] / 2) / length
    return x * down[1] - y * down[0], x * down[0] + y * down[1]
