"""The training loop on a toy step: order, selection, stopping, and resuming bit for bit."""

import itertools
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from avkd.outcome import ExitCode, Stopped
from avkd.runtime import Runtime
from avkd.training import optim, resume, transfers
from avkd.training.loop import Plan, StepOutput, fit
from avkd.training.resume import Checkpoints, load_state
from avkd.training.run_log import RunLog

EPOCHS, STEPS = 6, 5
CPU = Runtime(device=torch.device("cpu"), precision="fp32")
INTERRUPTS = {
    "the first step": 0,
    "the middle of an epoch": 12,
    "the last step of an epoch": 14,
    "the last step of all": EPOCHS * STEPS - 1,
}


@dataclass(frozen=True)
class ToyBatch:
    x: torch.Tensor
    sample_ids: tuple[str, ...]
    replaced: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "ToyBatch":
        return replace(self, x=self.x.to(device))


class ToyStep(nn.Module):
    """Dropout, batch norm and a recurrence: everything that has state a resume could lose."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.recurrent = nn.GRU(8, 4, batch_first=True)
        self.average = nn.Parameter(torch.zeros(8, 6), requires_grad=False)
        self.number = 0
        self.at_step: Callable[[int], float] = lambda number: 1.0
        self.progress: list[float] = []

    def forward(self, batch: ToyBatch) -> StepOutput:
        factor = self.at_step(self.number)
        features = self.recurrent(self.inner(batch.x)[None])[0]
        loss = factor * (features - batch.x.mean()).square().mean()
        return StepOutput(loss, {"loss/toy": loss.detach()})

    def parameter_groups(self) -> list[optim.ParameterGroup]:
        return [*optim.groups_of(self.inner, "inner"), *optim.groups_of(self.recurrent, "gru")]

    def after_update(self, progress: float) -> None:
        self.number += 1
        self.progress.append(progress)
        self.average.lerp_(self.inner[0].weight.detach(), 0.1)


def toy_batches(epoch: int, first: int) -> Iterator[ToyBatch]:
    for index in range(first, STEPS):
        generator = torch.Generator().manual_seed(1000 * epoch + index)
        yield ToyBatch(torch.randn(4, 6, generator=generator), (f"clip{epoch}.{index}", "other"))


def norm_of_weights(step: ToyStep) -> dict[str, float]:
    return {"score": float(step.inner[0].weight.detach().norm())}


def train(
    folder: Path,
    *,
    at_step: Callable[[int], float] = lambda number: 1.0,
    resume: bool = False,
    validate: Callable[[ToyStep], dict[str, float]] = norm_of_weights,
    epochs: int = EPOCHS,
    validate_every_epochs: int = 1,
    clip_norm: float = 1.0,
    schedule: optim.Schedule | None = None,
    patience: int | None = None,
    accumulate: int = 1,
) -> ToyStep:
    torch.manual_seed(123 if resume else 7)  # a resumed run must not depend on its own seed
    step = ToyStep()
    step.at_step = at_step
    checkpoints = Checkpoints(folder / "checkpoints")
    resumed = checkpoints.load_latest() if resume else None
    step.number = resumed["progress"]["step"] if resumed else 0
    plan = Plan(
        epochs=epochs,
        steps_per_epoch=STEPS,
        schedule=schedule
        or optim.WarmupSchedule(
            base_rate=0.05, warmup_steps=4, total_steps=epochs * STEPS, decay="cosine"
        ),
        weight_decay=0.01,
        patience=patience,
        accumulate=accumulate,
        clip_norm=clip_norm,
        validate_every_epochs=validate_every_epochs,
        select="score",
    )
    folder.mkdir(exist_ok=True)
    with RunLog(folder, first_step=step.number, total_steps=plan.total_steps, label="toy") as log:
        fit(
            step,
            plan,
            batches=lambda epoch, first: toy_batches(epoch, first),
            validate=lambda run_log, steps: validate(step),
            runtime=CPU,
            log=log,
            checkpoints=checkpoints,
            resumed=resumed,
        )
    return step


def rows(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    assert all(0 <= row["stall"] <= 1 for row in told)
    return [{k: v for k, v in row.items() if k not in ("seconds", "stall")} for row in told]


def flat(state: object, prefix: str = "") -> dict[str, object]:
    if isinstance(state, dict):
        pairs = list(state.items())
    elif isinstance(state, (list, tuple)):
        pairs = list(enumerate(state))
    else:
        return {prefix: state}
    return {k: v for key, value in pairs for k, v in flat(value, f"{prefix}/{key}").items()}


def assert_equal_checkpoints(a: Path, b: Path) -> None:
    ours, theirs = flat(load_state(a)), flat(load_state(b))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        same = (
            torch.equal(value, theirs[name])
            if isinstance(value, torch.Tensor)
            else value == theirs[name]
        )
        assert same, name


def assert_equal_runs(a: Path, b: Path) -> None:
    for name in ("last", "best"):
        file = f"checkpoints/{name}.safetensors"
        assert_equal_checkpoints(a / file, b / file)
    assert rows(a) == rows(b)


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    train(folder)
    return folder


def kill_at(number: int, kind: signal.Signals = signal.SIGTERM) -> Callable[[int], float]:
    def at_step(step: int) -> float:
        if step == number:
            os.kill(os.getpid(), kind)
        return 1.0

    return at_step


# Stopping and resuming


@pytest.mark.parametrize("number", INTERRUPTS.values(), ids=INTERRUPTS)
def test_a_run_stopped_and_resumed_equals_one_that_was_not(straight, tmp_path, number):
    """Weights, optimiser, averages, generators, log and best checkpoint, to the last bit."""
    with pytest.raises(Stopped, match=f"after step {number + 1}; --resume") as stop:
        train(tmp_path, at_step=kill_at(number))
    assert stop.value.exit_code is ExitCode.TERMINATED
    assert len([row for row in rows(tmp_path) if "loss/total" in row]) == number + 1
    train(tmp_path, resume=True)
    assert_equal_runs(tmp_path, straight)


def test_a_run_resumed_from_the_end_of_an_epoch_does_not_repeat_its_rows(straight, tmp_path):
    """As after a crash: what was logged since the last checkpoint is dropped and done again."""

    def crash(number: int) -> float:
        if number == 13:
            raise RuntimeError("a crash")
        return 1.0

    with pytest.raises(RuntimeError, match="a crash"):
        train(tmp_path, at_step=crash)
    assert max(row["step"] for row in rows(tmp_path)) == 12
    train(tmp_path, resume=True)
    assert rows(tmp_path) == rows(straight)


def killed_run(folder: Path, kill: tuple[str, int] | None) -> None:
    """In a process of its own: train on from what is there, and die by the way if told to."""
    torch.set_num_threads(1)
    what, number = kill or ("nothing", 0)
    if what == "rename":  # in the middle of a save
        renames, rename = itertools.count(), Path.replace

        def dying(path: Path, target: Path) -> None:
            if next(renames) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(path, target)

        Path.replace = dying  # type: ignore[method-assign]
    at_step = kill_at(number if what == "step" else -1, signal.SIGKILL)
    train(folder, at_step=at_step, resume=Checkpoints(folder / "checkpoints").exist)


def end_of(folder: Path, kill: tuple[str, int] | None) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=killed_run, args=(folder, kill))
    process.start()
    process.join(300)
    return process.exitcode


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_equals_one_that_was_not(straight, tmp_path, kills):
    """Before its first checkpoint, in steps and between the renames of saves; kill -9 each time."""
    random, killed, runs = np.random.default_rng(kills), 0, 0
    while killed < kills:
        folder = tmp_path / str(runs)
        kill = ("rename", int(random.integers(0, 12)))
        if random.random() < 0.5:
            checkpoints = Checkpoints(folder / "checkpoints")
            done = checkpoints.load_latest()["progress"]["step"] if checkpoints.exist else 0
            kill = ("step", done + int(random.integers(0, 6)))
        code = end_of(folder, kill)
        assert code in (-signal.SIGKILL, 0)
        killed += code != 0
        if killed < kills and code != 0:
            continue
        assert end_of(folder, None) == 0
        assert_equal_runs(folder, straight)
        runs += 1


def test_resuming_a_finished_run_changes_nothing(straight, tmp_path):
    train(tmp_path)
    validated = []
    train(tmp_path, resume=True, validate=lambda step: validated.append(1) or {"score": 9.0})
    assert validated == []
    assert rows(tmp_path) == rows(straight)


@pytest.mark.parametrize("epoch", [1, EPOCHS])
def test_a_signal_in_a_validation_breaks_it_off_and_it_is_done_again(straight, tmp_path, epoch):
    """A validation may take longer than a cluster waits before it kills."""
    validations = itertools.count(1)

    def validate(step: ToyStep) -> dict[str, float]:
        if next(validations) == epoch:
            torch.rand(3)  # draws that it may have made
            os.kill(os.getpid(), signal.SIGUSR1)
            pytest.fail("the validation went on")
        return norm_of_weights(step)

    with pytest.raises(Stopped, match=f"after step {epoch * STEPS}; --resume") as stop:
        train(tmp_path, validate=validate)
    assert stop.value.exit_code == 128 + signal.SIGUSR1
    train(tmp_path, resume=True)
    assert_equal_runs(tmp_path, straight)


def test_a_signal_between_the_last_step_and_its_validation_is_not_lost(tmp_path, monkeypatch):
    state, calls = resume.rng_state, itertools.count()

    def late() -> dict[str, object]:
        if next(calls) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return state()

    monkeypatch.setattr(resume, "rng_state", late)
    with pytest.raises(Stopped, match=f"after step {STEPS}; --resume"):
        train(tmp_path, validate=lambda step: pytest.fail("it was not asked for"))


def test_an_interrupt_from_the_keyboard_ends_with_its_own_code(tmp_path):
    with pytest.raises(Stopped) as stop:
        train(tmp_path, at_step=kill_at(2, signal.SIGINT))
    assert stop.value.exit_code is ExitCode.INTERRUPTED


def test_a_second_signal_acts_at_once_and_handlers_come_back_afterwards(tmp_path):
    """Who presses Ctrl-C twice does not want to wait for a checkpoint."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    seen = []

    def at_step(number: int) -> float:
        if number == 1:
            assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, before[0])
            os.kill(os.getpid(), signal.SIGTERM)
            seen.extend(map(signal.getsignal, (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)))
        return 1.0

    with pytest.raises(Stopped):
        train(tmp_path, at_step=at_step)
    assert seen == 3 * [signal.SIG_DFL]  # any second one
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


