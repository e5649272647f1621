"""Where a face is changed: several shapes laid by five landmarks, with crooked borders.

A shape is a *radius*: a field that is below 1 inside and grows outwards, so that softness and the
course of the border are drawn alike for all. After the masks of Face X-ray (Li et al. 2020) and of
self-blended images (Shiohara and Yamasaki 2022), which need 68 or 81 landmarks; five do here.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

Shape = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""From u and v (S, S) and a generator to the radius (S, S). The middle between eyes and mouth is
(0, 0), u points to the right of the face, v down, eyes and mouth are 1 apart."""


_Range = tuple[float, float]


def _oval(
    width: _Range,
    height: _Range,
    below: _Range,
    power: _Range = (2.0, 2.0),
    beside: _Range | None = None,
) -> Shape:
    """An ellipse, with a higher ``power`` more of a box, of half axes and a place in ranges."""

    def radius(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        axes = rng.uniform(*width), rng.uniform(*height)
        centre = 0.0 if beside is None else rng.choice(beside), rng.uniform(*below)
        exponent = rng.uniform(*power) if power[0] < power[1] else power[0]
        across, down = np.abs((u - centre[0]) / axes[0]), np.abs((v - centre[1]) / axes[1])
        return (across**exponent + down**exponent) ** (1 / exponent)

    return radius


_face = _oval((0.75, 1.0), (0.95, 1.3), below=(-0.1, 0.15))


def _half(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    side = 1.0 + np.cos(angle) * u + np.sin(angle) * v
    return np.maximum(_face(u, v, rng), side)


def _blob(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    holes = 1.0 - 0.6 * (0.4 + smooth_noise(rng, len(u), int(rng.integers(3, 6))))
    return np.maximum(_face(u, v, rng), holes)


SHAPES: dict[str, Shape] = {
    "face": _face,
    "rounded_box": _oval((0.6, 0.95), (0.75, 1.15), below=(-0.05, 0.2), power=(3.0, 8.0)),
    "lower_face": _oval((0.55, 0.85), (0.4, 0.7), below=(0.45, 0.65), power=(2.0, 4.0)),
    "mouth": _oval((0.4, 0.6), (0.2, 0.35), below=(0.47, 0.55)),
    "nose": _oval((0.2, 0.35), (0.35, 0.5), below=(-0.05, 0.1)),
    "eyes": _oval((0.7, 0.95), (0.22, 0.4), below=(-0.55, -0.45), power=(2.0, 4.0)),
    "one_eye": _oval((0.25, 0.4), (0.18, 0.3), below=(-0.53, -0.47), beside=(-0.42, 0.42)),
    "half": _half,
    "blob": _blob,
}


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """A random field (size, size) float32 of unit deviation, about ``cells`` bumps a side."""
    coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def draw_mask(
    rng: np.random.Generator, shapes: tuple[str, ...], landmarks: np.ndarray, size: int
) -> np.ndarray:
    """A mask (size, size) float32 in 0..1: 1 inside, 0 outside and along the edge of the crop.

    It is all of the ``shapes`` (names of `SHAPES`) together; ``landmarks`` are (5, 2) pixels of the
    crop: eyes, nose, mouth corners, as seen in the image. Sizes, softness and the border's course
    are drawn.
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
