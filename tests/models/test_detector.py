"""The detector's logit, and what travels beside it."""

import math

import pytest
import torch

from avkd.models.build import build_detector
from avkd.models.detector import CosineClassifier

VIDEO = {"name": "cnn3d_gru", "width": 4, "reduced": 4, "hidden": 8, "heads": 2, "image_size": 16}
HEAD = {"projection_dim": 6, "predictor_dim": 8, "predictor_heads": 2}


def test_the_logit_is_the_scaled_cosine():
    classifier = CosineClassifier(feature_dim=3, scale=64.0).requires_grad_(False)
    weight, feature = classifier.weight[0], torch.randn(3)
    dot = sum(float(w) * float(f) for w, f in zip(weight, feature, strict=True))
    lengths = math.hypot(*weight.tolist()) * math.hypot(*feature.tolist())
    assert float(classifier(feature[None])[0]) == pytest.approx(64 * dot / lengths, rel=1e-4)
    torch.testing.assert_close(classifier(10 * feature[None]), classifier(feature[None]))
    assert float(classifier(weight[None])[0]) == pytest.approx(64.0, rel=1e-5)


def test_logits_stay_in_full_precision_under_autocast():
    """In half precision confident clips tie, and the AUC is of the ties (method 0.6)."""
    detector = build_detector(video=VIDEO, **HEAD).eval()
    with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
        output = detector(torch.randn(4, 3, 5, 16, 16))
        assert output.features.isfinite().all()
        features = torch.randn(64, 16)
        logits = detector.classifier(features)
    assert output.logit.dtype == torch.float32
    assert torch.equal(logits, detector.classifier(features))


def test_a_zero_feature_gives_a_finite_logit():
    classifier = CosineClassifier(feature_dim=3)
    assert classifier(torch.zeros(1, 3)).tolist() == [0.0]


def test_learnt_pooling_reports_its_own_weights():
    clip = torch.randn(2, 3, 5, 16, 16)
    mean = build_detector(video=VIDEO, **HEAD).eval()
    attention = build_detector(video=VIDEO, pool="attn", **HEAD).eval()
    assert torch.equal(mean(clip).importance, mean.encoder(clip).importance)
    torch.testing.assert_close(attention(clip).importance, torch.full((2, 5), 0.2))


def test_without_the_auxiliary_task_there_is_no_head_to_train():
    detector = build_detector(video=VIDEO, auxiliary=False, **HEAD)
    assert not [name for name, _ in detector.named_parameters() if "auxiliary" in name]
    with pytest.raises(AssertionError, match="auxiliary=False"):
        detector.auxiliary_prediction(torch.zeros(1, 5, 16))


def test_the_auxiliary_head_predicts_in_the_space_of_the_teacher():
    detector = build_detector(video=VIDEO, **HEAD)
    assert detector.auxiliary_prediction(torch.randn(2, 5, 16)).shape == (2, 5, 6)