# Parts of a batch, readings


def test_a_batch_in_two_parts_gives_the_step_of_the_whole(tmp_path, monkeypatch):
    """Without batch norm and dropout, which see a part each time."""

    def plain(step: ToyStep, batch: ToyBatch) -> StepOutput:
        loss = (step.recurrent(step.inner[0](batch.x)[:, None])[0] - 0.5).square().mean()
        return StepOutput(loss, {"loss/toy": loss.detach()})

    monkeypatch.setattr(ToyStep, "forward", plain)
    whole = train(tmp_path / "whole")
    batches = toy_batches

    def halves(epoch: int, first: int) -> Iterator[ToyBatch]:
        for batch in batches(epoch, first):
            yield from (replace(batch, x=batch.x[rows]) for rows in (slice(0, 2), slice(2, 4)))

    monkeypatch.setattr(sys.modules[__name__], "toy_batches", halves)
    parts = train(tmp_path / "parts", accumulate=2)
    for name, weight in whole.named_parameters():
        torch.testing.assert_close(parts.get_parameter(name), weight, rtol=1e-4, atol=1e-5)
    for one, two in zip(rows(tmp_path / "whole"), rows(tmp_path / "parts"), strict=True):
        assert two == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("number", [7, 12])
def test_numbers_read_every_few_steps_are_the_same_and_stop_a_run_before_it_saves(
    straight, tmp_path, monkeypatch, number
):
    """As on a GPU, where reading means waiting; 12 is in the middle of an epoch, 7 read at 8."""
    monkeypatch.setitem(transfers._STEPS_BETWEEN_READINGS, "cpu", 4)
    train(tmp_path / "all")
    assert rows(tmp_path / "all") == rows(straight)
    bad = {number: float("nan")}
    with pytest.raises(FloatingPointError, match=f"loss is nan at step {number}"):
        train(tmp_path / "bad", at_step=lambda step: bad.get(step, 1.0))
    assert rows(tmp_path / "bad") == rows(straight)[: len(rows(tmp_path / "bad"))]
    saved = Checkpoints(tmp_path / "bad" / "checkpoints").load_latest()["progress"]["step"]
    assert saved == number // STEPS * STEPS


