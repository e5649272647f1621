"""The robustness table as a section of a report, text and CSV, and the folder it is made from.

The folder of `avkd robustness` holds what was asked for and the scores of every cell; a cell's
folder appears whole or not at all. All methods are in the CSV alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avkd import durable
from avkd.reporting import tables
from avkd.reporting.figures.canvas import picture, save
from avkd.reporting.figures.robustness_curves import robustness_figures
from avkd.reporting.model_scores import ModelScores, read_report_folder
from avkd.reporting.page import Section, to_markdown
from avkd.reporting.robustness_summary import (
    CLEAN,
    CLEAN_CELL,
    LOST_MANY,
    MEAN,
    Entry,
    Robustness,
    summarise_robustness,
)
from avkd.reporting.robustness_summary import Cell as RobustnessCell
from avkd.reporting.scores import SCORES, check_heads
from avkd.reporting.summary import coverage_cells, metric_cells
from avkd.reporting.tables import Cell, Table, percent, percent_down

RECORD = "robustness.json"
_FORMAT = "avkd-robustness-1"


def section(found: Sequence[Robustness], notes: Sequence[str] = ()) -> Section:
    """The tables of all forgeries of each dataset, their curves, and how to read them.

    ``found`` may be of several models; ``notes`` say what made them, one plain sentence each.
    """
    shown = [table for table in found if table.is_pooled]
    single = [table for table in found if not table.is_pooled]
    parts = [_grid(table, "AUC % [95 % interval] at severity") for table in shown]
    if len(shown) > 1:
        whole = Table.of(map(_summary, shown), num_texts=2, caption="All models: AUC %")
        parts.insert(0, whole)
    if single:
        lines = (_summary(table, of_method=True) for table in single)
        parts.append(Table.of(lines, num_texts=3, caption="By forgery: AUC %"))
    return Section(
        title="Robustness",
        warnings=tuple(_warnings(shown)),
        tables=tuple(parts),
        pictures=tuple(picture(*drawn) for drawn in robustness_figures(found)),
        notes=(*_legend(found), *_undefined(shown), *notes),
    )


def to_text(found: Sequence[Robustness]) -> str:
    """The tables for a terminal: a cell's interval is in the files alone, to keep lines short."""
    shown = [table for table in found if table.is_pooled]
    blocks = [_grid(table, "AUC %", is_short=True).to_text() for table in shown]
    return "\n\n".join([*blocks, *(f"warning: {warning}" for warning in _warnings(shown))])


def to_csv(found: Sequence[Robustness]) -> str:
    """One line for each model, dataset, method and entry; what is not defined is empty."""
    lines = [_csv_line(table, entry) for table in found for entry in table.entries]
    return Table.of(lines).to_csv()


def _grid(table: Robustness, what: str, *, is_short: bool = False) -> Table:
    """Clean, each perturbation, the mean over them."""
    strongest = table.severities[-1]
    rows = [(CLEAN, *["-"] * len(table.severities), _auc(table, table.clean), "-")]
    for name in (*table.perturbations, MEAN):
        entries = [table.at(name, severity) for severity in table.severities]
        cells = [_auc(table, entry, is_short=is_short) for entry in entries]
        rows.append((name, *cells, _auc(table, table.at(name, None)), _points(entries[-1])))
    return Table(
        columns=("Perturbation", *map(str, table.severities), "Mean", f"Drop at {strongest}"),
        rows=tuple(rows),
        caption=f"{table.title}: {what}",
        strong_rows=frozenset({len(rows) - 1}),
    )


def _summary(table: Robustness, *, of_method: bool = False) -> dict[str, Cell]:
    method = {"Forgery": table.method} if of_method else {}
    strongest = table.at(MEAN, table.severities[-1])
    return {
        "Model": table.model,
        "Dataset": table.dataset_title,
        **method,
        "Clean": _auc(table, table.clean),
        "Mean of all cells": _auc(table, table.at(MEAN, None)),
        "Mean at the highest severity": _auc(table, strongest),
        "Drop at the highest severity": _points(strongest),
    }


def _auc(table: Robustness, entry: Entry, *, is_short: bool = False) -> str:
    """The number, its interval unless it is to be short, and its coverage where files were lost.

    Coverage is said of the clean files, and where it is less than theirs.
    """
    said = percent(entry.auc) if is_short else tables.with_interval(entry.auc)
    if entry.coverage >= (1.0 if entry is table.clean else table.clean.coverage):
        return said
    least = "at least " if len({row.coverage for row in entry.rows}) > 1 else ""
    return f"{said} ({least}{percent_down(entry.coverage)} scored)"


