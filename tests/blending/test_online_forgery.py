"""Masks, recipes and degradations: seeded, bounded, the same for a real and its fake."""

import numpy as np
import pytest

from avkd.blending import online_forgery, picture_changes
from avkd.blending.blenders import BLENDERS
from avkd.blending.degradation import degrade, draw_degradation
from avkd.blending.masks import SHAPES, draw_mask
from avkd.blending.online_forgery import OnlineForgery, draw_recipe, mean_face
from avkd.data.faces.face_crop import template_points

SIZE = 64
FACE = template_points(SIZE, 1.3)


def _clip(seed: int = 0, frames: int = 3) -> np.ndarray:
    """Smooth random pictures, slightly different by frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (frames, 8, 8, 3), np.uint8)
    coarse[1:] = coarse[0]
    fine = np.repeat(np.repeat(coarse, 8, 1), 8, 2).astype(int)
    return np.clip(fine + rng.integers(-10, 10, fine.shape), 0, 255).astype(np.uint8)


def _recipe(seed: int, donor_at_hand: bool = False, moment_at_hand: bool = False, **settings):
    rng = np.random.default_rng(seed)
    at_hand = {"donor_at_hand": donor_at_hand, "moment_at_hand": moment_at_hand}
    return draw_recipe(rng, OnlineForgery(**settings), FACE, SIZE, **at_hand)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_lies_on_the_face_and_never_touches_the_edge(shape):
    for seed in range(5):
        mask = draw_mask(np.random.default_rng(seed), (shape,), FACE, SIZE)
        assert mask.shape == (SIZE, SIZE) and mask.min() >= 0 and mask.max() <= 1
        assert not mask[[0, -1]].any() and not mask[:, [0, -1]].any()
    areas = [
        float(draw_mask(np.random.default_rng(seed), (shape,), FACE, SIZE).mean())
        for seed in range(20)
    ]
    assert 0.002 < np.mean(areas) < 0.6
    assert len(set(areas)) == 20


def test_the_mask_of_the_mouth_lies_on_the_mouth():
    masks = [draw_mask(np.random.default_rng(s), ("mouth",), FACE, SIZE) for s in range(20)]
    rows, columns = np.nonzero(np.mean(masks, 0) > 0.5)
    assert np.allclose([columns.mean(), rows.mean()], FACE[3:].mean(0), atol=3)


@pytest.mark.parametrize("seed", range(40))
def test_real_and_fake_of_a_recipe_differ_inside_the_mask_alone(seed):
    clip, recipe = _clip(), _recipe(seed)
    base, fake = recipe.base(clip), recipe.fake(clip)
    assert base.dtype == fake.dtype == np.uint8
    outside = recipe.mask == 0
    assert np.array_equal(base[:, outside], fake[:, outside])


def test_most_recipes_change_something():
    changed = [np.any(_recipe(s).fake(_clip()) != _recipe(s).base(_clip())) for s in range(40)]
    assert np.mean(changed) > 0.9


def test_the_same_state_gives_the_same_pixels_and_another_one_others():
    clip = _clip()
    first, again, other = (_recipe(seed).fake(clip) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_forgery_does_not_flicker_unless_it_is_to_drift():
    clip = np.repeat(_clip(frames=1), 5, 0)
    for seed in range(20):
        still = _recipe(seed, drift=0.0).fake(clip)
        assert all(np.array_equal(frame, still[0]) for frame in still)
    moved = [
        np.ptp(_recipe(seed, drift=1.0).fake(clip).astype(int), axis=0).max() for seed in range(20)
    ]
    assert np.mean(np.array(moved) > 0) > 0.5


def test_both_directions_occur():
    changed = [_recipe(seed, resynthesis=0.0).alter_target is not None for seed in range(200)]
    assert 0.2 < np.mean(changed) < 0.4


def test_a_real_never_looks_up_sampled(monkeypatch):
    """The odd look around a patch is the real's too; a generator's grid must not be."""

    def refused(rng):
        return lambda image, place: pytest.fail("a real went through up-sampling")

    monkeypatch.setattr(online_forgery, "_up_sampling", refused)
    for seed in range(100):
        _recipe(seed, resynthesis=0.0).base(_clip(frames=1))


def test_settings_say_what_is_drawn():
    given = {"donors": 1.0, "moments": 0.0, "resynthesis": 0.0}
    recipes = [_recipe(seed, donor_at_hand=True, **given) for seed in range(20)]
    assert all(recipe.source == "other_person" for recipe in recipes)
    assert all(_recipe(seed, **given).source == "own" for seed in range(20))
    given = {"donors": 0.0, "moments": 1.0, "resynthesis": 0.0, "moment_at_hand": True}
    assert all(_recipe(seed, **given).source == "other_moment" for seed in range(20))
    one_way = {_recipe(seed, blenders=("poisson",), resynthesis=0.0).blender for seed in range(20)}
    assert one_way == {"poisson"}
    assert {_recipe(seed).blender for seed in range(200)} == set(BLENDERS)


def test_a_donors_face_comes_through():
    clip, donor = _clip(0), _clip(9)
    recipe = _recipe(1, donor_at_hand=True, donors=1.0, resynthesis=0.0, parts=0.0)
    assert np.any(recipe.fake(clip, donor) != recipe.fake(clip))


def test_mean_face_knows_what_to_do_without_landmarks():
    unknown = np.full((4, 5, 2), np.nan)
    assert np.array_equal(mean_face(unknown, FACE), FACE)
    known = np.stack([FACE, FACE + 2])
    assert np.allclose(mean_face(np.concatenate([known, unknown]), FACE * 0), FACE + 1)


def test_degradation_is_seeded_and_can_be_nothing():
    picture = _clip()[0]

    def degraded(seed, probability):
        steps = draw_degradation(np.random.default_rng(seed), probability)
        return degrade(picture, steps, np.random.default_rng(0))

    assert all(np.array_equal(degraded(seed, 0.0), picture) for seed in range(20))
    assert all(np.array_equal(degraded(s, 1.0), degraded(s, 1.0)) for s in range(20))
    changed = [np.any(degraded(seed, 1.0) != picture) for seed in range(60)]
    assert np.mean(changed) > 0.9


def test_up_sampling_leaves_a_grid_only_where_its_kernel_is_uneven():
    flat = np.full((SIZE, SIZE, 3), 120.0, np.float32)
    even = picture_changes.up_sampled(flat, np.array([0.5, 1, 0.5]), 2)
    assert np.allclose(even[4:-4, 4:-4], 120, atol=0.5)
    uneven = picture_changes.up_sampled(flat, np.array([0.3, 1, 0.5]), 2)
    assert np.ptp(uneven[4:-4, 4:-4]) > 5
    assert picture_changes.up_sampled(flat[:63, :63], np.ones(3), 2).shape == (63, 63, 3)
