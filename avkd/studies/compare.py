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
from avkd.data.model_input import ModelInput
from avkd.models.model_file import load_model
from avkd.outcome import Outcome
from avkd.reporting.figures.canvas import save
from avkd.reporting.figures.results import confusion_figures
from avkd.studies import comparison_report, throughput
from avkd.studies.grid import GridRun, model_of, run_grid
from avkd.studies.throughput import BenchmarkModel, Speed

_BATCH_SIZE = 32  # pictures scored and timed at once


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
    speeds = _speeds(runs, config) if config.bench_rounds else []
    machine = runtime.start(device=config.loop.device, threads=config.loop.threads)
    report = comparison_report.to_markdown(
        results,
        speeds_table=throughput.to_markdown(speeds, machine, batch_size=_BATCH_SIZE)
        if speeds
        else "",
        date=datetime.date.today().isoformat(),
    )
    durable.write_text(config.out / "compare.md", report)
    durable.write_text(config.out / "compare.csv", comparison_report.to_csv(results))
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


def _speeds(runs: Sequence[GridRun], config: CompareConfig) -> list[Speed]:
    """One model of every arm, in turn, reading the pictures of the first set."""
    machine = runtime.start(device=config.loop.device, threads=config.loop.threads)
    models = []
    for arm in config.arms:
        path = next(run.model for run in runs if run.training == arm.name)
        model, header = load_model(path, kind="image_detector")
        models.append(
            BenchmarkModel(
                arm.name, model.to(machine.device), header.input_of(ModelInput.read, path)
            )
        )
    corpus = Corpus.open(next(one for one in config.sets if one.train).data[0])
    return throughput.measure(
        models, corpus, batch_size=_BATCH_SIZE, rounds=config.bench_rounds, machine=machine
    )
