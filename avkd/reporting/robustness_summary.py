"""From scores of clean and of distorted files to the entries of the robustness table.

Knows score rows and the bootstrap, not how an entry is printed or drawn. The same files stand in
every cell, so what is drawn again is drawn once for all cells: the interval of a mean over cells,
and of the drop from the clean ones, holds what the cells share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from avkd.metrics import ranking
from avkd.metrics.bootstrap import FloatArray, Interval, Resampling
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.metrics.ranking import Metric, RankedFiles
from avkd.reporting import score_frame
from avkd.reporting.score_frame import PooledFile
from avkd.reporting.scores import REAL_METHOD
from avkd.reporting.summary import SummaryRow, Threshold, summarise

CLEAN = "clean"
MEAN = "mean"
LOST_MANY = 0.05
"""Share of the files from which their loss must be told."""
_NOTHING_TO_DROP = "the clean files are what the others are compared with"


@dataclass(frozen=True)
class Cell:
    """What was done to the files."""

    perturbation: str
    """Name of the perturbation, or `CLEAN`."""
    severity: int
    """1 (mild) and up; 0 = clean."""

    @property
    def name(self) -> str:
        """What its folder is called."""
        return CLEAN if self.perturbation == CLEAN else f"{self.perturbation}-{self.severity}"

    @property
    def title(self) -> str:
        """Its name in sentences."""
        return CLEAN if self.perturbation == CLEAN else f"{self.perturbation} {self.severity}"


CLEAN_CELL = Cell(CLEAN, 0)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A number of the table: one cell, or the mean over several."""

    perturbation: str
    """Name, `CLEAN`, or `MEAN` over the perturbations."""
    severity: int | None
    """0 = clean; None = the mean over the severities."""
    rows: tuple[SummaryRow, ...]
    """What it is the mean of; of a cell its only row."""
    auc: Metric
    """AUC over files: each cell's over those that were scored in it."""
    interval: Interval
    """95 % interval of ``auc``."""
    drop: Metric
    """Clean AUC minus ``auc``."""
    drop_interval: Interval
    """95 % interval of ``drop``, paired: clean and distorted files are drawn together."""

    @property
    def is_cell(self) -> bool:
        """Whether it is one distorted cell, neither the clean one nor a mean."""
        return self.perturbation not in (CLEAN, MEAN) and self.severity is not None

    @property
    def coverage(self) -> float:
        """Share of the expected files that were scored; of a mean the lowest of its cells."""
        return min(row.coverage for row in self.rows)

    @property
    def auc_missing_neutral(self) -> Metric:
        """(Mean) AUC over all expected files, a pair with an unscored one counting one half."""
        return _mean([row.values["video_auc_missing_neutral"] for row in self.rows])


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """One model on the forgeries of one method, and all real files, under every perturbation."""

    model: str
    """Name of the model, for the reader."""
    model_fingerprint: str
    """Digest of the model file; empty = not known."""
    dataset: str
    split: str
    method: str
    """Forgery method, or ``all``."""
    is_pooled: bool
    """Whether these are all forgeries of the dataset."""
    perturbations: tuple[str, ...]
    """Rows of the table."""
    severities: tuple[int, ...]
    """Its columns, ascending."""
    entries: tuple[Entry, ...]
    """The clean one, the cells of each perturbation with their mean, and the means over the
    perturbations."""

    def at(self, perturbation: str, severity: int | None) -> Entry:
        """The entry of a cell, or of a mean."""
        (entry,) = (
            e for e in self.entries if (e.perturbation, e.severity) == (perturbation, severity)
        )
        return entry

    @property
    def clean(self) -> Entry:
        """The files as they are."""
        return self.at(CLEAN, 0)

    def lost_many(self, entry: Entry) -> bool:
        """Whether a cell lost more than `LOST_MANY` of the files that were scored clean."""
        return entry.is_cell and entry.coverage < self.clean.coverage - LOST_MANY


@dataclass(frozen=True, eq=False)
class _Draws:
    """Lowest and highest AUC that each cell can have in each draw of the files."""

    plan: Resampling
    low: FloatArray
    """(resamples, cells)"""
    high: FloatArray
    """(resamples, cells); above ``low`` only where a draw leaves a cell without a class."""

    def interval(self, low: FloatArray, high: FloatArray, reason: str) -> Interval:
        """Of a number from the lowest and highest value (resamples,) it can have in the draws.

        Or why there is none: the ``reason`` why there is no number, or that of the plan.
        """
        if reason or self.plan.reason:
            return self.plan.no_interval(reason or self.plan.reason)
        ends = float(np.quantile(low, 0.025)), float(np.quantile(high, 0.975))
        return Interval(*ends, self.plan.resamples, self.plan.seed, self.plan.unit)


