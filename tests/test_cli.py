"""The command line as a user meets it: help at once, mistakes in one line, exit codes."""

import errno
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from avkd import cli
from avkd.models.model_file import ModelFileError
from avkd.outcome import Bug, ExitCode, Outcome, ResourceError, Stopped

REPOSITORY = Path(cli.__file__).resolve().parents[1]
SYNTH = ("synth", "--out", "somewhere")


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture
def verb_that(monkeypatch):
    """Replace the function of `avkd synth` and return how it ends, as main() sees it."""

    def run_verb(function) -> int:
        module = types.ModuleType("avkd.a_verb_of_a_test")
        module.function = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        verb = cli.Verb("config.data_config:SynthConfig", "a_verb_of_a_test:function", "")
        monkeypatch.setitem(cli.VERBS, "synth", verb)
        return cli.main(SYNTH)

    return run_verb


@pytest.fixture
def verb_raising(verb_that):
    def run_verb(error: BaseException) -> int:
        def function(config: object) -> Outcome:
            raise error

        # What avkd itself raises is told in one line; so the function has to look like ours.
        ours = {**globals(), "__name__": "avkd.a_verb_of_a_test"}
        return verb_that(types.FunctionType(function.__code__, ours, closure=function.__closure__))

    return run_verb


# Help


def test_help_imports_nothing_heavy():
    """`avkd --help` that takes ten seconds is a command nobody explores."""
    code = (
        "import sys; from avkd import cli; rc = cli.main(sys.argv[1:]);"
        "heavy = {'torch', 'torchvision', 'torchaudio', 'numpy', 'jsonargparse', 'yaml', 'av'};"
        "sys.exit(rc or ', '.join(heavy & set(sys.modules)) or 0)"
    )
    for arguments in (["--help"], ["--version"]):
        done = run(code, *arguments)
        assert done.returncode == 0, done.stderr
        assert "avkd 0." in done.stdout


@pytest.mark.parametrize(
    "modules",
    [
        {
            "avkd.inference.predict": "torch av scipy pandas matplotlib",
            "avkd.data.prepare_file": "torch torchvision scipy.signal scipy.stats pandas sklearn",
            "avkd.inference.file_worker": (
                "torchvision torch._dynamo scipy.sparse scipy.stats pandas matplotlib sklearn timm"
            ),
        },
        {"avkd.doctor.doctor": "torch tensorboard librosa matplotlib timm"},
        {
            "avkd.data.build": "av tensorboard librosa matplotlib sklearn timm",
            "avkd.stages.finetune": "av librosa timm",
            "avkd.stages.pretrain": "av librosa timm",
        },
    ],
    ids=["predict", "doctor", "train"],
)
def test_a_verb_imports_only_the_heavy_packages_it_needs(modules):
    """Whoever predicts on a small machine neither waits for nor needs what only training uses.

    Nor need machines that train be able to decode video. One process imports module after module.
    """
    code = (
        "import importlib, json, sys\n"
        "for module, light_of in json.loads(sys.argv[1]).items():\n"
        "    importlib.import_module(module)\n"
        "    if heavy := set(light_of.split()) & set(sys.modules):\n"
        "        sys.exit(f'{module} imports {heavy}')\n"
    )
    done = run(code, json.dumps(modules))
    assert done.returncode == 0, done.stderr


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "avkd", "--help"], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in cli.VERBS)


def test_a_mistake_in_a_setting_is_answered_before_torch_is_loaded():
    code = (
        "import sys; from avkd import cli; rc = cli.main(sys.argv[1:]);"
        "sys.exit(100 if 'torch' in sys.modules else rc)"
    )
    done = run(code, "pretrain", "--data", "a", "--run", "r", "--optim.lrr", "1")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "avkd pretrain: unknown setting 'optim.lrr': did you mean 'optim.lr'?"
    ]


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_has_its_own_help(name, capsys):
    assert cli.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: avkd {name} " in text and ("default:" in text or name == "verify")


def test_no_command_shows_the_help_and_is_a_mistake(capsys):
    assert cli.main([]) == 2
    assert "usage: avkd COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("pretrian", "did you mean 'pretrain'?"), ("evalute", "'evaluate'"), ("zzz", "commands: ")],
)
def test_an_unknown_command_is_answered_with_the_likely_one(typed, answer, capsys):
    assert cli.main([typed]) == 2
    message = capsys.readouterr().err
    assert f"unknown command {typed!r}" in message and answer in message


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_config_of_the_table_exists(name):
    config_class = cli._find(cli.VERBS[name].config)
    positional = cli.VERBS[name].positional
    assert positional is None or positional in config_class.__dataclass_fields__


