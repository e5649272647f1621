"""What the shortcut audit finds in a row of the table, and when it counts as a shortcut.

Knows numbers with their reasons, neither how they are found nor how they are printed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from avkd.metrics.bootstrap import Interval
from avkd.metrics.ranking import Metric

WORTH_A_WARNING = 0.6
"""A probe is a shortcut above this AUC, when chance does not explain it."""
FALSE_ALARM_LEVEL = 0.01
"""Of a whole row: each probe's p-value is corrected for all probes of its row."""
LEAST_FILES = 10
"""Of each class, to audit a row; and pairs, to judge the detector on them."""
MOST_FILES = 2000
"""Of each class; of more, so many are drawn. The AUC of 4,000 files is known to 0.02."""
ALL_FACTS = "all facts together"
_SURELY = 0.05  # of one probe alone, of the pairs
_NO_AUDIT = Metric(None, "no audit")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How well one fact, a family of facts, or all of them tell fakes from reals."""

    name: str
    """The fact as `nuisance_facts` calls it, a name of `FAMILIES`, or `ALL_FACTS`."""
    facts: tuple[str, ...]
    """What the probe saw; one fact alone is tried on the files where it is known."""
    auc: Metric
    """Of its cross-fitted log-odds; one half = it knows nothing."""
    interval: Interval | None
    """95 % interval of ``auc``; None where that is not above `WORTH_A_WARNING`."""
    holm_p_value: float | None
    """That so much is chance, corrected for all probes of the row; None = not tried."""
    usual_real: str
    """Median, or the commonest value with its share, of the reals; empty for several facts."""
    usual_fake: str
    """The same of the fakes."""

    @property
    def is_shortcut(self) -> bool:
        """Above `WORTH_A_WARNING` by more than chance."""
        if self.auc.value is None or self.interval is None or self.holm_p_value is None:
            return False
        low = self.interval.low  # None: too few groups to say anything
        return low is not None and low > 0.5 and self.holm_p_value < FALSE_ALARM_LEVEL


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The detector on pairs of a real and a fake that agree on what was found."""

    on: tuple[str, ...]
    """Facts the pairs agree on."""
    num_pairs: int
    probe_auc: Metric
    """Of a probe made anew from the pairs; near or below one half = the shortcut is gone."""
    detector_auc: Metric
    """Of the detector on the files of the pairs."""
    detector_interval: Interval | None
    """95 % interval of ``detector_auc``."""

    @property
    def still_differ(self) -> bool:
        """Whether the pairs do not agree well enough: the probe made anew is a shortcut again."""
        if self.probe_auc.value is None or self.probe_auc.value <= WORTH_A_WARNING:
            return False
        return p_value(self.probe_auc.value, 0.0, self.num_pairs, self.num_pairs) < _SURELY


@dataclass(frozen=True, kw_only=True)
class RowAudit:
    """The audit of one row of the table."""

    dataset: str
    split: str
    method: str
    is_pooled: bool
    num_real: int
    """Real files looked at: scored, with facts."""
    num_fake: int
    """Fake files looked at."""
    num_without_facts: int
    """Scored files of which no fact is known."""
    num_left_out: int
    """Files with facts beyond `MOST_FILES` of a class; drawn by seed."""
    reason: str = ""
    """Why there was no audit; empty if there was."""
    probes: tuple[Probe, ...] = ()
    """Each fact, each family, all together."""
    detector_auc: Metric = _NO_AUDIT
    """Of the detector on the files looked at."""
    follows: tuple[Metric, Metric] = (_NO_AUDIT, _NO_AUDIT)
    """Spearman's correlation, among reals and among fakes, of the detector's score with the
    log-odds by the facts found (all facts, where none was)."""
    matched: Matched | None = None
    """None where no shortcut was found."""

    @property
    def found(self) -> tuple[Probe, ...]:
        """The shortcuts, strongest first."""
        return tuple(
            sorted((p for p in self.probes if p.is_shortcut), key=lambda p: -(p.auc.value or 0.0))
        )


def p_value(area: float, error: float, num_real: int, num_fake: int) -> float:
    """Chance of so large an area where there is nothing to find, one-sided.

    The larger of two standard errors counts: that of the bootstrap, which knows of groups but is 0
    where every pair is in order, and that of the rank sum when nothing separates (Mann and Whitney,
    1947), which does not.
    """
    chance = math.sqrt((num_real + num_fake + 1) / (12 * num_real * num_fake))
    return 0.5 * math.erfc((area - 0.5) / max(error, chance) / math.sqrt(2))
