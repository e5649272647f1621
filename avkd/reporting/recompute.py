"""Makes reports again from score files alone, and compares the models that wrote them.

Needs no torch, no model and no media. Every number comes from the score files, and nothing reads a
clock, so the same scores give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avkd import durable
from avkd.config.evaluation_config import ReportConfig
from avkd.outcome import Outcome
from avkd.reporting import paired_report, report
from avkd.reporting.paired_summary import compare_models
from avkd.reporting.report_csv import Provenance
from avkd.reporting.report_folder import read_report_folder, write_report_folder
from avkd.reporting.summary import VideoScore, pool_videos, summarise


def recompute(config: ReportConfig) -> Outcome:
    """`avkd report`: the report of each score folder; with two or more also paired.md and .csv.

    One folder's report is written into ``out`` itself, those of several into a folder each.

    Raises:
        FileNotFoundError: a folder holds no scores.
        ValueError: a folder is given twice, a file is broken, or two models disagree on what a
            file is.
    """
    names = _names(config.scores)
    parts: list[str] = []
    written: list[Path] = []
    pooled: dict[str, tuple[VideoScore, ...]] = {}
    provenances: dict[str, Provenance] = {}
    for name, folder in zip(names, config.scores, strict=True):
        scored = read_report_folder(folder)
        rows = summarise(
            scored.scores,
            threshold=scored.provenance.threshold,
            resamples=config.bootstrap_resamples,
            seed=config.seed,
        )
        out = config.out if len(names) == 1 else config.out / name
        written += write_report_folder(out, rows, provenance=scored.provenance)
        parts.append(f"{name}\n{report.to_text(rows)}")
        provenances[name] = scored.provenance
        if len(names) > 1:
            pooled[name] = pool_videos(scored.scores)
    if pooled:
        compared = compare_models(pooled, resamples=config.bootstrap_resamples, seed=config.seed)
        paths = config.out / "paired.md", config.out / "paired.csv"
        durable.write_text(paths[0], paired_report.to_markdown(compared, models=provenances))
        durable.write_text(paths[1], paired_report.to_csv(compared))
        written += paths
        parts.append(paired_report.to_text(compared))
    parts.append(f"wrote {', '.join(map(str, written))}")
    return Outcome("\n\n".join(parts))


def _names(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder: its last parts, as many as tell all of them apart."""
    whole = [folder.resolve().parts[1:] for folder in folders]
    if len(set(whole)) < len(whole):
        raise ValueError("scores: one folder is given twice; a model does not differ from itself")
    for depth in range(1, max(map(len, whole)) + 1):
        names = ["_".join(parts[-depth:]) for parts in whole]
        if len({name.casefold() for name in names}) == len(names):
            return names
    raise ValueError("scores: the names of these folders cannot be told apart; rename one")
