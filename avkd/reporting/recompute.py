"""`avkd report`: reports from scores alone, and comparisons of the models that gave them.

Needs no torch, no model and no media. Nothing reads a clock: the same scores give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd import durable
from avkd.config.evaluation_config import ReportConfig
from avkd.metrics.pooling import RULES
from avkd.outcome import Outcome
from avkd.reporting import paired_report, report, shortcut_table
from avkd.reporting.model_scores import ModelScores, read_report_folder
from avkd.reporting.page import Section
from avkd.reporting.paired_report import compare_models
from avkd.reporting.plain_scores import read_plain_scores
from avkd.reporting.report_folder import write_report_folder
from avkd.reporting.report_page import PAGE, ModelPart, describe, write_models_page
from avkd.reporting.robustness_folder import RECORD, read_section
from avkd.reporting.scores_head import ScoresHead, check_one_comparison
from avkd.reporting.short_names import short_names
from avkd.reporting.shortcut_audit import audit_folder
from avkd.reporting.summary import summarise


@dataclass(frozen=True)
class _Reported:
    """One model, its report written."""

    scores: ModelScores
    part: ModelPart
    text: str
    written: tuple[Path, ...]


def recompute(config: ReportConfig) -> Outcome:
    """`avkd report`: the report of each model; with two or more also paired.md and .csv.

    One model's report is written into ``out`` itself, those of several into a folder each, and
    report.html in ``out`` shows them together. A folder of `avkd robustness` joins that page.

    Raises:
        FileNotFoundError: a folder holds no scores.
        ValueError: a source is given twice, a file is broken, two score files cannot stand in one
            table or comparison, or two models disagree on what a file is.
    """
    sources = dict(zip(_names(config.scores), config.scores, strict=True))
    studies = [path for path in sources.values() if (path / RECORD).is_file()]
    models: dict[str, tuple[Path, ModelScores]] = {}
    for name, path in sources.items():
        if path in studies:
            continue
        for model, scores in _read(path, config).items():
            models[_folder_name(model, models) if model else name] = path, scores
    alone = len(models) == 1 and not studies
    reported = {
        name: _report(path, scores, "" if alone else name, config)
        for name, (path, scores) in models.items()
    }
    texts = [f"{name}\n{of_model.text}" for name, of_model in reported.items()]
    written = [path for of_model in reported.values() for path in of_model.written]
    comparison: tuple[Section, ...] = ()
    if len(reported) > 1:
        comparison, text, paths = _compare({n: r.scores for n, r in reported.items()}, config)
        texts.append(text)
        written += paths
    if not alone:
        written.append(config.out / PAGE)
        write_models_page(
            written[-1],
            {name: of_model.part for name, of_model in reported.items()},
            comparison=comparison,
            studies=[read_section(folder) for folder in studies],
        )
    return Outcome("\n\n".join([*texts, f"wrote {', '.join(map(str, written))}"]))


def _read(path: Path, config: ReportConfig) -> dict[str, ModelScores]:
    """The models of a folder or a plain table, by name; an empty one = that of the source."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_file():
        found = read_plain_scores(path)
        return {"" if name == path.stem else name: scores for name, scores in found.items()}
    return {"": read_report_folder(path, mixed_preprocessing=config.mixed_preprocessing)}


def _folder_name(model: str, taken: Mapping[str, object]) -> str:
    """A name of a folder that no other model has; names of a table may hold anything."""
    name = re.sub(r"[^\w. -]", "_", model).strip(" .")[:100] or "model"
    if name.casefold() in {other.casefold() for other in taken}:
        raise ValueError(
            f"scores: two models are named {name!r} (or alike but for signs that a folder's name "
            "cannot hold); rename one"
        )
    return name


