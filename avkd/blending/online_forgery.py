"""A forgery of a clip, made on the spot and differently every time, out of reals alone.

Self-blending after Shiohara and Yamasaki (CVPR 2022): a face is laid over itself, changed in
colour, frequency, resolution, compression and place. Beyond that paper: six blending methods,
parts of faces as hand-made edits have them, another person's aligned face as the source, and a
source that went through up-sampling as generators do it, over the face or the whole picture. All
parameters are drawn once per clip, with an optional slow drift and flicker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from avkd.blending import picture_changes as change
from avkd.blending.bilinear import sample_bilinear
from avkd.blending.blenders import BLENDERS
from avkd.blending.masks import draw_mask, smooth_noise

_WHOLE_FACES = ("face", "rounded_box", "lower_face", "half", "blob")
_PARTS = ("mouth", "nose", "eyes", "one_eye")
_RATIOS = (0.35, 0.5, 0.75, 1.0, 1.0, 1.0)
_WHOLE_PICTURE_SHARE = 0.4  # of the resynthesised ones
_INWARDS_SHARE = 0.7
_PLAIN_SHARE = 0.25  # of foreign sources, whose look is left as it is
_UNEVENNESS = (0.06, 0.2)  # of up-sampling kernels; an even one only makes a picture soft

Source = Literal["own", "other_moment", "other_person"]
"""Whose pixels are laid over the face: its own; the same face at another moment of the clip;
somebody else's."""
Change = Callable[[np.ndarray, float], np.ndarray]
"""From a float picture and a place in the drift, -1..1, to the changed one."""


@dataclass(frozen=True, kw_only=True)
class OnlineForgery:
    """What may be drawn."""

    blenders: tuple[str, ...] = tuple(BLENDERS)
    """Names of `blenders.BLENDERS`, drawn evenly."""
    parts: float = 0.3
    """Share of masks of one to three parts of the face, as hand-made edits have them."""
    donors: float = 0.3
    """Share whose source is another person's face, where there is one."""
    moments: float = 0.25
    """Share whose source is the same face at another moment of its clip, as reenactment has it."""
    resynthesis: float = 0.2
    """Share whose source went through up-sampling, over the face or the whole picture."""
    drift: float = 0.3
    """Probability that colour and place of the source drift and flicker over a clip."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One drawn forgery: what its real shows (`base`) and the fake made of it (`fake`).

    Base and fake differ inside the mask alone, so that no look of the whole picture is a label.
    """

    mask: np.ndarray
    """(S, S) in 0..1."""
    blender: str
    ratio: np.float32
    """How much of the blended picture shows, 0..1."""
    alter_target: Change | None
    """The odd look of what is around, real and fake alike; None = it stays as it is."""
    alter_source: Change | None
    move: Change
    drift_stream: int
    drifts: bool
    source: Source

    def base(self, frames: np.ndarray) -> np.ndarray:
        """The real clip (T, S, S, 3) uint8 that the fake is to be told from."""
        if self.alter_target is None:
            return frames
        target = self.alter_target
        places = self._places(len(frames))
        return np.stack(
            [
                change.as_uint8(target(frame.astype(np.float32), place))
                for frame, place in zip(frames, places, strict=True)
            ]
        )

    def fake(self, frames: np.ndarray, donor: np.ndarray | None = None) -> np.ndarray:
        """The forged clip (T, S, S, 3) uint8; with a ``donor`` unless `source` is "own"."""
        rng = np.random.default_rng(self.drift_stream)
        blend = BLENDERS[self.blender](self.mask, rng)
        recolour = _recolouring(frames, donor, self.mask, rng)
        forged = self.base(frames).copy()
        for index, place in enumerate(self._places(len(frames))):
            own = frames[index] if donor is None else donor[index]
            source = self.move(recolour(own.astype(np.float32)), place)
            if self.alter_source is not None:
                source = self.alter_source(source, place)
            target = forged[index].astype(np.float32)
            blended = blend(target, np.clip(source, 0, 255))
            forged[index] = change.as_uint8(target + self.ratio * (blended - target))
        return forged

    def _places(self, length: int) -> np.ndarray:
        """How far each frame is along the drift, -1..1; all zeros where nothing drifts."""
        if not self.drifts:
            return np.zeros(length)
        rng = np.random.default_rng([self.drift_stream, 1])
        periods, phase, flicker = rng.uniform(0.2, 1.5), rng.uniform(0, 6.28), rng.uniform(0, 0.3)
        wave = np.sin(2 * np.pi * periods * np.arange(length) / max(length, 2) + phase)
        return np.clip((1 - flicker) * wave + flicker * rng.standard_normal(length), -1, 1)