# How a verb ends


@pytest.mark.parametrize("code", [ExitCode.DONE, ExitCode.SOME_SKIPPED, ExitCode.NOTHING_USABLE])
def test_a_verb_prints_its_outcome_and_returns_its_code(verb_that, capsys, code):
    assert verb_that(lambda config: Outcome(f"wrote {config.out}", code)) == int(code)
    assert capsys.readouterr().out == "wrote somewhere\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("the cure"), 2),
        (FileNotFoundError(errno.ENOENT, "the cure"), 2),
        (FileExistsError("the cure"), 2),
        (NotADirectoryError("the cure"), 2),
        (IsADirectoryError("the cure"), 2),
        (PermissionError(errno.EACCES, "the cure"), 2),
        (ModelFileError("the cure"), 5),
        (ResourceError("the cure"), 6),
        (torch.OutOfMemoryError("the cure"), 6),
        (OSError(errno.ENOSPC, "the cure"), 6),
        (FloatingPointError("the cure"), 2),
        (Stopped("the cure", ExitCode.TERMINATED), 143),
        (Stopped("the cure", ExitCode.INTERRUPTED), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_expected_failure_is_one_line_and_its_own_exit_code(verb_raising, capsys, error, code):
    """Job schedulers and scripts decide by the exit code whether to retry."""
    assert verb_raising(error) == code
    message = capsys.readouterr().err
    assert message.startswith("avkd synth: ") and "the cure" in message
    assert "Traceback" not in message


def test_a_bug_in_every_file_ends_with_1_and_its_own_traceback_alone(verb_raising, capsys):
    assert verb_raising(Bug("all 3 item(s) failed\nTraceback: TypeError")) == 1
    assert capsys.readouterr().err == "avkd synth: all 3 item(s) failed\nTraceback: TypeError\n"


def test_any_other_runtime_error_is_our_bug_and_keeps_its_traceback(verb_raising):
    with pytest.raises(RuntimeError, match="shapes"):
        verb_raising(RuntimeError("shapes"))


def test_an_interrupt_ends_with_130_wherever_it_comes(verb_raising, monkeypatch, capsys):
    assert verb_raising(KeyboardInterrupt()) == 130

    def interrupted(reference: str) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_find", interrupted)  # as during the import of torch
    assert cli.main(SYNTH) == 130
    assert capsys.readouterr().err.count("interrupted") == 2


@pytest.mark.parametrize(
    "error", [AssertionError("ours"), KeyError("ours"), OSError(errno.EIO, "")]
)
def test_a_bug_keeps_its_traceback(verb_raising, error):
    """Python itself then ends with exit code 1."""
    with pytest.raises(type(error)):
        verb_raising(error)


def test_a_wrong_setting_is_a_user_mistake(capsys):
    assert cli.main(["synth", "--out", "x", "--workers", "0"]) == 2
    assert capsys.readouterr().err == "avkd synth: workers must be at least 1\n"


@pytest.mark.parametrize("given", [None, "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_threads_wait_briefly_unless_it_was_said_how(verb_that, monkeypatch, given):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    monkeypatch.setattr(os, "environ", environment | ({given: "7"} if given else {}))
    assert verb_that(lambda config: Outcome("")) == 0
    expected = {None: "1000", "OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": "7"}[given]
    assert os.environ.get("GOMP_SPINCOUNT") == expected


def test_a_verb_for_one_process_is_no_process_of_torchrun(monkeypatch, capsys):
    """Eight processes would write the same table eight times."""
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert cli.main(["report", "--scores", "x", "--out", "y"]) == 2
    assert "torchrun is for pretrain, finetune, distill" in capsys.readouterr().err


def test_a_folder_that_is_no_corpus_is_a_user_mistake(tmp_path, capsys):
    pytest.importorskip("avkd.data.prepare", reason="avkd.data.prepare is not written yet")
    code = cli.main(
        ["pretrain", "--data", str(tmp_path), "--run", str(tmp_path / "r"), "--loop.device", "cpu"]
    )
    assert code == 2
    assert "avkd prepare" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
