"""From a logit to a probability to a word: the rule that travels in the model file.

The rule is fitted elsewhere (on validation scores) and only applied here. Knows no network.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.models.calibration import Calibration, CalibrationFit
from avkd.models.prediction_sets import PredictionSets
from avkd.models.strict import check_fields, read_record

Decision = Literal["real", "fake", "uncertain"]


@dataclass(frozen=True, kw_only=True)
class DecisionRule:
    """Calibration and operating point.

    The operating point is a raw logit. Where a calibration is flat many logits share a probability
    but none shares a logit, so the logit alone says on which side a file is, everywhere alike;
    the probability of the threshold follows from it and cannot contradict it.

    Raises:
        ValueError: a number is not finite or out of its range, or the uncertain band leaves no
            room for "real" or for "fake".
    """

    calibration: Calibration = field(default_factory=Calibration)
    """From a logit to P(fake)."""
    threshold_logit: float
    """Raw logit from which a clip is called fake."""
    uncertain_half_width: float = 0.0
    """Probabilities nearer than this to that of the threshold are called uncertain."""
    source: str
    """Where the numbers come from, for the reader of a verdict."""
    fit: CalibrationFit | None = None
    """What they were fitted on; None for a rule that was not fitted."""
    pooling: Pooling = MEAN_LOGIT
    """How windows were pooled when the threshold was chosen; predictions pool alike."""
    sets: PredictionSets | None = None
    """The conformal rule, which says "uncertain" in place of the band; None = too few files."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.uncertain_half_width < 0:
            raise ValueError(f"decision rule: uncertain_half_width {self.uncertain_half_width} < 0")
        lower = self.threshold - self.uncertain_half_width
        upper = self.threshold + self.uncertain_half_width
        if not 0 <= lower <= upper <= 1:
            raise ValueError(
                f"decision rule: the band {lower:g} to {upper:g} must lie inside 0..1; move "
                "threshold_logit or narrow uncertain_half_width"
            )
        if self.sets is not None and self.uncertain_half_width:
            raise ValueError("decision rule: uncertain_half_width has no effect beside sets")
        if not self.source.strip():
            raise ValueError("decision rule: source must say where the numbers come from")

    def probability(self, logit: float) -> float:
        """Calibrated probability of "fake", in [0, 1], never falling with ``logit``.

        Raises:
            ValueError: ``logit`` is not a number.
        """
        return self.calibration.probability(logit)

    @property
    def threshold(self) -> float:
        """P(fake) of the threshold, in [0, 1]."""
        return self.probability(self.threshold_logit)

    @property
    def uncertain_range(self) -> tuple[float, float]:
        """P(fake) between which files are called uncertain."""
        if self.sets is None:
            width = self.uncertain_half_width
            return self.threshold - width, self.threshold + width
        limits = (self.threshold_logit, self.sets.largest_real, self.sets.least_fake)
        return self.probability(min(limits)), self.probability(max(limits))

    def decide(self, logit: float) -> Decision:
        """The word for a file whose windows were pooled to ``logit``.

        Never "fake" below ``threshold_logit`` and never "real" from it on.

        Raises:
            ValueError: ``logit`` is not a number.
        """
        if abs(self.probability(logit) - self.threshold) < self.uncertain_half_width:
            return "uncertain"
        word: Decision = "fake" if logit >= self.threshold_logit else "real"
        return word if self.sets is None or self.sets.of(logit) == (word,) else "uncertain"

    def as_json(self) -> dict[str, Any]:
        """Plain values that ``from_json`` reads back to an equal rule."""
        values = asdict(self)
        # As files of before these fields; they are still read.
        if self.pooling == MEAN_LOGIT:
            del values["pooling"]
        if self.sets is None:
            del values["sets"]
        return values

    @classmethod
    def from_json(cls, values: object) -> "DecisionRule":
        """The rule in ``values``, which may be anything.

        Raises:
            ValueError: a field is missing, unknown or out of range.
        """
        if isinstance(values, Mapping):
            values = {"pooling": MEAN_LOGIT, "sets": None, **values}
        return read_record(cls, values)
