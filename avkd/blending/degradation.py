"""What happens to pictures on their way: the same for reals and fakes, the same over a clip.

A forgery shows itself beside the face's own neighbourhood; what cameras, editors and networks do to
the whole picture must not tell the classes apart, and must not be new to the detector either.
"""

from collections.abc import Callable

import numpy as np

from avkd.blending import picture_changes as change

Step = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""From a float picture, and a generator for grain that differs by frame, to the changed one."""


def draw_degradation(rng: np.random.Generator, probability: float) -> list[Step]:
    """Changes in the order in which they happen; with 1 - ``probability`` (0..1) none at all."""
    if rng.random() >= probability:
        return []
    steps: list[tuple[float, Step]] = [
        (0.45, _tone(rng)),
        (0.08, lambda image, _: change.toned(image, saturation=0.0)),
        (0.15, _low_light(rng)),
        (0.25, _blur(rng)),
        (0.45, change.drawn_rescaling(rng, (0.3, 0.95), 1)),
        (0.20, _grain(rng)),
        (0.20, _sharpening(rng)),
        (0.25, _frame_edge(rng)),
        (0.30, change.drawn_jpeg(rng, (60, 98))),
        (0.65, change.drawn_jpeg(rng, (25, 95))),
    ]
    return [step for chance, step in steps if rng.random() < chance]


def degrade(image: np.ndarray, steps: list[Step], rng: np.random.Generator) -> np.ndarray:
    """``image`` (S, S, 3) uint8 after all ``steps``; uint8."""
    if not steps:
        return image
    changed = image.astype(np.float32)
    for step in steps:
        changed = np.clip(step(changed, rng), 0, 255)
    return change.as_uint8(changed)


def _tone(rng: np.random.Generator) -> Step:
    settings = {
        "gamma": np.exp(rng.uniform(-0.35, 0.35)),
        "contrast": rng.uniform(0.75, 1.3),
        "brightness": rng.uniform(-0.12, 0.12),
        "saturation": rng.uniform(0.5, 1.5),
        "shift": rng.uniform(-12, 12, 3),
    }
    return lambda image, _: change.toned(image, **settings)


def _low_light(rng: np.random.Generator) -> Step:
    gain, grain = rng.uniform(0.25, 0.7), rng.uniform(1.0, 6.0)

    def darken(image: np.ndarray, per_frame: np.random.Generator) -> np.ndarray:
        return image * np.float32(gain) + _noise(per_frame, image.shape, grain)

    return darken


def _blur(rng: np.random.Generator) -> Step:
    sigma = rng.uniform(0.3, 1.6)
    return lambda image, _: change.blurred(image, sigma)


def _grain(rng: np.random.Generator) -> Step:
    spread = rng.uniform(1.0, 8.0)
    return lambda image, per_frame: image + _noise(per_frame, image.shape, spread)


def _sharpening(rng: np.random.Generator) -> Step:
    amount, sigma = rng.uniform(0.2, 1.2), rng.uniform(0.7, 2.0)
    return lambda image, _: change.sharpened(image, amount, sigma)


def _frame_edge(rng: np.random.Generator) -> Step:
    """Black along one or two sides, as where a face stands at the edge of its picture."""
    widths = np.where(rng.random(4) < 0.35, rng.uniform(0.01, 0.14, 4), 0.0)

    def cover(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
        top, bottom, left, right = (round(float(width) * len(image)) for width in widths)
        covered = np.zeros_like(image)
        inside = slice(top, len(image) - bottom), slice(left, len(image) - right)
        covered[inside] = image[inside]
        return covered

    return cover


def _noise(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> np.ndarray:
    return np.float32(spread) * rng.standard_normal(shape, dtype=np.float32)