def _report(path: Path, scores: ModelScores, name: str, config: ReportConfig) -> _Reported:
    """Write the report of one model, into a folder called ``name`` or into ``out`` itself."""
    resamples, seed = config.bootstrap_resamples, config.seed
    rows = summarise(
        scores.files,
        threshold=scores.provenance.threshold,
        pooling=scores.head.pooling,
        reals_from=scores.head.reals_from,
        resamples=resamples,
        seed=seed,
    )
    audits = None
    if path.is_dir():
        audits = audit_folder(path, scores, resamples=resamples, seed=seed)
    part = describe(scores, rows, name=name, audits=audits)
    written = write_report_folder(
        config.out / name, rows, provenance=scores.provenance, audits=audits, part=part
    )
    texts = [report.to_text(rows), *scores.provenance.notes[: path.is_file()]]
    texts += [shortcut_table.to_text(audits)] if audits is not None else []
    return _Reported(scores, part, "\n".join(texts), written)


def _compare(
    models: Mapping[str, ModelScores], config: ReportConfig
) -> tuple[tuple[Section, ...], str, tuple[Path, ...]]:
    """Write paired.md and .csv; the same as sections and as text, and the two files."""
    notes, reals_from = _check_comparison(models, config)
    compared = compare_models(
        {name: scores.files for name, scores in models.items()},
        reals_from=reals_from,
        resamples=config.bootstrap_resamples,
        seed=config.seed,
    )
    together = {(row.first, row.second) for row in compared if row.num_real + row.num_fake}
    for first, second in dict.fromkeys((row.first, row.second) for row in compared):
        if (first, second) not in together:
            notes.append(
                f"{first} and {second} have no scored file in common; the names of datasets and "
                "files must be the same for both."
            )
    told = {name: scores.provenance for name, scores in models.items()}
    paths = config.out / "paired.md", config.out / "paired.csv"
    durable.write_text(paths[0], paired_report.to_markdown(compared, models=told, notes=notes))
    durable.write_text(paths[1], paired_report.to_csv(compared))
    sections = paired_report.sections(compared, models=told, notes=notes)
    return sections, paired_report.to_text(compared), paths


def _check_comparison(
    folders: Mapping[str, ModelScores], config: ReportConfig
) -> tuple[list[str], str]:
    """What a reader of the comparison must know, and whose reals the forgeries meet.

    Raises:
        ValueError: two models were shown a dataset's files differently, or set their forgeries
            against reals of different datasets.
    """
    tables = [name for name, scored in folders.items() if scored.head.scorer == "table"]
    heads: dict[str, dict[str, ScoresHead]] = {}
    for name, scored in folders.items():
        for dataset, head in scored.heads.items() if name not in tables else ():
            heads.setdefault(dataset, {})[f"{name} ({dataset})"] = head
    notes = [
        check_one_comparison(of_dataset, mixed_preprocessing=config.mixed_preprocessing)
        for of_dataset in heads.values()
    ]
    if tables:
        notes.append(f"Nothing is known of what made the scores of {', '.join(tables)}.")
    reals = {name: scored.head.reals_from or "its own" for name, scored in folders.items()}
    if len({*reals.values()}) > 1:
        told = ", ".join(f"those of {of!r} for {name}" for name, of in reals.items())
        raise ValueError(f"the reals differ: {told}; score both with one protocol")
    poolings = {
        name: RULES[scored.head.pooling] for name, scored in folders.items() if name not in tables
    }
    if len({*poolings.values()}) > 1:
        told = "; ".join(f"{name}: {rule}" for name, rule in poolings.items())
        notes.append(f"The models pool differently. {told}.")
    return [note for note in notes if note], next(iter(folders.values())).head.reals_from


def _names(sources: Sequence[Path]) -> list[str]:
    """A short name for each source: its last parts, as many as tell all of them apart."""
    whole = [(p.with_suffix("") if p.is_file() else p).resolve().parts[1:] for p in sources]
    if len({path.resolve() for path in sources}) < len(sources):
        raise ValueError("scores: one source is given twice; a model does not differ from itself")
    names = short_names(whole)
    if names is None:
        raise ValueError("scores: the names of these sources cannot be told apart; rename one")
    return names
