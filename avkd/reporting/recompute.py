"""Makes reports again from score files alone, and compares the models that wrote them.

Needs no torch, no model and no media. Every number comes from the score files, and nothing reads a
clock, so the same scores give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd import durable
from avkd.config.evaluation_config import ReportConfig
from avkd.metrics.pooling import RULES
from avkd.outcome import Outcome
from avkd.reporting import paired_report, report, shortcut_table
from avkd.reporting.page_parts import Section
from avkd.reporting.paired_summary import compare_models
from avkd.reporting.pooled_files import pool_videos
from avkd.reporting.report_folder import (
    ScoredFolder,
    read_report_folder,
    write_report_folder,
)
from avkd.reporting.report_page import PAGE, ModelPart, describe, write_models_page
from avkd.reporting.robustness_folder import RECORD, read_section
from avkd.reporting.scores_head import ScoresHead, check_one_comparison
from avkd.reporting.short_names import short_names
from avkd.reporting.shortcut_folder import audit_folder
from avkd.reporting.summary import summarise


@dataclass(frozen=True)
class _Reported:
    """One model, its report written."""

    scored: ScoredFolder
    part: ModelPart
    text: str
    written: tuple[Path, ...]


def recompute(config: ReportConfig) -> Outcome:
    """`avkd report`: the report of each score folder; with two or more also paired.md and .csv.

    One folder's report is written into ``out`` itself, those of several into a folder each, and
    report.html in ``out`` shows them together. A folder of `avkd robustness` joins that page.

    Raises:
        FileNotFoundError: a folder holds no scores.
        ValueError: a folder is given twice, a file is broken, two score files cannot stand in one
            table or comparison, or two models disagree on what a file is.
    """
    names = _names(config.scores)
    folders = dict(zip(names, config.scores, strict=True))
    studies = {name: folder for name, folder in folders.items() if (folder / RECORD).is_file()}
    models = {name: folder for name, folder in folders.items() if name not in studies}
    alone = len(folders) == 1 and not studies
    reported = {
        name: _report(folder, "" if alone else name, config) for name, folder in models.items()
    }
    texts = [f"{name}\n{of_model.text}" for name, of_model in reported.items()]
    written = [path for of_model in reported.values() for path in of_model.written]
    comparison: list[Section] = []
    if len(reported) > 1:
        section, text, paths = _compare({n: r.scored for n, r in reported.items()}, config)
        comparison.append(section)
        texts.append(text)
        written += paths
    if not alone:
        written.append(config.out / PAGE)
        write_models_page(
            written[-1],
            {name: of_model.part for name, of_model in reported.items()},
            comparison=comparison,
            studies=[read_section(folder) for folder in studies.values()],
        )
    return Outcome("\n\n".join([*texts, f"wrote {', '.join(map(str, written))}"]))


def _report(folder: Path, name: str, config: ReportConfig) -> _Reported:
    """Write the report of one model, into a folder called ``name`` or into ``out`` itself."""
    scored = read_report_folder(folder, mixed_preprocessing=config.mixed_preprocessing)
    resamples, seed = config.bootstrap_resamples, config.seed
    rows = summarise(
        scored.scores,
        threshold=scored.provenance.threshold,
        pooling=scored.head.pooling,
        reals_from=scored.head.reals_from,
        resamples=resamples,
        seed=seed,
    )
    audits = audit_folder(folder, resamples=resamples, seed=seed)
    part = describe(folder, rows, provenance=scored.provenance, name=name, audits=audits)
    written = write_report_folder(
        config.out / name, rows, provenance=scored.provenance, audits=audits, part=part
    )
    text = f"{report.to_text(rows)}\n{shortcut_table.to_text(audits)}"
    return _Reported(scored, part, text, written)


def _compare(
    folders: Mapping[str, ScoredFolder], config: ReportConfig
) -> tuple[Section, str, tuple[Path, ...]]:
    """Write paired.md and .csv; the same as a section and as text, and the two files."""
    notes, reals_from = _check_comparison(folders, config)
    compared = compare_models(
        {name: pool_videos(s.scores, s.head.pooling) for name, s in folders.items()},
        reals_from=reals_from,
        resamples=config.bootstrap_resamples,
        seed=config.seed,
    )
    models = {name: scored.provenance for name, scored in folders.items()}
    paths = config.out / "paired.md", config.out / "paired.csv"
    durable.write_text(paths[0], paired_report.to_markdown(compared, models=models, notes=notes))
    durable.write_text(paths[1], paired_report.to_csv(compared))
    section = paired_report.section(compared, models=models, notes=notes)
    return section, paired_report.to_text(compared), paths


def _check_comparison(
    folders: Mapping[str, ScoredFolder], config: ReportConfig
) -> tuple[list[str], str]:
    """What a reader of the comparison must know, and whose reals the forgeries meet.

    Raises:
        ValueError: two models were shown a dataset's files differently, or set their forgeries
            against reals of different datasets.
    """
    heads: dict[str, dict[str, ScoresHead]] = {}
    for name, scored in folders.items():
        for dataset, head in scored.heads.items():
            heads.setdefault(dataset, {})[f"{name} ({dataset})"] = head
    notes = [
        check_one_comparison(of_dataset, mixed_preprocessing=config.mixed_preprocessing)
        for of_dataset in heads.values()
    ]
    reals = {name: scored.head.reals_from or "its own" for name, scored in folders.items()}
    if len({*reals.values()}) > 1:
        told = ", ".join(f"those of {of!r} for {name}" for name, of in reals.items())
        raise ValueError(f"the reals differ: {told}; score both with one protocol")
    poolings = {name: RULES[scored.head.pooling] for name, scored in folders.items()}
    if len({*poolings.values()}) > 1:
        told = "; ".join(f"{name}: {rule}" for name, rule in poolings.items())
        notes.append(f"The models pool differently. {told}.")
    return [note for note in notes if note], next(iter(folders.values())).head.reals_from


def _names(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder: its last parts, as many as tell all of them apart."""
    whole = [folder.resolve().parts[1:] for folder in folders]
    if len(set(whole)) < len(whole):
        raise ValueError("scores: one folder is given twice; a model does not differ from itself")
    names = short_names(whole)
    if names is None:
        raise ValueError("scores: the names of these folders cannot be told apart; rename one")
    return names
