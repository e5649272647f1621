"""The command written beside scores gives the same settings again, whatever the names."""

import shlex
from pathlib import Path

import pytest

from avkd.config.evaluation_config import EvaluateConfig, PredictConfig
from avkd.config.load import ConfigError, command_of, parse


@pytest.mark.parametrize(
    "config",
    [
        EvaluateConfig(model=Path("m"), data=(Path("a"),), out=Path("o")),
        EvaluateConfig(
            model=Path("a model's; rm -rf"),
            data=(Path("b c"), Path("d,e"), Path('f"g\\h')),
            out=Path("1e3"),
            methods=("1e3", "null", "-x", "[y]", "z: w"),
            split="val",
            mixed_preprocessing=True,
            threads=2,
        ),
        EvaluateConfig(
            model=Path("-m"), data=(Path("--x"), Path("[1]")), out=Path("--o"), protocol=Path("p q")
        ),
        PredictConfig(files=(Path("a b"),), model=Path("m"), max_seconds=1.5, json=True),
    ],
)
def test_the_command_gives_the_config_again(config: EvaluateConfig | PredictConfig) -> None:
    avkd, verb, *words = shlex.split(command_of("verb", config))
    assert (avkd, verb) == ("avkd", "verb")
    assert parse("verb", type(config), words) == config


def test_defaults_are_left_out() -> None:
    config = EvaluateConfig(model=Path("m"), data=(Path("a"), Path("b")), out=Path("o"), seed=3)
    expected = "avkd evaluate --model m --data a b --out o --seed 3"
    assert command_of("evaluate", config) == expected


@pytest.mark.parametrize("name", ["\udcff.mp4", "b\udc80\udcfe.mp4", "é.mp4", "[x].mp4", "1e3"])
def test_a_name_of_any_bytes_arrives_as_it_is(name: str) -> None:
    """Names on disk need not be UTF-8; YAML refuses what Python makes of such bytes."""
    config = parse("predict", PredictConfig, [name, "--out", name + ".jsonl"], "files")
    assert config.files == (Path(name),) and config.out == Path(name + ".jsonl")


@pytest.mark.parametrize("arguments", [[""], ["a.mp4", ""], ["a.mp4", "--out", ""]])
def test_an_empty_argument_is_a_mistake_and_not_this_folder(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="an argument is empty"):
        parse("predict", PredictConfig, arguments, "files")
