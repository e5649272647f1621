"""The config classes themselves: complete sentences, frozen, light, and right in their numbers."""

import ast
import dataclasses
from pathlib import Path

import pytest

from avkd import config as config_package
from avkd.config import (
    data_config,
    evaluation_config,
    image_config,
    shared,
    study_config,
    training_config,
)
from avkd.config.data_config import PrepareConfig
from avkd.config.training_config import (
    FinetuneConfig,
    LoopConfig,
    OptimConfig,
    PretrainConfig,
    VideoModelConfig,
)

MODULES = (data_config, evaluation_config, image_config, shared, study_config, training_config)
CLASSES = [
    value
    for module in MODULES
    for value in vars(module).values()
    if dataclasses.is_dataclass(value) and value.__module__ == module.__name__
]
HEAVY = {"torch", "torchvision", "torchaudio", "numpy", "av", "librosa", "scipy"}


def undocumented_fields(source: str) -> list[str]:
    """Fields of the classes in ``source`` that no docstring sentence follows."""
    missing = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, after in zip(node.body, [*node.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign):
                continue
            assert isinstance(field.target, ast.Name)
            text = (
                after.value.value
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                else ""
            )
            if not (isinstance(text, str) and text.strip().endswith(".")):
                missing.append(f"{node.name}.{field.target.id}")
    return missing


def test_the_reader_of_docstrings_finds_a_field_without_one():
    source = (
        'class A:\n    x: int = 1\n    """Said."""\n    y: int = 2\n    z: int\n    """No dot"""'
    )
    assert undocumented_fields(source) == ["A.y", "A.z"]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_every_setting_has_a_sentence(module):
    """`avkd VERB --help` is made of these sentences."""
    assert undocumented_fields(Path(module.__file__).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("config_class", CLASSES, ids=lambda c: c.__name__)
def test_every_config_is_frozen_and_described(config_class):
    assert config_class.__dataclass_params__.frozen
    assert config_class.__doc__ and not config_class.__doc__.startswith(config_class.__name__)


def test_config_files_import_nothing_heavy():
    """A mistake in a setting must be answered before torch is even loaded."""
    for path in Path(config_package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not HEAVY & {name.partition(".")[0] for name in names}, path


@pytest.mark.parametrize("shard", ["", "1", "a/b", "0/0", "2/2", "-1/2", "1/2/3", "0/4x"])
def test_a_malformed_shard_is_refused(shard):
    with pytest.raises(ValueError, match="shard"):
        PrepareConfig(source=Path("s"), layout="lrw", out=Path("o"), shard=shard)


def test_a_shard_is_two_numbers():
    config = PrepareConfig(source=Path("s"), layout="lrw", out=Path("o"), shard="3/7")
    assert config.shard_numbers == (3, 7)


def momentum(progress: float, num_steps: int = 1000, **settings) -> float:
    return PretrainConfig(data=(Path("a"),), run=Path("r"), **settings).momentum(
        progress, num_steps
    )


def test_the_teachers_momentum_is_a_cosine_that_follows_the_length_of_the_run():
    """The teachers remember a tenth of the run at first, half of it at last."""
    assert momentum(0.0) == pytest.approx(1 - 1 / 100)
    assert momentum(1.0) == pytest.approx(1 - 1 / 500)
    assert momentum(0.0, num_steps=30) == 0.9  # a run of seconds
    assert momentum(1.0, num_steps=100_000) == pytest.approx(0.99998)
    middle = (momentum(0.0) + momentum(1.0)) / 2
    assert momentum(0.5) == pytest.approx(middle)
    assert momentum(0.25, momentum_start=0.9, momentum_end=1.0) == pytest.approx(
        1.0 - 0.1 * 0.5 * (1 + 2**-0.5)
    )


def test_the_teachers_momentum_never_falls():
    for settings in ({}, {"num_steps": 5}, {"momentum_start": 0.9999}, {"momentum_end": 0.5}):
        values = [momentum(step / 20, **settings) for step in range(21)]
        assert values == sorted(values) and all(0.0 <= value <= 1.0 for value in values)


def test_the_rate_follows_the_length_of_the_run():
    """The published rate for a run of the published length; shorter ones step farther."""
    optim = OptimConfig()
    assert optim.base_rate(286_000) == pytest.approx(7e-4)
    assert optim.base_rate(286_000 // 16) == pytest.approx(2 * 7e-4, rel=1e-4)
    rates = [optim.base_rate(steps) for steps in (100, 400, 1_000, 10_000, 300_000)]
    assert rates == sorted(rates, reverse=True) and rates[0] < 6e-3
    assert OptimConfig(lr=1e-3).base_rate(100) == 1e-3


def test_the_warm_up_is_a_tenth_of_the_run_or_the_epochs_that_are_said():
    assert OptimConfig().warmup_steps(1000, 20) == 100
    assert OptimConfig().warmup_steps(7, 7) == 1
    assert OptimConfig(warmup_epochs=2.5).warmup_steps(1000, 20) == 50
    assert OptimConfig(warmup_epochs=0.0).warmup_steps(1000, 20) == 0


def test_the_arguments_of_a_backbone_are_only_what_was_set():
    assert VideoModelConfig(width=8).arguments() == {
        "name": "cnn3d_gru",
        "image_size": 112,
        "width": 8,
    }


@pytest.mark.parametrize("image_size", [0, 16, 100, 113, -112, 1040])
def test_an_image_size_the_backbones_cannot_halve_is_refused(image_size):
    with pytest.raises(ValueError, match="multiple of 16"):
        VideoModelConfig(image_size=image_size)


STAGE_TWO = {"data": (Path("d"),), "run": Path("r")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ssl_weight": 0.3}, "needs the teacher of stage one"),
        ({"ssl_weight": 0.0, "teacher": Path("t")}, "teacher has no effect with ssl_weight 0"),
        (
            {"ssl_weight": 0.0, "soft": "mse"},
            "soft has no effect without a frame_teacher",
        ),
        (
            {"ssl_weight": 0.0, "frame_teacher": Path("t"), "alpha": 0.0},
            "alpha 0.0: want 0..1, not 0",
        ),
        ({"ssl_weight": 0.0, "start": "fitting"}, "fitting has no effect without --pretrained"),
        ({"ssl_weight": 0.0, "start": "scratch", "pretrained": Path("p")}, "pretrained has no"),
        (
            {"start": "scratch", "pretrained": Path("p"), "teacher": Path("t")},
            "pretrained has no effect",
        ),
        ({"teacher": Path("t")}, "nothing to start from"),
        ({"ssl_weight": 0.0, "classifier_scale": 0.0}, "classifier_scale"),
        ({"ssl_weight": 0.0, "resume_changed": True}, "no effect without resume"),
    ],
)
def test_settings_of_stage_two_that_would_do_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(**STAGE_TWO, **settings)


def test_whose_teacher_is_agreed_with():
    one, other = Path("p"), Path("t")
    assert FinetuneConfig(**STAGE_TWO, pretrained=one).teacher_file == one
    assert FinetuneConfig(**STAGE_TWO, pretrained=one, teacher=other).teacher_file == other
    assert FinetuneConfig(**STAGE_TWO, pretrained=one, ssl_weight=0.0).teacher_file is None
    scratch = {"pretrained": one, "start": "scratch"}  # the teacher's file still has an effect
    assert FinetuneConfig(**STAGE_TWO, **scratch).teacher_file == one


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 300},
        {"steps": 300, "validate_every_steps": 100},
        {"epochs": None, "steps": 300},
        {"epochs": None},
        {"validate_every_steps": 5},
        {"epochs": None, "validate_every_epochs": None, "steps": 0, "validate_every_steps": 1},
    ],
)
def test_a_length_is_given_in_one_unit(settings):
    with pytest.raises(ValueError, match=r"null|both or neither|at least 1"):
        LoopConfig(**settings)


def test_steps_are_whole_epochs_of_any_corpus():
    loop = LoopConfig(epochs=None, steps=336, validate_every_epochs=None, validate_every_steps=84)
    assert (loop.num_epochs(21), loop.epochs_between_validations(21)) == (16, 4)
    assert (loop.num_epochs(3), loop.epochs_between_validations(3)) == (112, 28)
    assert (loop.num_epochs(1000), loop.epochs_between_validations(1000)) == (1, 1)
    assert (LoopConfig(epochs=7).num_epochs(5), LoopConfig().num_epochs(9)) == (7, 150)
