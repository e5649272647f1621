"""`avkd matrix`: every training of a list on every test of another, and leave-one-method-out.

Refused before anything is trained: people that a training and a test have in common.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from avkd import durable
from avkd.blending.blenders import BLENDER_OF_METHOD
from avkd.config.image_config import DistillConfig
from avkd.config.load import parse
from avkd.config.study_config import ALL_METHODS, MatrixConfig, MatrixTraining
from avkd.config.training_config import FinetuneConfig, LoopConfig, PretrainConfig
from avkd.data.datasets import Corpus
from avkd.data.manifest import REAL_METHOD
from avkd.outcome import ExitCode, Outcome
from avkd.reporting import matrix_table
from avkd.reporting.figures.canvas import save
from avkd.reporting.matrix_table import Result, to_csv
from avkd.reporting.page import to_html, to_markdown
from avkd.studies import matrix_checks
from avkd.studies.grid import Corpora, GridRun, Recipe, known_data, model_of, run_grid
from avkd.studies.matrix_checks import TestFiles


def matrix(config: MatrixConfig) -> Outcome:
    """`avkd matrix`: runs, scores, matrix.md, matrix.csv, matrix.png, matrix.html.

    Raises:
        FileNotFoundError: a corpus, recipe, model or protocol is not there.
        ValueError: a training and a test show the same people or differently made crops, a method
            to leave out is not there, a run or scores there were made with other settings.
    """
    trainings = [row for training in config.trainings for row in training.rows()]
    recipes = {training.name: _recipe(training, config) for training in trainings}
    stage_ones = {training.name: _stage_one(training, config) for training in trainings}
    folders = [folder for t in trainings for folder in _known_data(t, recipes[t.name])]
    folders += [folder for test in config.tests for folder in test.data]
    trained_on = {
        t.name: (*_known_data(t, recipes[t.name]), *(s.data if (s := stage_ones[t.name]) else ()))
        for t in trainings
    }
    seen = (folder for of_training in trained_on.values() for folder in of_training)
    corpora = {folder: Corpus.open(folder) for folder in dict.fromkeys((*folders, *seen))}
    tests = [TestFiles.of(test, corpora) for test in config.tests]
    warnings = matrix_checks.check(
        tests,
        trained_on,
        corpora,
        cropped_alike=dict.fromkeys(folders),
        mixed_preprocessing=config.mixed_preprocessing,
    )
    runs = [
        run
        for t in trainings
        for run in _runs(t, recipes[t.name], stage_ones[t.name], config, tests, corpora, trained_on)
    ]
    results = run_grid(
        runs,
        config.tests,
        corpora,
        config,
        batch_size=config.batch_size,
        mixed_preprocessing=config.mixed_preprocessing,
    )
    return _write(config.out, results, warnings)


def _known_data(training: MatrixTraining, recipe: Recipe | None) -> tuple[Path, ...]:
    """The corpora a training uses; none if it does not say."""
    return (training.data or ()) if recipe is None else known_data(recipe)


def _recipe(training: MatrixTraining, config: MatrixConfig) -> Recipe | None:
    """The recipe's file with the settings of the matrix; run and seed are still the file's."""
    recipe: Recipe
    if training.finetune is not None:
        recipe = parse("finetune", FinetuneConfig, ["--config", str(training.finetune)])
        of_row: dict[str, Any] = {}
        if training.pretrain is not None:  # its model files follow, with the seeds
            of_row = {"pretrained": training.pretrain, "teacher": None}
        for setting, axis in (("video", training.backbones), ("ssl_weight", training.ssl_weights)):
            if axis:
                of_row[setting] = axis[0]
        recipe = replace(recipe, **of_row)
    elif training.distill is not None:
        recipe = parse("distill", DistillConfig, ["--config", str(training.distill)])
        if recipe.teacher_outputs is not None:
            raise ValueError(
                f"{training.distill}: teacher_outputs: every run of a matrix asks its teacher for "
                "itself; take it out"
            )
    else:
        return None
    loop = _on_machine(recipe.loop, config)
    recipe = replace(recipe, data=training.data or recipe.data, loop=loop, resume=False)
    return _without(recipe, training.exclude_methods)


def _stage_one(training: MatrixTraining, config: MatrixConfig) -> PretrainConfig | None:
    """Stage one's file with the settings of the matrix and one row; run and seed are the file's."""
    if training.pretrain is None:
        return None
    found = parse("pretrain", PretrainConfig, ["--config", str(training.pretrain)])
    name = training.pretrain.stem
    for backbone in training.backbones:
        name += f"_{backbone.name}"
        found = replace(found, video=replace(backbone, image_size=found.video.image_size))
    for clips in training.clips:
        name += f"_{clips}_clips"
        found = replace(found, training_clips=clips)
    run = config.out / "stage_one" / name
    return replace(found, run=run, loop=_on_machine(found.loop, config), resume=False)


def _on_machine(loop: LoopConfig, config: MatrixConfig) -> LoopConfig:
    device, threads = config.device or loop.device, config.threads or loop.threads
    return replace(loop, device=device, threads=threads)


def _as_drawn(stage_one: PretrainConfig) -> PretrainConfig:
    """The control: weights stay as they were drawn, batch norms see the data."""
    length = replace(
        stage_one.loop, epochs=None, validate_every_epochs=None, steps=20, validate_every_steps=20
    )
    return replace(
        stage_one,
        run=stage_one.run.with_name(f"{stage_one.run.name}_as_drawn"),
        optim=replace(stage_one.optim, lr=1e-12),
        loop=length,
        force=True,
    )


def _at_seed(stage_one: PretrainConfig, seed: int) -> PretrainConfig:
    loop = replace(stage_one.loop, seed=seed)
    return replace(stage_one, run=stage_one.run / f"seed-{seed}", loop=loop)


def _without(recipe: Recipe, methods: tuple[str, ...]) -> Recipe:
    """The recipe that excludes some methods more, and made online their blending methods."""
    excluded = tuple(dict.fromkeys((*_excluded(recipe), *methods)))
    if recipe.fakes != "stored":
        ways = [BLENDER_OF_METHOD[m] for m in methods if m in BLENDER_OF_METHOD]
        blenders = tuple(dict.fromkeys((*recipe.online.exclude_blenders, *ways)))
        online = replace(recipe.online, exclude_blenders=cast(Any, blenders))
        recipe = replace(recipe, online=online)
    if isinstance(recipe, FinetuneConfig):
        return replace(recipe, exclude_methods=excluded)
    return replace(recipe, select=replace(recipe.select, exclude_methods=excluded))


def _excluded(recipe: Recipe) -> tuple[str, ...]:
    """The methods a recipe does not train on."""
    if isinstance(recipe, FinetuneConfig):
        return recipe.exclude_methods
    return recipe.select.exclude_methods


def _runs(
    training: MatrixTraining,
    recipe: Recipe | None,
    stage_one: PretrainConfig | None,
    config: MatrixConfig,
    tests: Sequence[TestFiles],
    corpora: Corpora,
    trained_on: Mapping[str, tuple[Path, ...]],
) -> Iterator[GridRun]:
    """The training itself and without each method to leave out, at every seed."""
    name, known = training.name, trained_on[training.name]
    if recipe is None:
        assert training.model is not None
        yield GridRun(
            training=name,
            recipe=None,
            model=training.model,
            scores=config.out / "scores" / name / "given",
            device=config.device or "auto",
            threads=config.threads,
            seed=None,
            known_data=known,
        )
        return
    for left_out in ("", *_left_out(training, recipe, tests, corpora)):
        wanted = _without(recipe, (left_out,)) if left_out else recipe
        without = [files.test.name for files in tests if left_out not in files.methods]
        for seed in config.seeds:
            place = Path(name, _folder_name(left_out), f"seed-{seed}")
            folder = config.out / "runs" / place
            before: tuple[PretrainConfig, ...] = ()
            if stage_one is not None:
                assert isinstance(wanted, FinetuneConfig)
                before = (_at_seed(stage_one, seed),)
                if training.teachers == ("random",):
                    before += (_at_seed(_as_drawn(stage_one), seed),)
                start, teacher, *_ = (*(model_of(one.run) for one in before), None)
                wanted = replace(wanted, pretrained=start, teacher=teacher)
            yield GridRun(
                training=name,
                before=before,
                recipe=replace(wanted, run=folder, loop=replace(wanted.loop, seed=seed)),
                model=model_of(folder),
                scores=config.out / "scores" / place,
                device=recipe.loop.device,
                threads=recipe.loop.threads,
                seed=seed,
                known_data=known,
                left_out=left_out,
                not_tested_on=frozenset(without if left_out else ()),
            )


def _left_out(
    training: MatrixTraining, recipe: Recipe, tests: Sequence[TestFiles], corpora: Corpora
) -> tuple[str, ...]:
    """The methods to leave out, each of which must be trained on and tested.

    Raises:
        ValueError: one is not, or it is the only method.
    """
    if not training.leave_out:
        return ()
    samples = (s for folder in recipe.data for s in corpora[folder].manifest.samples)
    trained_on = {s.method for s in samples if s.split == "train"} - {
        REAL_METHOD,
        *_excluded(recipe),
    }
    if recipe.fakes == "online":  # none of them is; their blending methods are
        trained_on &= set(BLENDER_OF_METHOD)
    left_out = training.leave_out
    if left_out == (ALL_METHODS,):
        left_out = tuple(sorted(trained_on))
    tested = {method for files in tests for method in files.methods}
    for method in left_out:
        if method not in trained_on:
            raise ValueError(
                f"training {training.name}: leave_out: it is not trained on {method!r}; its "
                f"methods: {', '.join(sorted(trained_on))}"
            )
        if method not in tested:
            raise ValueError(f"training {training.name}: leave_out: no test holds {method!r}")
    if len(trained_on) < 2:
        raise ValueError(
            f"training {training.name}: leave_out: {', '.join(trained_on)} is its only method; "
            "without it there is nothing to learn"
        )
    return left_out


def _folder_name(left_out: str) -> str:
    """A name for the folder of a variant; methods are named by whoever made the data."""
    if not left_out:
        return "all_methods"
    plain = re.fullmatch(r"[\w.-]{1,64}", left_out, re.ASCII)
    return f"without_{left_out if plain else durable.fingerprint(left_out)}"


def _write(out: Path, results: list[Result], warnings: tuple[str, ...]) -> Outcome:
    section = matrix_table.section(results, warnings=warnings)
    text = to_markdown([section])
    durable.write_text(out / "matrix.md", text)
    durable.write_text(out / "matrix.csv", to_csv(results))
    save(matrix_table.matrix_figure(results), out / "matrix.png")
    page = to_html(title=section.title, sections=[section])
    durable.write_text(out / "matrix.html", page)
    is_whole = all(result.row.coverage == 1.0 for result in results)
    return Outcome(
        f"{text}\nwrote {out / 'matrix.md'}, matrix.csv, matrix.png, matrix.html, runs and scores",
        ExitCode.DONE if is_whole else ExitCode.SOME_SKIPPED,
    )