def test_stand_ins_are_counted_in_the_row_of_their_step_and_told_at_the_end(
    tmp_path, monkeypatch, capsys
):
    batches = toy_batches

    def with_stand_ins(epoch: int, first: int) -> Iterator[ToyBatch]:
        for index, batch in enumerate(batches(epoch, first)):
            yield replace(batch, replaced=("a", "b") if epoch == index == 1 else ())

    monkeypatch.setattr(sys.modules[__name__], "toy_batches", with_stand_ins)
    train(tmp_path)
    told = {row["step"]: row["data/replaced"] for row in rows(tmp_path) if "data/replaced" in row}
    assert told == {STEPS + 1: 2}
    assert "2 clips could not be read" in capsys.readouterr().err


# Numbers that are not finite


def weights(step: ToyStep) -> list[torch.Tensor]:
    return [p.detach().clone() for p in step.parameters()]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_weights_move(tmp_path, bad):
    """A NaN that is optimised once is in every weight; the clips named are what to look at."""
    kept: list[list[torch.Tensor]] = []
    steps: list[ToyStep] = []

    def at_step(number: int) -> float:
        if number == 7:
            kept.append(weights(steps[0]))
            return bad
        return 1.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyStep, "__init__", _remembering(ToyStep.__init__, steps))
        with pytest.raises(FloatingPointError, match=r"loss is .* at step 7") as caught:
            train(tmp_path, at_step=at_step)
    assert "clip1.2, other" in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(kept[0], weights(steps[0]), strict=True))
    assert max(row["step"] for row in rows(tmp_path)) == 6
    assert load_state(Checkpoints(tmp_path / "checkpoints").last)["progress"]["step"] == 5