def _points(entry: Entry) -> str:
    """The drop in points, without minus zeros."""
    return tables.with_interval(entry.drop).replace("-0.0", "0.0")


def _warnings(shown: Sequence[Robustness]) -> list[str]:
    """Where files were lost to the perturbation, and what the mean is with them."""
    warnings = []
    for table in shown:
        cells = [entry for entry in table.entries if entry.is_cell]
        lost = [entry for entry in cells if table.lost_many(entry)]
        if not lost:
            continue
        worst = min(lost, key=lambda entry: entry.coverage)
        mean = table.at(MEAN, None)
        warnings.append(
            f"{table.title}: {len(lost)} of {len(cells)} cells lost more "
            f"than {100 * LOST_MANY:g} % of the files that the clean one scored (worst: "
            f"{worst.perturbation} {worst.severity}, {percent_down(worst.coverage)} scored), and "
            "their AUC is over what is left. Mean AUC of all cells: "
            f"{percent(mean.auc)} %; with pairs of a lost file counted as ties: "
            f"{percent(mean.auc_missing_neutral)} %."
        )
    return warnings


def _legend(found: Sequence[Robustness]) -> list[str]:
    strongest = found[0].severities[-1]
    return [
        "Label 1 = fake; AUC over files, ties one half. The same files stand in every cell; frames "
        "are distorted whole, before faces are cut out of them.",
        "Mean: of the AUCs of the cells, each over the files that were scored in it. A share in "
        "brackets says how many that were (of a mean: in the cell with the fewest); without one, "
        "as many as of the clean files. Means with pairs of a lost file counted as ties: "
        "auc_missing_neutral in the CSV.",
        *tables.interval_notes(entry.auc for table in found for entry in table.entries),
        "The interval of a mean or a drop resamples the files once for all cells, so it holds what "
        "the cells share; a file without a score is missing in that cell of the resample as well.",
        f"Drop at {strongest}: clean AUC minus that at severity {strongest}, in points, clean and "
        "distorted files resampled together. Above 0 with its whole interval: more than chance.",
    ]


def _undefined(shown: Sequence[Robustness]) -> list[str]:
    """Each reason once, with where it holds."""
    reasons = tables.by_reason(
        (entry.auc.reason, f"{table.model}, {entry.perturbation} {entry.severity}")
        for table in shown
        for entry in table.entries
        if entry.is_cell
    )
    return [f"Not defined, {reason}: {'; '.join(names)}." for reason, names in reasons.items()]


