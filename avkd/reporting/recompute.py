"""`avkd report`: reports from scores alone, and comparisons of the models that gave them.

Needs no torch, no model and no media. Nothing reads a clock: the same scores give the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from avkd import durable
from avkd.config.evaluation_config import ReportConfig
from avkd.metrics.pooling import RULES
from avkd.outcome import Outcome
from avkd.reporting import page, paired_report, report, robustness_table
from avkd.reporting.model_scores import ModelScores, read_plain_scores, read_report_folder
from avkd.reporting.page import Section
from avkd.reporting.report import PAGE, Written
from avkd.reporting.scores import ScoresHead, check_heads
from avkd.reporting.shortcut_audit import audit_folder
from avkd.reporting.summary import summarise


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
    studies = [path for path in sources.values() if (path / robustness_table.RECORD).is_file()]
    models: dict[str, tuple[Path, ModelScores]] = {}
    for name, path in sources.items():
        if path in studies:
            continue
        for model, scores in _read(path, config).items():
            models[_folder_name(model, models) if model else name] = path, scores
    alone = len(models) == 1 and not studies
    written = {
        name: _report(path, scores, "" if alone else name, config)
        for name, (path, scores) in models.items()
    }
    texts = [f"{name}\n{of_model.text}" for name, of_model in written.items()]
    paths = [path for of_model in written.values() for path in of_model.paths]
    comparison: tuple[Section, ...] = ()
    if len(models) > 1:
        scores_of = {name: scores for name, (_, scores) in models.items()}
        comparison, text, paired = _compare(scores_of, config)
        texts.append(text)
        paths += paired
    if not alone:
        paths.append(config.out / PAGE)
        report.write_models_page(
            paths[-1],
            {name: of_model.part for name, of_model in written.items()},
            comparison=comparison,
            studies=[robustness_table.section(*robustness_table.read_study(f)) for f in studies],
        )
    return Outcome("\n\n".join([*texts, f"wrote {', '.join(map(str, paths))}"]))


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


def _report(path: Path, scores: ModelScores, name: str, config: ReportConfig) -> Written:
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
    if path.is_dir():
        audits = audit_folder(path, scores, resamples=resamples, seed=seed)
        return report.write_report(config.out / name, scores, rows, audits=audits, name=name)
    written = report.write_report(config.out / name, scores, rows, name=name)
    return written._replace(text="\n".join([written.text, *scores.provenance.notes]))


def _compare(
    models: Mapping[str, ModelScores], config: ReportConfig
) -> tuple[tuple[Section, ...], str, tuple[Path, ...]]:
    """Write paired.md and .csv; the same as sections and as text, and the two files."""
    notes, reals_from = _check_comparison(models, config)
    compared = paired_report.compare_models(
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
    sections = paired_report.sections(compared, models=told, notes=notes)
    durable.write_text(paths[0], page.to_markdown(sections))
    durable.write_text(paths[1], paired_report.to_csv(compared))
    return sections, paired_report.to_text(compared), paths


def _check_comparison(
    folders: Mapping[str, ModelScores], config: ReportConfig
) -> tuple[list[str], str]:
    """What a reader of the comparison must know, and whose real files the forgeries meet.

    Raises:
        ValueError: two models were shown a dataset's files differently, or set their forgeries
            against real files of different datasets.
    """
    tables = [name for name, scored in folders.items() if scored.head.scorer == "table"]
    heads: dict[str, dict[str, ScoresHead]] = {}
    for name, scored in folders.items():
        for dataset, head in scored.heads.items() if name not in tables else ():
            heads.setdefault(dataset, {})[f"{name} ({dataset})"] = head
    notes = [
        check_heads(of_models, mixed_preprocessing=config.mixed_preprocessing, are_models=True)
        for of_models in heads.values()
    ]
    if tables:
        notes.append(f"How the scores of {', '.join(tables)} were made is not recorded.")
    reals = {name: scored.head.reals_from or "its own" for name, scored in folders.items()}
    if len({*reals.values()}) > 1:
        told = ", ".join(f"those of {of!r} for {name}" for name, of in reals.items())
        raise ValueError(f"the real files differ: {told}; score both with one protocol")
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
    return short_names(whole, "scores")


def short_names(paths: Sequence[tuple[str, ...]], setting: str) -> list[str]:
    """The last parts of each path, as many as tell all of them apart, joined by an underscore.

    Apart even where a file system ignores case.

    Raises:
        ValueError: no number of parts does it; names the ``setting`` they are of.
    """
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["_".join(parts[-depth:]) for parts in paths]
        if len({name.casefold() for name in names}) == len(names):
            return names
    raise ValueError(
        f"{setting}: a path is given twice, or their names cannot be told apart; rename one"
    )