def test_a_gradient_that_is_not_finite_stops_before_the_weights_move(tmp_path):
    steps: list[ToyStep] = []
    kept: list[list[torch.Tensor]] = []
    forward = ToyStep.forward

    def with_bad_gradient(step: ToyStep, batch: ToyBatch) -> StepOutput:
        output = forward(step, batch)
        if step.number == 7:
            kept.append(weights(step))
            zero = (step.inner[0].weight * 0.0).sum()
            return StepOutput(output.loss + zero.sqrt(), {})  # value 0, slope infinite
        return output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyStep, "__init__", _remembering(ToyStep.__init__, steps))
        patch.setattr(ToyStep, "forward", with_bad_gradient)
        with pytest.raises(FloatingPointError, match=r"gradient norm is .* at step 7"):
            train(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(kept[0], weights(steps[0]), strict=True))


def _remembering(init: Callable[..., None], steps: list[ToyStep]) -> Callable[..., None]:
    def wrapped(step: ToyStep) -> None:
        init(step)
        steps.append(step)

    return wrapped


# Validation and selection


def scripted(values: list[float], seen: list[dict]) -> Callable[[ToyStep], dict[str, float]]:
    def validate(step: ToyStep) -> dict[str, float]:
        assert not step.training and not torch.is_grad_enabled()
        seen.append({"number": step.number, "weight": step.inner[0].weight.detach().clone()})
        return {"score": values[len(seen) - 1]}

    return validate


