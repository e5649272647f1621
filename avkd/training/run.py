"""One run of any stage: its plan, its folder, its log, the loop, and the best state at the end."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from avkd import runtime
from avkd.config.training_config import LoopConfig, OptimConfig
from avkd.runtime import Runtime
from avkd.training import distributed, resume, run_folder
from avkd.training.loop import Plan, Progress, TrainingStep, fit
from avkd.training.optim import WarmupSchedule, scaled_rate
from avkd.training.run_log import NoLog, RunLog
from avkd.training.transfers import Batch

logger = logging.getLogger(__name__)


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
        accumulate=loop.accumulate,
    )


def train(
    step: TrainingStep,
    plan: Plan,
    *,
    folder: Path,
    config: Any,
    continued: bool,
    machine: Runtime,
    made_of: Mapping[str, str],
    batches: Callable[[int, int], Iterable[Batch]],
    validate: Callable[[RunLog, int], Mapping[str, float]],
    charts: Mapping[str, Sequence[str]] | None = None,
) -> Progress:
    """Train in a run folder; ``step`` ends in eval mode with the weights of the best validation.

    The folder is new or, if the run is ``continued`` from its last checkpoint (from its beginning,
    where it has none), holds the very same run by its ``config``. ``made_of`` are fingerprints of
    what it may not be resumed without, by name; precision and code are added. ``charts`` are
    validation values that TensorBoard draws together, by title. Batches and validation as in
    `loop.fit`.

    Raises:
        FileExistsError: the folder holds a run and ``continued`` is false.
        ValueError: the run there is another one or came of something else, or another process
            trains there.
    """
    runtime.keep_freed_memory()
    made_of = {**made_of, "precision": machine.precision, "code": run_folder.code_fingerprint()}
    checkpoints = resume.Checkpoints(folder / "checkpoints", made_of)
    with ExitStack() as stack:
        if distributed.is_first():
            stack.enter_context(run_folder.held(folder))
            run_folder.check(folder, config, resume=continued)
        resumed = None
        if continued:
            resumed = distributed.told_by_first(
                lambda: checkpoints.load_latest() if checkpoints.exist else None
            )
        if continued and resumed is None:
            logger.info("%s: the run ended before its first checkpoint; it begins again", folder)
        if resumed is not None and not config.resume_changed:
            checkpoints.require_same(resumed)
        if distributed.is_first():
            run_folder.write_config(folder, config, resume=continued)
            processes = {"processes": distributed.num_processes()}
            run_folder.write_environment(folder, {**machine.describe(), **processes})
        log = stack.enter_context(
            RunLog(
                folder,
                first_step=resumed["progress"]["step"] if resumed else 0,
                total_steps=plan.total_steps,
                label=folder.name,
                charts=charts,
            )
            if distributed.is_first()
            else NoLog()
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
    best = distributed.told_by_first(lambda: resume.load_state(checkpoints.best)["model"])
    step.load_state_dict(best)
    step.eval()
    return progress
