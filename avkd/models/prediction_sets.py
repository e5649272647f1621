"""Which labels a score leaves possible, with a stated coverage: the conformal rule of a model file.

Fitted elsewhere (`metrics.conformal`) on validation scores, and only applied here.
"""

from dataclasses import dataclass
from typing import Literal

from avkd.models.strict import Count, check_fields

Label = Literal["real", "fake"]
CoverageUnit = Literal["identities", "files"]


@dataclass(frozen=True, kw_only=True)
class PredictionSets:
    """Limits of the logits that are usual for real and for fake files.

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
