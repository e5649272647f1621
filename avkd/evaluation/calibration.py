"""Fits, on validation scores only, the curve that turns a logit into a probability.

Pure numbers in, numbers out. Sources: Platt 1999 with the smoothed targets of his section 2.2; the
temperature of Guo et al. 2017; isotonic regression as Zadrozny and Elkan 2002.

All kinds are fitted to the same targets with the same weights. Targets are smoothed by the class
counts: n of n files seen right do not prove that the next one is, so perfectly separated scores
give no infinitely steep curve and no probability of 0 or 1. The classes weigh the same: a
probability then assumes no prevalence, where the share of fakes among validation files says nothing
about the share in the footage to be judged, and a temperature finds 0, the logit of even odds that
training aims at, where it expects it.
"""

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_expit

from avkd.metrics import probability, ranking
from avkd.metrics.bootstrap import FloatArray
from avkd.models.calibration import MAX_KNOTS, Calibration, CalibrationKind

logger = logging.getLogger(__name__)

FEW_FILES = 100
"""Below so many files an isotonic curve overfits."""
_FEWEST_OF_A_CLASS = 10
_LOG_SCALE_BOUNDS = (-6.0, 6.0)
_NEXT_TO_NOTHING = 0.1  # calibrated logit; a probability of 0.525


class FitQuality(NamedTuple):
    """How far probabilities are from the labels, with real and fake files weighing alike."""

    log_loss: float
    """Nats; log 2 = 0.693 for a coin."""
    calibration_error: float
    """Expected calibration error over the bins of `metrics.probability`, in [0, 1]."""


def require_enough_files(kind: CalibrationKind, labels: Sequence[int]) -> None:
    """Refuse, before anything is trained, validation files that cannot carry ``kind``.

    Raises:
        ValueError: too few of a class; says how many there are and the cure.
    """
    if kind != "isotonic":
        return
    num_fake = sum(labels)
    num_real = len(labels) - num_fake
    if min(num_real, num_fake) < _FEWEST_OF_A_CLASS:
        raise ValueError(
            f"calibration isotonic needs at least {_FEWEST_OF_A_CLASS} real and "
            f"{_FEWEST_OF_A_CLASS} fake validation files, there are {num_real} and {num_fake}: "
            "give --calibration platt, or more validation files"
        )
    if len(labels) < FEW_FILES:
        logger.warning(
            "calibration isotonic overfits %d validation files; platt is the safer choice below %d",
            len(labels),
            FEW_FILES,
        )


def fit(kind: CalibrationKind, labels: ArrayLike, logits: ArrayLike) -> Calibration:
    """Fit the curve of ``kind`` to labels (N,), 1 = fake, and pooled logits (N,); it never falls.

    Raises:
        ValueError: only one class, a logit that is not finite, or too few files for isotonic.
    """
    label_array, logit_array = ranking.checked(labels, logits)
    num_fake, num_real = (label_array == 1).sum(), (label_array == 0).sum()
    if not (num_fake and num_real):
        raise ValueError(
            "calibration needs validation scores of both classes, there are "
            f"{num_real} real and {num_fake} fake files"
        )
    require_enough_files(kind, label_array.tolist())
    if kind == "none":
        return Calibration()
    target = np.where(label_array == 1, (num_fake + 1) / (num_fake + 2), 1 / (num_real + 2))
    weight = np.where(label_array == 1, 0.5 / num_fake, 0.5 / num_real)
    if kind == "isotonic":
        return Calibration(kind=kind, knots=_isotonic_knots(logit_array, target, weight))
    scale, offset = _fit_sigmoid(logit_array, target, weight, with_offset=kind == "platt")
    return Calibration(kind=kind, scale=scale, offset=offset)


def quality(labels: ArrayLike, logits: ArrayLike, calibration: Calibration) -> FitQuality:
    """How far ``calibration`` is from the labels (N,) of files with pooled logits (N,).

    Raises:
        ValueError: only one class, or a logit that is not finite.
    """
    label_array, logit_array = ranking.checked(labels, logits)
    probabilities = np.array([calibration.probability(logit) for logit in logit_array.tolist()])
    losses, gaps = [], np.zeros(probability.CALIBRATION_BINS)
    for label in (0, 1):
        of_class = label_array == label
        loss = probability.log_loss(label_array[of_class], probabilities[of_class])
        if loss.value is None:
            raise ValueError("calibration is measured on files of both classes")
        losses.append(loss.value)
        bins = probability.reliability(label_array[of_class], probabilities[of_class])
        means = np.array([mean or 0.0 for mean in bins.mean_probability])
        gaps += np.array(bins.num_files) * (means - label) / (2 * of_class.sum())
    return FitQuality(sum(losses) / 2, float(np.abs(gaps).sum()))


def _fit_sigmoid(
    logits: FloatArray, target: FloatArray, weight: FloatArray, *, with_offset: bool
) -> tuple[float, float]:
    """Scale and offset of the sigmoid with the lowest cross-entropy; without offset it is 0."""
    # Standardised, so that neither the unit nor (with an offset) the origin of logits matters.
    center = float(logits.mean()) if with_offset else 0.0
    spread = math.sqrt(float(np.mean((logits - center) ** 2))) or 1.0
    standard = (logits - center) / spread

    def cross_entropy(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        log_scale, offset = parameters
        z = np.exp(log_scale) * standard + offset
        loss = -(weight * (target * log_expit(z) + (1 - target) * log_expit(-z))).sum()
        slope = weight * (expit(z) - target)
        return float(loss), np.array([(slope * standard).sum() * np.exp(log_scale), slope.sum()])

    log_scale, offset = minimize(
        cross_entropy,
        np.zeros(2),
        jac=True,
        method="L-BFGS-B",
        bounds=[_LOG_SCALE_BOUNDS, (None, None) if with_offset else (0.0, 0.0)],
    ).x
    if np.abs(np.exp(log_scale) * standard + offset).max() < _NEXT_TO_NOTHING:
        logger.warning(
            "calibration: all validation files get a probability near one half: their logits do "
            "not tell fake from real files%s",
            "" if with_offset else ", or all lie on one side of 0 (then take platt)",
        )
    scale = float(np.exp(log_scale)) / spread
    return scale, float(offset) - scale * center


def _isotonic_knots(
    logits: FloatArray, target: FloatArray, weight: FloatArray
) -> tuple[tuple[float, float], ...]:
    """Ends of the steps of the curve that never falls and is nearest in weighted squares."""
    levels, level_of_file = np.unique(logits, return_inverse=True)
    weights = np.bincount(level_of_file, weights=weight)
    means = np.bincount(level_of_file, weights=weight * target) / weights
    heights = isotonic_regression(means, weights=weights).x
    if levels.size == 1:  # a curve takes two points, even one that knows a single score
        levels, heights = np.append(levels, np.nextafter(levels, np.inf)), heights.repeat(2)
    changes = np.diff(heights) > 0
    is_end = np.concatenate([[True], changes]) | np.concatenate([changes, [True]])
    ends = np.flatnonzero(is_end)
    if ends.size > MAX_KNOTS:
        ends = ends[np.linspace(0, ends.size - 1, MAX_KNOTS).round().astype(np.int64)]
    # A mean of rounded numbers may fall by a last bit where the sum of squares is level.
    risen = np.maximum.accumulate(heights[ends])
    return tuple(zip(levels[ends].tolist(), risen.tolist(), strict=True))
