"""Fits, on validation scores only, what turns a logit into a probability and an operating point.

Pure numbers in, numbers out. Source: Platt 1999 with the smoothed targets of his section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from avkd.reporting import metrics

_SMALLEST_SCALE = 1e-3


@dataclass(frozen=True)
class Calibration:
    """p = sigmoid(scale * logit + offset), and the probability from which a file is called fake."""

    scale: float
    offset: float
    threshold: float


def calibrate(labels: ArrayLike, logits: ArrayLike) -> Calibration:
    """Fit probabilities and threshold to pooled validation logits.

    Targets are smoothed by the class counts, so perfectly separated scores do not give an
    infinitely steep curve; the classes weigh the same, so a probability assumes no prevalence.

    Args:
        labels: (N,) 1 = fake.
        logits: (N,) mean logit of each file.

    Raises:
        ValueError: only one class, or a logit that is not finite.
    """
    label_array, logit_array = np.asarray(labels), np.asarray(logits, dtype=np.float64)
    point = metrics.best_threshold(label_array, logit_array)
    if point.threshold is None:
        raise ValueError(f"calibration needs validation scores of both classes: {point.reason}")
    num_fake, num_real = (label_array == 1).sum(), (label_array == 0).sum()
    target = np.where(label_array == 1, (num_fake + 1) / (num_fake + 2), 1 / (num_real + 2))
    weight = np.where(label_array == 1, 0.5 / num_fake, 0.5 / num_real)
    spread = float(logit_array.std()) or 1.0
    center = float(logit_array.mean())
    standard = (logit_array - center) / spread

    def cross_entropy(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        log_scale, offset = parameters
        z = np.exp(log_scale) * standard + offset
        loss = -(weight * (target * log_expit(z) + (1 - target) * log_expit(-z))).sum()
        slope = weight * (expit(z) - target)
        return float(loss), np.array([(slope * standard).sum() * np.exp(log_scale), slope.sum()])

    log_scale, offset = minimize(
        cross_entropy, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-6.0, 6.0), (None, None)]
    ).x
    scale = max(float(np.exp(log_scale)) / spread, _SMALLEST_SCALE)
    offset = float(offset) - scale * center
    # The threshold is a logit of the validation scores; as a probability it must stay inside 0..1.
    threshold = float(np.clip(expit(scale * point.threshold + offset), 0.01, 0.99))
    return Calibration(scale=scale, offset=offset, threshold=threshold)