def test_the_best_checkpoint_is_that_of_the_best_validation(tmp_path):
    seen: list[dict] = []
    step = train(tmp_path, validate=scripted([0.3, 0.7, 0.5, 0.7, 0.1, 0.6], seen))
    assert [entry["number"] for entry in seen] == [5, 10, 15, 20, 25, 30]
    best = load_state(Checkpoints(tmp_path / "checkpoints").best)
    assert best["progress"]["best_step"] == 10  # the first of equals
    assert best["progress"]["best_value"] == 0.7
    assert torch.equal(best["model"]["inner.0.weight"], seen[1]["weight"])
    last = load_state(Checkpoints(tmp_path / "checkpoints").last)
    assert torch.equal(last["model"]["inner.0.weight"], step.inner[0].weight)
    assert last["progress"]["best_step"] == 10


def test_validation_comes_every_n_epochs_and_always_at_the_end(tmp_path):
    seen: list[dict] = []
    train(tmp_path, epochs=5, validate_every_epochs=2, validate=scripted([1, 2, 3], seen))
    assert [entry["number"] for entry in seen] == [10, 20, 25]
    logged = [row["step"] for row in rows(tmp_path) if "validation/score" in row]
    assert logged == [9, 19, 24]


def test_it_stops_when_nothing_got_better_for_so_many_validations(tmp_path):
    seen: list[dict] = []
    train(tmp_path, patience=2, validate=scripted([0.3, 0.7, 0.5, 0.6, 0.9, 1.0], seen))
    assert [entry["number"] for entry in seen] == [5, 10, 15, 20]
    last = load_state(Checkpoints(tmp_path / "checkpoints").last)
    assert last["progress"]["best_step"] == 10
    train(tmp_path, patience=2, resume=True)  # it is over: nothing more is trained
    assert load_state(Checkpoints(tmp_path / "checkpoints").last)["progress"]["step"] == 20


def test_the_rate_falls_on_a_plateau_also_across_a_resume(tmp_path):
    plateau = optim.PlateauSchedule(base_rate=0.01, factor=0.1, patience=0)
    values = [0.5, 0.4, 0.6, 0.5, 0.5, 0.7]

    def stop_once(number: int) -> float:
        if number == 12 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            os.kill(os.getpid(), signal.SIGTERM)
        return 1.0

    seen: list[dict] = []
    validate = scripted(values, seen)
    with pytest.raises(Stopped):
        train(tmp_path, schedule=plateau, at_step=stop_once, validate=validate)
    train(tmp_path, schedule=plateau, resume=True, validate=validate)
    rates = [row["optim/rate"] for row in rows(tmp_path) if "optim/rate" in row]
    expected = [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-5]
    assert rates == pytest.approx([rate for rate in expected for _ in range(STEPS)])


# Each step


def test_every_step_logs_its_rate_loss_and_norm_and_tells_its_progress(straight, tmp_path):
    step = train(tmp_path)
    steps = [row for row in rows(tmp_path) if "loss/total" in row]
    assert [row["step"] for row in steps] == list(range(EPOCHS * STEPS))
    schedule = optim.WarmupSchedule(
        base_rate=0.05, warmup_steps=4, total_steps=EPOCHS * STEPS, decay="cosine"
    )
    assert [row["optim/rate"] for row in steps] == [schedule.rate(n) for n in range(30)]
    assert all(row["loss/total"] == row["loss/toy"] for row in steps)
    assert step.progress == [(n + 1) / 30 for n in range(30)]
    assert rows(tmp_path) == rows(straight)  # the same seed gives the same run


def test_gradients_are_clipped_and_the_norm_before_is_logged(tmp_path):
    after: list[float] = []
    update = ToyStep.after_update

    def watch(step: ToyStep, progress: float) -> None:
        gradients = [p.grad for p in step.parameters() if p.grad is not None]
        after.append(float(torch.cat([g.flatten() for g in gradients]).norm()))
        update(step, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ToyStep, "after_update", watch)
        train(tmp_path, epochs=1, clip_norm=0.01)
    assert after == pytest.approx([0.01] * STEPS, rel=1e-3)
    assert all(row["optim/gradient_norm"] > 0.01 for row in rows(tmp_path)[:STEPS])
