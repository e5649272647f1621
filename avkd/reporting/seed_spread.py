"""One number of several runs that differ in their seed alone: mean, range, outermost interval.

Knows metrics, not what was run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avkd.metrics.bootstrap import Interval
from avkd.metrics.ranking import Metric
from avkd.reporting.table_text import NOT_DEFINED


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """What to print of a share in [0, 1] that was measured once a run."""

    mean: float | None
    """Over the runs; None where one of them has no number."""
    least: float | None = None
    """Smallest number of a run."""
    most: float | None = None
    """Largest number of a run."""
    interval: tuple[float, float] | None = None
    """Lowest lower and highest upper end of the runs' 95 % intervals, so that it holds the spread
    over seeds and over files; None where one of them has no interval."""
    num_runs: int = 1
    """How many runs there are."""

    @classmethod
    def of(cls, values: Sequence[tuple[Metric, Interval | None]]) -> SeedSpread:
        """Of at least one run."""
        assert values
        numbers = [metric.value for metric, _ in values if metric.value is not None]
        if len(numbers) < len(values):
            return cls(mean=None, num_runs=len(values))
        lows = [i.low for _, i in values if i is not None and i.low is not None]
        highs = [i.high for _, i in values if i is not None and i.high is not None]
        return cls(
            mean=float(np.mean(numbers)),
            least=min(numbers),
            most=max(numbers),
            interval=(min(lows), max(highs)) if len(lows) == len(highs) == len(values) else None,
            num_runs=len(values),
        )

    @property
    def text(self) -> str:
        """Mean and interval in percent."""
        if self.mean is None:
            return NOT_DEFINED
        if self.interval is None:
            return f"{100 * self.mean:.1f}"
        low, high = self.interval
        return f"{100 * self.mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    @property
    def range_text(self) -> str:
        """Smallest and largest run in percent; empty for one run."""
        if self.num_runs < 2 or self.least is None or self.most is None:
            return ""
        return f"{100 * self.least:.1f} to {100 * self.most:.1f}"
