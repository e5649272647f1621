"""Ways to forge a talking face, one pure function each, and the literal table `FORGERIES`.

Arrays in, arrays out. Every random choice is made once per clip, so that a forgery does not
flicker. Strength 0 returns the clip untouched, 1 is plain.
No two methods blend alike, so that to leave a method out is to leave out its blending method, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from einops import rearrange
from scipy.ndimage import gaussian_filter

from avkd.blending.bilinear import sample_bilinear
from avkd.blending.blenders import BLENDER_OF_METHOD, BLENDERS, Blend
from avkd.data.clock import SAMPLE_RATE_HZ
from avkd.data.silence import silent_ends
from avkd.synthesis.face_patch import (
    PATCH_SIZE,
    PATCH_X,
    PATCH_Y,
    Change,
    change_patches,
    cut_patch,
    ellipse,
)

# Of the ellipses that are changed, in pixels of the patch.
Ellipse = tuple[tuple[float, float], tuple[float, float]]
"""Centre and half axes, x and y."""
_FACE: Ellipse = ((64.0, 69.0), (37.0, 46.0))
_LOWER_FACE: Ellipse = ((64.0, 95.0), (27.0, 20.0))
_SHIFT_SECONDS = (0.12, 0.8)

Rng = np.random.Generator


@dataclass(frozen=True)
class Clip:
    """Pictures, landmarks and sound of one person."""

    frames: np.ndarray
    """uint8 (T, H, W, 3) RGB."""
    landmarks: np.ndarray
    """(T, 5, 2) pixels: eyes, nose, mouth corners, as seen in the image."""
    waveform: np.ndarray | None = None
    """float32 (S,) at 16 kHz, or None."""


Method = Callable[[Clip, Clip | None, float, Rng], Clip]
"""From target, donor and strength to the target with other pictures or another sound."""


@dataclass(frozen=True)
class Forgery:
    """A row of `FORGERIES`."""

    method: Method
    donor: Literal["none", "other_person", "same_person"]
    """Whose second clip the method needs."""
    changes: Literal["picture", "sound"]
    """``sound`` leaves every pixel as it is: invisible to a detector that only looks."""


def self_blended(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """A face blended with a slightly displaced and recoloured copy of itself.

    After Shiohara & Yamasaki (CVPR 2022, section 3.1): what is left is the blending border and the
    mismatch of statistics, common to all swaps. Parameters are drawn once per clip.
    """
    gain = 1 + 0.22 * strength * rng.uniform(-1, 1)
    colour_shift = strength * rng.uniform(-22, 22, 3)
    sharpness = strength * rng.uniform(-1, 1)
    move = _displacement(rng, smooth=18) * 1.2 * strength
    move += 3.0 * strength * rng.uniform(-1, 1, (2, 1, 1))
    zoom = 1 + 0.05 * strength * rng.uniform(-1, 1)
    mask = _mask(_FACE, rng)
    share = float(rng.choice([0.5, 0.75, 1.0]))
    middle = PATCH_SIZE / 2

    def change(patch: np.ndarray, _: int) -> np.ndarray:
        copy = sample_bilinear(
            patch,
            (PATCH_X - middle) * zoom + middle + move[0],
            (PATCH_Y - middle) * zoom + middle + move[1],
        )
        soft = gaussian_filter(copy, (1.2, 1.2, 0))
        copy = copy + sharpness * (copy - soft)
        mean = copy.mean((0, 1))
        return (copy - mean) * gain + mean + colour_shift

    return _change_face(target, change, _blend("self_blended", mask, rng), share)


def face_swap(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """The donor's face laid over the target's by its landmarks, recoloured, with a soft border.

    Colours are matched by mean and deviation (Reinhard et al. 2001, here per RGB channel and once
    per clip). Up to strength 0.5 the donor fades in; beyond that it covers fully and its own
    colours come through, at most by half.
    """
    return _paste_donor("face_swap", target, donor, _FACE, strength, rng)


def mouth_reenactment(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """The lower face of another sentence of the same speaker, laid over the target's.

    Aligned mainly by eyes and nose, so that the donor's jaw and lips move as they did; the mouth
    then says what is not in the sound. Strength as in `face_swap`: beyond 0.5 it only adds a
    difference in colour.
    """
    return _paste_donor("mouth_reenactment", target, donor, _LOWER_FACE, strength, rng)


def texture_resynthesis(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """The face rebuilt from a few principal components of the clip itself, then sharpened.

    Stands for decoders that render a face through a narrow bottleneck (as in neural textures): fine
    texture freezes or vanishes while expressions remain. Strength shrinks the bottleneck.
    """
    blend = _blend("texture_resynthesis", _mask(_FACE, rng), rng)
    patches = np.stack([_patch(target, index) for index in range(len(target.frames))])
    coarse = gaussian_filter(patches, (0, 0.9 * strength, 0.9 * strength, 0))
    flat = rearrange(coarse, "t h w c -> t (h w c)")
    mean = flat.mean(0)
    num_components = max(1, round((1 - 0.85 * strength) * min(len(flat), 16)))
    # The Gram matrix is T x T: far smaller than the patch's covariance, same components.
    _, vectors = np.linalg.eigh((flat - mean) @ (flat - mean).T)
    kept = vectors[:, -num_components:]
    flat = mean + kept @ (kept.T @ (flat - mean))
    rebuilt = rearrange(flat, "t (h w c) -> t h w c", h=PATCH_SIZE, w=PATCH_SIZE)
    rebuilt += 0.5 * strength * (rebuilt - gaussian_filter(rebuilt, (0, 2, 2, 0)))
    share = min(1.0, 2 * strength)
    return _change_face(target, lambda patch, index: rebuilt[index], blend, share)


def warped_geometry(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """Features grown, shrunk and moved by a smooth local warp, as face-editing filters do."""
    move = _displacement(rng, smooth=14) * 1.5
    for (x, y), radius in (((45.5, 50), 13), ((82.5, 50), 13), ((64, 70), 14), ((64, 93), 17)):
        away_x, away_y = PATCH_X - x, PATCH_Y - y
        near = np.exp(-0.5 * (away_x**2 + away_y**2) / radius**2)
        size = rng.choice([-1, 1]) * rng.uniform(0.15, 0.3)
        shift = rng.uniform(-2, 2, 2)
        move += np.stack([near * (size * away_x + shift[0]), near * (size * away_y + shift[1])])
    # The warp dies out before the border, so that nothing is torn there.
    move *= strength * ellipse(*_FACE, softness=0.45)

    def change(patch: np.ndarray, _: int) -> np.ndarray:
        return sample_bilinear(patch, PATCH_X + move[0], PATCH_Y + move[1])

    return _change_face(target, change, lambda patch, warped: warped)


def generator_artifacts(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """The face through a coarse up-sampling network: lost detail and a faint checkerboard.

    Transposed convolutions whose kernel is no multiple of the stride weigh neighbouring pixels
    unequally (Odena et al. 2016); the pattern is fixed to the face, not to the picture.
    """
    blend = _blend("generator_artifacts", _mask(_FACE, rng), rng)
    stride = int(rng.integers(2, 4))
    period = rng.normal(0, 1, (stride, stride, 3))
    period -= period.mean((0, 1))
    repeats = -(-PATCH_SIZE // stride)
    pattern = np.tile(period, (repeats, repeats, 1))[:PATCH_SIZE, :PATCH_SIZE]
    pattern *= 0.05 * strength / period.std()
    softness = stride * (0.3 + 0.3 * strength)

    def change(patch: np.ndarray, _: int) -> np.ndarray:
        return gaussian_filter(patch, (softness, softness, 0)) * (1 + pattern)

    return _change_face(target, change, blend, min(1.0, 2 * strength))


def sound_swapped(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """The picture as it is, with another clip's sound; strength mixes it in.

    The mixture is as loud as the clip was: two voices that do not know of each other add up to
    less, and the level alone told (AUC 78 % on drawn faces).
    """
    assert donor is not None
    own, other = target.waveform, donor.waveform
    assert own is not None and other is not None
    mixed = (1 - strength) * own + strength * np.resize(other, own.shape)
    loudness, loudest = np.sqrt(np.mean(mixed**2)), np.abs(mixed).max()
    if loudness > 0:
        mixed *= min(np.sqrt(np.mean(own**2)) / loudness, 1.0 / loudest)
    return replace(target, waveform=mixed.astype(np.float32))


def sound_shifted(target: Clip, donor: Clip | None, strength: float, rng: Rng) -> Clip:
    """The picture as it is, its own sound 0.12 to 0.8 s early or late.

    What lies between the silences at both ends is rotated; they stay where they are. Rotated with
    the rest, they gave the forgery away without a look at the picture: on GRID (reals begin and end
    in silence) the length of the last one alone had an AUC of 98 %.
    """
    shortest, longest = _SHIFT_SECONDS
    seconds = shortest + strength * (longest - shortest)
    own = target.waveform
    assert own is not None
    shift = int(rng.choice([-1, 1])) * round(seconds * SAMPLE_RATE_HZ)
    ends = silent_ends(own)
    first = 0 if ends.is_silent else round(ends.leading_seconds * SAMPLE_RATE_HZ)
    last = len(own) - (0 if ends.is_silent else round(ends.trailing_seconds * SAMPLE_RATE_HZ))
    shifted = own.copy()
    shifted[first:last] = np.roll(own[first:last], shift)
    return replace(target, waveform=shifted)


FORGERIES: dict[str, Forgery] = {
    "self_blended": Forgery(self_blended, "none", "picture"),
    "face_swap": Forgery(face_swap, "other_person", "picture"),
    "mouth_reenactment": Forgery(mouth_reenactment, "same_person", "picture"),
    "texture_resynthesis": Forgery(texture_resynthesis, "none", "picture"),
    "warped_geometry": Forgery(warped_geometry, "none", "picture"),
    "generator_artifacts": Forgery(generator_artifacts, "none", "picture"),
    "sound_swapped": Forgery(sound_swapped, "other_person", "sound"),
    "sound_shifted": Forgery(sound_shifted, "none", "sound"),
}


def apply(name: str, target: Clip, donor: Clip | None = None, *, strength: float, rng: Rng) -> Clip:
    """Forge ``target`` by the method ``name``; strength, 0..1, of 0 gives it back unchanged.

    The donor and the sound that the method needs have to be there.
    """
    if strength == 0:
        return target
    return FORGERIES[name].method(target, donor, strength, rng)


def boxes_around(landmarks: np.ndarray) -> np.ndarray:
    """Detector-like boxes (T, 4) x0 y0 x1 y1 around each set of five points (T, 5, 2)."""
    centre = landmarks.mean(1)
    between = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=-1)[:, None]
    half = between * (1.15, 1.45)
    return np.concatenate([centre - half, centre + half], 1)


def _paste_donor(
    method: str, target: Clip, donor: Clip | None, part: Ellipse, strength: float, rng: Rng
) -> Clip:
    """Lay a part of the donor's aligned face over the target's; strength as in `face_swap`."""
    assert donor is not None
    mask = _mask(part, rng)
    blend = _blend(method, mask, rng)
    match = 1 - max(0.0, strength - 0.5)
    order = _bounce(len(donor.frames), len(target.frames), int(rng.integers(len(donor.frames))))
    transfer = _colour_transfer(target, donor, mask, match)

    def change(patch: np.ndarray, index: int) -> np.ndarray:
        return transfer(_patch(donor, order[index]))

    return _change_face(target, change, blend, min(1.0, 2 * strength))


def _change_face(target: Clip, change: Change, blend: Blend, share: float = 1.0) -> Clip:
    """The target with a changed face laid in by ``blend``, and its own sound."""
    frames = change_patches(target.frames, target.landmarks, change, blend, share)
    return replace(target, frames=frames)


def _blend(method: str, mask: np.ndarray, rng: Rng) -> Blend:
    """How ``method`` lays a patch in where ``mask`` (P, P) says."""
    return BLENDERS[BLENDER_OF_METHOD[method]](mask, rng)


def _patch(clip: Clip, index: int) -> np.ndarray:
    return cut_patch(clip.frames[index], clip.landmarks[index])


def _mask(part: Ellipse, rng: Rng) -> np.ndarray:
    """An ellipse with a border of random softness and slightly random course."""
    mask = ellipse(*part, softness=rng.uniform(0.15, 0.4))
    move = _displacement(rng, smooth=12) * 2
    bent = sample_bilinear(mask[..., None], PATCH_X + move[0], PATCH_Y + move[1])
    return bent[..., 0]


def _displacement(rng: Rng, smooth: float) -> np.ndarray:
    """A smooth random field (2, P, P) of unit deviation, in pixels of the patch."""
    noise = rng.standard_normal((2, PATCH_SIZE, PATCH_SIZE))
    field = gaussian_filter(noise, (0, smooth, smooth))
    return field / field.std()


def _colour_transfer(
    target: Clip, donor: Clip, mask: np.ndarray, match: float
) -> Callable[[np.ndarray], np.ndarray]:
    """A map of donor colours to the target's; ``match`` 1 = fully, 0 = not at all."""
    weights = mask / max(float(mask.sum()), 1e-6)

    def statistics(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        picks = np.unique(np.linspace(0, len(clip.frames) - 1, 8).astype(int))
        patches = np.stack([_patch(clip, int(index)) for index in picks])
        mean = np.einsum("thwc,hw->c", patches, weights) / len(picks)
        variance = np.einsum("thwc,hw->c", (patches - mean) ** 2, weights) / len(picks)
        return mean, np.sqrt(variance) + 1e-3

    (to_mean, to_spread), (from_mean, from_spread) = statistics(target), statistics(donor)
    gain = np.clip(to_spread / from_spread, 0.5, 2.0)

    def transfer(patch: np.ndarray) -> np.ndarray:
        matched = (patch - from_mean) * gain + to_mean
        return match * matched + (1 - match) * patch

    return transfer


def _bounce(length: int, wanted: int, start: int) -> np.ndarray:
    """``wanted`` frame numbers running forth and back through 0..length-1, without a jump."""
    if length == 1:
        return np.zeros(wanted, int)
    period = 2 * (length - 1)
    place = (np.arange(wanted) + start) % period
    return np.minimum(place, period - place)
