"""One run of any stage: its plan, its folder, its log, the loop, and the best state at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from avkd import runtime
from avkd.config.training_config import LoopConfig, OptimConfig
from avkd.runtime import Runtime
from avkd.training import resume, run_folder
from avkd.training.loop import Batch, Plan, Progress, TrainingStep, fit
from avkd.training.optim import WarmupSchedule, scaled_rate
from avkd.training.run_log import RunLog


def plan_of(optim: OptimConfig, loop: LoopConfig, steps_per_epoch: int, *, select: str) -> Plan:
    """What the optimiser and loop settings mean for a stream of so many batches an epoch.

    Raises:
        ValueError: the warm-up would take the whole run.
    """
    num_epochs = loop.num_epochs(steps_per_epoch)
    num_steps = num_epochs * steps_per_epoch
    warmup_steps = optim.warmup_steps(num_steps, steps_per_epoch)
    if warmup_steps >= num_steps and optim.warmup_epochs:
        raise ValueError(
            f"optim.warmup_epochs {optim.warmup_epochs} leaves nothing of the {num_epochs} epochs: "
            "the run would end before it reaches its learning rate; lower it"
        )
    return Plan(
        epochs=num_epochs,
        steps_per_epoch=steps_per_epoch,
        schedule=WarmupSchedule(
            base_rate=scaled_rate(optim.base_rate(num_steps), loop.batch_size),
            warmup_steps=warmup_steps,
            total_steps=num_steps,
            decay=optim.decay,
        ),
        weight_decay=optim.weight_decay,
        clip_norm=optim.clip_norm,
        validate_every_epochs=loop.epochs_between_validations(steps_per_epoch),
        select=select,
    )


def train(
    step: TrainingStep,
    plan: Plan,
    *,
    folder: Path,
    config: Any,
    continued: bool,
    machine: Runtime,
    batches: Callable[[int, int], Iterable[Batch]],
    validate: Callable[[RunLog, int], Mapping[str, float]],
    charts: Mapping[str, Sequence[str]] | None = None,
) -> Progress:
    """Train in a run folder; ``step`` ends in eval mode with the weights of the best validation.

    Args:
        step: On the device.
        plan: Length, schedule, selection.
        folder: Run folder, new or (if ``continued``) holding the very same run.
        config: What the run is, to be written or compared.
        continued: Go on from the last checkpoint.
        machine: Device and precision.
        batches: As in `loop.fit`.
        validate: As in `loop.fit`.
        charts: Validation values that TensorBoard draws together, by the chart's title.

    Raises:
        FileExistsError: the folder holds a run and ``continued`` is false.
        ValueError: the run there is another one, or another process trains there.
    """
    runtime.keep_freed_memory()
    checkpoints = resume.Checkpoints(folder / "checkpoints")
    with ExitStack() as stack:
        stack.enter_context(run_folder.held(folder))
        run_folder.start(folder, config, resume=continued)
        run_folder.write_environment(folder, machine.describe())
        resumed = checkpoints.load_latest() if continued else None
        log = stack.enter_context(
            RunLog(
                folder,
                first_step=resumed["progress"]["step"] if resumed else 0,
                total_steps=plan.total_steps,
                label=folder.name,
                charts=charts,
            )
        )
        progress = fit(
            step,
            plan,
            batches=batches,
            validate=validate,
            runtime=machine,
            log=log,
            checkpoints=checkpoints,
            resumed=resumed,
        )
    step.load_state_dict(resume.load_state(checkpoints.best)["model"])
    step.eval()
    return progress
