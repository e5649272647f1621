"""The shortcut audit of what `avkd evaluate` left in a folder: its score files and facts files.

Knows files; what an audit is lies in `shortcut_audit`.
"""

from __future__ import annotations

from pathlib import Path

from avkd.reporting.nuisance_facts import read_folder
from avkd.reporting.score_blocks import read_pooled
from avkd.reporting.scores import SCORES, read_head
from avkd.reporting.shortcut_audit import audit
from avkd.reporting.shortcut_findings import RowAudit


def audit_folder(folder: Path, *, resamples: int, seed: int) -> tuple[RowAudit, ...]:
    """Audit every row of the table of a folder; nothing where it holds no facts at all.

    Args:
        folder: ``--out`` of an evaluation.
        resamples: bootstrap draws behind each interval.
        seed: of folds, draws and choices.

    Raises:
        ValueError: a file is broken, or scores and facts disagree.
    """
    facts = read_folder(folder)
    paths = sorted((folder / SCORES).glob("*.csv"))
    if not facts or not paths:
        return ()
    videos = (video for path in paths for video in read_pooled(path))
    reals_from = read_head(paths[0]).reals_from
    return audit(videos, facts, reals_from=reals_from, resamples=resamples, seed=seed)
