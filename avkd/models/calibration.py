"""From a raw logit to P(fake): the curve that travels in a model file, and what it was fitted on.

Applied here, fitted elsewhere (``evaluation/calibration.py``). Values may come from an untrusted
file, so every one is checked. Knows no network, no threshold and no score.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal, get_args

CalibrationKind = Literal["platt", "temperature", "isotonic", "none"]

MAX_KNOTS = 10_000
# Far beyond any logit in single precision, and no difference or product of two overflows.
_LARGEST_NUMBER = 1e100
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
        if self.kind not in get_args(CalibrationKind):
            known = ", ".join(get_args(CalibrationKind))
            raise ValueError(f"calibration: kind {self.kind!r} is not one of {known}")
        require_number(self.scale, "calibration: scale")
        require_number(self.offset, "calibration: offset")
        if self.scale <= 0:
            raise ValueError(f"calibration: scale {self.scale} <= 0 would reverse the ranking")
        if self.scale != 1 and self.kind in ("none", "isotonic"):
            raise ValueError(f"calibration: scale has no effect on {self.kind}")
        if self.offset != 0 and self.kind != "platt":
            raise ValueError(f"calibration: offset has no effect on {self.kind}")
        if not isinstance(self.knots, tuple) or bool(self.knots) != (self.kind == "isotonic"):
            raise ValueError("calibration: knots belong to isotonic, and isotonic needs them")
        if self.kind == "isotonic":
            self._check_knots()

    def _check_knots(self) -> None:
        if not 2 <= len(self.knots) <= MAX_KNOTS:
            raise ValueError(f"calibration: {len(self.knots)} knots, want 2 to {MAX_KNOTS}")
        for knot in self.knots:
            if not isinstance(knot, tuple) or len(knot) != 2:
                raise ValueError("calibration: a knot is not a (logit, probability) pair")
            require_number(knot[0], "calibration: logit of a knot")
            require_number(knot[1], "calibration: probability of a knot")
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

    def as_json(self) -> dict[str, Any]:
        """Plain values that ``from_json`` reads back to an equal calibration."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> Calibration:
        """The calibration in ``values``, which may be anything.

        Raises:
            ValueError: a field is missing, unknown or out of range.
        """
        checked = require_fields(cls, values, "calibration")
        knots = checked["knots"]
        if not isinstance(knots, list | tuple) or len(knots) > MAX_KNOTS:
            raise ValueError(f"calibration: knots must be a list of at most {MAX_KNOTS}")
        pairs = tuple(tuple(knot) if isinstance(knot, list) else knot for knot in knots)
        return cls(**{**checked, "knots": pairs})


@dataclass(frozen=True, kw_only=True)
class CalibrationFit:
    """What a calibration and its threshold were fitted on, and how it does on these same files.

    The four figures let reals and fakes weigh alike, as the fit does. They flatter: the curve was
    made for the very files they are of.

    Raises:
        ValueError: a value is of the wrong type or out of its range.
    """

    num_real: int
    """Real files of the fit."""
    num_fake: int
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
        for name, value in vars(self).items():
            what = f"calibration fit: {name}"
            if name in ("num_real", "num_fake"):
                if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                    raise ValueError(f"{what} is {value!r}, want a whole number from 1")
            elif name in ("datasets", "methods"):
                if not isinstance(value, tuple) or not all(isinstance(v, str) for v in value):
                    raise ValueError(f"{what} is no list of names")
            elif name in ("files_fingerprint", "replaced_source"):
                if not isinstance(value, str):
                    raise ValueError(f"{what} is no text")
            else:
                require_number(value, what)
                if value < 0:
                    raise ValueError(f"{what} {value} < 0")

    @classmethod
    def from_json(cls, values: object) -> CalibrationFit:
        """The record in ``values``, which may be anything.

        Raises:
            ValueError: a field is missing, unknown or out of range.
        """
        checked = require_fields(cls, values, "calibration fit")
        for name, value in checked.items():
            checked[name] = tuple(value) if isinstance(value, list) else value
        return cls(**checked)


def require_number(value: object, what: str) -> None:
    """Refuse what is not a finite number of a sane size; ``what`` names it in the message.

    Raises:
        ValueError: text, a truth value, NaN, infinity, or beyond 1e100.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Comparisons, for a whole number of a thousand digits does not become a float.
    if not is_number or not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:  # type: ignore[operator]
        raise ValueError(f"{what} is {_short(value)}, not a finite number")


def require_fields(record: type, values: object, what: str) -> dict[str, Any]:
    """``values`` as keyword arguments of the dataclass ``record``, all of them and no others.

    Raises:
        ValueError: not a mapping, or a field is missing or unknown.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{what} must be a mapping, got {_short(values)}")
    names = {field.name for field in fields(record)}
    if set(values) != names:
        differing = sorted(set(values) ^ names)
        raise ValueError(f"{what}: missing or unknown fields {_short(differing)}")
    return dict(values)


def _short(value: object) -> str:
    """``value`` for a message, whatever a file holds in its place."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_NUMBER:
        return "a whole number of many digits"  # Python itself refuses to print some
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
