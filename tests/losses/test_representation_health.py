"""The meters of stage one: content scores high, a clock is found out, and chance is chance."""

import numpy as np
import pytest
import torch

from avkd.losses import representation_health as health

T, D = 25, 32


def noise(num_clips: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_clips, T, D, generator=torch.Generator().manual_seed(seed))


def position_code(num_clips: int) -> torch.Tensor:
    return noise(1, seed=9).expand(num_clips, -1, -1).clone()


def slow_retrieval(prediction: np.ndarray, target: np.ndarray) -> float:
    def unit(x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=0)
        x = x - x.mean(axis=1, keepdims=True)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    p, z = unit(prediction), unit(target)
    hits = 0
    for a in range(len(p)):
        scores = [
            np.mean([float(p[a, t] @ z[b, t]) for t in range(p.shape[1])]) for b in range(len(z))
        ]
        hits += int(np.argmax(scores)) == a
    return hits / len(p)


# Retrieval


def test_identical_content_is_always_retrieved():
    assert health.retrieval_at_1(noise(64), noise(64)) == 1.0
    assert health.retrieval_at_1(noise(64) * 3, noise(64)) == 1.0


def test_retrieval_between_strangers_is_about_chance():
    found = [health.retrieval_at_1(noise(100, 2 * s), noise(100, 2 * s + 1)) for s in range(20)]
    assert np.mean(found) == pytest.approx(0.01, abs=0.01)


def test_retrieval_equals_a_loop_over_its_definition():
    target = noise(24)
    prediction = target + 9.0 * noise(24, 1)  # right for some clips only
    expected = slow_retrieval(prediction.double().numpy(), target.double().numpy())
    assert 0.1 < expected < 0.9
    assert health.retrieval_at_1(prediction, target) == pytest.approx(expected)


@pytest.mark.parametrize("num_clips", [48, 64])
def test_a_position_code_retrieves_nothing(num_clips):
    """Its loss is -1; this is the meter that must not believe it."""
    code = position_code(num_clips)
    assert health.retrieval_at_1(code, code) == pytest.approx(1 / num_clips)


def test_a_position_code_on_top_of_content_does_not_hide_it():
    assert health.retrieval_at_1(noise(32) + 50 * position_code(32), noise(32)) == 1.0


def test_within_groups_the_group_itself_cannot_help():
    """A code of who speaks is retrieved among all clips, but not among the speaker's own."""
    groups = [f"speaker{index // 4}" for index in range(32)]
    who = noise(8, 3).repeat_interleave(4, dim=0)
    prediction, target = who + 0.01 * noise(32, 4), who + 0.01 * noise(32, 5)
    assert health.retrieval_at_1(prediction, target) > 0.15  # chance is 0.03
    found, chance = health.retrieval_within_groups(prediction, target, groups)
    assert chance == pytest.approx(0.25)
    assert found == pytest.approx(chance, abs=2.6 * (0.25 * 0.75 / 32) ** 0.5)
    assert health.retrieval_within_groups(noise(32), noise(32), groups) == (1.0, 0.25)


def test_groups_of_one_clip_are_left_out_and_sizes_are_weighed():
    groups = ["a", "a", "b", "b", "b", "b", "alone"]
    found, chance = health.retrieval_within_groups(noise(7), noise(7), groups)
    assert found == 1.0
    assert chance == pytest.approx((2 * 0.5 + 4 * 0.25) / 6)
    assert health.retrieval_within_groups(noise(3), noise(3), ["a", "b", "c"]) is None


def test_the_chance_bound_is_rarely_passed_by_guessing():
    assert health.retrieval_chance_bound(100) == pytest.approx(0.03)  # binomial, by hand
    random = np.random.default_rng(0)
    # As stage one uses it: the mean of both directions (one alone passes in 8 % of the cases).
    guesses = (random.integers(0, 64, (20_000, 2, 64)) == np.arange(64)).mean(axis=(1, 2))
    assert (guesses > health.retrieval_chance_bound(64)).mean() < 0.03
    bounds = [health.retrieval_chance_bound(n) for n in (8, 16, 64, 256)]
    assert bounds == sorted(bounds, reverse=True)
    # The best of a hundred looks is no more often above it than one look was.
    looks = (random.integers(0, 64, (1_000, 100, 64)) == np.arange(64)).mean(axis=2).max(axis=1)
    assert (looks > health.retrieval_chance_bound(64)).mean() > 0.5
    assert (looks > health.retrieval_chance_bound(64, num_looks=100)).mean() < 0.03


# Alignment


def test_identical_content_is_aligned_to_the_frame():
    assert health.alignment_error_frames(noise(16), noise(16)) == 0.0


def test_a_delay_is_measured_in_frames():
    content = noise(16)
    assert health.alignment_error_frames(content, content.roll(3, dims=1)) == pytest.approx(
        (22 * 3 + 3 * 22) / 25
    )


def test_alignment_between_strangers_is_at_the_chance_of_25_frames():
    assert health.alignment_error_frames(noise(400), noise(400, 1)) == pytest.approx(8.32, abs=0.3)


@pytest.mark.parametrize("num_clips", [48, 64])
def test_a_position_code_is_not_aligned(num_clips):
    """Uncentred it would read 0, a perfect lip reader (method 8.3 d)."""
    code = position_code(num_clips)
    assert health.alignment_error_frames(code, code) > 5.0


# Shares


@pytest.mark.parametrize("num_clips", [16, 64])
def test_the_position_only_share_runs_from_one_over_b_to_one(num_clips):
    assert health.position_only_share(position_code(num_clips) + 3.0) == pytest.approx(1.0)
    assert health.position_only_share(noise(num_clips)) == pytest.approx(1 / num_clips, rel=0.25)
    constant_in_time = noise(num_clips)[:, :1].expand(-1, T, -1)
    assert health.position_only_share(constant_in_time) == pytest.approx(0.0, abs=1e-6)
    half = position_code(num_clips) + noise(num_clips)
    assert health.position_only_share(half) == pytest.approx(0.5, abs=0.1)


def test_targets_that_never_change_have_no_share_to_explain():
    assert health.position_only_share(torch.ones(8, T, D)) == pytest.approx(0.0)


def test_the_spread_is_one_for_full_and_zero_for_collapsed_targets():
    assert health.target_spread(noise(64)).item() == pytest.approx(1.0, abs=0.02)
    assert health.target_spread(100 * noise(64)).item() == pytest.approx(1.0, abs=0.02)
    assert health.target_spread(torch.ones(64, T, D)).item() == pytest.approx(0.0, abs=1e-5)
