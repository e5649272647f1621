"""The folder of `avkd robustness`: what was asked for, the scores of every cell, their tables.

A cell's folder appears whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avkd import durable
from avkd.reporting import robustness_table
from avkd.reporting.figures.canvas import save
from avkd.reporting.figures.robustness_curves import robustness_figures
from avkd.reporting.model_scores import ModelScores, read_report_folder
from avkd.reporting.page import Section, to_markdown
from avkd.reporting.robustness_summary import (
    CLEAN,
    CLEAN_CELL,
    MEAN,
    Cell,
    Robustness,
    summarise_robustness,
)
from avkd.reporting.scores import SCORES
from avkd.reporting.scores_head import check_one_table

RECORD = "robustness.json"
_FORMAT = "avkd-robustness-1"


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
    """Rows of the table."""
    severities: tuple[int, ...]
    """Its columns."""
    bootstrap_resamples: int
    """Resamples of every interval."""
    seed: int
    """Of the bootstrap."""
    notes: tuple[str, ...]
    """What a reader must know, one sentence each."""

    def __post_init__(self) -> None:
        texts = (*self.models, *self.perturbations, *self.notes, *self.fingerprints.values())
        numbers = (*self.severities, self.bootstrap_resamples, self.seed)
        if not (all(isinstance(t, str) for t in texts) and all(type(n) is int for n in numbers)):
            raise ValueError("a name is no text, or a number no whole number")
        for names in (self.models, self.perturbations, self.severities):
            if not names or len({*names}) < len(names):
                raise ValueError("models, perturbations and severities: each once, at least one")
        if {CLEAN, MEAN} & {*self.perturbations} or min(self.severities) < 1:
            raise ValueError("invalid perturbation or severity")
        if not {*self.models} <= self.fingerprints.keys():
            raise ValueError("a model has no fingerprint")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The clean cell and the others, mild ones first."""
        grid = (
            Cell(name, level) for level in sorted(self.severities) for name in self.perturbations
        )
        return (CLEAN_CELL, *grid)

    def save(self, folder: Path) -> None:
        """Write into ``folder``."""
        durable.write_json(folder / RECORD, {"format": _FORMAT, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> Record:
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


def scores_folder(folder: Path, model: str, cell: Cell) -> Path:
    """Where the evaluation of a model on a cell lies once it is finished."""
    return folder / SCORES / model / cell.name


def read_tables(folder: Path) -> tuple[Robustness, ...]:
    """The tables of all models that the folder's record names.

    Raises:
        FileNotFoundError: it is no folder of `avkd robustness`.
        ValueError: a cell is not finished, is of another model, or its scores are broken.
    """
    record = Record.load(folder)
    tables: list[Robustness] = []
    for name in record.models:
        cells = {cell: _read_cell(folder, record, name, cell) for cell in record.cells}
        # The perturbation is what they are to differ in, and nothing else.
        heads = {cell.title: replace(cells[cell].head, perturbation="") for cell in cells}
        check_one_table(heads, mixed_preprocessing=False)
        tables += summarise_robustness(
            {cell: scored.files for cell, scored in cells.items()},
            model=name,
            model_fingerprint=record.fingerprints[name],
            threshold=cells[CLEAN_CELL].provenance.threshold,
            pooling=cells[CLEAN_CELL].head.pooling,
            resamples=record.bootstrap_resamples,
            seed=record.seed,
        )
    return tuple(tables)


def read_section(folder: Path) -> Section:
    """The part of the report page; raises as `read_tables`."""
    return robustness_table.section(read_tables(folder), notes=Record.load(folder).notes)


def write_tables(folder: Path) -> tuple[tuple[Robustness, ...], tuple[Path, ...]]:
    """Write ``robustness.md``, ``.csv`` and ``.png`` from the scores; raises as `read_tables`.

    Returns:
        The tables, and the files that were written.
    """
    tables, notes = read_tables(folder), Record.load(folder).notes
    paths = folder / "robustness.md", folder / "robustness.csv"
    durable.write_text(paths[0], to_markdown([robustness_table.section(tables, notes=notes)]))
    durable.write_text(paths[1], robustness_table.to_csv(tables))
    figures = [figure for figure, _ in robustness_figures(tables)]
    return tables, (*paths, *save(figures, folder / "robustness.png"))


def _read_cell(folder: Path, record: Record, model: str, cell: Cell) -> ModelScores:
    path = scores_folder(folder, model, cell)
    # Names come from a file: they may lead to what lies in this folder and nowhere else.
    if path.parent not in _inside(folder / SCORES) or path not in _inside(path.parent):
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


def _inside(folder: Path) -> set[Path]:
    return {*folder.iterdir()} if folder.is_dir() else set()
