"""One score of a file from the scores of its windows: the rules in use, by name.

Reports, calibration and predictions all pool by these functions.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

Pooling = Literal["mean_logit", "mean_probability", "confident"]
MEAN_LOGIT: Pooling = "mean_logit"
PROBABILITY_MARGIN = 1e-15
"""What is stated as exactly 0 or 1 is a rounded probability: it costs 34.5 nats when wrong, not
infinitely many."""

RULES: dict[str, str] = {
    "mean_logit": "a file's score is the mean of the raw logits of its scored windows",
    "mean_probability": (
        "a file's score is the mean of the network's own probabilities (sigmoid of the raw logit) "
        "of its scored windows"
    ),
    "confident": (
        "a file's score is the mean of the network's own probabilities (sigmoid of the raw logit): "
        "of the windows above 0.8 if they are more than two fifths of all and more than 11, else "
        "of those below 0.2 if they are more than nine tenths, else of all scored windows"
    ),
}
"""What the reader is told of each rule."""

# selimsef/dfdc_deepfake_challenge, kernel_utils.py, confident_strategy.
_SURELY_FAKE, _SURELY_REAL = 0.8, 0.2
_FAKE_SHARE_DIVISOR, _MOST_FAKE_IGNORED = 2.5, 11
_REAL_SHARE = 0.9


def pooled_logit(logits: Sequence[float], rule: Pooling) -> float:
    """The logit that ranks the file (or face) whose windows have these raw logits, at least one.

    Rules that average probabilities take the network's own, as published; their mean is given as
    log-odds, which rank files alike and, unlike the mean itself, do not round to 1.
    """
    if rule == "mean_logit":
        return math.fsum(logits) / len(logits)
    return _log_odds_of_mean([logits[index] for index in _chosen(logits, rule)])


def pooled_scores(
    logits: Sequence[float],
    probabilities: Sequence[float],
    rule: Pooling,
    curve: Callable[[float], float] | None = None,
) -> tuple[float, float]:
    """Pool the raw logits and calibrated P(fake) of the windows of a file or face, at least one.

    Returns:
        The `pooled_logit`, and the P(fake) that ``curve``, the calibration, makes of it: that was
        fitted on pooled logits, as the threshold was, so the two lie on the same side of it. Where
        no curve is known: P(fake) of the mean log-odds for ``mean_logit`` (the same where the
        calibration is linear), else the mean over the same windows.
    """
    logit = pooled_logit(logits, rule)
    if curve is not None:
        return logit, curve(logit)
    if rule == "mean_logit":
        return logit, _of_mean_log_odds(probabilities)
    chosen = _chosen(logits, rule)
    mean = math.fsum(probabilities[index] for index in chosen) / len(chosen)
    return logit, min(mean, 1.0)


def _chosen(logits: Sequence[float], rule: Pooling) -> Sequence[int]:
    """Which windows count: all, or of the confident rule the surely fake or surely real ones."""
    count = len(logits)
    if rule == "mean_probability":
        return range(count)
    probabilities = [math.exp(_log_sigmoid(logit)) for logit in logits]
    fake = [index for index, p in enumerate(probabilities) if p > _SURELY_FAKE]
    if len(fake) > max(count // _FAKE_SHARE_DIVISOR, _MOST_FAKE_IGNORED):
        return fake
    real = [index for index, p in enumerate(probabilities) if p < _SURELY_REAL]
    return real if len(real) > _REAL_SHARE * count else range(count)


def _log_sigmoid(logit: float) -> float:
    # The form whose exponent is never positive: exp cannot overflow.
    return min(logit, 0.0) - math.log1p(math.exp(-abs(logit)))


def _log_odds_of_mean(logits: Sequence[float]) -> float:
    """Log-odds of the mean of sigmoids, without forming numbers that round to 0 or 1."""
    if len(logits) == 1:
        return logits[0]
    fake, real = ([_log_sigmoid(sign * x) for x in logits] for sign in (1, -1))
    return _log_mean(fake) - _log_mean(real)


def _log_mean(logs: Sequence[float]) -> float:
    """Log of the mean of exponentials."""
    most = max(logs)
    return most + math.log(math.fsum(math.exp(log - most) for log in logs) / len(logs))


def _of_mean_log_odds(probabilities: Sequence[float]) -> float:
    """P(fake) of the mean log-odds; plain floats, for there may be a million files."""
    most = 1.0 - PROBABILITY_MARGIN
    bounded = [min(max(p, PROBABILITY_MARGIN), most) for p in probabilities]
    log_odds = math.fsum(math.log(p) - math.log1p(-p) for p in bounded) / len(bounded)
    return 1.0 / (1.0 + math.exp(-log_odds))
