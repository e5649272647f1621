"""Ways to lay one picture into another where a mask says so, and the literal table `BLENDERS`.

Each leaves a trace of its own; a detector that saw one kind knows that kind. Pictures are float
(S, S, 3) in 0..255, masks (S, S) in 0..1 with 0 along the edge. Where the mask is 0 no pixel
changes, whatever the way. What depends on the mask alone is computed once, for all frames of a
clip.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.ndimage import correlate1d
from scipy.sparse.linalg import splu

Blend = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From target and source to the blended picture."""
Blender = Callable[[np.ndarray, np.random.Generator], Blend]
"""From a mask, and a generator for what is random about it, to how it blends."""

_LEVELS = 5
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16  # Burt and Adelson's a = 0.375


def feathered(mask: np.ndarray, rng: np.random.Generator) -> Blend:
    """Alpha blending: the mask is the share of the source."""
    share = mask[..., None]
    return lambda target, source: target + share * (source - target)


def hard_colour_transfer(mask: np.ndarray, rng: np.random.Generator) -> Blend:
    """Cut out hard, after mean and deviation of its colours were made the target's.

    Reinhard et al. 2001, here per RGB channel.
    """
    inside = mask > 0.5

    def blend(target: np.ndarray, source: np.ndarray) -> np.ndarray:
        if not inside.any():
            return target
        out = target.copy()
        ours, theirs = target[inside], source[inside]
        gain = np.clip((ours.std(0) + 1) / (theirs.std(0) + 1), 0.5, 2.0)
        out[inside] = (theirs - theirs.mean(0)) * gain + ours.mean(0)
        return out

    return blend


def multi_band(mask: np.ndarray, rng: np.random.Generator) -> Blend:
    """Coarse structure blended over a wide border, fine over a narrow one.

    Burt and Adelson 1983. The border widens inwards only: beyond the mask nothing changes.
    """
    levels = min(_LEVELS, int(np.log2(min(mask.shape))) - 2)
    core = np.clip(2 * mask - 1, 0, 1)[..., None]
    shares = [core]
    for _ in range(levels - 1):
        shares.append(_reduced(shares[-1]))
    touched = np.clip(4 * mask, 0, 1)[..., None]

    def blend(target: np.ndarray, source: np.ndarray) -> np.ndarray:
        difference = source - target
        bands = []
        for _ in range(levels - 1):
            coarse = _reduced(difference)
            bands.append(difference - _expanded(coarse, difference.shape))
            difference = coarse
        bands.append(difference)
        blended = bands[-1] * shares[-1]
        for band, share in zip(bands[-2::-1], shares[-2::-1], strict=True):
            blended = _expanded(blended, band.shape) + band * share
        return target + touched * blended

    return blend


def poisson(mask: np.ndarray, rng: np.random.Generator) -> Blend:
    """The source's gradients inside the mask, the target's values around it.

    Perez, Gangnet and Blake 2003.
    """
    return _gradient_domain(mask, lambda target, source: source)


def mixed_gradients(mask: np.ndarray, rng: np.random.Generator) -> Blend:
    """As `poisson`, but of both pictures' gradients the stronger one at every place."""

    def stronger(target: np.ndarray, source: np.ndarray) -> np.ndarray:
        return np.where(np.abs(source) > np.abs(target), source, target)

    return _gradient_domain(mask, stronger)


def dissolve(mask: np.ndarray, rng: np.random.Generator) -> Blend:
    """Each pixel of the border is the one's or the other's, by lot; the same over a clip."""
    chosen = (rng.random(mask.shape) < mask)[..., None]
    return lambda target, source: np.where(chosen, source, target)


BLENDERS: dict[str, Blender] = {
    "feathered": feathered,
    "hard_colour_transfer": hard_colour_transfer,
    "multi_band": multi_band,
    "poisson": poisson,
    "mixed_gradients": mixed_gradients,
    "dissolve": dissolve,
}

BLENDER_OF_METHOD: dict[str, str] = {
    "self_blended": "feathered",
    "face_swap": "poisson",
    "mouth_reenactment": "multi_band",
    "texture_resynthesis": "hard_colour_transfer",
    "generator_artifacts": "dissolve",
}
"""How stored forgeries (`synthesis.forgery_methods`) lay a new face into the old: no two alike, so
that to leave a method out is to leave its blending method out."""


def _gradient_domain(
    mask: np.ndarray, choose: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Blend:
    """Solve Poisson's equation inside the mask for gradients chosen out of both pictures'."""
    rows, columns = np.nonzero(mask > 0.5)
    if not len(rows):
        return lambda target, source: target
    number = np.full(mask.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    neighbours = [number[rows + down, columns + right] for down, right in steps]
    own = np.arange(len(rows))
    pairs = np.concatenate([(own[found >= 0], found[found >= 0]) for found in neighbours], axis=1)
    adjacent = sparse.csc_matrix((np.ones(pairs.shape[1]), pairs), shape=(len(rows), len(rows)))
    laplacian = 4.0 * sparse.identity(len(rows), format="csc") - adjacent
    solve = splu(laplacian, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve

    def blend(target: np.ndarray, source: np.ndarray) -> np.ndarray:
        wanted = np.zeros((len(rows), 3))
        for (down, right), found in zip(steps, neighbours, strict=True):
            place = (rows + down, columns + right)
            wanted += choose(
                target[rows, columns] - target[place], source[rows, columns] - source[place]
            )
            wanted[found < 0] += target[place][found < 0]
        out = target.copy()
        out[rows, columns] = solve(wanted)
        return out

    return blend


def _reduced(image: np.ndarray) -> np.ndarray:
    """Low-passed, every second row and column."""
    rows = correlate1d(image, _BINOMIAL, axis=0, mode="nearest")[::2]
    return correlate1d(rows, _BINOMIAL, axis=1, mode="nearest")[:, ::2]


def _expanded(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `_reduced` as far as there is one, to (H, W, C) = ``shape``."""
    out = np.zeros((*shape[:2], image.shape[2]), np.float32)
    out[::2, ::2] = 4 * image
    out = correlate1d(out, _BINOMIAL, axis=0, mode="mirror")
    return correlate1d(out, _BINOMIAL, axis=1, mode="mirror")
