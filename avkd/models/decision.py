"""From a logit to a probability to a word, or to a set of labels with a stated coverage.

The rule travels in the model file. It is fitted elsewhere (on validation scores) and only applied
here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.models.calibration import Calibration, CalibrationFit
from avkd.models.strict import Count, check_fields, read_record

Decision = Literal["real", "fake", "uncertain"]
Label = Literal["real", "fake"]
CoverageUnit = Literal["identities", "files"]


@dataclass(frozen=True, kw_only=True)
class PredictionSets:
    """Limits of the logits that are usual for real and for fake files: the conformal rule.

    Fitted on validation scores by `metrics.conformal`.

    Raises:
        ValueError: a number is of the wrong type or out of its range.
    """

    coverage: float
    """Least share of the real files, and of the fake files, whose set holds their label."""
    largest_real: float
    """A set holds "real" up to this pooled logit."""
    least_fake: float
    """A set holds "fake" from this pooled logit on."""
    num_real: Count
    """Identities (files) of the real validation files."""
    num_fake: Count
    """Identities (files) of the fake ones."""
    unit: CoverageUnit
    """What the coverage is of: files of identities not seen; where none are known, of files as if
    each were of another one."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 < self.coverage < 1:
            raise ValueError(f"prediction sets: coverage {self.coverage} is not inside 0..1")

    def of(self, logit: float) -> tuple[Label, ...]:
        """The labels that a pooled logit leaves possible: one, both or none."""
        real: tuple[Label, ...] = ("real",) if logit <= self.largest_real else ()
        fake: tuple[Label, ...] = ("fake",) if logit >= self.least_fake else ()
        return real + fake

    def why_uncertain(self, logit: float) -> str:
        """Why a file with this logit is called neither real nor fake."""
        words = {
            0: "the score is unusual for real files and for fake ones",
            1: "the score is on the other side of the threshold than its prediction set",
            2: "the score is usual for real files and for fake ones",
        }
        return f"{words[len(self.of(logit))]}, at {self.coverage:.1%} coverage"

    @property
    def origin(self) -> str:
        """What the coverage was fitted on, and of what it is."""
        of_files = "" if self.unit == "identities" else ", identities not known"
        return (
            f"conformal limits of {self.num_real} real and {self.num_fake} fake validation "
            f"{self.unit}{of_files}; it holds for one face of files like those"
        )


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
