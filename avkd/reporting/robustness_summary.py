"""One model under perturbations: its table from the scores of clean and of distorted files.

The same files stand in every cell, so what is drawn again is drawn once for all cells: the interval
of a mean over cells, and of the drop from the clean ones, holds what the cells share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from avkd.metrics import ranking
from avkd.metrics.bootstrap import FloatArray, Interval, Metric, Resampling
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.metrics.ranking import RankedFiles
from avkd.reporting import score_frame
from avkd.reporting.score_frame import TableRow
from avkd.reporting.summary import SummaryRow, Threshold, summarise

CLEAN, MEAN = "clean", "mean"
LOST_MANY = 0.05
"""Share of the files from which their loss must be told."""


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
        """(Mean) AUC over all expected files, a pair with an unscored one counting as a tie."""
        return _mean([row.values["video_auc_missing_neutral"] for row in self.rows])


@dataclass(frozen=True, kw_only=True)
class Robustness(TableRow):
    """One model on the forgeries of one method, and all real files, under every perturbation."""

    model: str
    """Name of the model, for the reader."""
    model_fingerprint: str
    """Digest of the model file; empty = not known."""
    perturbations: tuple[str, ...]
    """Rows of the table."""
    severities: tuple[int, ...]
    """Its columns, ascending."""
    entries: tuple[Entry, ...]
    """The clean one, the cells of each perturbation with their mean, and the means over the
    perturbations."""

    def at(self, perturbation: str, severity: int | None) -> Entry:
        """The entry of a cell, or of a mean."""
        wanted = perturbation, severity
        (entry,) = (e for e in self.entries if (e.perturbation, e.severity) == wanted)
        return entry

    @property
    def clean(self) -> Entry:
        """The files as they are."""
        return self.at(CLEAN, 0)

    @property
    def title(self) -> str:
        """The model and the dataset."""
        return f"{self.model} on {self.dataset_title}"

    def lost_many(self, entry: Entry) -> bool:
        """Whether a cell lost more than `LOST_MANY` of the files that were scored clean."""
        return entry.is_cell and entry.coverage < self.clean.coverage - LOST_MANY


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
    order = (CLEAN_CELL, *(Cell(*cell) for cell in product(perturbations, severities)))
    assert {*cells} == {*order} and severities, "a full grid and the clean cell"
    _check_same_files(cells)
    options: dict[str, Any] = {
        "threshold": threshold,
        "pooling": pooling,
        "resamples": resamples,
        "seed": seed,
    }
    rows = [{row.key: row for row in summarise(cells[cell], **options)} for cell in order]
    logits = pd.DataFrame({c.name: score_frame.by_file(cells[c])["logit"] for c in order})
    tables = []
    for row, files in score_frame.row_files(cells[CLEAN_CELL]):
        of_files = logits.reindex(score_frame.by_file(files).index)
        draws = _draw(files, of_files.to_numpy(), resamples, seed)
        of_cells = [of_cell[row.key] for of_cell in rows]
        tables.append(
            Robustness(
                **vars(row),
                model=model,
                model_fingerprint=model_fingerprint,
                perturbations=perturbations,
                severities=severities,
                entries=tuple(
                    _entry(key, places, order, of_cells, *draws)
                    for key, places in _places(perturbations, severities).items()
                ),
            )
        )
    return tuple(tables)


def _places(
    perturbations: Sequence[str], severities: Sequence[int]
) -> dict[tuple[str, int | None], list[int]]:
    """Numbers of the cells that each entry is the mean of; 0 = clean."""
    numbers = 1 + np.arange(len(perturbations) * len(severities)).reshape(-1, len(severities))
    places: dict[tuple[str, int | None], list[int]] = {(CLEAN, 0): [0]}
    for name, line in zip(perturbations, numbers.tolist(), strict=True):
        places |= {(name, s): [place] for s, place in zip(severities, line, strict=True)}
        places[name, None] = line
    for severity, column in zip(severities, numbers.T.tolist(), strict=True):
        places[MEAN, severity] = column
    places[MEAN, None] = numbers.reshape(-1).tolist()
    return places


def _check_same_files(cells: Mapping[Cell, pd.DataFrame]) -> None:
    facts = ["label", "method", "split", "group"]
    clean = score_frame.by_file(cells[CLEAN_CELL])[facts].astype(object)
    for cell, files in cells.items():
        there = score_frame.by_file(files)[facts].astype(object)
        every = clean.index.union(there.index, sort=False)
        one, other = (frame.reindex(every, fill_value="") for frame in (clean, there))
        differing = (one != other).any(axis=1).to_numpy()
        if differing.any():
            place = int(np.argmax(differing))
            (dataset, file), found = every[place], [[*f.iloc[place]] for f in (other, one)]
            raise ValueError(
                f"{file} of {dataset}: is not the same file in {cell.title} as in {CLEAN} "
                f"({found[0]} and {found[1]}); score all cells on one set of files"
            )


def _draw(
    files: pd.DataFrame, logits: FloatArray, resamples: int, seed: int
) -> tuple[Resampling, FloatArray, FloatArray]:
    """(resamples, cells) the lowest and the highest AUC of every cell in the same draws.

    Drawn are the expected files, scored or not; one that a cell has no score of (nan in the (N,
    cells) ``logits``) is missing in that cell's AUC of the draw, as it is in the AUC itself. The
    two differ only where a draw leaves a cell without a class.
    """
    labels = files["label"].to_numpy()
    groups = score_frame.groups_of(files)
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    ranked = []
    for of_cell in logits.T:
        scored = ~np.isnan(of_cell)
        of_scored = ranking.checked(labels[scored], of_cell[scored])
        ranked.append(RankedFiles.of(*of_scored, plan.group_of_file[scored]))
    if plan.reason:
        nothing = np.empty((0, logits.shape[1]))
        return plan, nothing, nothing
    aucs = np.concatenate(
        [np.stack([r.aucs(weights) for r in ranked], axis=1) for weights in plan.group_weights()]
    )
    return plan, np.nan_to_num(aucs, nan=0.0), np.nan_to_num(aucs, nan=1.0)


def _entry(
    key: tuple[str, int | None],
    places: list[int],
    order: Sequence[Cell],
    rows: Sequence[SummaryRow],
    plan: Resampling,
    low: FloatArray,
    high: FloatArray,
) -> Entry:
    auc = _mean([rows[place].auc for place in places], [order[place].title for place in places])
    clean = rows[0].auc
    drop = Metric(None, auc.reason or clean.reason or "the clean files are what others drop from")
    if auc.value is not None and clean.value is not None and key[0] != CLEAN:
        drop = Metric(clean.value - auc.value)
    least, most = low[:, places].mean(axis=1), high[:, places].mean(axis=1)
    return Entry(
        perturbation=key[0],
        severity=key[1],
        rows=tuple(rows[place] for place in places),
        auc=auc,
        interval=_interval(plan, least, most, auc.reason)
        if len(places) > 1
        else rows[places[0]].auc_interval,  # that of the cell's own report
        drop=drop,
        drop_interval=_interval(plan, low[:, 0] - most, high[:, 0] - least, drop.reason),
    )


def _interval(plan: Resampling, low: FloatArray, high: FloatArray, reason: str) -> Interval:
    """From the lowest and the highest value (resamples,) in the draws, or why there is none."""
    if reason or plan.reason:
        return plan.no_interval(reason or plan.reason)
    ends = float(np.quantile(low, 0.025)), float(np.quantile(high, 0.975))
    return Interval(*ends, plan.resamples, plan.seed, plan.unit)


def _mean(values: Sequence[Metric], titles: Sequence[str] = ()) -> Metric:
    """The mean, or the reason of the first number that is not there and whose it is."""
    for place, metric in enumerate(values):
        if metric.value is None:
            where = f"{titles[place]}: " if len(values) > 1 and titles else ""
            return Metric(None, f"{where}{metric.reason}")
    return Metric(float(np.mean([metric.value for metric in values])))
