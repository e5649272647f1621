"""The one training loop: knows a step, a stream of batches and a validation, but no task.

Order in a step: set the rate, forward, backward, clip, check, update, then the step's own
`after_update` (moving averages). SIGINT, SIGTERM and SIGUSR1 (as queues of clusters send it before
they kill) finish the step, save, and stop.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from types import FrameType
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from avkd.outcome import ExitCode, Stopped
from avkd.runtime import Runtime
from avkd.training import distributed, optim, resume, transfers
from avkd.training.optim import ParameterGroup, Schedule
from avkd.training.run_log import RunLog
from avkd.training.transfers import Batch, Readings


class StepOutput(NamedTuple):
    """What a forward pass hands to the loop."""

    loss: Tensor
    """Scalar to minimise."""
    terms: Mapping[str, Tensor]
    """Its named parts and anything else to log, as scalars."""


class TrainingStep(Protocol):
    """A module that turns a batch into a loss."""

    def __call__(self, batch: Any) -> StepOutput:
        """Forward pass on a batch that is on the device."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """What is optimised, and how."""

    def after_update(self, progress: float) -> None:
        """Called after each update; ``progress`` runs from 0 to 1 over the run."""

    def train(self, mode: bool = True) -> Any:
        """As `nn.Module.train`."""

    def eval(self) -> Any:
        """As `nn.Module.eval`."""

    def state_dict(self) -> dict[str, Any]:
        """As `nn.Module.state_dict`."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """As `nn.Module.load_state_dict`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train and what to keep."""

    epochs: int
    steps_per_epoch: int
    schedule: Schedule
    weight_decay: float
    clip_norm: float
    validate_every_epochs: int
    select: str
    """Validation value whose maximum is kept as best."""
    algorithm: Literal["adamp", "adam"] = "adamp"
    """Optimiser."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    some_unused: bool = False
    """Whether there are batches in which some parameters have no gradient."""
    patience: int | None = None
    """Stop after so many validations without a new best; None = never."""

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch


@dataclass
class Progress:
    """Where a run stands: the next step, and the best validation so far."""

    step: int = 0
    finished_epochs: int = 0
    """Epochs that are trained and validated; a run stopped after the last step of an epoch still
    owes its validation."""
    best_value: float = float("-inf")
    best_step: int = -1
    validations: list[float] = field(default_factory=list)
    """Value of `Plan.select` at every validation so far."""

    def is_over(self, plan: Plan) -> bool:
        """Whether all epochs are done, or nothing got better for too long."""
        if self.finished_epochs >= plan.epochs:
            return True
        if plan.patience is None or not self.validations:
            return False
        since_best = len(self.validations) - 1 - self.validations.index(max(self.validations))
        return since_best >= plan.patience


def fit(
    step: TrainingStep,
    plan: Plan,
    *,
    batches: Callable[[int, int], Iterable[Batch]],
    validate: Callable[[RunLog, int], Mapping[str, float]],
    runtime: Runtime,
    log: RunLog,
    checkpoints: resume.Checkpoints,
    resumed: dict[str, Any] | None,
) -> Progress:
    """Train ``step`` and leave ``last`` and ``best`` checkpoints.

    Args:
        step: A module, on the device.
        plan: Length, schedule, selection.
        batches: (epoch, first step) -> the rest of that epoch's batches, ``accumulate`` a step.
        validate: (log, number of steps done) -> values; called in eval mode, without gradients.
        runtime: Device and precision.
        log: Where to tell it.
        checkpoints: Where to save.
        resumed: State of `resume.load_state`, or None for a new run.

    Raises:
        FloatingPointError: loss or gradient norm is not finite; names step and clips.
        Stopped: a signal came; the state is saved.
    """
    optimizer = optim.make_optimizer(
        step.parameter_groups(),
        rate=plan.schedule.base_rate,
        weight_decay=plan.weight_decay,
        algorithm=plan.algorithm,
    )
    progress, seed = Progress(), torch.initial_seed()
    if resumed is not None:
        _restore(resumed, step, optimizer, progress)
    forward = distributed.parallel(step, some_unused=plan.some_unused)
    readings = Readings(log, runtime.device)
    with _stop_requests() as stop_signal:
        while not progress.is_over(plan):
            epoch = progress.finished_epochs
            step.train()
            done = progress.step - epoch * plan.steps_per_epoch
            rest = transfers.ahead(batches(epoch, done), runtime.device)
            while parts := list(islice(rest, plan.accumulate)):
                distributed.seed_step(seed, progress.step)
                _update(step, forward, plan, optimizer, parts, runtime, readings, progress)
                progress.step += 1
                if stop := distributed.agreed(stop_signal()):
                    readings.read()
                    _save(checkpoints.save_last, step, optimizer, progress)
                    raise Stopped(
                        f"stopped after step {progress.step}; --resume continues from there",
                        ExitCode(128 + stop),
                    )
            readings.read()
            assert progress.step == (epoch + 1) * plan.steps_per_epoch
            _finish_epoch(step, plan, optimizer, validate, log, checkpoints, progress)
    if num_replaced := sum(distributed.joined([readings.num_replaced])):
        log.say(
            f"{num_replaced} clips could not be read; the next of their class stood in for them "
            "(data/replaced in log.jsonl); `avkd verify` names the damaged tracks"
        )
    return progress


