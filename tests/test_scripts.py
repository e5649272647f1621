"""The scripts and the README: every argument arrives, every command named there really exists.

The scripts run with a stand-in for `avkd` that writes down what it was called with.
"""

import ast
import importlib.util
import os
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from factories import make_head, window_score
from torch.distributed import run as torchrun

from avkd import cli
from avkd.config.load import parse
from avkd.config.training_config import FinetuneConfig, PretrainConfig
from avkd.models.starter import STARTERS
from avkd.reporting.scores import write_scores
from avkd.synthesis.forgery_methods import FORGERIES

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((REPOSITORY / "scripts").glob("*.sh"))
README = REPOSITORY / "README.md"

# Writes each argument on a line of its own, then an empty line; `synth` leaves the one file that
# the demo looks for. The verbs named in AVKD_STUB_FAILS end with AVKD_STUB_CODE, unset = 4.
STUB = """#!/usr/bin/env bash
printf '%s\\n' "${0##*/}" "$@" '' >> "$CALLS"
if [ "${1:-}" = synth ]; then
  mkdir -p "$3/celebdf_like/Celeb-synthesis"
  touch "$3/celebdf_like/Celeb-synthesis/id0 id1.mp4"
fi
case " ${AVKD_STUB_FAILS:-} " in *" ${1:-nothing} "*) exit "${AVKD_STUB_CODE:-4}" ;; esac
"""


