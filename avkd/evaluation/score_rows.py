"""Rows of the scores file of a prepared file: the score of a window, or why there is none."""

from __future__ import annotations

import math

from avkd.data.manifest import Sample
from avkd.data.windows import Window
from avkd.reporting import scores
from avkd.reporting.scores import ClipScore


def scored_row(
    sample: Sample, window: Window, logit: float, probability: float | None
) -> ClipScore:
    """The row of one window; a logit that is not finite is no score, and the row says so.

    Args:
        sample: The file.
        window: What was looked at.
        logit: Raw score, higher = fake.
        probability: Its P(fake); None where the scorer states none.
    """
    finite = math.isfinite(logit)
    return ClipScore(
        sample_id=sample.sample_id,
        label=sample.label,
        dataset=sample.dataset,
        method=sample.method,
        split=sample.split or "",
        window=window.index,
        start_frame=window.start_frame,
        num_frames=window.num_frames,
        logit=logit if finite else None,
        probability=probability if finite else None,
        status=scores.OK if finite else "logit_not_finite",
        group=group_of(sample),
    )


def unscored_row(sample: Sample, status: str, message: str) -> ClipScore:
    """The one row of a file without any score; ``status`` is the reason's code."""
    return ClipScore(
        sample_id=sample.sample_id,
        label=sample.label,
        dataset=sample.dataset,
        method=sample.method,
        split=sample.split or "",
        status=status,
        message=message,
        group=group_of(sample),
    )


def group_of(sample: Sample) -> str:
    """Whose face it is, the target first: what intervals resample together."""
    return sample.identities[0] if sample.identities else ""
