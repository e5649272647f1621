"""From a raw logit to P(fake): the curve that travels in a model file, and what it was fitted on.

Applied here, fitted elsewhere (``evaluation/calibration.py``). Values may come from an untrusted
file, so every one is checked.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from avkd.models.strict import MAX_ITEMS, Count, check_fields, check_value

CalibrationKind = Literal["platt", "temperature", "isotonic", "none"]

MAX_KNOTS = MAX_ITEMS
# exp overflows from 710 on; a probability below exp(-700) is written as 0.
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A curve that never falls: the most suspicious file stays the most suspicious one.

    Raises:
        ValueError: a value is of the wrong type, out of its range, or without effect on this kind.
    """

    kind: CalibrationKind = "none"
    """none: sigmoid of the logit; temperature: of scale * logit; platt: of scale * logit + offset;
    isotonic: straight lines between knots, flat beyond the first and the last one."""
    scale: float = 1.0
    """Slope in logits, positive; 1 / temperature. 1 for none and isotonic."""
    offset: float = 0.0
    """In calibrated logits; 0 unless platt."""
    knots: tuple[tuple[float, float], ...] = ()
    """isotonic: (logit, probability) pairs, 2 to `MAX_KNOTS`, rising logits, probabilities inside
    (0, 1) that do not fall; empty otherwise."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.scale <= 0:
            raise ValueError(f"calibration: scale {self.scale} <= 0 would reverse the ranking")
        if self.scale != 1 and self.kind in ("none", "isotonic"):
            raise ValueError(f"calibration: scale has no effect on {self.kind}")
        if self.offset != 0 and self.kind != "platt":
            raise ValueError(f"calibration: offset has no effect on {self.kind}")
        if bool(self.knots) != (self.kind == "isotonic"):
            raise ValueError("calibration: knots belong to isotonic, and isotonic needs them")
        if len(self.knots) == 1:
            raise ValueError("calibration: 1 knots, want 2 or more")
        for knot in self.knots:
            if not isinstance(knot, tuple) or len(knot) != 2:
                raise ValueError("calibration: a knot is not a (logit, probability) pair")
            for value, name in zip(knot, ("logit", "probability"), strict=True):
                check_value(value, float, f"calibration: {name} of a knot")
            if not 0 < knot[1] < 1:
                raise ValueError(f"calibration: probability {knot[1]} of a knot is not inside 0..1")
        for (left, low), (right, high) in pairwise(self.knots):
            if right <= left:
                raise ValueError(f"calibration: logit {right} follows {left}; knots must rise")
            if high < low:
                raise ValueError(f"calibration: probability {high} follows {low}; it must not fall")

    def probability(self, logit: float) -> float:
        """P(fake) in [0, 1]; never falls with ``logit``, not even by a rounding error.

        Raises:
            ValueError: ``logit`` is not a number.
        """
        if math.isnan(logit):
            raise ValueError("the logit is NaN: the clip was not scored and has no probability")
        if self.kind == "isotonic":
            return self._interpolated(logit)
        # One form for both signs: the usual two are each exact, but do not quite meet.
        exponent = -(self.scale * logit + self.offset)
        return 0.0 if exponent > _LARGEST_EXPONENT else 1.0 / (1.0 + math.exp(exponent))

    def _interpolated(self, logit: float) -> float:
        right = bisect_right(self.knots, logit, key=lambda knot: knot[0])
        if right == 0:
            return self.knots[0][1]
        if right == len(self.knots):
            return self.knots[-1][1]
        (start, low), (end, high) = self.knots[right - 1], self.knots[right]
        return min(high, low + (high - low) * ((logit - start) / (end - start)))


@dataclass(frozen=True, kw_only=True)
class CalibrationFit:
    """What a calibration and its threshold were fitted on, and how it does on these same files.

    The four figures let reals and fakes weigh alike, as the fit does. They flatter: the curve was
    made for the very files they are of.

    Raises:
        ValueError: a value is of the wrong type or out of its range.
    """

    num_real: Count
    """Real files of the fit."""
    num_fake: Count
    """Fake files of the fit."""
    datasets: tuple[str, ...]
    """Their datasets."""
    methods: tuple[str, ...]
    """Their forgery methods."""
    files_fingerprint: str
    """Digest of the sorted names and labels of the files."""
    same_files_log_loss_before: float
    """Nats, with the bare sigmoid of the logit."""
    same_files_log_loss_after: float
    """Nats, with the calibration."""
    same_files_calibration_error_before: float
    """Expected calibration error in [0, 1], with the bare sigmoid of the logit."""
    same_files_calibration_error_after: float
    """Expected calibration error in [0, 1], with the calibration."""
    replaced_source: str = ""
    """Where the rule came from that this one replaced; empty if it is the training's own."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in vars(self).items():
            if not isinstance(value, str | tuple) and value < 0:
                raise ValueError(f"calibration fit: {name} {value} < 0")
