"""What is counted of the files of one method, when no score is kept; see `flat_summary`.

Logits are counted in `LEVELS` fixed levels: single precision with a mantissa of 9 bits, 0.2 %
apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from avkd.reporting.bootstrap import FloatArray, IntArray
from avkd.reporting.pooled_files import VideoScore, clip_logits, frame_logits
from avkd.reporting.probability_metrics import ProbabilityTally
from avkd.reporting.summary import Threshold

_LEVEL_BITS = 18
LEVELS = 1 << _LEVEL_BITS
NO_COUNTS = np.zeros(LEVELS, np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """What is counted of files of one label; tallies of parts add up."""

    files: IntArray = field(default_factory=lambda: NO_COUNTS)
    clips: IntArray = field(default_factory=lambda: NO_COUNTS)
    frames: IntArray = field(default_factory=lambda: NO_COUNTS)
    probabilities: ProbabilityTally = field(default_factory=lambda: ProbabilityTally.of([], []))
    expected: int = 0
    called_fake: int = 0
    without_group: int = 0
    groups: frozenset[str] = frozenset()
    """Names of up to two groups: whether there are two is all that matters."""
    reasons: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, videos: Sequence[VideoScore], threshold: Threshold | None) -> Tally:
        """Count files of one method."""
        scored = [video for video in videos if video.logit is not None]
        logits = logits_of(scored)
        none: FloatArray = np.zeros(0)
        return cls(
            files=_counts(logits),
            clips=_counts(np.concatenate([none, *map(clip_logits, scored)])),
            frames=_counts(np.concatenate([none, *map(frame_logits, scored)])),
            probabilities=ProbabilityTally.of_scored(
                [video.label for video in scored], [video.probability for video in scored]
            ),
            expected=len(videos),
            called_fake=0 if threshold is None else int(np.sum(logits >= threshold.logit)),
            without_group=sum(not video.group for video in scored),
            groups=frozenset(sorted({video.group or video.sample_id for video in scored})[:2]),
            reasons=Counter(video.reason for video in videos if video.logit is None),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            files=self.files + other.files,
            clips=self.clips + other.clips,
            frames=self.frames + other.frames,
            probabilities=self.probabilities + other.probabilities,
            expected=self.expected + other.expected,
            called_fake=self.called_fake + other.called_fake,
            without_group=self.without_group + other.without_group,
            groups=frozenset(sorted(self.groups | other.groups)[:2]),
            reasons=self.reasons + other.reasons,
        )

    @property
    def scored(self) -> int:
        """Files with a logit."""
        return int(self.files.sum())


def level_of(logits: FloatArray) -> IntArray:
    """(N,) level of each logit, 0 to `LEVELS` - 1; a higher logit is never at a lower level."""
    # + 0.0 makes one zero of the two. What single precision cannot hold becomes its infinity.
    with np.errstate(over="ignore"):
        bits = (np.asarray(logits, dtype=np.float64) + 0.0).astype(np.float32).view(np.uint32)
    ordered = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))
    return (ordered >> np.uint32(32 - _LEVEL_BITS)).astype(np.int64)


def lowest_logit(level: int) -> float:
    """The lowest logit of a level."""
    ordered, top = level << (32 - _LEVEL_BITS), 1 << 31
    bits = ordered ^ top if ordered & top else ~ordered & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])


def logits_of(scored: Iterable[VideoScore]) -> FloatArray:
    """(N,) pooled logits of N scored files."""
    return np.array([video.logit for video in scored], dtype=np.float64)


def _counts(logits: FloatArray) -> IntArray:
    return np.bincount(level_of(logits), minlength=LEVELS).astype(np.int64)