def _csv_line(table: Robustness, entry: Entry) -> dict[str, Cell]:
    """All columns; what only a cell has is empty in a mean."""
    of_cell = entry.is_cell or entry.perturbation == CLEAN
    row, interval = entry.rows[0], entry.auc.interval
    unscored = "; ".join(f"{count} x {code}" for code, count in row.unscored)
    only_of_cell = {**coverage_cells(row), "unscored": unscored, **metric_cells(row)}
    said_above = ("coverage", "video_auc")
    return {
        "model": table.model,
        "model_fingerprint": table.model_fingerprint,
        **table.cells,
        "perturbation": entry.perturbation,
        "severity": MEAN if entry.severity is None else entry.severity,
        "num_cells": len(entry.rows),
        **tables.with_ends("auc", entry.auc),
        "auc_missing_neutral": entry.auc_missing_neutral.value,
        **tables.with_ends("drop", entry.drop),
        "coverage": entry.coverage,
        **{
            name: value if of_cell else None
            for name, value in only_of_cell.items()
            if not name.startswith(said_above)
        },
        "interval_unit": interval.unit,
        "resamples": interval.resamples,
        "seed": interval.seed,
        "reason": entry.auc.reason or interval.reason,
    }


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the command that last wrote into a folder asked for.

    Raises:
        ValueError: a field is not what it should be.
    """

    settings: Mapping[str, Any]
    """All that decides the scores of a cell, the model aside; one folder, one of these."""
    fingerprints: Mapping[str, str]
    """Digest of the file of every model that was ever scored here, by the model's name."""
    models: tuple[str, ...]
    """Names of those of the table."""
    perturbations: tuple[str, ...]
    severities: tuple[int, ...]
    """Rows and columns of the table."""
    bootstrap_resamples: int
    seed: int
    """Of the bootstrap."""
    notes: tuple[str, ...]
    """What a reader must know, one sentence each."""

    def __post_init__(self) -> None:
        texts = (*self.models, *self.perturbations, *self.notes, *self.fingerprints.values())
        numbers = (*self.severities, self.bootstrap_resamples, self.seed)
        if not (all(isinstance(t, str) for t in texts) and all(type(n) is int for n in numbers)):
            raise ValueError("a name that is not text, or a number that is not an integer")
        for names in (self.models, self.perturbations, self.severities):
            if not names or len({*names}) < len(names):
                raise ValueError("models, perturbations and severities: each once, at least one")
        if {CLEAN, MEAN} & {*self.perturbations} or min(self.severities) < 1:
            raise ValueError("invalid perturbation or severity")
        if not {*self.models} <= self.fingerprints.keys():
            raise ValueError("a model has no fingerprint")

    @property
    def cells(self) -> tuple[RobustnessCell, ...]:
        """The clean cell and the others, mild ones first."""
        levels = sorted(self.severities)
        grid = (RobustnessCell(name, n) for n in levels for name in self.perturbations)
        return (CLEAN_CELL, *grid)

    def save(self, folder: Path) -> None:
        """Write into ``folder``."""
        durable.write_json(folder / RECORD, {"format": _FORMAT, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> "Record":
        """Read from ``folder``.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is broken, or not ours.
        """
        path = folder / RECORD
        if not path.is_file():
            raise FileNotFoundError(f"{folder}: no {RECORD}; give the --out of avkd robustness")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
                raise ValueError(f"it is not of the format {_FORMAT}")
            for name in ("models", "perturbations", "severities", "notes"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not the record of avkd robustness: {error}") from error


def scores_folder(folder: Path, model: str, cell: RobustnessCell) -> Path:
    """Where the evaluation of a model on a cell lies once it is finished."""
    return folder / SCORES / model / cell.name


def read_study(folder: Path) -> tuple[tuple[Robustness, ...], tuple[str, ...]]:
    """The tables of all models that the folder's record names, and its notes.

    Raises:
        FileNotFoundError: it is no folder of `avkd robustness`.
        ValueError: a cell is not finished, is of another model, or its scores are broken.
    """
    record = Record.load(folder)
    found: list[Robustness] = []
    for name in record.models:
        cells = {cell: _read_cell(folder, record, name, cell) for cell in record.cells}
        # The perturbation is what they are to differ in, and nothing else.
        heads = {cell.title: replace(cells[cell].head, perturbation="") for cell in cells}
        check_heads(heads, mixed_preprocessing=False)
        found += summarise_robustness(
            {cell: scored.files for cell, scored in cells.items()},
            model=name,
            model_fingerprint=record.fingerprints[name],
            threshold=cells[CLEAN_CELL].provenance.threshold,
            pooling=cells[CLEAN_CELL].head.pooling,
            resamples=record.bootstrap_resamples,
            seed=record.seed,
        )
    return tuple(found), record.notes


def write_study(folder: Path) -> tuple[tuple[Robustness, ...], tuple[Path, ...]]:
    """Write ``robustness.md``, ``.csv`` and ``.png``; the tables, and the files written.

    Raises as `read_study`.
    """
    found, notes = read_study(folder)
    paths = folder / "robustness.md", folder / "robustness.csv"
    durable.write_text(paths[0], to_markdown([section(found, notes)]))
    durable.write_text(paths[1], to_csv(found))
    figures = [figure for figure, _ in robustness_figures(found)]
    return found, (*paths, *save(figures, folder / "robustness.png"))


def _read_cell(folder: Path, record: Record, model: str, cell: RobustnessCell) -> ModelScores:
    path = scores_folder(folder, model, cell)
    # Names come from a file: they may lead to what lies in this folder and nowhere else.
    if path not in (folder / SCORES).glob("*/*"):
        raise ValueError(
            f"{folder}: {cell.title} of {model} is not finished; run the same avkd robustness again"
        )
    scored = read_report_folder(path)
    if scored.provenance.model_fingerprint != record.fingerprints[model]:
        raise ValueError(
            f"{path}: scores of another model file than {record.fingerprints[model]}; remove it "
            "and run the same avkd robustness again"
        )
    return scored
