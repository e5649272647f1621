"""The folder of a report, written whole: the one list of what a report consists of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avkd import durable
from avkd.reporting import report, shortcut_table
from avkd.reporting.figures import results
from avkd.reporting.figures.canvas import save
from avkd.reporting.report_csv import Provenance
from avkd.reporting.report_page import PAGE, ModelPart, title_of, write_model_page
from avkd.reporting.shortcut_audit import RowAudit
from avkd.reporting.summary import SummaryRow

# Not every report has these; of an earlier one they would say something else than the tables.
_NOT_ALWAYS = ("report.png", "confusion*.png", "reliability*.png", "shortcuts.csv", PAGE)


def write_report_folder(
    folder: Path,
    rows: Sequence[SummaryRow],
    *,
    provenance: Provenance,
    audits: Sequence[RowAudit] | None = None,
    part: ModelPart | None = None,
) -> tuple[Path, ...]:
    """Write the tables, the figures and the page; what an earlier report left beside them goes.

    Args:
        folder: is made if it is not there.
        rows: as `summary.summarise` gives them, at least one.
        provenance: what made the numbers; figures are headed by the name of the model's folder.
        audits: the shortcut audit of the rows; empty = nothing is known of the files, None = not
            asked for.
        part: what the page says; None = no page and no figures.

    Returns:
        The files that were written.
    """
    if audits is not None:
        audits = shortcut_table.in_order(audits, ((r.dataset, r.split, r.method) for r in rows))
    paths = list(report.write_report(folder, rows, provenance=provenance, audits=audits))
    if audits:
        paths.append(folder / "shortcuts.csv")
        durable.write_text(paths[-1], shortcut_table.to_csv(audits))
    if part is not None:
        paths += _draw(folder, rows, provenance)
        paths.append(folder / PAGE)
        write_model_page(paths[-1], part)
    for left in (path for name in _NOT_ALWAYS for path in folder.glob(name)):
        if left not in paths:
            left.unlink()
    return tuple(paths)


def _draw(folder: Path, rows: Sequence[SummaryRow], provenance: Provenance) -> tuple[Path, ...]:
    name = title_of(provenance)
    paths = save(results.auc_figure(rows, f"{name}: AUC, 95 % interval"), folder / "report.png")
    if provenance.threshold is not None:
        verdicts = results.confusion_figures(rows, f"{name}: verdicts")
        paths += save(verdicts, folder / "confusion.png")
    stated = results.reliability_figures(rows, f"{name}: stated probabilities")
    return paths + save(stated, folder / "reliability.png")