def _update(
    step: TrainingStep,
    forward: Callable[[Any], StepOutput],
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    parts: Sequence[Batch],
    runtime: Runtime,
    readings: Readings,
    progress: Progress,
) -> None:
    number = progress.step
    rate = optim.set_rate(optimizer, plan.schedule, number, progress.validations)
    optimizer.zero_grad(set_to_none=True)
    terms: list[dict[str, Tensor]] = []
    for part, batch in enumerate(parts):
        is_last = part == len(parts) - 1
        with nullcontext() if is_last else distributed.without_exchange(forward):
            with runtime.autocast():
                output = forward(batch)
            given = {"loss/total": output.loss, **output.terms}
            terms.append({name: value.detach() for name, value in given.items()})
            (output.loss / len(parts)).backward()
    norm = nn.utils.clip_grad_norm_(
        [p for group in optimizer.param_groups for p in group["params"]], plan.clip_norm
    )
    readings.add(number, terms, rate=rate, norm=norm, batches=parts)
    optimizer.step()
    step.after_update((number + 1) / plan.total_steps)


def _finish_epoch(
    step: TrainingStep,
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    validate: Callable[[RunLog, int], Mapping[str, float]],
    log: RunLog,
    checkpoints: resume.Checkpoints,
    progress: Progress,
) -> None:
    """Validate where due, then save; best is written before last, so last never points past it."""
    progress.finished_epochs += 1
    epoch = progress.finished_epochs
    if epoch % plan.validate_every_epochs == 0 or epoch == plan.epochs:
        step.eval()
        with torch.no_grad():
            values = validate(log, progress.step)
        if not math.isfinite(values[plan.select]):
            raise FloatingPointError(
                f"validation {plan.select} is {values[plan.select]} after step {progress.step}; "
                "lower optim.lr or raise optim.warmup_epochs"
            )
        log.scalars(progress.step - 1, {f"validation/{name}": v for name, v in values.items()})
        shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        log.say(f"epoch {epoch}/{plan.epochs}  {shown}")
        progress.validations.append(values[plan.select])
        if values[plan.select] > progress.best_value:
            progress.best_value, progress.best_step = values[plan.select], progress.step
            _save(checkpoints.save_best, step, optimizer, progress)
    _save(checkpoints.save_last, step, optimizer, progress)


def _save(
    keep: Callable[[dict[str, Any]], None],
    step: TrainingStep,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    if distributed.is_first():  # all processes hold the same
        keep(
            {
                "model": step.state_dict(),
                "optimizer": optimizer.state_dict(),
                "progress": vars(progress),
                "rng": resume.rng_state(),
            }
        )


def _restore(
    state: dict[str, Any], step: TrainingStep, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    try:
        step.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        vars(progress).update(state["progress"])
        resume.restore_rng(state["rng"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise resume.CheckpointError(
            f"the checkpoint is of another network or version of avkd ({error}); start a new --run"
        ) from error


@contextmanager
def _stop_requests() -> Iterator[Callable[[], int]]:
    """Yield a function that tells which stop signal came, 0 for none; a second one acts at once."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)

    wanted = ("SIGINT", "SIGTERM", "SIGUSR1")  # the last is unknown to Windows
    numbers = [getattr(signal, name) for name in wanted if hasattr(signal, name)]
    before = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
