"""A matrix says what its rows are trained by, and no setting of it is without effect."""

from pathlib import Path
from typing import Any

import pytest

from avkd.config.load import parse, to_yaml
from avkd.config.study_config import MatrixConfig, MatrixTest, MatrixTraining
from avkd.config.training_config import VideoModelConfig

RECIPE = Path("recipe.yaml")
VIDEO = {"distill": None, "finetune": RECIPE, "pretrain": RECIPE}


def training(**settings: Any) -> MatrixTraining:
    return MatrixTraining(**{"name": "a", "distill": RECIPE, **settings})


def test_the_axes_of_a_training_are_rows_and_weight_0_has_no_teacher() -> None:
    axes = {
        "backbones": (VideoModelConfig(), VideoModelConfig(name="csn101")),
        "clips": (100, 5000),
        "ssl_weights": (0.0, 0.3),
        "teachers": ("stage_one", "random"),
    }
    rows = training(**VIDEO, **axes).rows()
    assert len({row.name for row in rows}) == len(rows) == 2 * 2 * (1 + 2)
    assert [row.name for row in rows[:3]] == [
        "a, cnn3d_gru, 100 clips, ssl_weight 0",
        "a, cnn3d_gru, 100 clips, ssl_weight 0.3",
        "a, cnn3d_gru, 100 clips, ssl_weight 0.3, random teacher",
    ]
    last = rows[-1]
    assert (last.backbones[0].name, last.clips, last.ssl_weights) == ("csn101", (5000,), (0.3,))
    assert last.teachers == ("random",) and training().rows() == (training(),)


def config(**settings: Any) -> MatrixConfig:
    values = {
        "trainings": (training(leave_out=("grid",)),),
        "tests": (MatrixTest(name="x", data=(Path("x"),), methods=("grid",)),),
        "out": Path("out"),
    }
    return MatrixConfig(**{**values, **settings})


def test_it_is_read_back_from_its_own_yaml(tmp_path: Path) -> None:
    wanted = config(seeds=(0, 2), trainings=(training(), training(name="b", data=(Path("d"),))))
    (tmp_path / "matrix.yaml").write_text(to_yaml(wanted))
    assert parse("matrix", MatrixConfig, ["--config", str(tmp_path / "matrix.yaml")]) == wanted


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"finetune": RECIPE}, "one of finetune, distill and model, not finetune and distill"),
        ({"distill": None}, "give one of finetune, distill and model"),
        ({"distill": None, "model": RECIPE, "leave_out": ("grid",)}, "no effect on a given model"),
        ({"distill": None, "model": RECIPE, "exclude_methods": ("x",)}, "no effect on a given"),
        ({"data": ()}, "data is empty"),
        ({"leave_out": ("all", "grid")}, "`all` or a list"),
        ({"leave_out": ("grid", "grid")}, "names a method twice"),
        ({"leave_out": ("grid",), "exclude_methods": ("grid",)}, "never trained on"),
        ({"ssl_weights": (0.3,)}, "no effect without finetune"),
        ({"pretrain": RECIPE}, "no effect without finetune"),
        ({"teachers": ("random",)}, "no effect without pretrain"),
        ({**VIDEO, "clips": (100,), "pretrain": None}, "no effect without pretrain"),
        ({**VIDEO, "teachers": ()}, "teachers is empty"),
        ({**VIDEO, "ssl_weights": (0.3, 0.3)}, "each value once"),
        (
            {**VIDEO, "backbones": (VideoModelConfig(), VideoModelConfig(width=8))},
            "each value once",
        ),
        ({**VIDEO, "ssl_weights": (-0.1,)}, "ssl_weights from 0"),
        ({**VIDEO, "clips": (0,)}, "clips from 1"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        training(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"trainings": ()}, "trainings is empty"),
        ({"trainings": (training(), training(name="A"))}, "two have the same name"),
        ({"trainings": (training(name="a/b"),)}, "without a slash"),
        ({"trainings": (training(name=".."),)}, "it names a folder"),
        ({"tests": ()}, "tests is empty"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "each once"),
        ({"seeds": (-1,)}, "from 0"),
        ({"bootstrap_resamples": 99}, "bootstrap_resamples"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_a_matrix_that_cannot_be_made_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        config(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data": ()}, "test x: data is empty"),
        ({"data": (Path("x"), Path("x"))}, "names a corpus twice"),
        ({"methods": ("grid",), "protocol": Path("p.yaml")}, "its protocol sets the methods"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(
    settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        MatrixTest(**{"name": "x", "data": (Path("x"),), **settings})
