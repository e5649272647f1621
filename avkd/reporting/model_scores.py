"""All scores of one model, read once: the scores frame, and what made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from avkd.reporting import report_csv, score_frame
from avkd.reporting.report_csv import Provenance
from avkd.reporting.scores import SCORES, ClipScore, iter_scores, read_head
from avkd.reporting.scores_head import ScoresHead, check_one_table

_REPORT = "report.csv"


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelScores:
    """The scores of one model on any number of datasets."""

    files: pd.DataFrame
    """Its scores frame, datasets in the order of the report they were made for."""
    heads: Mapping[str, ScoresHead]
    """What made each dataset's scores; at least one."""
    provenance: Provenance
    """What made them all; without a ``report.csv`` there is no threshold."""

    @property
    def head(self) -> ScoresHead:
        """The head of one dataset, for what is the same in all: model, windows, pooling ..."""
        return next(iter(self.heads.values()))


def read_score_files(paths: Sequence[Path]) -> tuple[pd.DataFrame, dict[str, ScoresHead]]:
    """The scores frame of score files of one model, and the head of each dataset.

    Args:
        paths: files that may stand in one table (`scores_head.check_one_table`), at least one.

    Raises:
        ValueError: a file is broken.
    """
    heads: dict[str, ScoresHead] = {}

    def rows() -> Iterator[ClipScore]:
        for path in paths:
            head, of_file = iter_scores(path)
            for row in of_file:
                heads[row.dataset] = head
                yield row

    return score_frame.pool(rows(), read_head(paths[0]).pooling), heads


def read_report_folder(folder: Path, *, mixed_preprocessing: bool = False) -> ModelScores:
    """Read the scores of one model, and what its ``report.csv`` says where there is one.

    Args:
        folder: the ``--out`` folder of an evaluation.
        mixed_preprocessing: take score files of differently made crops, and note it.

    Raises:
        FileNotFoundError: there are no score files.
        ValueError: a score file or the ``report.csv`` is broken, two score files cannot stand in
            one table (`scores_head.check_one_table`), or no file was expected at all.
    """
    paths = sorted((folder / SCORES).glob("*.csv"))
    if not paths:
        raise FileNotFoundError(
            f"{folder}: no {SCORES}/*.csv in it; give the --out folder of avkd evaluate, or a CSV "
            "file with the columns file, label and score"
        )
    heads = {str(path): read_head(path) for path in paths}
    note = check_one_table(heads, mixed_preprocessing=mixed_preprocessing)
    provenance, order = _earlier_report(folder / _REPORT, next(iter(heads.values())))
    paths.sort(key=lambda path: order.get(path.stem, len(order)))  # stable; <dataset>.csv
    # What the evaluation noted of its mixing is the same sentence.
    notes = tuple(dict.fromkeys(filter(None, (note, *provenance.notes))))
    files, head_of = read_score_files(paths)
    if not len(files):
        raise ValueError(f"{folder / SCORES}: the score files have no row")
    return ModelScores(files=files, heads=head_of, provenance=replace(provenance, notes=notes))


def _earlier_report(table: Path, head: ScoresHead) -> tuple[Provenance, dict[str, int]]:
    """What made the numbers, and each dataset's place in the table."""
    if not table.exists():
        provenance = Provenance(
            model=head.model,
            model_fingerprint=head.model_fingerprint,
            date=head.date,
            threshold=None,
        )
        return provenance, {}
    names = dict.fromkeys(line["dataset"] for line in report_csv.read_lines(table))
    return report_csv.read_provenance(table), {name: place for place, name in enumerate(names)}
