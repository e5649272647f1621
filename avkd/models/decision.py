"""From a logit to a probability to a word: the rule that travels in the model file.

The rule is fitted elsewhere (on validation scores) and only applied here. Knows no network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Decision = Literal["real", "fake", "uncertain"]


@dataclass(frozen=True, kw_only=True)
class DecisionRule:
    """Calibration and operating point (Platt scaling: p = sigmoid(scale * logit + offset)).

    Raises:
        ValueError: a number is not finite or out of its range, or the uncertain band leaves no
            room for "real" or for "fake".
    """

    calibration_scale: float
    """Slope of the calibration, positive: it must not reverse the ranking."""
    calibration_offset: float
    """Offset of the calibration, in calibrated logits."""
    threshold: float
    """Probability from which a clip is called fake, in (0, 1)."""
    uncertain_half_width: float = 0.0
    """Probabilities nearer to the threshold than this are called uncertain."""
    source: str
    """Where the numbers come from, for the reader of a verdict."""

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not math.isfinite(value)
            ):
                raise ValueError(f"decision rule: {name} is {value!r}, not a finite number")
        if self.calibration_scale <= 0:
            raise ValueError(f"decision rule: calibration_scale {self.calibration_scale} <= 0")
        if self.uncertain_half_width < 0:
            raise ValueError(f"decision rule: uncertain_half_width {self.uncertain_half_width} < 0")
        lower = self.threshold - self.uncertain_half_width
        upper = self.threshold + self.uncertain_half_width
        if not 0 < lower <= upper < 1:
            raise ValueError(
                f"decision rule: the band {lower:g} to {upper:g} must lie inside (0, 1); move "
                "threshold or narrow uncertain_half_width"
            )
        if not isinstance(self.source, str) or not self.source.strip():
            raise ValueError("decision rule: source must say where the numbers come from")

    def probability(self, logit: float) -> float:
        """Calibrated probability of "fake", in [0, 1], increasing with ``logit``.

        Raises:
            ValueError: ``logit`` is not a number.
        """
        if math.isnan(logit):
            raise ValueError("the logit is NaN: the clip was not scored and has no probability")
        calibrated = self.calibration_scale * logit + self.calibration_offset
        # The form whose exponent is never positive: exp cannot overflow.
        if calibrated >= 0:
            return 1 / (1 + math.exp(-calibrated))
        odds = math.exp(calibrated)
        return odds / (1 + odds)

    @property
    def threshold_logit(self) -> float:
        """The raw logit whose probability is the threshold."""
        calibrated = math.log(self.threshold / (1 - self.threshold))
        return (calibrated - self.calibration_offset) / self.calibration_scale

    def decide(self, probability: float) -> Decision:
        """The word for ``probability`` in [0, 1].

        Raises:
            ValueError: ``probability`` is outside [0, 1] or not a number.
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"probability {probability} is outside [0, 1]")
        if probability >= self.threshold + self.uncertain_half_width:
            return "fake"
        if probability < self.threshold - self.uncertain_half_width:
            return "real"
        return "uncertain"

    def as_json(self) -> dict[str, Any]:
        """Plain values that ``from_json`` reads back to an equal rule."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DecisionRule:
        """The rule in ``values``.

        Raises:
            ValueError: a field is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            differing = sorted(set(values) ^ names)
            raise ValueError(f"decision rule: missing or unknown fields {differing}")
        return cls(**values)


_NUMBERS = ("calibration_scale", "calibration_offset", "threshold", "uncertain_half_width")
