"""Help pages as a reader meets them, and flags that never vanish without an answer."""

import inspect
from pathlib import Path

import pytest

from avkd import cli
from avkd.config import load

FLAGS = (Path(__file__).parent / "flags.txt").read_text(encoding="utf-8")


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main([verb, "--help"]) == 0
    return capsys.readouterr().out


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
    for python in ("<class", "Optional[", "Literal[", "tuple[", "NoneType", "null"):
        assert python not in text.replace("then epochs and validate_every_epochs are null", "")


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