def draw_recipe(
    rng: np.random.Generator,
    settings: OnlineForgery,
    landmarks: np.ndarray,
    size: int,
    *,
    donor_at_hand: bool,
    moment_at_hand: bool = False,
) -> Recipe:
    """Draw a forgery for a clip of aligned faces; the same state of ``rng`` gives the same pixels.

    ``landmarks`` are (5, 2) pixels of the crop of side ``size``, of the clip's mean face
    (`mean_face`). What is at hand: another person's clip, and a clip long enough to have another
    moment.
    """
    kind, part, foreign, swaps, drifts, whole, plain = rng.random(7)
    ratio = np.float32(rng.choice(_RATIOS))
    resynthesised = kind < settings.resynthesis
    source: Source = "own"
    if not resynthesised and donor_at_hand and foreign < settings.donors:
        source = "other_person"
    elif not resynthesised and moment_at_hand and foreign > 1 - settings.moments:
        source = "other_moment"
    mask = draw_mask(rng, _draw_shapes(rng, part < settings.parts), landmarks, size)
    blender = str(rng.choice(list(settings.blenders)))
    if resynthesised and whole < _WHOLE_PICTURE_SHARE:
        mask, blender = np.ones_like(mask), "feathered"
    # Both directions (Shiohara and Yamasaki): the odd one out is the patch, or what is around it.
    inwards = resynthesised or source != "own" or swaps < _INWARDS_SHARE
    alter: Change | None
    alter = _up_sampling(rng) if resynthesised else _mismatch(rng, with_up_sampling=inwards)
    if source != "own" and plain < _PLAIN_SHARE:
        alter = None
    return Recipe(
        mask=mask,
        blender=blender,
        ratio=ratio if source == "own" else np.float32(1.0),
        alter_target=None if inwards else alter,
        alter_source=alter if inwards else None,
        move=_movement(rng, size, still=resynthesised),
        drift_stream=int(rng.integers(2**32)),
        drifts=bool(drifts < settings.drift),
        source=source,
    )


def _draw_shapes(rng: np.random.Generator, parts: bool) -> tuple[str, ...]:
    if not parts:
        return (str(rng.choice(_WHOLE_FACES)),)
    count = int(rng.integers(1, 4))
    return tuple(str(name) for name in rng.choice(_PARTS, size=count, replace=False))


def _mismatch(rng: np.random.Generator, *, with_up_sampling: bool) -> Change:
    """One or more differences of look: colour, frequency, resolution, compression.

    A real may look like any of them, but not like a generator's up-sampling.
    """
    likely: list[tuple[float, Change]] = [
        (0.75, _colour(rng)),
        (0.5, _frequency(rng)),
        (0.35, change.drawn_rescaling(rng, (0.25, 0.8), 0)),
        (0.3, change.drawn_jpeg(rng, (20, 80))),
        (0.15 * with_up_sampling, _up_sampling(rng)),
    ]
    chosen = [step for chance, step in likely if rng.random() < chance] or [likely[0][1]]

    def alter(image: np.ndarray, place: float) -> np.ndarray:
        for step in chosen:
            image = step(image, place)
        return image

    return alter


