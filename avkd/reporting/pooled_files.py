"""Files from their windows: one score each, and which files stand in which block of the table.

Knows score rows, not ranking. Windows are pooled by a rule of `pooling`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from avkd.metrics import ranking
from avkd.metrics.bootstrap import FloatArray
from avkd.metrics.pooling import MEAN_LOGIT, Pooling, pooled_scores
from avkd.reporting.scores import REAL_METHOD, ClipScore

ALL_METHODS = "all"
File = TypeVar("File")


@dataclass(frozen=True, slots=True)
class VideoScore:
    """One file with its windows pooled."""

    sample_id: str
    label: int
    dataset: str
    method: str
    split: str
    group: str
    logit: float | None
    """Raw logits of the scored windows, pooled; None when no window was scored."""
    probability: float | None
    """P(fake) of its windows, pooled, in [0, 1] (`pooling.pooled_scores`); None where its scorer
    states none."""
    reason: str
    """Status code of the first unscored row when there is no logit; else empty."""
    windows: tuple[ClipScore, ...]
    """The scored windows."""


def pool_videos(
    scores: Iterable[ClipScore], pooling: Pooling = MEAN_LOGIT
) -> tuple[VideoScore, ...]:
    """Pool the windows of each file by a rule of `pooling`.

    Files are told apart by dataset and whole sample id, never by a folder or stem: the same clip
    name occurs under several methods.

    Raises:
        ValueError: a window occurs twice, or the rows of a file contradict each other.
    """
    rows_of: dict[tuple[str, str], list[ClipScore]] = defaultdict(list)
    for row in scores:
        rows_of[row.dataset, row.sample_id].append(row)
    return tuple(pool_file(rows, pooling) for rows in rows_of.values())


def pool_file(rows: Sequence[ClipScore], pooling: Pooling = MEAN_LOGIT) -> VideoScore:
    """Pool the windows of one file, or give the reason of its one unscored row.

    Raises:
        ValueError: as `pool_videos`.
    """
    first = rows[0]
    for row in rows:
        for field in ("label", "method", "split", "group"):
            if getattr(row, field) != getattr(first, field):
                raise ValueError(
                    f"{first.sample_id}: {field} is {getattr(first, field)!r} in one row and "
                    f"{getattr(row, field)!r} in another"
                )
    window, count = Counter(row.window for row in rows).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{first.sample_id}: window {window} occurs {count} times")
    scored = tuple(row for row in rows if row.is_scored)
    logit = probability = None
    if scored:
        logits = [row.logit or 0.0 for row in scored]
        probabilities = [row.probability or 0.0 for row in scored]
        logit, probability = pooled_scores(logits, probabilities, pooling)
        if any(row.probability is None for row in scored):
            probability = None
    return VideoScore(
        sample_id=first.sample_id,
        label=first.label,
        dataset=first.dataset,
        method=first.method,
        split=first.split,
        group=first.group,
        logit=logit,
        probability=probability,
        reason="" if scored else first.status,
        windows=scored,
    )


def clip_logits(video: VideoScore) -> FloatArray:
    """(W,) logits of its scored windows."""
    return np.array([row.logit for row in video.windows], dtype=np.float64)


def frame_logits(video: VideoScore) -> FloatArray:
    """(F,) logits of the frames that lie in a scored window."""
    starts = np.array([row.start_frame for row in video.windows], dtype=np.int64)
    lengths = np.array([row.num_frames for row in video.windows], dtype=np.int64)
    return ranking.frame_scores(starts, lengths, clip_logits(video))


def blocks(
    files: Iterable[File], video_of: Callable[[File], VideoScore], reals_from: str = ""
) -> list[tuple[str, list[File]]]:
    """The files of each block of the table: one dataset and side of its split.

    Args:
        files: anything that stands for a pooled file.
        video_of: the pooled file.
        reals_from: dataset whose reals, of the same side, replace those of every block; it makes no
            block itself unless it has forgeries. Empty = each dataset's own.

    Returns:
        Each block's dataset and files, in the order they are first met.

    Raises:
        ValueError: ``reals_from`` has no reals on a side that has forgeries.
    """
    found: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        video = video_of(file)
        found[video.dataset, video.split].append(file)
    if not reals_from:
        return [(dataset, videos) for (dataset, _), videos in found.items()]
    made = []
    for (dataset, split), own in found.items():
        fakes = [file for file in own if video_of(file).method != REAL_METHOD]
        reals = found.get((reals_from, split), [])
        reals = [file for file in reals if video_of(file).method == REAL_METHOD]
        if fakes and not reals:
            raise ValueError(
                f"{dataset}: its forgeries are to be set against reals of {reals_from!r}, of which "
                f"there are none on side {split!r}; score that dataset along with it"
            )
        if fakes:
            made.append((dataset, [*reals, *fakes]))
    return made


def rows_of_dataset(videos: Iterable[VideoScore]) -> tuple[tuple[str, bool], ...]:
    """The method of each row that the files of one dataset make, and whether it is pooled."""
    return rows_of_methods(video.method for video in videos)


def rows_of_methods(methods: Iterable[str]) -> tuple[tuple[str, bool], ...]:
    """As `rows_of_dataset`, from the methods of its files (``real`` makes no row)."""
    forgeries = sorted({*methods} - {REAL_METHOD})
    if len(forgeries) == 1:
        return ((forgeries[0], True),)
    return (*((method, False) for method in forgeries), (ALL_METHODS, True))
