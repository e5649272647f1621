"""The one training loop: knows a step, a stream of batches and a validation, but no task.

Order in a step: set the rate, forward, check, backward, check, clip, update, then the step's own
`after_update` (moving averages). SIGINT, SIGTERM and SIGUSR1 (as queues of clusters send it before
they kill) finish the step, save, and stop.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from avkd.outcome import ExitCode, Stopped
from avkd.runtime import Runtime
from avkd.training import optim, resume
from avkd.training.optim import ParameterGroup, Schedule
from avkd.training.run_log import RunLog


class StepOutput(NamedTuple):
    """What a forward pass hands to the loop."""

    loss: Tensor
    """Scalar to minimise."""
    terms: Mapping[str, Tensor]
    """Its named parts and anything else to log, as scalars."""


class Batch(Protocol):
    """All the loop needs of a batch."""

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """What is in it, for error messages."""

    def to(self, device: torch.device) -> Any:
        """The same batch on ``device``."""


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
        batches: (epoch, first batch) -> the rest of that epoch's batches.
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
    progress = Progress()
    if resumed is not None:
        _restore(resumed, step, optimizer, progress)
    with _stop_requests() as stop_signal:
        while not progress.is_over(plan):
            epoch = progress.finished_epochs
            step.train()
            for batch in batches(epoch, progress.step - epoch * plan.steps_per_epoch):
                _update(step, plan, optimizer, batch, runtime, log, progress)
                progress.step += 1
                if stop_signal():
                    checkpoints.save_last(_state(step, optimizer, progress))
                    raise Stopped(
                        f"stopped after step {progress.step}; --resume continues from there",
                        ExitCode(128 + stop_signal()),
                    )
            assert progress.step == (epoch + 1) * plan.steps_per_epoch
            _finish_epoch(step, plan, optimizer, validate, log, checkpoints, progress)
    return progress


def _update(
    step: TrainingStep,
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    runtime: Runtime,
    log: RunLog,
    progress: Progress,
) -> None:
    number = progress.step
    rate = optim.set_rate(optimizer, plan.schedule, number, progress.validations)
    with runtime.autocast():
        output: StepOutput = step(batch.to(runtime.device))
    loss = output.loss.item()
    _require_finite("loss", loss, number, batch)
    optimizer.zero_grad(set_to_none=True)
    output.loss.backward()
    norm = nn.utils.clip_grad_norm_(
        [p for group in optimizer.param_groups for p in group["params"]], plan.clip_norm
    ).item()
    _require_finite("gradient norm", norm, number, batch)
    optimizer.step()
    step.after_update((number + 1) / plan.total_steps)
    terms = {name: value.item() for name, value in output.terms.items()}
    log.scalars(
        number, {"loss/total": loss, **terms, "optim/rate": rate, "optim/gradient_norm": norm}
    )
    log.advance(loss)


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
            resume.save_state(checkpoints.best, _state(step, optimizer, progress))
    checkpoints.save_last(_state(step, optimizer, progress))


def _state(
    step: TrainingStep, optimizer: torch.optim.Optimizer, progress: Progress
) -> dict[str, Any]:
    return {
        "model": step.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
        "rng": resume.rng_state(),
    }


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


def _require_finite(what: str, value: float, number: int, batch: Batch) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"{what} is {value} at step {number}; clips: {', '.join(batch.sample_ids)}. "
            "Nothing was saved after the last checkpoint; lower optim.lr or lengthen the warm-up"
        )


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
