"""The folder of a report: written whole, and its scores read back to make the report again.

The one list of what a report consists of; knows rows and files, no model and no media.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd.reporting import figure, reliability_figure, report, report_csv
from avkd.reporting.report_csv import Provenance
from avkd.reporting.scores import ClipScore, read_scores
from avkd.reporting.summary import SummaryRow

SCORES = "scores"
_REPORT = "report.csv"


@dataclass(frozen=True, kw_only=True)
class ScoredFolder:
    """What `avkd evaluate` left of one model."""

    scores: tuple[ClipScore, ...]
    """Rows of all datasets, in the order of the report they were made for."""
    provenance: Provenance
    """What made them; without a ``report.csv`` no more than the folder's name."""


def write_report_folder(
    folder: Path, rows: Sequence[SummaryRow], *, provenance: Provenance
) -> tuple[Path, ...]:
    """Write the tables and the figures.

    Args:
        folder: is made if it is not there.
        rows: as `summary.summarise` gives them, at least one.
        provenance: what made the numbers; figures are headed by the name of the model's folder.

    Returns:
        The files that were written.
    """
    name = Path(provenance.model).parent.name or provenance.model
    paths = list(report.write_report(folder, rows, provenance=provenance))
    paths.append(folder / "report.png")
    figure.draw_auc(rows, paths[-1], title=f"{name}: AUC, 95 % interval")
    if provenance.threshold is not None:
        paths += figure.draw_confusion(rows, folder / "confusion.png", title=f"{name}: verdicts")
    title = f"{name}: stated probabilities"
    paths += reliability_figure.draw_reliability(rows, folder / "reliability.png", title=title)
    return tuple(paths)


def read_report_folder(folder: Path) -> ScoredFolder:
    """Read the scores of one model, and what its ``report.csv`` says where there is one.

    Raises:
        FileNotFoundError: there are no score files.
        ValueError: a score file or the ``report.csv`` is broken, or no file was expected at all.
    """
    paths = sorted((folder / SCORES).glob("*.csv"))
    if not paths:
        raise FileNotFoundError(
            f"{folder}: no {SCORES}/*.csv in it; give the --out folder of avkd evaluate"
        )
    table = folder / _REPORT
    order: dict[str, int] = {}
    provenance = Provenance(
        model=folder.resolve().name, model_fingerprint="", date="", threshold=None
    )
    if table.exists():
        provenance = report_csv.read_provenance(table)
        names = dict.fromkeys(line["dataset"] for line in report_csv.read_lines(table))
        order = {name: place for place, name in enumerate(names)}
    rows = [row for path in paths for row in read_scores(path)]
    if not rows:
        raise ValueError(f"{folder / SCORES}: the score files have no row")
    rows.sort(key=lambda row: order.get(row.dataset, len(order)))  # stable
    return ScoredFolder(scores=tuple(rows), provenance=provenance)
