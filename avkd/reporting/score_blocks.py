"""The scored files of each block of the table as arrays, for the curves and histograms.

Knows score files and arrays, not how anything is drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avkd.metrics.bootstrap import FloatArray, IntArray, Resampling
from avkd.reporting.pooled_files import VideoScore, blocks, pool_videos
from avkd.reporting.scores import REAL_METHOD, iter_scores, read_head
from avkd.reporting.scores_head import ScoresHead
from avkd.reporting.summary import SummaryRow


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreBlock:
    """The scored files behind one pooled row of the table, N of them."""

    labels: IntArray
    """(N,) 1 = fake, 0 = real."""
    logits: FloatArray
    """(N,) pooled raw logits."""
    methods: np.ndarray
    """(N,) forgery methods, ``real`` for reals."""
    groups: np.ndarray | None
    """(N,) what is resampled together; None = each file for itself."""

    @classmethod
    def of(cls, videos: Iterable[VideoScore]) -> ScoreBlock:
        """Those of the files that have a score."""
        scored = [video for video in videos if video.logit is not None]
        groups = [video.group for video in scored]
        return cls(
            labels=np.array([video.label for video in scored], dtype=np.int64),
            logits=np.array([video.logit for video in scored], dtype=np.float64),
            methods=np.array([video.method for video in scored], dtype=object),
            groups=np.array(groups, dtype=object) if groups and all(groups) else None,
        )

    @property
    def forgeries(self) -> tuple[str, ...]:
        """Methods of its fakes, in the order of the table."""
        return tuple(sorted({*self.methods} - {REAL_METHOD}))

    def against_reals(self, method: str) -> tuple[IntArray, FloatArray]:
        """(M,) labels and logits of one method's fakes and all reals."""
        chosen = (self.methods == method) | (self.labels == 0)
        return self.labels[chosen], self.logits[chosen]

    def draws_of(self, row: SummaryRow) -> Resampling:
        """The draws behind the intervals of its pooled row."""
        return Resampling.of(
            self.labels,
            groups=None if self.groups is None else self.groups.astype(str),
            resamples=row.auc_interval.resamples,
            seed=row.auc_interval.seed,
        )


def read_heads(paths: Sequence[Path]) -> dict[str, ScoresHead]:
    """What made each score file, by its name without the ending."""
    return {path.stem: read_head(path) for path in paths}


def read_pooled(path: Path) -> Iterator[VideoScore]:
    """The files of a score file without their windows, which may be many.

    Raises:
        ValueError: the file is broken.
    """
    head, rows = iter_scores(path)
    for video in pool_videos(rows, head.pooling):
        yield dataclasses.replace(video, windows=())


def read_blocks(paths: Sequence[Path]) -> Mapping[tuple[str, str], ScoreBlock]:
    """The blocks of score files of one model, by dataset and side of its split.

    Args:
        paths: files that may stand in one table (`scores_head.check_one_table`), at least one.

    Raises:
        ValueError: a file is broken.
    """
    videos = [video for path in paths for video in read_pooled(path)]
    found = blocks(videos, lambda video: video, read_head(paths[0]).reals_from)
    return {
        (dataset, next(v.split for v in files)): ScoreBlock.of(files) for dataset, files in found
    }