def summarise_robustness(
    cells: Mapping[Cell, pd.DataFrame],
    *,
    model: str,
    model_fingerprint: str = "",
    threshold: Threshold | None = None,
    pooling: Pooling = MEAN_LOGIT,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Robustness, ...]:
    """One table for each dataset and method of one model.

    Args:
        cells: scores frames of every perturbation at every severity, and of `CLEAN_CELL`.
        model: name of the model.
        model_fingerprint: digest of its file.
        threshold: as in `summarise`.
        pooling: as in `summarise`.
        resamples: bootstrap draws.
        seed: of the draws.

    Raises:
        ValueError: the cells hold different files, or as `summarise`.
    """
    perturbations = tuple(dict.fromkeys(c.perturbation for c in cells if c != CLEAN_CELL))
    severities = tuple(sorted({c.severity for c in cells if c != CLEAN_CELL}))
    grid = [Cell(name, severity) for name in perturbations for severity in severities]
    assert {*cells} == {CLEAN_CELL, *grid} and grid, "a full grid and the clean cell"
    order = (CLEAN_CELL, *grid)
    rows = {
        cell: {
            (row.dataset, row.split, row.method): row
            for row in summarise(
                cells[cell], threshold=threshold, pooling=pooling, resamples=resamples, seed=seed
            )
        }
        for cell in order
    }
    files = {cell: _by_file(cells[cell]) for cell in order}
    _check_same_files(files)
    tables = []
    for name, row in rows[CLEAN_CELL].items():
        of_row = [
            key
            for key, video in files[CLEAN_CELL].items()
            if (video.dataset, video.split) == (row.dataset, row.split)
            and (row.is_pooled or video.method in (row.method, REAL_METHOD))
        ]
        draws = _draw([[files[cell][key] for key in of_row] for cell in order], resamples, seed)
        tables.append(
            Robustness(
                model=model,
                model_fingerprint=model_fingerprint,
                dataset=row.dataset,
                split=row.split,
                method=row.method,
                is_pooled=row.is_pooled,
                perturbations=perturbations,
                severities=severities,
                entries=_entries(order, [rows[cell][name] for cell in order], draws),
            )
        )
    return tuple(tables)


def _by_file(files: pd.DataFrame) -> dict[tuple[str, str], PooledFile]:
    return {(file.dataset, file.sample_id): file for file in score_frame.records(files)}


def _check_same_files(files: Mapping[Cell, Mapping[tuple[str, str], PooledFile]]) -> None:
    clean = files[CLEAN_CELL]
    for cell, there in files.items():
        for key in dict.fromkeys((*clean, *there)):
            known = [
                (f.label, f.method, f.split, f.group) if f else None
                for f in (clean.get(key), there.get(key))
            ]
            if known[0] != known[1]:
                raise ValueError(
                    f"{key[1]} of {key[0]}: is not the same file in {cell.title} as in {CLEAN} "
                    f"({known[1]} and {known[0]}); score all cells on one set of files"
                )


def _draw(cells: Sequence[Sequence[PooledFile]], resamples: int, seed: int) -> _Draws:
    """AUCs of every cell in the same draws.

    Drawn are the expected files, scored or not; one that a cell has no score of is missing in that
    cell's AUC of the draw, as it is in the AUC itself.
    """
    labels = np.array([file.label for file in cells[0]], dtype=np.int64)
    groups = np.array([file.group for file in cells[0]]) if all(f.group for f in cells[0]) else None
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    ranked = []
    for cell in cells:
        scored = np.array([file.logit is not None for file in cell])
        logits = np.array([file.logit for file in cell if file.logit is not None], dtype=np.float64)
        of_scored = ranking.checked(labels[scored], logits)
        ranked.append(RankedFiles.of(*of_scored, plan.group_of_file[scored]))
    if plan.reason:
        return _Draws(plan, np.empty((0, len(cells))), np.empty((0, len(cells))))
    aucs = np.concatenate(
        [np.stack([r.aucs(weights) for r in ranked], axis=1) for weights in plan.group_weights()]
    )
    unknown = np.isnan(aucs)
    return _Draws(plan, np.where(unknown, 0.0, aucs), np.where(unknown, 1.0, aucs))


def _entries(order: Sequence[Cell], rows: Sequence[SummaryRow], draws: _Draws) -> tuple[Entry, ...]:
    names = dict.fromkeys(cell.perturbation for cell in order[1:])
    severities = sorted({cell.severity for cell in order[1:]})
    entries = [_entry(CLEAN, 0, order, rows, draws, [0])]
    for name in names:
        of_name = [place for place, cell in enumerate(order) if cell.perturbation == name]
        entries += [
            _entry(name, order[place].severity, order, rows, draws, [place]) for place in of_name
        ]
        entries.append(_entry(name, None, order, rows, draws, of_name))
    for severity in severities:
        places = [place for place, cell in enumerate(order) if cell.severity == severity]
        entries.append(_entry(MEAN, severity, order, rows, draws, places))
    entries.append(_entry(MEAN, None, order, rows, draws, list(range(1, len(order)))))
    return tuple(entries)


def _entry(
    perturbation: str,
    severity: int | None,
    order: Sequence[Cell],
    rows: Sequence[SummaryRow],
    draws: _Draws,
    places: Sequence[int],
) -> Entry:
    titles = [order[place].title for place in places]
    auc = _mean([rows[place].auc for place in places], titles)
    clean = rows[0].auc
    low, high = draws.low[:, places].mean(axis=1), draws.high[:, places].mean(axis=1)
    interval = draws.interval(low, high, auc.reason)
    if len(places) == 1:  # the very interval of the cell's own report
        interval = rows[places[0]].auc_interval
    drop = Metric(None, auc.reason or clean.reason or _NOTHING_TO_DROP)
    if auc.value is not None and clean.value is not None and perturbation != CLEAN:
        drop = Metric(clean.value - auc.value)
    return Entry(
        perturbation=perturbation,
        severity=severity,
        rows=tuple(rows[place] for place in places),
        auc=auc,
        interval=interval,
        drop=drop,
        drop_interval=draws.interval(draws.low[:, 0] - high, draws.high[:, 0] - low, drop.reason),
    )


def _mean(values: Sequence[Metric], titles: Sequence[str] = ()) -> Metric:
    """The mean, or the reason of the first number that is not there and whose it is."""
    for place, metric in enumerate(values):
        if metric.value is None:
            where = f"{titles[place]}: " if len(values) > 1 and titles else ""
            return Metric(None, f"{where}{metric.reason}")
    return Metric(float(np.mean([metric.value for metric in values])))
