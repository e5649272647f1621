"""Meters of stage one: places, retrieval and its interval, against brute force."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avkd.data.windows import WINDOW_FRAMES
from avkd.evaluation.cross_modal_meters import (
    LOOKED_AT_FRAMES,
    interval_over_groups,
    random_places,
    retrieval,
)

R, B, T, D = 3, 10, 25, 8
SPEAKERS = ["a", "a", "a", "b", "b", "b", "b", "c", "c", "d"]


def noise(seed: int) -> torch.Tensor:
    return torch.randn(R, B, T, D, generator=torch.Generator().manual_seed(seed))


def slow_hits(p: np.ndarray, z: np.ndarray, among: list[int]) -> list[bool]:
    """Whose own target is the most similar among some clips; centring by loops."""

    def unit(x: np.ndarray) -> np.ndarray:
        x = x[among]
        x = x - np.stack([x[:, t].mean(axis=0) for t in range(T)])
        x = np.stack([clip - clip.mean(axis=0) for clip in x])
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    p, z = unit(p), unit(z)
    return [
        int(np.argmax([sum(p[a, t] @ z[b, t] for t in range(T)) for b in range(len(z))])) == a
        for a in range(len(p))
    ]


def test_retrieval_equals_brute_force_over_rounds_directions_and_speakers():
    audio_target, video_target = noise(0), noise(1)
    video, audio = audio_target + 6 * noise(2), video_target + 8 * noise(3)
    found = retrieval(video, audio_target, audio, video_target, SPEAKERS)
    pairs = {"sound_by_picture": (video, audio_target), "picture_by_sound": (audio, video_target)}
    everyone, hits, own = list(range(B)), {}, []
    for name, (p, z) in pairs.items():
        rounds = [(a.double().numpy(), b.double().numpy()) for a, b in zip(p, z, strict=True)]
        hits[name] = [slow_hits(a, b, everyone) for a, b in rounds]
        assert found[f"retrieval_{name}"] == pytest.approx(np.mean(hits[name]))
        for a, b in rounds:
            for speaker in "abc":
                members = [i for i, who in enumerate(SPEAKERS) if who == speaker]
                own += slow_hits(a, b, members)
    assert found["retrieval_at_1"] == pytest.approx(np.mean(list(hits.values())))
    assert 0.15 < found["retrieval_at_1"] < 0.95
    assert found["retrieval_same_identity"] == pytest.approx(np.mean(own))
    assert found["retrieval_same_identity_chance"] == pytest.approx((3 / 3 + 4 / 4 + 2 / 2) / 9)
    assert found["retrieval_chance"] == 0.1
    assert found["retrieval_low"] <= found["retrieval_at_1"] <= found["retrieval_high"]


def test_a_code_of_the_clip_or_of_the_frame_is_not_retrieved():
    """Who speaks must not pass for what is said."""
    content, constant = noise(0), torch.ones(T, 1)
    for code in (noise(1)[:, :, :1] * constant, noise(1)[:, :1] * torch.ones(B, 1, 1)):
        found = retrieval(
            content + code, noise(2) + code, content + code, noise(3) + code, SPEAKERS
        )
        assert found["retrieval_at_1"] < 0.35
        alone = retrieval(content + 50 * code, content, content, content + 50 * code, SPEAKERS)
        assert alone["retrieval_at_1"] == 1.0


def test_the_interval_draws_whole_groups():
    values = np.array([1.0] * 5 + [0.0] * 5)
    apart = interval_over_groups(values, [None] * 10)
    together = interval_over_groups(values, ["a"] * 5 + ["b"] * 5)
    assert together == (0.0, 1.0)  # one of four draws is twice the same speaker
    assert 0.0 < apart[0] < 0.5 < apart[1] < 1.0
    assert interval_over_groups(values, ["a"] * 10) is None
    assert interval_over_groups(values, ["a"] * 5 + ["b"] * 5) == together


def test_an_interval_of_the_mean_covers_it():
    rng = np.random.default_rng(0)
    groups = [str(n // 4) for n in range(160)]
    covered = 0
    for _ in range(200):
        values = (rng.normal(size=40).repeat(4) + rng.normal(size=160)).astype(float)
        low, high = interval_over_groups(values, groups)
        covered += low <= 0.0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_places_are_the_same_for_every_run_and_reach_everywhere():
    items = [SimpleNamespace(num_frames=n) for n in (25, 26, 75, 1000)]
    places = random_places(items, 400)
    assert places == random_places(items, 400)
    starts = [{w.start_frame for w in windows} for windows in places]
    assert starts[0] == {0} and starts[1] == {0, 1} and starts[2] == set(range(51))
    # Of long clips the first 20 seconds: neither memory nor time may depend on their length.
    assert min(starts[3]) < 20 and 455 < max(starts[3]) <= LOOKED_AT_FRAMES - WINDOW_FRAMES
