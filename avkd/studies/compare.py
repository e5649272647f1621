"""Trains and tests a list of models on a list of sets and ratios, and puts them in one table.

Every run is a run folder of `avkd distill`, every number comes from score files written by the same
evaluation as everything else. Finished runs are kept, so a stopped comparison goes on.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avkd import durable, runtime
from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.image_config import DistillConfig
from avkd.config.study_config import AS_IS, ArmConfig, CompareConfig, SetConfig
from avkd.data.datasets import Corpus
from avkd.data.model_input import ModelInput
from avkd.models.model_file import load_model
from avkd.outcome import Outcome
from avkd.reporting.figures.canvas import save
from avkd.reporting.figures.results import confusion_figures
from avkd.stages.distill import distill
from avkd.studies import comparison_report, throughput
from avkd.studies.comparison_report import Result
from avkd.studies.finished_runs import model_of, score_once, train_once
from avkd.studies.throughput import Contestant, Speed

logger = logging.getLogger(__name__)

_BATCH_SIZE = 32  # pictures scored and timed at once


@dataclass(frozen=True)
class Run:
    """One training of the comparison."""

    trained_on: SetConfig
    ratio: str
    arm: ArmConfig
    seed: int
    folder: Path

    @property
    def model(self) -> Path:
        """Its model file."""
        return model_of(self.folder)


def compare(config: CompareConfig) -> Outcome:
    """`avkd compare`: runs, scores, compare.md, compare.csv, confusion matrices.

    Raises:
        ValueError: a set or an arm cannot be trained; a run there was made with other settings.
    """
    runs = list(_runs(config))
    for number, run in enumerate(runs, 1):
        logger.info("run %d of %d: %s", number, len(runs), run.folder.relative_to(config.out))
        train_once(distill_config(run, config), distill)
    results = [result for run in runs for result in _test(run, config)]
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
    for test_name in dict.fromkeys(result.tested_on for result in results):
        pooled = [
            replace(result.row, dataset=result.arm, split="")
            for result in results
            if result.tested_on == test_name
            and result.trained_on == test_name
            and result.row.is_pooled
            and result.seed == config.seeds[0]
            and result.ratio == config.ratios[0]
        ]
        if pooled:
            path = config.out / f"confusion_{test_name}.png"
            save(confusion_figures(pooled, f"trained and tested on {test_name}"), path)
    return Outcome(f"{report}\nwrote {config.out / 'compare.md'}, compare.csv and the runs")


def _runs(config: CompareConfig) -> Iterator[Run]:
    for one in config.sets:
        if not one.train:
            continue
        for ratio in config.ratios:
            for arm in config.arms:
                for seed in config.seeds if arm.seeds is None else arm.seeds:
                    folder = _folder(config, one.name, ratio, arm.name, seed)
                    yield Run(one, ratio, arm, seed, folder)


def _folder(config: CompareConfig, trained_on: str, ratio: str, arm: str, seed: int) -> Path:
    return config.out / "runs" / trained_on / ratio.replace(":", "to") / arm / f"seed-{seed}"


def distill_config(run: Run, config: CompareConfig) -> DistillConfig:
    """The `avkd distill` command behind a run."""
    arm = run.arm
    teacher = _teacher(run, config)
    return DistillConfig(
        data=run.trained_on.data,
        run=run.folder,
        teacher=teacher,
        teacher_outputs=None if teacher is None else _teacher_outputs(run, config),
        alpha=arm.alpha,
        soft=arm.soft,
        temperature=arm.temperature,
        cached_views=arm.cached_views,
        model=arm.model,
        select=replace(config.select, ratio=None if run.ratio == AS_IS else run.ratio),
        views=arm.views,
        optim=arm.optim,
        loop=replace(config.loop, epochs=arm.epochs, batch_size=arm.batch_size, seed=run.seed),
        frames_per_file=config.frames_per_file,
    )


def _teacher(run: Run, config: CompareConfig) -> Path | None:
    """A file, or the model of an earlier arm: of the same seed, or of the only one it has."""
    name = run.arm.teacher
    if name is None or name not in config.arm_names:
        return None if name is None else Path(name)
    arm = config.arms[config.arm_names.index(name)]
    seeds = config.seeds if arm.seeds is None else arm.seeds
    seed = run.seed if run.seed in seeds else seeds[0]
    return model_of(_folder(config, run.trained_on.name, run.ratio, name, seed))


def _teacher_outputs(run: Run, config: CompareConfig) -> Path:
    """One folder for the students that ask the same teacher the same questions."""
    same = [run.trained_on.name, run.ratio, run.arm.teacher, run.seed, vars(run.arm.views)]
    return config.out / "teacher_outputs" / durable.fingerprint(same)


def _test(run: Run, config: CompareConfig) -> Iterator[Result]:
    """Score the test side of every set, once; the threshold is the run's own."""
    for one in config.sets:
        settings = EvaluateConfig(
            model=run.model,
            data=one.data,
            out=run.folder / "tests" / one.name,
            bootstrap_resamples=config.bootstrap_resamples,
            device=config.loop.device,
            threads=config.loop.threads,
            batch_size=_BATCH_SIZE,
            tables_only=True,
        )
        for row in score_once(settings, name=one.name):
            yield Result(
                arm=run.arm.name,
                trained_on=run.trained_on.name,
                ratio=run.ratio,
                seed=run.seed,
                tested_on=one.name,
                row=row,
            )


def _speeds(runs: Sequence[Run], config: CompareConfig) -> list[Speed]:
    """One model of every arm, in turn, reading the pictures of the first set."""
    machine = runtime.start(device=config.loop.device, threads=config.loop.threads)
    contestants = []
    for arm in config.arms:
        path = next(run.model for run in runs if run.arm == arm)
        model, header = load_model(path, kind="image_detector")
        contestants.append(
            Contestant(arm.name, model.to(machine.device), header.input_of(ModelInput.read, path))
        )
    corpus = Corpus.open(next(one for one in config.sets if one.train).data[0])
    return throughput.measure(
        contestants, corpus, batch_size=_BATCH_SIZE, rounds=config.bench_rounds, machine=machine
    )
