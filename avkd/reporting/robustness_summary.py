"""One model under perturbations: its table from the scores of clean and of distorted files.

The same files stand in every cell, so what is drawn again is drawn once for all cells: the interval
of a mean over cells, and of the drop from the clean ones, holds what the cells share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from avkd.metrics import ranking
from avkd.metrics.bootstrap import FloatArray, Metric, Resampling
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

    def is_part_of(self, perturbation: str, severity: int | None) -> bool:
        """Whether it counts in an `Entry`."""
        named = self.perturbation == perturbation or (perturbation == MEAN and self.severity > 0)
        return named and severity in (None, self.severity)


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
    drop: Metric
    """Clean AUC minus ``auc``; its interval is paired: clean and distorted files are drawn
    together."""

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
    """Its name, for the reader."""
    model_fingerprint: str
    """Digest of the model file; empty = not known."""
    perturbations: tuple[str, ...]
    severities: tuple[int, ...]
    """Rows and columns of the table, columns ascending."""
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
    """One table for each dataset and method of one model; arguments as of `summarise`.

    ``cells`` are scores frames of every perturbation at every severity, and of `CLEAN_CELL`.

    Raises:
        ValueError: the cells hold different files, or as `summarise`.
    """
    perturbations = tuple(dict.fromkeys(c.perturbation for c in cells if c != CLEAN_CELL))
    severities = tuple(sorted({c.severity for c in cells if c != CLEAN_CELL}))
    order = (CLEAN_CELL, *(Cell(*cell) for cell in product(perturbations, severities)))
    assert {*cells} == {*order} and severities, "a full grid and the clean cell"
    _check_same_files(cells)
    options: dict[str, Any] = {"pooling": pooling, "resamples": resamples, "seed": seed}
    rows = {
        (row.key, cell): row
        for cell in order
        for row in summarise(cells[cell], threshold=threshold, **options)
    }
    logits = pd.DataFrame({c.name: score_frame.by_file(cells[c])["logit"] for c in order})
    keys = [(CLEAN, 0), *product((*perturbations, MEAN), (*severities, None))]
    tables = []
    for row, files in score_frame.row_files(cells[CLEAN_CELL]):
        of_files = logits.reindex(score_frame.by_file(files).index)
        draws = _draw(files, of_files.to_numpy(), resamples, seed)
        of_cells = {cell: rows[row.key, cell] for cell in order}
        tables.append(
            Robustness(
                **vars(row),
                model=model,
                model_fingerprint=model_fingerprint,
                perturbations=perturbations,
                severities=severities,
                entries=tuple(_entry(*key, of_cells, *draws) for key in keys),
            )
        )
    return tuple(tables)


def _check_same_files(cells: Mapping[Cell, pd.DataFrame]) -> None:
    identity = ["dataset", "sample_id", "label", "method", "split", "group"]
    found = {c: {*zip(*(files[n] for n in identity), strict=True)} for c, files in cells.items()}
    for cell, there in found.items():
        for dataset, file, *facts in sorted(there ^ found[CLEAN_CELL])[:1]:
            raise ValueError(
                f"{file} of {dataset}: is not the same file in {cell.title} as in {CLEAN} (in one "
                f"of them {facts}); score all cells on one set of files"
            )


def _draw(
    files: pd.DataFrame, logits: FloatArray, resamples: int, seed: int
) -> tuple[Resampling, FloatArray]:
    """(resamples, cells) AUC of every cell in the same draws; nan where a class is missing.

    Drawn are the expected files, scored or not; one that a cell has no score of (nan in the (N,
    cells) ``logits``) is missing in that cell's AUC of the draw, as it is in the AUC itself.
    """
    labels = files["label"].to_numpy()
    groups = score_frame.groups_of(files)
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    if plan.reason:
        return plan, np.empty((0, logits.shape[1]))
    ranked = []
    for of_cell in logits.T:
        scored = ~np.isnan(of_cell)
        of_scored = ranking.checked(labels[scored], of_cell[scored])
        ranked.append(RankedFiles.of(*of_scored, plan.group_of_file[scored]))
    draws = [np.stack([r.aucs(drawn) for r in ranked], axis=1) for drawn in plan.group_weights()]
    return plan, np.concatenate(draws)


def _entry(
    perturbation: str,
    severity: int | None,
    rows: Mapping[Cell, SummaryRow],
    plan: Resampling,
    draws: FloatArray,
) -> Entry:
    """The entry of those ``rows`` that are part of it; ``draws`` has a column for each row."""
    parts = [cell for cell in rows if cell.is_part_of(perturbation, severity)]
    places = [place for place, cell in enumerate(rows) if cell in parts]
    # What a draw leaves undefined could be anything.
    low, high = np.nan_to_num(draws, nan=0.0), np.nan_to_num(draws, nan=1.0)
    least, most = low[:, places].mean(axis=1), high[:, places].mean(axis=1)
    auc = rows[parts[0]].auc  # a single cell is that of its own report
    if len(parts) > 1:
        auc = _mean([rows[part].auc for part in parts], [part.title for part in parts])
        auc = _with_interval(auc, plan, least, most)
    clean = rows[CLEAN_CELL].auc
    drop = Metric(None, auc.reason or clean.reason or "the clean files are what others drop from")
    if auc.value is not None and clean.value is not None and perturbation != CLEAN:
        drop = Metric(clean.value - auc.value)
    return Entry(
        perturbation=perturbation,
        severity=severity,
        rows=tuple(rows[part] for part in parts),
        auc=auc,
        drop=_with_interval(drop, plan, low[:, 0] - most, high[:, 0] - least),
    )


def _with_interval(number: Metric, plan: Resampling, low: FloatArray, high: FloatArray) -> Metric:
    """From the lowest and the highest value (resamples,) in the draws, or why there is none."""
    if reason := number.reason or plan.reason:
        return replace(number, interval=plan.no_interval(reason))
    return replace(number, interval=plan.interval_between(low, high))


def _mean(values: Sequence[Metric], titles: Sequence[str] = ()) -> Metric:
    """The mean, or the reason of the first number that is not there and whose it is."""
    for place, metric in enumerate(values):
        if metric.value is None:
            where = f"{titles[place]}: " if titles else ""
            return Metric(None, f"{where}{metric.reason}")
    return Metric(float(np.mean([metric.value for metric in values])))
