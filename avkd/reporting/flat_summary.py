"""The rows of the table for a test set of any size: counts are kept instead of scores.

Two passes over the score rows. The first counts logits in the levels of `score_tally`, so that
memory grows with the number of methods and not of files; the second draws the bootstrap. Ranking
numbers take logits of one level for ties: `FlatRow.tie_share` bounds what that can have moved.
Verdicts, coverage and the numbers of the probabilities are exact. Knows rows and numbers, no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, islice

import numpy as np

from avkd.reporting import threshold_metrics
from avkd.reporting.bootstrap import Interval, ResamplingUnit, percentiles
from avkd.reporting.metrics import Levels, Metric
from avkd.reporting.poisson_bootstrap import LevelDraws
from avkd.reporting.pooled_files import (
    VideoScore,
    pool_file,
    rows_of_methods,
)
from avkd.reporting.pooling import MEAN_LOGIT, Pooling
from avkd.reporting.score_tally import NO_COUNTS, Tally, logits_of, lowest_logit
from avkd.reporting.scores import REAL_METHOD, ClipScore
from avkd.reporting.summary import (
    SummaryRow,
    Threshold,
    missing_neutral,
    numbers_of_counts,
)
from avkd.reporting.threshold_metrics import Confusion, ThresholdMetrics

_COARSE_LEVELS = 512  # of the bootstrap, holding about equal numbers of files
_FILES_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True)
class FlatRow:
    """A row of the table made of counts."""

    row: SummaryRow
    tie_share: float | None
    """Share of (fake, real) pairs of files whose logits fell into one level: the AUC is off by half
    of it at most. None where there is no AUC."""


def summarise_flat(
    open_rows: Callable[[], Iterable[ClipScore]],
    *,
    threshold: Threshold | None = None,
    pooling: Pooling = MEAN_LOGIT,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[FlatRow, ...]:
    """Rows of the table of one dataset, as `summary.summarise` gives them, in flat memory.

    Intervals are of the bootstrap of `poisson_bootstrap`, over groups where every scored file of
    the dataset has one.

    Args:
        open_rows: begins to read the rows; called twice, it must give the same. The windows of a
            file follow each other.
        threshold: for the verdicts.
        pooling: rule for the windows of a file.
        resamples: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        ValueError: rows of several datasets or sides, or rows of a file that contradict each other.
    """
    tallies: dict[str, Tally] = {}
    head: VideoScore | None = None

    def chunks() -> Iterator[list[VideoScore]]:
        return _chunks(open_rows(), pooling)

    for chunk in chunks():
        head = head or chunk[0]
        _check_dataset(head, chunk)
        for method, videos in _by_method(chunk).items():
            tallies[method] = tallies.get(method, Tally()) + Tally.of(videos, threshold)
    if head is None:
        return ()
    tallies.setdefault(REAL_METHOD, Tally())
    units: ResamplingUnit = "files" if any(t.without_group for t in tallies.values()) else "groups"
    drawn = _draw(chunks(), tallies, units, threshold, resamples, seed)
    column = {method: place for place, method in enumerate(tallies)}
    rows = []
    for method, is_pooled in rows_of_methods(tallies):
        methods = [m for m in tallies if m not in (method, REAL_METHOD)] if is_pooled else []
        fakes = [*methods, *([method] if method in tallies else [])]
        fake = sum((tallies[name] for name in fakes), Tally())
        numbers = _Numbers(
            real=tallies[REAL_METHOD],
            fake=fake,
            drawn=drawn,
            real_columns=(column[REAL_METHOD],),
            fake_columns=tuple(column[name] for name in fakes),
            without_draws=_without_draws(tallies[REAL_METHOD], fake, units, resamples, seed),
        )
        found = numbers.row(head, method, is_pooled, threshold)
        rows.append(replace(found, row=replace(found.row, pooling=pooling)))
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """All a row is made of."""

    real: Tally
    fake: Tally
    drawn: LevelDraws
    real_columns: tuple[int, ...]
    fake_columns: tuple[int, ...]
    without_draws: Interval

    def row(
        self, head: VideoScore, method: str, is_pooled: bool, threshold: Threshold | None
    ) -> FlatRow:
        """The finished row."""
        real, fake = self.real, self.fake
        levels = Levels(real.files, fake.files)
        auc = levels.auc()
        probabilities = real.probabilities + fake.probabilities
        row = SummaryRow(
            dataset=head.dataset,
            split=head.split,
            method=method,
            is_pooled=is_pooled,
            num_real=real.scored,
            num_fake=fake.scored,
            expected_real=real.expected,
            expected_fake=fake.expected,
            num_windows=int(real.clips.sum() + fake.clips.sum()),
            auc=auc,
            auc_interval=self._auc_interval(auc),
            auc_missing_neutral=missing_neutral(
                auc, (real.scored, fake.scored), (real.expected, fake.expected)
            ),
            clip_auc=Levels(real.clips, fake.clips).auc(),
            frame_auc=Levels(real.frames, fake.frames).auc(),
            **numbers_of_counts(levels, probabilities),
            unscored=tuple((real.reasons + fake.reasons).most_common()),
            at_threshold=self._at_threshold(threshold),
        )
        tied = None
        if auc.value is not None:
            tied = float(np.sum(real.files * fake.files) / (real.scored * fake.scored))
        return FlatRow(row=row, tie_share=tied)

    def _auc_interval(self, auc: Metric) -> Interval:
        """Of the draws over coarse levels, moved by what the levels alone moved the AUC."""
        if auc.value is None or self.without_draws.reason:
            reason = auc.reason or self.without_draws.reason
            return replace(self.without_draws, reason=reason)
        aucs = self.drawn.aucs(self.real_columns, self.fake_columns)
        of_levels = self.drawn.levels(self.real_columns, self.fake_columns).auc().value
        assert of_levels is not None, "the same files have an AUC"
        moved = auc.value - of_levels
        return percentiles(
            np.clip(aucs + moved, 0.0, 1.0),
            unit=self.without_draws.unit,
            seed=self.without_draws.seed,
        )

    def _at_threshold(self, threshold: Threshold | None) -> ThresholdMetrics:
        if threshold is None:
            return threshold_metrics.of_counts(None, None, without_draws=self.without_draws)
        real, fake = self.real, self.fake
        counts = Confusion(
            true_real=real.scored - real.called_fake,
            false_fake=real.called_fake,
            false_real=fake.scored - fake.called_fake,
            true_fake=fake.called_fake,
        )
        draws = None
        if not self.without_draws.reason:
            of_reals = self.drawn.verdicts(self.real_columns, threshold.logit)
            of_fakes = self.drawn.verdicts(self.fake_columns, threshold.logit)
            draws = np.stack([*of_reals, *of_fakes], axis=1)
        return threshold_metrics.of_counts(counts, draws, without_draws=self.without_draws)


def _draw(
    chunks: Iterable[list[VideoScore]],
    tallies: Mapping[str, Tally],
    unit: ResamplingUnit,
    threshold: Threshold | None,
    resamples: int,
    seed: int,
) -> LevelDraws:
    """The second pass: a column for each method in the order of ``tallies``."""
    files = sum((tally.files for tally in tallies.values()), NO_COUNTS)
    shares = np.linspace(0.0, 1.0, _COARSE_LEVELS + 1)[1:-1] * files.sum()
    edges = {lowest_logit(int(level)) for level in np.searchsorted(np.cumsum(files), shares)}
    if threshold is not None:
        edges.add(threshold.logit)
    drawn = LevelDraws.empty(sorted(edges), columns=len(tallies), resamples=resamples, seed=seed)
    column = {method: place for place, method in enumerate(tallies)}
    for chunk in chunks:
        scored = [video for video in chunk if video.logit is not None]
        if scored:
            drawn.add(
                [video.group if unit == "groups" else video.sample_id for video in scored],
                np.array([column[video.method] for video in scored]),
                logits_of(scored),
            )
    return drawn


def _without_draws(
    real: Tally, fake: Tally, unit: ResamplingUnit, resamples: int, seed: int
) -> Interval:
    """How was drawn, and why nothing may be concluded from it, if so."""
    reason = Levels(real.files, fake.files).missing_class
    for tally, name in ((real, "real"), (fake, "fake")):
        if not reason and len(tally.groups) < 2:
            reason = f"fewer than two {unit} with a {name} file"
    return Interval(None, None, resamples, seed, unit, reason)


def _chunks(rows: Iterable[ClipScore], pooling: Pooling) -> Iterator[list[VideoScore]]:
    """Pooled files, so many at a time."""
    of_file = groupby(rows, key=lambda row: (row.dataset, row.sample_id))
    videos = (pool_file(list(windows), pooling) for _, windows in of_file)
    while chunk := list(islice(videos, _FILES_AT_ONCE)):
        yield chunk


def _check_dataset(head: VideoScore, chunk: Iterable[VideoScore]) -> None:
    for video in chunk:
        if (video.dataset, video.split) != (head.dataset, head.split):
            raise ValueError(
                f"{video.sample_id}: of {video.dataset} {video.split}, among the scores of "
                f"{head.dataset} {head.split}; each dataset needs a score file of its own"
            )


def _by_method(videos: Iterable[VideoScore]) -> dict[str, list[VideoScore]]:
    found: dict[str, list[VideoScore]] = {}
    for video in videos:
        found.setdefault(video.method, []).append(video)
    return found
