"""Help pages as a reader meets them, and flags that never vanish without an answer."""

import dataclasses
import inspect
import re
import typing
from pathlib import Path

import pytest

from avkd import cli
from avkd.config import load
from avkd.synthesis.forgery_methods import FORGERIES

FLAGS = (Path(__file__).parent / "flags.txt").read_text(encoding="utf-8")


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main([verb, "--help"]) == 0
    return capsys.readouterr().out


def assert_plain(text: str) -> None:
    for python in ("<class", "Optional[", "Literal[", "tuple[", "NoneType", "null", "avkd.config"):
        assert python not in text.replace("then epochs and validate_every_epochs are null", "")
    assert not re.search(r"default: (\(|\[|')", text), "defaults as Python writes them"


ENTRIES = [
    (verb, name, entry)
    for verb in cli.VERBS
    for name, hint in load._leaf_types(cli._find(cli.VERBS[verb].config))
    for entry in typing.get_args(hint)
    if dataclasses.is_dataclass(entry)
]


def old_flags() -> dict[str, list[str]]:
    lines = [line for line in FLAGS.splitlines() if not line.startswith("#")]
    blocks = " ".join(f"\n{line}" if line[0] != " " else line for line in lines).split("\n")
    return {block.split(":")[0]: block.split(":")[1].split() for block in blocks if block.strip()}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_help_page_says_everything_once_and_in_plain_words(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(help_of(verb, capsys).split())
    config_class = cli._find(cli.VERBS[verb].config)
    first = " ".join((inspect.getdoc(config_class) or "").split("\n\n")[0].split())
    assert text.replace("- ", "-").count(first.replace("- ", "-")) == 1
    assert_plain(text)


@pytest.mark.parametrize(("verb", "name", "entry"), ENTRIES, ids=lambda value: str(value))
def test_the_entries_of_a_list_have_a_page_of_their_own(
    verb: str, name: str, entry: type, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are settings of a YAML file: shown as keys, for there are no such flags."""
    assert cli.main([verb, f"--{name}.help"]) == 0
    page = capsys.readouterr().out
    assert_plain(" ".join(page.split()))
    assert f"avkd {verb} --config FILE.yaml" in page and f"`{name}:`" in page
    keys = {line.split()[0] for line in page.splitlines() if re.match("  [a-z]", line)}
    leaves = {key for key, hint in load._leaf_types(entry) if not dataclasses.is_dataclass(hint)}
    assert {key for key in leaves if not key.startswith("backbones.")} <= keys


def test_lists_of_entries_are_known() -> None:
    found = {(verb, name) for verb, name, _ in ENTRIES}
    assert {
        ("matrix", "trainings"),
        ("matrix", "trainings.backbones"),
        ("matrix", "tests"),
    } <= found
    assert {("compare", "sets"), ("compare", "runs")} <= found


MOST_USED = {
    "predict": ["files", "model", "out"],
    "pretrain": ["data", "run", "region"],
    "finetune": ["data", "run", "pretrained"],
    "forge": ["data", "out", "methods"],
    "evaluate": ["model", "data", "out"],
}


@pytest.mark.parametrize("verb", MOST_USED)
def test_the_flags_used_most_come_first(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = re.findall(r"(?m)^  --(\S+)", help_of(verb, capsys))
    assert flags[:3] == MOST_USED[verb]


def test_forge_lists_its_methods(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("forge", capsys)
    assert all(re.search(rf"\b{name}\b", text) for name in FORGERIES)


@pytest.mark.parametrize(("verb", "usage"), [("doctor", "SOURCE"), ("predict", "FILES ...")])
def test_the_usage_promises_as_many_values_as_are_taken(
    verb: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert help_of(verb, capsys).startswith(f"usage: avkd {verb} {usage} [--config")
    taken = cli._find(cli.VERBS[verb].config)
    if "..." in usage:
        assert load.parse(verb, taken, ["a", "b"], usage.split()[0].lower())
    else:
        with pytest.raises(load.ConfigError, match="unrecognized arguments: b"):
            load.parse(verb, taken, ["a", "b"], usage.lower())


@pytest.mark.parametrize("verb", cli.VERBS)
def test_what_must_be_given_comes_first_and_the_help_itself_last(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(verb, capsys)
    flags = [line.split()[0] for line in text.splitlines() if line.startswith("  --")]
    flags = [flag for flag in flags if not flag.endswith(".help")]
    needed = text.split("\n\n")[0].split("[--config")[0].split("--")[1:]
    assert flags[: len(needed)] == [f"--{flag.split()[0]}" for flag in needed]
    assert flags[-1] in ("--config", "--print_config")
    assert text.index("\nsettings:") < text.index("\noptions:")


def test_settings_that_verbs_share_are_shown_in_their_own_section(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sections = help_of("robustness", capsys).split("\n\n")
    (crops,) = [part for part in sections if part.startswith("faces and crops:")]
    assert "--crop_pixels" in crops and "--device" not in crops


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_flag_of_old_still_works_or_is_answered(verb: str) -> None:
    """Scripts and notes of users hold them; «unknown setting» alone would cost them a search."""
    names = dict(load._leaf_types(cli._find(cli.VERBS[verb].config)))
    answered = load._WITHDRAWN.keys()
    gone = [
        flag
        for flag in old_flags()[verb]
        if flag not in names and not answered & {*flag.split(".")}
    ]
    assert not gone and old_flags().keys() == cli.VERBS.keys()
