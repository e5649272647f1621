"""Attention over time, against a slow version written from the formula."""

import math

import pytest
import torch

from avkd.models.detector import AttentionPooling, MeanPooling
from avkd.models.temporal_attention import TemporalAttention


@pytest.mark.parametrize("reach", [None, 2, 24])
def test_attention_equals_a_loop_over_heads_and_steps(reach):
    torch.manual_seed(0)
    attention = TemporalAttention(dim=8, heads=2, relative_reach_frames=reach)
    if reach is not None:
        torch.nn.init.normal_(attention.relative_bias)
    steps = torch.randn(1, 6, 8)
    out, importance = attention(steps)

    query, key, value = attention.query_key_value(attention.norm(steps))[0].split(8, dim=1)
    mixed, received = torch.zeros(6, 8), torch.zeros(6)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        for q in range(6):
            scores = torch.zeros(6)
            for k in range(6):
                scores[k] = torch.dot(query[q, part], key[k, part]) / math.sqrt(4)
                if reach is not None:
                    distance = max(-reach, min(reach, k - q))
                    scores[k] += attention.relative_bias[head, distance + reach]
            weights = scores.softmax(dim=0)
            mixed[q, part] = weights @ value[:, part]
            received += weights.detach() / (2 * 6)
    torch.testing.assert_close(out[0], steps[0] + attention.output(mixed))
    torch.testing.assert_close(importance[0], received)


def test_without_positions_the_order_of_steps_means_nothing():
    """The predictor must not be able to count steps (method 8.3)."""
    attention = TemporalAttention(dim=8, heads=2)
    steps, order = torch.randn(2, 7, 8), torch.randperm(7)
    torch.testing.assert_close(attention(steps)[0][:, order], attention(steps[:, order])[0])


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="3 attention heads do not divide 8"):
        TemporalAttention(dim=8, heads=3)


def test_learnt_pooling_starts_as_the_mean_and_has_the_size_of_the_method():
    features = torch.randn(3, 7, 512)
    pooling = AttentionPooling(feature_dim=512)
    feature, weights = pooling(features)
    torch.testing.assert_close(feature, MeanPooling()(features)[0])
    torch.testing.assert_close(weights, torch.full((3, 7), 1 / 7))
    assert sum(p.numel() for p in pooling.parameters()) == pytest.approx(66_000, rel=0.01)


def test_learnt_pooling_is_the_weighted_mean_it_reports():
    pooling = AttentionPooling(feature_dim=6, hidden=4)
    torch.nn.init.normal_(pooling.score.weight)
    features = torch.randn(2, 5, 6)
    feature, weights = pooling(features)
    expected = sum(weights[:, t, None] * features[:, t] for t in range(5))
    torch.testing.assert_close(feature, expected)
    assert float(weights.std()) > 0
