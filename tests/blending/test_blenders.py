"""Ways of blending: nothing beyond the mask, the same from the same seed, each true to its name."""

import numpy as np
import pytest

from avkd.blending.blenders import BLENDERS

SIZE = 48


def _pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target, source = rng.uniform(40, 210, (2, SIZE, SIZE, 3)).astype(np.float32)
    return target, source


def _mask(softness: float = 6.0) -> np.ndarray:
    x, y = np.meshgrid(*2 * (np.arange(SIZE),))
    radius = np.hypot(x - 22, y - 25)
    return np.clip((15 - radius) / softness, 0, 1).astype(np.float32)


def _blended(name: str, target: np.ndarray, source: np.ndarray, seed: int = 0) -> np.ndarray:
    return BLENDERS[name](_mask(), np.random.default_rng(seed))(target, source)


def test_there_are_more_than_the_four_kinds_asked_for():
    assert len(BLENDERS) >= 4
    assert {"feathered", "poisson", "multi_band", "hard_colour_transfer"} <= set(BLENDERS)


@pytest.mark.parametrize("name", BLENDERS)
def test_outside_the_mask_nothing_changes_and_inside_something_does(name):
    target, source = _pictures()
    before = target.copy()
    blended = _blended(name, target, source)
    assert np.array_equal(target, before)
    outside = _mask() == 0
    assert np.array_equal(blended[outside], target[outside])
    assert np.abs(blended - target)[_mask() == 1].mean() > 5


@pytest.mark.parametrize("name", BLENDERS)
def test_the_same_seed_gives_the_same_pixels(name):
    target, source = _pictures()
    assert np.array_equal(_blended(name, target, source), _blended(name, target, source))


@pytest.mark.parametrize("name", sorted(set(BLENDERS) - {"dissolve"}))
def test_a_picture_laid_into_itself_stays_what_it_is(name):
    target, _ = _pictures()
    assert np.allclose(_blended(name, target, target.copy()), target, atol=1e-2)


def test_an_empty_mask_changes_nothing():
    target, source = _pictures()
    for blender in BLENDERS.values():
        blend = blender(np.zeros((SIZE, SIZE), np.float32), np.random.default_rng(0))
        assert np.array_equal(blend(target, source), target)


def test_feathered_is_the_weighted_mean():
    target, source = _pictures()
    share = _mask()[..., None]
    assert np.allclose(_blended("feathered", target, source), (1 - share) * target + share * source)


def test_poisson_forgets_a_constant_and_keeps_the_gradients():
    _, source = _pictures()
    flat = np.full_like(source, 100.0)
    first, brighter = _blended("poisson", flat, source), _blended("poisson", flat, source + 30)
    assert np.allclose(first, brighter, atol=1e-3)
    # A source without gradients of its own leaves a harmonic fill of the border: here, flat.
    assert np.allclose(_blended("poisson", flat, np.full_like(source, 20.0)), flat, atol=1e-3)


def test_poisson_solves_its_equation():
    target, source = _pictures()
    blended = _blended("poisson", target, source).astype(np.float64)

    def laplacian(image):
        return (
            4 * image[1:-1, 1:-1]
            - image[:-2, 1:-1]
            - image[2:, 1:-1]
            - image[1:-1, :-2]
            - image[1:-1, 2:]
        )

    inside = (_mask() > 0.5)[1:-1, 1:-1]
    wanted, found = laplacian(source.astype(np.float64)), laplacian(blended)
    assert np.abs(wanted - found)[inside].max() < 1e-2


def test_mixed_gradients_keep_the_targets_edge_that_poisson_loses():
    edge = np.full((SIZE, SIZE, 3), 80.0, np.float32)
    edge[:, 22:] = 160.0
    plain = np.full_like(edge, 120.0)
    row = slice(21, 23)
    jump = {
        name: float(np.diff(_blended(name, edge, plain)[25, row, 0])[0])
        for name in ("poisson", "mixed_gradients")
    }
    assert jump["mixed_gradients"] > 75 > 20 > jump["poisson"]


def test_hard_colour_transfer_matches_mean_and_deviation_inside():
    target, source = _pictures()
    blended = _blended("hard_colour_transfer", target, 0.7 * source + 10)
    inside = _mask() > 0.5
    assert np.allclose(blended[inside].mean(0), target[inside].mean(0), atol=0.5)
    assert np.allclose(blended[inside].std(0), target[inside].std(0), rtol=0.05)


def test_multi_band_blends_coarse_wider_than_fine():
    flat = np.full((SIZE, SIZE, 3), 100.0, np.float32)
    brighter = flat + 40
    checks = flat + 40 * np.where((np.indices((SIZE, SIZE)).sum(0) % 2)[..., None], 1.0, -1.0)
    border = (_mask() > 0.5) & (_mask() < 0.75)
    coarse = _blended("multi_band", flat, brighter.astype(np.float32)) - flat
    fine = _blended("multi_band", flat, checks.astype(np.float32)) - flat
    assert np.abs(coarse[border]).mean() > np.abs(fine[border]).mean()


def test_dissolve_takes_every_pixel_from_the_one_or_the_other():
    target, source = _pictures()
    blended = _blended("dissolve", target, source)
    assert np.all(np.isclose(blended, target) | np.isclose(blended, source))
    assert not np.array_equal(blended, _blended("dissolve", target, source, seed=1))
