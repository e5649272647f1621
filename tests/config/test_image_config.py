"""Settings of the image branch and of the studies: what makes no sense is refused with the cure."""

from pathlib import Path

import pytest

from avkd.config.image_config import DistillConfig, ImageModelConfig, SelectionConfig
from avkd.config.load import ConfigError, parse, to_yaml
from avkd.config.study_config import BenchConfig, CompareConfig

DISTILL = ["--data", "d", "--run", "r"]
TEACHER = ["--teacher", "t.safetensors"]


def distill(*words: str) -> DistillConfig:
    return parse("distill", DistillConfig, [*DISTILL, *words])


def test_the_defaults_are_the_published_recipe() -> None:
    config = distill(*TEACHER)
    assert config.soft_weight == 0.4
    assert (config.optim.algorithm, config.optim.lr) == ("adam", 1e-4)
    assert (config.optim.patience, config.optim.factor) == (3, 0.1)
    assert (config.loop.epochs, config.loop.batch_size) == (20, 32)
    assert config.model == ImageModelConfig(name="resnet8", image_size=224)
    assert config.views.is_fixed
    assert distill().soft_weight == 0.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--alpha", "0.4"], "alpha has no effect without a teacher"),
        (["--soft", "kl"], "soft has no effect without a teacher"),
        (["--cached_views", "2"], "cached_views has no effect without a teacher"),
        ([*TEACHER, "--alpha", "0"], "leave out teacher"),
        ([*TEACHER, "--alpha", "1.1"], "want 0..1"),
        ([*TEACHER, "--soft", "mse", "--temperature", "4"], "no effect on soft=mse"),
        ([*TEACHER, "--temperature", "0"], "temperature must be positive"),
        ([*TEACHER, "--cached_views", "0"], "cached_views: want 1"),
        (["--model.trainable", "head"], "would freeze random weights"),
        (["--model.trainable", "blocks:two"], "want all, head, norms or blocks:K"),
        (["--model.image_size", "8"], "want 16..1024"),
        (["--model.name", "addnet3d", "--model.frames", "2000"], "model.frames 2000: want at most"),
        (["--select.ratio", "1-2"], "want real:fake"),
        (["--select.ratio", "0:1"], "want real:fake"),
        (["--select.size", "1"], "at least 2"),
        (["--views.flip", "1.5"], "views.flip: want 0..1"),
        (["--optim.factor", "1"], "factor between 0 and 1"),
        (["--optim.stop_after", "0"], "at least 1"),
        (["--loop.batch_size", "1"], "batch normalisation needs 2"),
        (["--modle.name", "resnet8"], "did you mean 'model.name'"),
    ],
)
def test_a_setting_without_sense_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        distill(*words)


def test_a_ratio_is_read_as_real_to_fake() -> None:
    assert SelectionConfig(ratio="1:2").parts == (1, 2)
    assert SelectionConfig().parts is None


def compare(tmp_path: Path, text: str) -> CompareConfig:
    path = tmp_path / "compare.yaml"
    path.write_text(f"out: o\n{text}")
    return parse("compare", CompareConfig, ["--config", str(path)])


GOOD = """
sets: [{name: a, data: [x]}, {name: b, data: [y], train: false}]
runs: [{name: big}, {name: small, teacher: big, alpha: 0.3}]
"""


def test_a_comparison_reads_back_equal(tmp_path: Path) -> None:
    config = compare(tmp_path, GOOD + "seeds: [0, 3]\nratios: ['1:1', as_is]\n")
    assert config.runs[1].alpha == 0.3 and config.sets[1].data == (Path("y"),)
    (tmp_path / "again.yaml").write_text(to_yaml(config))
    again = parse("compare", CompareConfig, ["--config", str(tmp_path / "again.yaml")])
    assert again == config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: small", "name: big", "want each once"),
        ("name: b,", "name: a,", "want each once"),
        ("name: b,", "name: ../b,", "without a slash"),
        ("teacher: big", "teacher: small", "must come before it"),
        ("{name: a, data: [x]}, ", "", "none is trained on"),
        ("alpha: 0.3", "alhpa: 0.3", "alhpa"),
        ("alpha: 0.3", "seeds: [7]", "seed 7 is not one of"),
        ("runs:", "loop: {epochs: 5}\nruns:", "epochs and batch_size belong to the runs"),
        ("runs:", "select: {ratio: '1:1'}\nruns:", "list it in ratios"),
        ("runs:", "ratios: ['1/1']\nruns:", "want real:fake"),
    ],
)
def test_a_comparison_that_cannot_be_run_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message):
        compare(tmp_path, GOOD.replace(old, new, 1))


def test_a_speed_is_measured_against_something() -> None:
    assert parse("bench", BenchConfig, ["--models", "a", "b"]).models == ("a", "b")
    with pytest.raises(ConfigError, match="two or more"):
        parse("bench", BenchConfig, ["--models", "a"])
