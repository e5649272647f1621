"""What all stages share around their step: machine, loader, loop, validation, model file.

A stage makes a step, the data and a plan; `train_stage` trains, `train_detector` also selects on
the validation split and exports.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from avkd import runtime
from avkd.config.image_config import DistillConfig
from avkd.config.training_config import FinetuneConfig, PretrainConfig
from avkd.data import transforms, view_strip
from avkd.data.build import StageData
from avkd.data.datasets import TrainingClips, training_loader
from avkd.data.sampling import EpochBatches
from avkd.evaluation import loader_audit
from avkd.evaluation.validation import Validation, export_detector
from avkd.metrics import ranking
from avkd.models.weights import round_to_half
from avkd.outcome import Outcome
from avkd.reporting.figures.results import roc_image
from avkd.runtime import Runtime
from avkd.training import distributed, run_folder
from avkd.training.loop import Plan, Progress, TrainingStep
from avkd.training.run import train
from avkd.training.run_log import RunLog

Config = PretrainConfig | FinetuneConfig | DistillConfig

_CLIPS_IN_PICTURE = 4
_PARENTS = ("pretrained", "teacher", "frame_teacher")  # whose digests stand in the provenance


def start_machine(config: Config) -> Runtime:
    """Choose device and precision, and seed the weights; a resumed run keeps its precision."""
    loop = config.loop
    device = distributed.start(loop.device)
    precision = loop.precision
    if config.resume and precision == "auto":
        precision = run_folder.precision_of(config.run) or precision
    machine = runtime.start(device=device, precision=precision, threads=loop.threads)
    machine = replace(machine, precision=distributed.told_by_first(lambda: machine.precision))
    runtime.seed_everything(loop.seed)
    return machine


def train_stage(
    config: Config,
    step: TrainingStep,
    plan: Plan,
    data: StageData,
    batches: EpochBatches,
    machine: Runtime,
    *,
    validate: Callable[[RunLog, int], Mapping[str, float]],
    parents: Mapping[str, str] | None = None,
    audited: bool = False,
    charts: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Progress, float | None]:
    """Train ``step`` in the run folder; it ends in eval mode with its best weights.

    ``parents`` are digests of the model files it starts from or is taught by, by their setting.
    ``audited`` asks first whether the loader's clips tell their label by the corners, and gives
    that AUC; ``validate`` and ``charts`` as in `training.run.train`.

    Raises:
        FileExistsError: the run folder holds a run and ``config.resume`` is not set.
    """
    runtime.compile_networks(step.children(), config.loop.compile, machine.device)
    pinned = machine.device.type == "cuda"
    loader = partial(training_loader, data.training, workers=config.loop.workers, pin_memory=pinned)
    audit = None
    if audited:
        audit = distributed.told_by_first(lambda: loader_audit.audit(loader(batches)))
    progress = train(
        step,
        plan,
        folder=config.run,
        config=config,
        continued=config.resume,
        machine=machine,
        made_of={**data.fingerprints, **(parents or {})},
        batches=loader(distributed.SharedBatches(batches, plan.accumulate)),
        validate=validate,
        charts=charts,
    )
    return progress, audit


def train_detector(
    config: FinetuneConfig | DistillConfig,
    step: TrainingStep,
    detector: nn.Module,
    plan: Plan,
    data: StageData,
    batches: EpochBatches,
    machine: Runtime,
    *,
    kind: str,
    arguments: Mapping[str, Any],
    provenance: Mapping[str, Any],
    fake_fraction: float,
    selection: Callable[[Mapping[str, float]], float],
    importance: Callable[[Tensor], Tensor | None] | None = None,
    validation_frames: int | None = None,
    batch_size: int = 8,
    half_precision: bool = False,
) -> Outcome:
    """Train, select on the validation split, and leave ``model.safetensors`` and its scores.

    ``plan`` keeps the maximum of ``selection`` of the validation values; ``importance`` gives that
    of the frames of input clips, for the picture of the views; ``validation_frames`` are those of
    each video in the validations while training, None = all that the exported detector looks at.

    Raises:
        FileExistsError: the run folder holds a run and ``config.resume`` is not set.
    """
    seen = data.training.model_input

    def validation(frames: int | None, show_progress: bool = False) -> Validation:
        found = Validation.of(
            detector,
            distributed.chunk_of(data.validation),
            seen if frames is None else replace(seen, windows_per_file=frames),
            machine,
            batch_size=batch_size,
            show_progress=show_progress and distributed.is_first(),
        )
        corpora = dict.fromkeys(distributed.joined(found.corpora))
        return Validation(tuple(distributed.joined(found.rows)), tuple(corpora))

    def validate(log: RunLog, steps: int) -> Mapping[str, float]:
        found = validation(validation_frames)
        roc = ranking.roc_curve(*found.labels_and_logits)
        log.image(steps - 1, "views/student", picture(data.training, machine, importance))
        log.image(steps - 1, "validation/roc", roc_image(*roc))
        values = found.values()
        return {**values, "selection": selection(values)}

    progress, audit = train_stage(
        config,
        step,
        plan,
        data,
        batches,
        machine,
        validate=validate,
        parents={f"{name} file": provenance[name] for name in _PARENTS if provenance.get(name)},
        audited=config.fakes != "stored",
    )
    if half_precision:
        round_to_half(detector)
    found = validation(None, show_progress=True)
    if not distributed.is_first():
        return Outcome("")
    return export_detector(
        config,
        found,
        detector,
        kind=kind,
        arguments=arguments,
        model_input=seen,
        provenance={
            **data.provenance,
            **provenance,
            "fakes": config.fakes,
            "corners_auc": None if audit is None else round(audit, 4),
            "fake_fraction": fake_fraction,
            "seed": config.loop.seed,
            "best_step": progress.best_step,
        },
        half_precision=half_precision,
    )


def picture(
    clips: TrainingClips,
    machine: Runtime,
    importance: Callable[[Tensor], Tensor | None] | None = None,
) -> np.ndarray:
    """What the student sees of a few training clips of epoch 0, as (H, W, 3) uint8."""
    batch = clips.first_clips(_CLIPS_IN_PICTURE).to(machine.device)
    seen = clips.model_input.see(batch, batch.student)[0]
    masks = transforms.run_mask(batch.student.time_mask, seen.shape[2])
    return view_strip.draw_strip(seen, masks, None if importance is None else importance(seen))
