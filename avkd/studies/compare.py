"""`avkd compare`: a list of image models on a list of sets and ratios, in one table."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

from avkd import durable, runtime
from avkd.config.image_config import DistillConfig
from avkd.config.shared import narrowed
from avkd.config.study_config import AS_IS, CompareConfig, MatrixTest, RunConfig, SetConfig
from avkd.data.datasets import Corpus
from avkd.metrics.verdicts import Confusion
from avkd.outcome import Outcome
from avkd.reporting.figures.canvas import save
from avkd.reporting.figures.results import confusion_figures
from avkd.reporting.matrix_table import Result, over_seeds
from avkd.reporting.page import Section, to_markdown
from avkd.reporting.tables import Cell, Table, with_ends, with_interval
from avkd.runtime import Runtime
from avkd.studies import throughput
from avkd.studies.grid import GridRun, model_of, run_grid
from avkd.studies.throughput import Speed

_BATCH_SIZE = 32  # pictures scored and timed at once
# Column -> metric of a summary row.
_METRICS = {name: name for name in ("accuracy", "precision", "recall", "f1")} | {"auc": "video_auc"}
_HOW_TO_READ = (
    "Each cell: the mean over the runs (one for each seed); in brackets from the lowest lower to "
    "the highest upper end of their 95 % bootstrap intervals, so it holds the spread over seeds "
    "and over files. Fake is the positive class. Accuracy, precision, recall and F1 at the "
    "threshold each run chose on its validation split. Every run and method: compare.csv."
)


def compare(config: CompareConfig) -> Outcome:
    """`avkd compare`: runs, scores, compare.md, compare.csv, confusion matrices.

    Raises:
        ValueError: a set or a run cannot be trained; a run there was made with other settings.
    """
    runs = list(_runs(config))
    results = run_grid(
        runs,
        [MatrixTest(name=one.name, data=one.data) for one in config.sets],
        {folder: Corpus.open(folder) for one in config.sets for folder in one.data},
        config,
        batch_size=_BATCH_SIZE,
    )
    sections = _sections(results)
    if config.bench_rounds:
        machine = runtime.start(device=config.loop.device, threads=config.loop.threads)
        speeds = _speeds(runs, config, machine)
        sections.append(throughput.section(speeds, machine, batch_size=_BATCH_SIZE))
    made = (_HOW_TO_READ, f"Made {datetime.date.today().isoformat()}.")
    title = to_markdown([Section(title="Comparison", paragraphs=made)])
    report = f"{title}\n{to_markdown(sections, level=2)}"
    durable.write_text(config.out / "compare.md", report)
    csv = Table.of(map(_csv_line, results)).to_csv()
    durable.write_text(config.out / "compare.csv", csv)
    for one in config.sets:
        pooled = [
            replace(result.row, dataset=result.training, split="")
            for result in results
            if result.test == result.trained_on == one.name
            and result.row.is_pooled
            and (result.seed, result.ratio) == (config.seeds[0], config.ratios[0])
        ]
        if pooled:
            path = config.out / f"confusion_{one.name}.png"
            save(confusion_figures(pooled, f"trained and tested on {one.name}"), path)
    return Outcome(f"{report}\nwrote {config.out / 'compare.md'}, compare.csv and the runs")


def _runs(config: CompareConfig) -> Iterator[GridRun]:
    for one in config.sets:
        if not one.train:
            continue
        for ratio in config.ratios:
            for run in config.runs:
                for seed in config.seeds if run.seeds is None else run.seeds:
                    recipe = _recipe(config, one, ratio, run, seed)
                    yield GridRun(
                        training=run.name,
                        recipe=recipe,
                        model=model_of(recipe.run),
                        scores=recipe.run / "tests",
                        device=config.loop.device,
                        threads=config.loop.threads,
                        seed=seed,
                        known_data=one.data,
                        trained_on=one.name,
                        ratio=ratio,
                    )


def _folder(config: CompareConfig, trained_on: str, ratio: str, run: str, seed: int) -> Path:
    return config.out / "runs" / trained_on / ratio.replace(":", "to") / run / f"seed-{seed}"


def _recipe(
    config: CompareConfig, one: SetConfig, ratio: str, run: RunConfig, seed: int
) -> DistillConfig:
    """The `avkd distill` command of a run."""
    teacher, outputs = run.teacher, None
    if teacher in config.run_names:  # of the same seed, or of the only one it has
        seeds = config.runs[config.run_names.index(teacher)].seeds or config.seeds
        its_seed = seed if seed in seeds else seeds[0]
        teacher = str(model_of(_folder(config, one.name, ratio, teacher, its_seed)))
    if teacher is not None:
        # One folder for the students that ask the same teacher the same questions.
        same = [one.name, ratio, run.teacher, seed, vars(run.views)]
        outputs = config.out / "teacher_outputs" / durable.fingerprint(same)
    return narrowed(
        run,
        DistillConfig,
        data=one.data,
        run=_folder(config, one.name, ratio, run.name, seed),
        teacher=None if teacher is None else Path(teacher),
        teacher_outputs=outputs,
        select=replace(config.select, ratio=None if ratio == AS_IS else ratio),
        loop=replace(config.loop, epochs=run.epochs, batch_size=run.batch_size, seed=seed),
        frames_per_file=config.frames_per_file,
    )


def _speeds(runs: Sequence[GridRun], config: CompareConfig, machine: Runtime) -> list[Speed]:
    """One model of every run, in turn, reading the pictures of the first set."""
    models = [
        throughput.load_model(
            next(run.model for run in runs if run.training == name), name, machine
        )
        for name in config.run_names
    ]
    corpus = Corpus.open(next(one for one in config.sets if one.train).data[0])
    return throughput.measure(
        models, corpus, batch_size=_BATCH_SIZE, rounds=config.bench_rounds, machine=machine
    )


def _sections(results: Sequence[Result]) -> list[Section]:
    """One for each set, ratio and test set; a row for each run over its seeds."""
    blocks: dict[tuple[str, str, str], dict[str, list[Result]]] = {}
    for result in (result for result in results if result.row.is_pooled):
        block = blocks.setdefault((result.trained_on, result.ratio, result.test), {})
        block.setdefault(result.training, []).append(result)
    return [_section(*place, runs) for place, runs in blocks.items()]


def _section(trained_on: str, ratio: str, tested_on: str, runs: dict[str, list[Result]]) -> Section:
    row = next(iter(runs.values()))[0].row
    samples = "all samples" if ratio == AS_IS else f"real:fake {ratio}"
    where = "the same set" if trained_on == tested_on else "another set"
    table = Table.of(
        {
            "model": name,
            "seeds": len(results),
            **{
                f"{title} %": with_interval(over_seeds([one.row.values[metric] for one in results]))
                for title, metric in _METRICS.items()
            },
        }
        for name, results in runs.items()
    )
    return Section(
        title=f"Trained on {trained_on} ({samples}), tested on {tested_on} ({where})",
        paragraphs=(
            f"{row.num_scored} of {row.num_expected} files scored: {row.num_real} real, "
            f"{row.num_fake} fake.",
        ),
        tables=(table,),
    )


def _csv_line(result: Result) -> dict[str, Cell]:
    row = result.row
    line: dict[str, Cell] = {
        "trained_on": result.trained_on,
        "ratio": result.ratio,
        "arm": result.training,
        "seed": result.seed,
        "tested_on": result.test,
        "method": row.method,
        "is_pooled": row.is_pooled,
        "scored": row.num_scored,
        "expected": row.num_expected,
    }
    for name, metric in _METRICS.items():
        line |= with_ends(name, row.values[metric])
    return line | {f.name: getattr(row.confusion, f.name, None) for f in fields(Confusion)}