class Stage:
    """A made-up environment in which scripts run, and what they called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        commands = folder / "venv" / "bin"
        commands.mkdir(parents=True)
        for name in ("avkd", "ruff", "mypy", "pytest", "torchrun"):
            (commands / name).write_text(STUB)
            (commands / name).chmod(0o755)
        stamp = folder / "venv" / ".installed"
        stamp.touch()
        newer = (REPOSITORY / "setup.py").stat().st_mtime + 1000
        os.utime(stamp, (newer, newer))

    def run(self, script: str, *arguments: str, **environment: str) -> int:
        self.calls_file.write_text("")
        done = subprocess.run(
            ["bash", str(REPOSITORY / "scripts" / script), *arguments],
            cwd=self.folder,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("AVKD_", "EXTRA_"))},
                "AVKD_VENV": str(self.folder / "venv"),
                # Were it to install, it would call this, and end.
                "AVKD_PYTHON": "false",
                "CALLS": str(self.calls_file),
                **environment,
            },
            capture_output=True,
            text=True,
        )
        self.output = done.stdout + done.stderr
        return done.returncode

    @property
    def calls(self) -> list[list[str]]:
        """Command and arguments of every call, in order."""
        blocks = self.calls_file.read_text().split("\n\n")[:-1]
        return [block.split("\n") for block in blocks]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = tmp_path / "a folder"
    folder.mkdir()
    return Stage(folder)


def config_of(call: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the real `avkd` would make of a call; fails as it would."""
    assert call[0] == "avkd" and call[1] in cli.VERBS, call
    monkeypatch.chdir(folder)
    verb = cli.VERBS[call[1]]
    return parse(call[1], cli._find(verb.config), call[2:], verb.positional)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_sound_bash_and_says_what_it_is_for(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = script.read_text().splitlines()[:2]
    if script.name != "environment.sh":  # which is sourced
        assert first == "#!/usr/bin/env bash" and second.startswith("# ")
        assert "set -euo pipefail" in script.read_text()
        assert os.access(script, os.X_OK), f"README calls it by its name: chmod +x {script}"


@pytest.mark.parametrize(
    ("script", "verb"),
    [("pretrain_av.sh", "pretrain"), ("finetune_detect.sh", "finetune"), ("distill.sh", "distill")],
)
def test_every_argument_is_passed_on_and_wins(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, script: str, verb: str
) -> None:
    odd = ["--run", "runs/a b", "--loop.epochs", "12", "--data", "one two", "it's", "$HOME *"]
    assert stage.run(script, *odd) == 0, stage.output
    ((command, called_verb, flag, path, *passed),) = stage.calls
    assert (command, called_verb, flag, passed) == ("avkd", verb, "--config", odd)
    assert Path(path).is_file()
    config = config_of(stage.calls[0], stage.folder, monkeypatch)
    assert config.run == Path("runs/a b") and config.loop.epochs == 12
    assert config.data == (Path("one two"), Path("it's"), Path("$HOME *"))


def test_a_training_on_many_gpus_is_what_follows(stage: Stage) -> None:
    given = ["finetune", "--run", "runs/a b", "--loop.epochs", "2"]
    assert stage.run("train_on_many_gpus.sh", *given) == 0, stage.output
    one = ["--standalone", "--nproc_per_node", "gpu", "-m", "avkd", "--", *given]
    assert stage.calls == [["torchrun", *one]]
    several = {"NODES": "2", "RENDEZVOUS": "first:29500", "PROCESSES": "8"}
    assert stage.run("train_on_many_gpus.sh", *given, **several) == 0, stage.output
    (call,) = stage.calls
    # torchrun itself takes these words for what they are.
    found = torchrun.parse_args(call[1:])
    assert (found.nnodes, found.rdzv_endpoint, found.nproc_per_node) == ("2", "first:29500", "8")
    assert found.module and [found.training_script, *found.training_script_args] == ["avkd", *given]
    job = REPOSITORY / "scripts" / "train_on_slurm.sbatch"
    assert subprocess.run(["bash", "-n", str(job)]).returncode == 0


def test_the_promised_command_sets_the_weight(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for weight in ("0.3", "0.7"):
        assert stage.run("finetune_detect.sh", "--ssl_weight", weight) == 0
        config = config_of(stage.calls[0], stage.folder, monkeypatch)
        assert config.ssl_weight == float(weight)


def test_a_failing_command_is_the_scripts_own_failure(stage: Stage) -> None:
    assert stage.run("finetune_detect.sh", AVKD_STUB_FAILS="finetune") == 4
    assert stage.run("demo.sh", str(stage.folder / "demo"), AVKD_STUB_FAILS="pretrain") == 4
    assert stage.calls[-1][1] == "pretrain"


def test_the_demo_goes_the_whole_path(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    out = stage.folder / "the demo"
    assert stage.run("demo.sh", str(out)) == 0, stage.output
    verbs = [call[1] for call in stage.calls]
    assert verbs == [
        *("predict", "prepare", "evaluate"),  # a first look at the model that ships
        *("synth", *["prepare"] * 3, "pretrain", "finetune", "evaluate"),
        *("distill", "evaluate", "predict", "predict"),
    ]
    # It changes to the repository itself, so that its configs are found from anywhere.
    configs = [config_of(call, REPOSITORY, monkeypatch) for call in stage.calls]
    looked, pictures, table, *configs = configs
    assert looked.model is None and len(looked.files) == 3
    assert table.model == Path("starter") and table.data == (pictures.out,)
    _, talking, seen, unseen, pretrained, finetuned, evaluated, *image_branch = configs
    distilled, student_evaluated, predicted, student_predicted = image_branch
    assert pretrained.data == (talking.out,)
    assert finetuned.data == (seen.out,) and finetuned.real_data == ()
    assert finetuned.pretrained == pretrained.run / "model.safetensors"
    assert finetuned.ssl_weight == 0.3
    assert evaluated.model == predicted.model == finetuned.run / "model.safetensors"
    assert evaluated.data == (seen.out, unseen.out)
    assert all(path.is_file() for path in predicted.files) and len(predicted.files) == 1
    assert distilled.teacher == finetuned.run / "model.safetensors"
    assert distilled.data == (seen.out,)
    assert student_evaluated.model == distilled.run / "model.safetensors"
    assert student_predicted.model == student_evaluated.model
    assert student_predicted.files == predicted.files


def test_the_demo_does_not_write_over_another(stage: Stage) -> None:
    (stage.folder / "demo").mkdir()
    assert stage.run("demo.sh", str(stage.folder / "demo")) == 2
    assert "remove it" in stage.output and stage.calls == []


@pytest.mark.parametrize("extra", ["", "further clips"])
def test_training_on_ones_own_clips_fits_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    arguments = ["my clips", "out put", "one file.mp4", "two.mp4"]
    assert stage.run("train_on_clips.sh", *arguments, EXTRA_CLIPS=extra) == 0, stage.output
    calls = {}
    for call in stage.calls:
        calls.setdefault(call[1], []).append(config_of(call, stage.folder, monkeypatch))
    out = Path("out put")
    assert calls["prepare"][0].source == Path("my clips")
    assert len(calls["prepare"]) == 2 + bool(extra)
    pretrained, random_teacher = calls["pretrain"]
    assert pretrained.data == random_teacher.data
    assert pretrained.data[0] == calls["prepare"][0].out == calls["forge"][0].data
    assert len(pretrained.data) == 1 + bool(extra)
    assert random_teacher.optim.lr < 1e-9 < pretrained.optim.base_rate(336)
    stage_one = pretrained.run / "model.safetensors"
    (probed,) = calls["probe"]
    assert probed.model == stage_one and probed.split == "test"
    zero_shot, *evaluations = calls["evaluate"]
    assert zero_shot.model == stage_one and zero_shot.scorer == "av_agreement"
    assert [c.ssl_weight for c in calls["finetune"]] == [0.0, 0.3, 0.3]
    control = random_teacher.run / "model.safetensors"
    assert [c.teacher_file for c in calls["finetune"]] == [None, stage_one, control]
    for finetuned, evaluated in zip(calls["finetune"], evaluations, strict=True):
        assert finetuned.pretrained == stage_one  # all start alike
        assert finetuned.data == evaluated.data == (calls["prepare"][-1].out,)
        assert evaluated.model == finetuned.run / "model.safetensors"
        assert set(evaluated.methods) == {*FORGERIES} - {"sound_swapped", "sound_shifted"}
    (reported,) = calls["report"]
    assert reported.scores == tuple(evaluated.out for evaluated in evaluations)
    assert calls["prepare"][-1].source == calls["forge"][0].out
    (predicted,) = calls["predict"]
    assert predicted.files == (Path("one file.mp4"), Path("two.mp4"))
    assert predicted.model == calls["finetune"][1].run / "model.safetensors"
    assert pretrained.run.is_relative_to(out)


def test_every_seed_is_a_run_of_its_own(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.run("train_on_clips.sh", "clips", "out", SEEDS="3 7") == 0, stage.output
    configs = [config_of(call, stage.folder, monkeypatch) for call in stage.calls]
    trained = [c for c in configs if isinstance(c, PretrainConfig | FinetuneConfig)]
    assert [c.loop.seed for c in trained] == [3] * 5 + [7] * 5
    assert len({c.run for c in trained}) == 10


def test_skipped_inputs_do_not_stop_the_training_on_ones_own_clips(stage: Stage) -> None:
    """Exit code 3 is a report, not a failure: GRID itself has clips no forgery can be made from."""
    skipping = {"AVKD_STUB_FAILS": "prepare forge evaluate predict", "AVKD_STUB_CODE": "3"}
    assert stage.run("train_on_clips.sh", "clips", "out", "one.mp4", **skipping) == 0, stage.output
    assert stage.calls[-1][1] == "predict"


@pytest.mark.parametrize(
    "verb", ["prepare", "pretrain", "probe", "forge", "finetune", "evaluate", "report", "predict"]
)
def test_a_failure_stops_the_training_on_ones_own_clips(stage: Stage, verb: str) -> None:
    failed = stage.run("train_on_clips.sh", "clips", "out", "one.mp4", AVKD_STUB_FAILS=verb)
    assert failed == 4 and stage.calls[-1][1] == verb


def test_training_on_ones_own_clips_explains_itself(stage: Stage) -> None:
    assert stage.run("train_on_clips.sh") == 2
    assert "Usage: scripts/train_on_clips.sh CLIPS OUT" in stage.output and stage.calls == []


def test_comparing_ones_own_pictures_fits_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["my pictures", "out put", "--seeds", "0", "4"]
    skipped = {"AVKD_STUB_FAILS": "prepare", "AVKD_STUB_CODE": "3"}
    pattern = r"(?P<identity>id\d+)"
    assert stage.run("compare_images.sh", *arguments, IDENTITY=pattern, **skipped) == 0
    monkeypatch.chdir(stage.folder)
    prepared, compared = (config_of(call, stage.folder, monkeypatch) for call in stage.calls)
    assert prepared.source == Path("my pictures")
    assert prepared.options.identity_pattern == pattern
    assert compared.sets[0].data == (prepared.out,)
    assert compared.seeds == (0, 4) and compared.out == Path("out put/compare")
    assert stage.run("compare_images.sh", *arguments, AVKD_STUB_FAILS="prepare") == 4
    assert [call[1] for call in stage.calls] == ["prepare"]
    assert stage.run("compare_images.sh", "only one") == 2 and stage.calls == []


def test_the_test_script_chooses_the_tier(stage: Stage) -> None:
    always = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]]
    for given, expected in {
        (): ["pytest", "-n", "2", "--dist", "loadfile"],
        ("slow",): ["pytest", "-m", "slow"],
        ("gpu", "-k", "a or b"): ["pytest", "-m", "gpu", "-k", "a or b"],
        ("-k", "a or b"): ["pytest", "-k", "a or b"],
    }.items():
        assert stage.run("test.sh", *given) == 0, stage.output
        assert stage.calls == [*always, expected]


def test_an_outdated_environment_is_installed_again(stage: Stage) -> None:
    """The stand-in for the interpreter fails, so the script must end there."""
    os.utime(stage.folder / "venv" / ".installed", (0, 0))
    assert stage.run("pretrain_av.sh") == 1
    assert "installing" in stage.output and stage.calls == []


# README


def readme_commands() -> list[list[str]]:
    """Every command line in the README's code blocks, without comments."""
    if not README.is_file():
        return []
    text = README.read_text(encoding="utf-8")
    lines = [
        line.strip()
        for block in re.findall(r"```(?:bash|sh|shell|console)\n(.*?)```", text, re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    commands = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [command for command in commands if command]


@pytest.mark.skipif(not README.is_file(), reason="README.md is not written yet")
@pytest.mark.parametrize("command", readme_commands(), ids=" ".join)
def test_a_command_of_the_readme_exists_and_is_understood(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    while re.fullmatch(r"[A-Z_]+=.*", command[0]):  # variables set for one command
        command = command[1:]
    command = command[1:] if command[0] == "bash" else command
    if command[0] == "avkd":
        config_of(command, REPOSITORY, monkeypatch)
    elif command[0].startswith("scripts/"):
        assert (REPOSITORY / command[0]).is_file(), command[0]
        text = (REPOSITORY / command[0]).read_text()
        if passed_on := re.search(r'exec avkd (\w+) --config "\$AVKD_ROOT/(.*?)" "\$@"', text):
            call = ["avkd", passed_on[1], "--config", passed_on[2], *command[1:]]
            config_of(call, REPOSITORY, monkeypatch)
    else:
        assert command[0] in ("tensorboard", "git", "pip", "python", "cd"), command


@pytest.mark.skipif(not README.is_file(), reason="README.md is not written yet")
def test_every_file_the_readme_names_exists() -> None:
    text = README.read_text(encoding="utf-8")
    assert readme_commands(), "the README shows no command at all"
    named = re.findall(r"\b((?:configs|scripts|tests|avkd)/[\w./-]+\.(?:yaml|sh|py))\b", text)
    missing = sorted({name for name in named if not (REPOSITORY / name).is_file()})
    assert named and not missing, missing


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "scripts").glob("*.py")), ids=lambda p: p.name
)
def test_what_a_script_imports_is_there(path: Path) -> None:
    """They run for hours before their last step, and nothing else imports them."""
    text = path.read_text(encoding="utf-8")
    names = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("avkd")
        for alias in node.names
    ]
    missing = [
        f"{module}.{name}"
        for module, name in names
        if not hasattr(importlib.import_module(module), name)
        and importlib.util.find_spec(f"{module}.{name}") is None
    ]
    assert (names or "from avkd" not in text) and not missing, missing


@pytest.mark.parametrize(
    ("num_alarms", "num_found", "is_shipped"),
    [(0, 8, True), (1, 40, True), (2, 40, False), (0, 7, False)],
)
def test_a_starter_that_accuses_one_kind_of_footage_or_finds_next_to_nothing_is_not_shipped(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    num_alarms: int,
    num_found: int,
    is_shipped: bool,
) -> None:
    """Of 20 + 60 real files two alarms are 2.5 %, but 10 % of the corpus that they are in."""
    run = tmp_path / "run"
    (run / "scores").mkdir(parents=True)
    (run / "model.safetensors").write_bytes(STARTERS["starter-fast"].read_bytes())
    groups = (
        ("clips", "real", 20, num_alarms),
        ("pictures", "real", 60, 0),
        ("pictures", "blended", 40, num_found),
    )
    rows = [
        window_score(f"{method}/{n}", method, 99.0 if n < called else -99.0, dataset=name)
        for name, method, count, called in groups
        for n in range(count)
    ]
    write_scores(run / "scores" / "validation.csv", make_head(), rows)
    script = runpy.run_path(str(REPOSITORY / "scripts/ship_starter.py"))
    assert script["main"](run, tmp_path / "shipped") == (0 if is_shipped else 3)
    assert (tmp_path / "shipped").exists() == is_shipped
    assert f"clips {5.0 * num_alarms} %, fakes {2.5 * num_found} %" in capsys.readouterr().out