def _colour(rng: np.random.Generator) -> Change:
    level = rng.uniform(0.3, 1.0)
    gamma = np.exp(level * rng.uniform(-0.25, 0.25))
    contrast = 1 + level * rng.uniform(-0.2, 0.2)
    brightness = level * rng.uniform(-0.08, 0.08)
    saturation = 1 + level * rng.uniform(-0.35, 0.35)
    shift = level * rng.uniform(-20, 20, 3)

    def alter(image: np.ndarray, place: float) -> np.ndarray:
        return change.toned(
            image,
            gamma=gamma,
            contrast=contrast,
            brightness=brightness + 0.03 * place,
            saturation=saturation,
            shift=shift * (1 + 0.5 * place),
        )

    return alter


def _frequency(rng: np.random.Generator) -> Change:
    if rng.random() < 0.5:
        sigma = rng.uniform(0.5, 2.0)
        return lambda image, _: change.blurred(image, sigma)
    amount = rng.uniform(0.3, 1.2)
    return lambda image, _: change.sharpened(image, amount)


def _up_sampling(rng: np.random.Generator) -> Change:
    """A generator's last layers: up by 2 to 4 through kernels that are not quite even."""
    factor = int(rng.choice([2, 2, 2, 3, 4]))
    kernel = 1 - np.abs(np.arange(1 - factor, factor)) / factor
    if rng.random() < 0.4:
        kernel = np.convolve(kernel, [1, 2, 1])
    kernel = kernel * np.exp(rng.uniform(*_UNEVENNESS) * rng.standard_normal(len(kernel)))
    sharpness, shift = rng.uniform(0.0, 1.5), rng.uniform(-6, 6, 3)

    def alter(image: np.ndarray, _: float) -> np.ndarray:
        made = change.up_sampled(image, kernel, factor)
        return change.sharpened(made, sharpness) + shift.astype(np.float32)

    return alter


def _movement(rng: np.random.Generator, size: int, *, still: bool) -> Change:
    """Shift, turn, zoom and a smooth warp of the source: what no re-rendering gets quite right."""
    if still and rng.random() < 0.5:
        return lambda image, _: image
    unit = size / 100
    turn, zoom = rng.uniform(-0.04, 0.04), 1 + rng.uniform(-0.04, 0.04)
    shift = rng.uniform(-1.5, 1.5, 2) * unit
    warp = rng.uniform(0, 0.8) * unit
    bumps, noise_seed = int(rng.integers(3, 8)), int(rng.integers(2**32))

    @cache  # the real of a pair never asks
    def origins() -> tuple[np.ndarray, np.ndarray]:
        middle, noise = (size - 1) / 2, np.random.default_rng(noise_seed)
        x, y = np.meshgrid(*2 * ((np.arange(size, dtype=np.float32) - middle) * zoom,))
        return (
            middle + x * np.cos(turn) - y * np.sin(turn) + warp * smooth_noise(noise, size, bumps),
            middle + x * np.sin(turn) + y * np.cos(turn) + warp * smooth_noise(noise, size, bumps),
        )

    def move(image: np.ndarray, place: float) -> np.ndarray:
        along, (from_x, from_y) = 1 + place, origins()
        return sample_bilinear(image, from_x + shift[0] * along, from_y + shift[1] * along)

    return move


def _recolouring(
    frames: np.ndarray, donor: np.ndarray | None, mask: np.ndarray, rng: np.random.Generator
) -> Callable[[np.ndarray], np.ndarray]:
    """The donor's colours made the target's inside the mask, mostly fully, once per clip."""
    inside = mask > 0.5
    if donor is None or not inside.any():
        return lambda image: image
    ours = frames[len(frames) // 2][inside].astype(np.float32)
    theirs = donor[len(donor) // 2][inside].astype(np.float32)
    gain = np.clip((ours.std(0) + 1) / (theirs.std(0) + 1), 0.5, 2.0)
    match = np.float32(rng.choice([1.0, 1.0, 0.8, 0.5]))
    before, after = theirs.mean(0), ours.mean(0)
    return lambda image: match * ((image - before) * gain + after) + (1 - match) * image


def mean_face(landmarks: np.ndarray, template: np.ndarray) -> np.ndarray:
    """(5, 2): the mean of (T, 5, 2) over the frames where they are known, else ``template``."""
    known = landmarks[np.isfinite(landmarks).all((1, 2))]
    return known.mean(0) if len(known) else template
