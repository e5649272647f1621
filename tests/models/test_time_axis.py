"""Is a feature of frame t really about frame t? The fault that undid the published network."""

import pytest
import torch

from avkd.models.build import build_network

NUM_FRAMES = 25


def share_of_change_near_the_frame(name: str, **options) -> tuple[float, float]:
    """How much of the change sits in t-1..t+1, and how often one of them changes most."""
    torch.manual_seed(0)
    encoder = build_network("video", name=name, image_size=32, **options).eval()
    clip = torch.randn(1, 3, NUM_FRAMES, 32, 32)
    shares, hits = [], []
    with torch.no_grad():
        before = encoder(clip).features
        for t in range(2, NUM_FRAMES - 2, 4):
            changed = clip.clone()
            changed[:, :, t] = torch.randn(3, 32, 32)
            change = (encoder(changed).features - before).norm(dim=-1)[0]
            shares.append(float(change[t - 1 : t + 2].sum() / change.sum()))
            hits.append(abs(int(change.argmax()) - t) <= 1)
    return sum(shares) / len(shares), sum(hits) / len(hits)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnn3d_gru", {"width": 8, "reduced": 32, "hidden": 64}),
        ("published_gru", {"width": 8, "hidden": 64, "feature_dim": 128}),
        ("cnn_lstm", {"width": 8, "hidden": 64}),
        ("csn101", {"width": 8, "depths": (1, 1, 1, 1)}),
    ],
)
def test_changing_a_frame_changes_its_own_features_most(name, options):
    share, hits = share_of_change_near_the_frame(name, **options)
    assert share > 0.25 and hits > 0.5


def test_the_published_reshape_spreads_a_frame_over_all_steps():
    """0.12 = 3 / 25 is uniform: the published GRU never saw time (method 0.4)."""
    share, _ = share_of_change_near_the_frame(
        "published_gru", width=8, hidden=64, feature_dim=128, time_axis="published"
    )
    assert share == pytest.approx(3 / NUM_FRAMES, abs=0.04)


def test_the_published_reshape_reads_memory_as_the_authors_do():
    encoder = build_network(
        "video", name="published_gru", image_size=32, width=1, time_axis="published"
    )
    maps = torch.randn(2, 8, NUM_FRAMES, 2, 2)
    expected = maps.contiguous().numpy().reshape(2, NUM_FRAMES, 8 * 2 * 2)
    strided = maps.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(encoder._steps(strided), torch.from_numpy(expected))
