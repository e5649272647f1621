"""The folder of a report: written whole, and its scores read back to make the report again.

The one list of what a report consists of; knows rows and files, no model and no media.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avkd import durable
from avkd.reporting import figure, reliability_figure, report, report_csv, shortcut_table
from avkd.reporting.report_csv import Provenance
from avkd.reporting.report_page import PAGE, ModelPart, describe, title_of, write_model_page
from avkd.reporting.scores import SCORES, ClipScore, iter_scores, read_head
from avkd.reporting.scores_head import ScoresHead, check_one_table
from avkd.reporting.shortcut_findings import RowAudit
from avkd.reporting.summary import SummaryRow

_REPORT = "report.csv"
# Not every report has these; of an earlier one they would say something else than the tables.
_NOT_ALWAYS = ("report.png", "confusion*.png", "reliability*.png", "shortcuts.csv", PAGE)


@dataclass(frozen=True, kw_only=True)
class ScoredFolder:
    """What `avkd evaluate` left of one model."""

    scores: tuple[ClipScore, ...]
    """Rows of all datasets, in the order of the report they were made for."""
    heads: Mapping[str, ScoresHead]
    """What made each dataset's rows."""
    provenance: Provenance
    """What made them all; without a ``report.csv`` there is no threshold."""

    @property
    def head(self) -> ScoresHead:
        """The head of one dataset, for what is the same in all: model, windows, pooling ..."""
        return next(iter(self.heads.values()))


def write_report_folder(
    folder: Path,
    rows: Sequence[SummaryRow],
    *,
    provenance: Provenance,
    audits: Sequence[RowAudit] | None = None,
    part: ModelPart | None = None,
    figures: bool = True,
    page: bool = True,
) -> tuple[Path, ...]:
    """Write the tables, the figures and the page; what an earlier report left beside them goes.

    Args:
        folder: is made if it is not there.
        rows: as `summary.summarise` gives them, at least one.
        provenance: what made the numbers; figures are headed by the name of the model's folder.
        audits: the shortcut audit of the rows; empty = nothing is known of the files, None = not
            asked for.
        part: what the page says; None = it is made of the scores that lie in ``folder``.
        figures: also the figures.
        page: also the page.

    Returns:
        The files that were written.

    Raises:
        ValueError: a score file is broken.
    """
    if audits is not None:
        audits = shortcut_table.in_order(audits, ((r.dataset, r.split, r.method) for r in rows))
    paths = list(report.write_report(folder, rows, provenance=provenance, audits=audits))
    if audits:
        paths.append(folder / "shortcuts.csv")
        durable.write_text(paths[-1], shortcut_table.to_csv(audits))
    if figures:
        paths += _draw(folder, rows, provenance)
    if page:
        paths.append(folder / PAGE)
        part = part or describe(folder, rows, provenance=provenance, audits=audits)
        write_model_page(paths[-1], part)
    for left in (path for name in _NOT_ALWAYS for path in folder.glob(name)):
        if left not in paths:
            left.unlink()
    return tuple(paths)


def _draw(folder: Path, rows: Sequence[SummaryRow], provenance: Provenance) -> list[Path]:
    name = title_of(provenance)
    paths = [folder / "report.png"]
    figure.draw_auc(rows, paths[0], title=f"{name}: AUC, 95 % interval")
    if provenance.threshold is not None:
        paths += figure.draw_confusion(rows, folder / "confusion.png", title=f"{name}: verdicts")
    title = f"{name}: stated probabilities"
    paths += reliability_figure.draw_reliability(rows, folder / "reliability.png", title=title)
    return paths


def read_report_folder(folder: Path, *, mixed_preprocessing: bool = False) -> ScoredFolder:
    """Read the scores of one model, and what its ``report.csv`` says where there is one.

    Args:
        folder: the ``--out`` folder of an evaluation.
        mixed_preprocessing: take score files of differently made crops, and note it.

    Raises:
        FileNotFoundError: there are no score files.
        ValueError: a score file or the ``report.csv`` is broken, two score files cannot stand in
            one table (`scores_head.check_one_table`), or no file was expected at all.
    """
    paths, provenance = find_score_files(folder, mixed_preprocessing=mixed_preprocessing)
    head_of: dict[str, ScoresHead] = {}
    rows: list[ClipScore] = []
    for path in paths:
        head, file_rows = iter_scores(path)
        for row in file_rows:
            head_of[row.dataset] = head
            rows.append(row)
    if not rows:
        raise ValueError(f"{folder / SCORES}: the score files have no row")
    return ScoredFolder(scores=tuple(rows), heads=head_of, provenance=provenance)


def find_score_files(
    folder: Path, *, mixed_preprocessing: bool = False
) -> tuple[list[Path], Provenance]:
    """The score files of a folder in the order of its earlier report, and what made them all.

    Args and errors as `read_report_folder`, but for broken rows: only heads are read.
    """
    paths = sorted((folder / SCORES).glob("*.csv"))
    if not paths:
        raise FileNotFoundError(
            f"{folder}: no {SCORES}/*.csv in it; give the --out folder of avkd evaluate"
        )
    heads = {str(path): read_head(path) for path in paths}
    note = check_one_table(heads, mixed_preprocessing=mixed_preprocessing)
    provenance, order = _earlier_report(folder / _REPORT, next(iter(heads.values())))
    paths.sort(key=lambda path: order.get(path.stem, len(order)))  # stable; <dataset>.csv
    # What the evaluation noted of its mixing is the same sentence.
    notes = tuple(dict.fromkeys(filter(None, (note, *provenance.notes))))
    return paths, replace(provenance, notes=notes)


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
