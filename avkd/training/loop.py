"""The one training loop: knows a step, a stream of batches and a validation, but no task.

Order in a step: set the rate, forward, backward, clip, check, update, then the step's own
`after_update` (moving averages). SIGINT, SIGTERM and SIGUSR1 (as queues of clusters send it before
they kill) finish the step, save, and stop; a validation they break off, to be done when resumed.
"""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from types import FrameType
from typing import Any, Literal, NamedTuple

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


class TrainingStep(nn.Module):
    """A module that turns a batch, which is on the device, into a loss (`StepOutput`)."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """What is optimised, and how."""
        raise NotImplementedError

    def after_update(self, progress: float) -> None:
        """Called after each update; ``progress`` runs from 0 to 1 over the run."""


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
    """Train ``step``, which is on the device, and leave ``last`` and ``best`` checkpoints.

    ``batches`` maps (epoch, first step) to the rest of that epoch's batches, ``accumulate`` a step;
    ``validate`` (log, number of steps done) to values, called in eval mode without gradients. A run
    goes on from the state ``resumed`` of `resume.load_state`.

    Raises:
        FloatingPointError: loss or gradient norm is not finite; names step and clips.
        Stopped: a signal came; the state is saved.
    """
    seed = torch.initial_seed()
    training = Training(step, plan, runtime, log, checkpoints, resumed)
    progress, readings = training.progress, training.readings
    with _StopRequests() as stops:
        while not progress.is_over(plan):
            epoch = progress.finished_epochs
            step.train()
            done = progress.step - epoch * plan.steps_per_epoch
            rest = transfers.ahead(batches(epoch, done), runtime.device)
            while parts := _awaited(rest, plan.accumulate, log):
                distributed.seed_step(seed, progress.step)
                training.update(parts)
                if stop := distributed.agreed(stops.received):
                    readings.read()
                    raise training.stopped(stop)
            readings.read()
            assert progress.step == (epoch + 1) * plan.steps_per_epoch
            before = resume.rng_state()
            try:
                # Several processes have to agree, which they do after the next step.
                with nullcontext() if distributed.num_processes() > 1 else stops.at_once():
                    values = training.validated(validate)
            except _StopNow:
                resume.restore_rng(before)
                raise training.stopped(stops.received) from None
            training.finish_epoch(values)
    if num_replaced := sum(distributed.joined([readings.num_replaced])):
        log.say(
            f"{num_replaced} clips could not be read; the next of their class stood in for them "
            "(data/replaced in log.jsonl); `avkd verify` names the damaged tracks"
        )
    return progress


def _awaited(batches: Iterator[Any], number: int, log: RunLog) -> list[Any]:
    begin = time.monotonic()
    parts = list(islice(batches, number))
    log.waited(time.monotonic() - begin)
    return parts


class Training:
    """What changes while a step is trained, and what changes it."""

    def __init__(
        self,
        step: TrainingStep,
        plan: Plan,
        runtime: Runtime,
        log: RunLog,
        checkpoints: resume.Checkpoints,
        resumed: dict[str, Any] | None,
    ) -> None:
        self.step, self.plan, self.runtime = step, plan, runtime
        self.log, self.checkpoints = log, checkpoints
        self.progress = Progress()
        self.readings = Readings(log, runtime.device)
        self.optimizer = optim.make_optimizer(
            step.parameter_groups(),
            rate=plan.schedule.base_rate,
            weight_decay=plan.weight_decay,
            algorithm=plan.algorithm,
        )
        if resumed is not None:
            self._restore(resumed)
        self._forward = distributed.parallel(step, some_unused=plan.some_unused)

    def update(self, parts: Sequence[Batch]) -> None:
        """One step on the parts of a batch."""
        number, forward, optimizer = self.progress.step, self._forward, self.optimizer
        schedule, validations = self.plan.schedule, self.progress.validations
        rate = optim.set_rate(optimizer, schedule, number, validations)
        optimizer.zero_grad(set_to_none=True)
        terms: list[dict[str, Tensor]] = []
        for part, batch in enumerate(parts):
            is_last = part == len(parts) - 1
            with nullcontext() if is_last else distributed.without_exchange(forward):
                with self.runtime.autocast():
                    output = forward(batch)
                given = {"loss/total": output.loss, **output.terms}
                terms.append({name: value.detach() for name, value in given.items()})
                (output.loss / len(parts)).backward()
        norm = nn.utils.clip_grad_norm_(
            [p for group in optimizer.param_groups for p in group["params"]], self.plan.clip_norm
        )
        self.readings.add(number, terms, rate=rate, norm=norm, batches=parts)
        optimizer.step()
        self.step.after_update((number + 1) / self.plan.total_steps)
        self.progress.step += 1

    def validated(
        self, validate: Callable[[RunLog, int], Mapping[str, float]]
    ) -> Mapping[str, float] | None:
        """The values of the validation at the end of this epoch; None where none is due."""
        plan, progress = self.plan, self.progress
        epoch = progress.finished_epochs + 1
        if epoch % plan.validate_every_epochs and epoch != plan.epochs:
            return None
        self.step.eval()
        with torch.no_grad():
            values = validate(self.log, progress.step)
        value = values[plan.select]
        if not math.isfinite(value):
            raise FloatingPointError(
                f"validation {plan.select} is {value} after step {progress.step}; lower "
                "optim.lr or raise optim.warmup_epochs"
            )
        return values

    def finish_epoch(self, values: Mapping[str, float] | None) -> None:
        """Note what was validated, then save: best before last, so that last never points past."""
        plan, progress, log = self.plan, self.progress, self.log
        progress.finished_epochs += 1
        if values is not None:
            value = values[plan.select]
            log.scalars(progress.step - 1, {f"validation/{name}": v for name, v in values.items()})
            shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
            log.say(f"epoch {progress.finished_epochs}/{plan.epochs}  {shown}")
            progress.validations.append(value)
            if value > progress.best_value:
                progress.best_value, progress.best_step = value, progress.step
                self.save(self.checkpoints.save_best)
        self.save(self.checkpoints.save_last)

    def save(self, keep: Callable[[dict[str, Any]], None]) -> None:
        """Hand the whole state to ``keep``, in the first process: all hold the same."""
        if distributed.is_first():
            keep(
                {
                    "model": self.step.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "progress": vars(self.progress),
                    "rng": resume.rng_state(),
                }
            )

    def stopped(self, stop: int) -> Stopped:
        """What to raise for a stop signal: the state is saved."""
        self.save(self.checkpoints.save_last)
        return Stopped(
            f"stopped after step {self.progress.step}; --resume continues from there",
            ExitCode(128 + stop),
        )

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.step.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            vars(self.progress).update(state["progress"])
            resume.restore_rng(state["rng"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise resume.CheckpointError(
                f"the checkpoint is of another network or version of avkd ({error}); start a new "
                "--run"
            ) from error


class _StopNow(Exception):
    """A stop signal came where it is acted on at once."""


class _StopRequests:
    """Remembers which stop signal came; a second one, of any kind, ends the process."""

    def __init__(self) -> None:
        self.received = 0
        """Number of the signal; 0 = none."""
        self._at_once = False
        wanted = ("SIGINT", "SIGTERM", "SIGUSR1")  # the last is unknown to Windows
        self._numbers = [getattr(signal, name) for name in wanted if hasattr(signal, name)]

    def __enter__(self) -> "_StopRequests":
        self._before = {n: signal.signal(n, self._remember) for n in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, a signal raises `_StopNow`."""
        self._at_once = True
        try:
            if self.received:
                raise _StopNow
            yield
        finally:
            self._at_once = False

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for each in self._numbers:
            signal.signal(each, signal.SIG_DFL)
        if self._at_once:
            raise _StopNow
