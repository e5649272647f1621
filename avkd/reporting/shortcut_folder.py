"""The shortcut audit of what `avkd evaluate` left in a folder: its scores and facts files."""

from __future__ import annotations

from pathlib import Path

from avkd.reporting.model_scores import ModelScores
from avkd.reporting.nuisance_facts import read_folder
from avkd.reporting.shortcut_audit import audit
from avkd.reporting.shortcut_findings import RowAudit


def audit_folder(
    folder: Path, scores: ModelScores, *, resamples: int, seed: int
) -> tuple[RowAudit, ...]:
    """Audit every row of the table of a folder; nothing where it holds no facts at all.

    Args:
        folder: ``--out`` of an evaluation, for the facts files.
        scores: those of the folder.
        resamples: bootstrap draws behind each interval.
        seed: of folds, draws and choices.

    Raises:
        ValueError: a file is broken, or scores and facts disagree.
    """
    facts = read_folder(folder)
    if not facts:
        return ()
    reals_from = scores.head.reals_from
    return audit(scores.files, facts, reals_from=reals_from, resamples=resamples, seed=seed)
