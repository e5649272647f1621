"""`avkd compare`: a list of image models on a list of sets and ratios, in one table."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from avkd import durable, runtime
from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.image_config import DistillConfig
from avkd.config.shared import narrowed
from avkd.config.study_config import AS_IS, CompareConfig, MatrixTest, RunConfig, SetConfig
from avkd.data.datasets import Corpus
from avkd.outcome import Outcome
from avkd.reporting.figures.canvas import save
from avkd.reporting.figures.results import confusion_figures
from avkd.reporting.matrix_table import Result, SeedSpread
from avkd.reporting.tables import Cell, Table, with_ends
from avkd.runtime import Runtime
from avkd.studies import throughput
from avkd.studies.grid import GridRun, model_of, run_grid
from avkd.studies.throughput import Speed

_BATCH_SIZE = 32  # pictures scored and timed at once
# Column -> metric of a summary row.
_METRICS = {name: name for name in ("accuracy", "precision", "recall", "f1")} | {"auc": "video_auc"}
_COUNTS = ("true_real", "false_fake", "false_real", "true_fake")
_HOW_TO_READ = (
    "Each cell: the mean over the runs (one for each seed); in brackets from the lowest lower to "
    "the highest upper end of their 95 % bootstrap intervals, so it holds the spread over seeds "
    "and over files. Fake is the positive class. Accuracy, precision, recall and F1 at the "
    "threshold each run chose on its validation split. Every run and method: compare.csv."
)


def compare(config: CompareConfig) -> Outcome:
    """`avkd compare`: runs, scores, compare.md, compare.csv, confusion matrices.

    Raises:
        ValueError: a set or an arm cannot be trained; a run there was made with other settings.
    """
    runs = list(_runs(config))
    tests = [MatrixTest(name=one.name, data=one.data) for one in config.sets]
    corpora = {folder: Corpus.open(folder) for one in config.sets for folder in one.data}

    def evaluation(run: GridRun, test: MatrixTest) -> EvaluateConfig:
        return EvaluateConfig(
            model=run.model,
            data=test.data,
            out=run.scores / test.name,
            bootstrap_resamples=config.bootstrap_resamples,
            device=config.loop.device,
            threads=config.loop.threads,
            batch_size=_BATCH_SIZE,
            tables_only=True,
        )

    results = run_grid(runs, tests, corpora, evaluation)
    machine = runtime.start(device=config.loop.device, threads=config.loop.threads)
    speeds = ""
    if config.bench_rounds:
        measured = _speeds(runs, config, machine)
        speeds = throughput.to_markdown(measured, machine, batch_size=_BATCH_SIZE)
    report = _to_markdown(results, speeds)
    durable.write_text(config.out / "compare.md", report)
    csv = Table.of_lines(map(_csv_line, results)).to_csv()
    durable.write_text(config.out / "compare.csv", csv)
    for test_name in dict.fromkeys(result.test for result in results):
        pooled = [
            replace(result.row, dataset=result.training, split="")
            for result in results
            if result.test == test_name
            and result.trained_on == test_name
            and result.row.is_pooled
            and result.seed == config.seeds[0]
            and result.ratio == config.ratios[0]
        ]
        if pooled:
            path = config.out / f"confusion_{test_name}.png"
            save(confusion_figures(pooled, f"trained and tested on {test_name}"), path)
    return Outcome(f"{report}\nwrote {config.out / 'compare.md'}, compare.csv and the runs")


def _runs(config: CompareConfig) -> Iterator[GridRun]:
    for one in config.sets:
        if not one.train:
            continue
        for ratio in config.ratios:
            for arm in config.arms:
                for seed in config.seeds if arm.seeds is None else arm.seeds:
                    recipe = _recipe(config, one, ratio, arm, seed)
                    yield GridRun(
                        training=arm.name,
                        recipe=recipe,
                        model=model_of(recipe.run),
                        scores=recipe.run / "tests",
                        seed=seed,
                        known_data=one.data,
                        trained_on=one.name,
                        ratio=ratio,
                    )


def _folder(config: CompareConfig, trained_on: str, ratio: str, arm: str, seed: int) -> Path:
    return config.out / "runs" / trained_on / ratio.replace(":", "to") / arm / f"seed-{seed}"


def _recipe(
    config: CompareConfig, one: SetConfig, ratio: str, arm: RunConfig, seed: int
) -> DistillConfig:
    """The `avkd distill` command of a run."""
    teacher, outputs = arm.teacher, None
    if teacher in config.arm_names:  # of the same seed, or of the only one it has
        seeds = config.arms[config.arm_names.index(teacher)].seeds or config.seeds
        its_seed = seed if seed in seeds else seeds[0]
        teacher = str(model_of(_folder(config, one.name, ratio, teacher, its_seed)))
    if teacher is not None:
        # One folder for the students that ask the same teacher the same questions.
        same = [one.name, ratio, arm.teacher, seed, vars(arm.views)]
        outputs = config.out / "teacher_outputs" / durable.fingerprint(same)
    return narrowed(
        arm,
        DistillConfig,
        data=one.data,
        run=_folder(config, one.name, ratio, arm.name, seed),
        teacher=None if teacher is None else Path(teacher),
        teacher_outputs=outputs,
        select=replace(config.select, ratio=None if ratio == AS_IS else ratio),
        loop=replace(config.loop, epochs=arm.epochs, batch_size=arm.batch_size, seed=seed),
        frames_per_file=config.frames_per_file,
    )


def _speeds(runs: Sequence[GridRun], config: CompareConfig, machine: Runtime) -> list[Speed]:
    """One model of every arm, in turn, reading the pictures of the first set."""
    models = [
        throughput.load_model(
            next(run.model for run in runs if run.training == name), name, machine
        )
        for name in config.arm_names
    ]
    corpus = Corpus.open(next(one for one in config.sets if one.train).data[0])
    return throughput.measure(
        models, corpus, batch_size=_BATCH_SIZE, rounds=config.bench_rounds, machine=machine
    )


def _to_markdown(results: Sequence[Result], speeds_table: str) -> str:
    """One block for each set, ratio and test set; a row for each arm over its seeds."""
    blocks: dict[tuple[str, str, str], dict[str, list[Result]]] = {}
    for result in results:
        if result.row.is_pooled:
            block = blocks.setdefault((result.trained_on, result.ratio, result.test), {})
            block.setdefault(result.training, []).append(result)
    parts = ["# Comparison"]
    for (trained_on, ratio, tested_on), arms in blocks.items():
        row = next(iter(arms.values()))[0].row
        samples = "all samples" if ratio == "as_is" else f"real:fake {ratio}"
        where = "the same set" if trained_on == tested_on else "another set"
        parts += [
            f"## Trained on {trained_on} ({samples}), tested on {tested_on} ({where})",
            f"{row.num_scored} of {row.num_expected} files scored: {row.num_real} real, "
            f"{row.num_fake} fake.",
            Table(
                columns=("model", "runs", *(f"{name} %" for name in _METRICS)),
                rows=tuple(
                    (arm, len(runs), *(_spread(runs, metric) for metric in _METRICS.values()))
                    for arm, runs in arms.items()
                ),
            ).to_markdown(),
        ]
    parts.append(_HOW_TO_READ)
    if speeds_table:
        parts += ["## Speed", speeds_table.rstrip("\n")]
    return "\n\n".join([*parts, f"Made {datetime.date.today().isoformat()}.\n"])


def _spread(runs: Sequence[Result], metric: str) -> str:
    return SeedSpread.of([(r.row.values[metric], r.row.intervals[metric]) for r in runs]).text


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
        line |= with_ends(name, row.values[metric], row.intervals[metric])
    return line | {name: getattr(row.confusion, name, None) for name in _COUNTS}
