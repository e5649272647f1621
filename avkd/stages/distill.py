"""The image branch: a detector of single frames, from labels, or from labels and a teacher.

loss = alpha x soft + (1 - alpha) x hard; hard is the prior-corrected cross-entropy of stage two,
soft the softened divergence from the teacher's logit, or their squared difference. Source of the
recipe: the published distillation of EfficientNet-B7 into a ResNet8 (README); its teacher was
loaded without a check and ran at every step, ours is strict and may be asked once.
"""

from functools import partial

import torch

from avkd import durable
from avkd.config.image_config import DistillConfig
from avkd.data import build
from avkd.data.datasets import TrainingClips
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, MixedBatches, RecurringBatches
from avkd.evaluation.calibration import require_enough_files
from avkd.losses.classification import prior_corrected_cross_entropy
from avkd.losses.distillation import TEMPERATURE, soft_loss
from avkd.models.build import build_image_detector
from avkd.models.image_detector import ImageDetector
from avkd.models.image_teacher import TimmNetwork, load_pretrained
from avkd.outcome import Outcome
from avkd.stages.runner import start_machine, train_detector
from avkd.teachers.output_cache import OutputCache, TeacherOutputs
from avkd.teachers.teacher import Teacher, TeacherModel, ask_every_frame, ask_every_view
from avkd.training import distributed, optim
from avkd.training.distributed import gathered
from avkd.training.loop import Plan, StepOutput, TrainingStep
from avkd.training.optim import PlateauSchedule, WarmupSchedule

_WARMUP_SHARE = 0.05


class DistillStep(TrainingStep):
    """Classification, and agreement with a frozen teacher: None exactly if ``soft_weight`` is 0.

    ``temperature`` softens the divergence; None = squared difference of logits. ``fake_fraction``
    is the share of fakes among the training samples.
    """

    def __init__(
        self,
        student: ImageDetector,
        teacher: Teacher | None,
        *,
        soft_weight: float,
        temperature: float | None,
        fake_fraction: float,
        model_input: ModelInput,
    ) -> None:
        super().__init__()
        assert (teacher is None) == (soft_weight == 0)
        self.student = student
        # In a tuple, so that a teacher that is a module is no part of the checkpoints.
        self._teacher = (teacher,)
        self.soft_weight = soft_weight
        self.temperature = temperature
        self.fake_fraction = fake_fraction
        self.model_input = model_input

    def forward(self, batch: ClipBatch) -> StepOutput:
        """One batch; student and teacher see ``batch.student``, the very same view."""
        logit = gathered(self.student(*self.model_input.see(batch, batch.student)).logit)
        labels = gathered(batch.labels.to(logit.device, non_blocking=True))
        hard = prior_corrected_cross_entropy(logit, labels, self.fake_fraction)
        (teacher,) = self._teacher
        if teacher is None:
            return StepOutput(hard, {"loss/hard": hard})
        taught = TeacherOutputs(*map(gathered, teacher(batch)))
        soft = soft_loss(logit, taught.logit, temperature=self.temperature, weight=taught.weight)
        loss = self.soft_weight * soft + (1.0 - self.soft_weight) * hard
        agreement = ((logit > 0) == (taught.logit > 0)).float().mean()
        return StepOutput(
            loss, {"loss/hard": hard, "loss/soft": soft, "teacher/agreement": agreement}
        )

    def parameter_groups(self) -> list[optim.ParameterGroup]:
        """Whatever of the student is trained."""
        return optim.groups_of(self.student, "student")


def distill(config: DistillConfig) -> Outcome:
    """Run the stage; leaves the run folder with ``model.safetensors`` and validation scores.

    Raises:
        ModelFileError: the teacher's file is no detector, or damaged.
        ValueError: one class only, an identity in two splits, a teacher for other inputs, answers
            of another teacher, ...
        FileExistsError: the run folder holds a run and ``resume`` is not set.
    """
    machine = start_machine(config)
    student = _student(config).to(machine.device)
    data = build.distill_data(config, clip_frames=student.frames, landmarks=student.uses_landmarks)
    require_enough_files(config.calibration, [item.sample.label for item in data.validation])
    teacher_file = None if config.teacher is None else TeacherModel(config.teacher, machine)
    num_views = _num_views(config, teacher_file, data.training)
    batches, fake_fraction = _batches(config, data, num_views)
    teacher = None
    if teacher_file is not None:
        asked = partial(_teacher, config, teacher_file, data, num_views)
        teacher = distributed.after_first(asked)
    step = DistillStep(
        student,
        teacher,
        soft_weight=config.soft_weight,
        temperature=None if config.soft == "mse" else config.temperature or TEMPERATURE,
        fake_fraction=fake_fraction,
        model_input=data.training.model_input,
    )
    return train_detector(
        config,
        step,
        step.student,
        _plan(config, len(batches)),
        data,
        batches,
        machine,
        kind="image_detector",
        arguments=config.model.arguments(),
        provenance={
            "teacher": None if teacher_file is None else teacher_file.fingerprint,
            "alpha": config.soft_weight,
            "soft": None if teacher_file is None else config.soft or "kl",
            "temperature": None if teacher_file is None else step.temperature,
            "weights": config.model.weights,
        },
        fake_fraction=fake_fraction,
        selection=lambda values: -values["cross_entropy"],
        validation_frames=config.validation_frames,
        batch_size=config.loop.batch_size,
        half_precision=config.stored_precision == "half",
    )


def _batches(
    config: DistillConfig, data: build.StageData, num_views: int | None
) -> tuple[RecurringBatches | MixedBatches, float]:
    """What comes when, and the share of fakes in it."""
    labels = [item.sample.label for item in data.forgeries]
    size, seed = config.loop.batch_size, config.loop.seed
    if config.fakes == "stored":
        recurring = RecurringBatches(len(labels), batch_size=size, seed=seed, num_views=num_views)
        return recurring, sum(labels) / len(labels)
    mixed = MixedBatches(
        labels,
        data.sources,
        num_real_items=0,
        batch_size=size,
        real_ratio=1,
        balance="paired",
        seed=seed,
        fakes=config.fakes,
        stored_share=config.online.stored_share,
    )
    return mixed, mixed.fake_fraction


def _student(config: DistillConfig) -> ImageDetector:
    student = build_image_detector(**config.model.arguments())
    if config.model.weights is not None:
        load_pretrained(student.network, config.model.weights)
    student.set_trainable(config.model.trainable)
    if isinstance(student.network, TimmNetwork):
        # 1.3 to 1.6 times as fast on a CPU (EfficientNet-Lite0, one thread), the same numbers.
        student.to(memory_format=torch.channels_last)
    return student


def _plan(config: DistillConfig, steps_per_epoch: int) -> Plan:
    epochs = config.loop.num_epochs(steps_per_epoch)
    return Plan(
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        schedule=_schedule(config, epochs * steps_per_epoch),
        weight_decay=config.optim.weight_decay,
        clip_norm=config.optim.clip_norm,
        validate_every_epochs=config.loop.epochs_between_validations(steps_per_epoch),
        select="selection",
        algorithm=config.optim.algorithm,
        accumulate=config.loop.accumulate,
        patience=config.optim.stop_after,
    )


def _schedule(config: DistillConfig, num_steps: int) -> optim.Schedule:
    if config.optim.decay == "plateau":
        return PlateauSchedule(
            base_rate=config.optim.lr, factor=config.optim.factor, patience=config.optim.patience
        )
    return WarmupSchedule(
        base_rate=config.optim.lr,
        warmup_steps=round(_WARMUP_SHARE * num_steps),
        total_steps=num_steps,
        decay="cosine",
    )


def _num_views(
    config: DistillConfig, teacher: TeacherModel | None, clips: TrainingClips
) -> int | None:
    """How many views of every item there are; None = a new one in every epoch."""
    if teacher is None:
        return None
    if config.fakes != "stored":
        if teacher.is_video:
            raise ValueError(
                f"{config.teacher}: a video teacher is asked once, about stored frames; it cannot "
                "teach fakes that are made while training: give --fakes stored, or an image teacher"
            )
        return None
    frames = clips.model_input.clip_frames
    is_fixed = config.views.is_fixed and not config.degradation
    one_view = is_fixed and all(item.num_frames == frames for item in clips.items)
    if config.cached_views is None:
        return 1 if one_view and not teacher.is_video else None
    if teacher.is_video:
        raise ValueError("cached_views has no effect: a video teacher is asked once; remove it")
    if one_view and config.cached_views > 1:
        raise ValueError(
            f"cached_views {config.cached_views} has no effect: without views and with one frame a "
            "sample every epoch shows the same; remove it"
        )
    return config.cached_views


def _teacher(
    config: DistillConfig, teacher: TeacherModel, data: build.StageData, num_views: int | None
) -> Teacher:
    """The teacher itself, or the answers it gave or now gives."""
    assert config.teacher is not None
    clips = data.training
    teacher.require_same_faces(clips.model_input, config.teacher)
    if num_views is None and not teacher.is_video:
        return teacher
    num_frames = sum(item.num_frames for item in clips.items)
    cache = OutputCache(
        config.teacher_outputs or config.run / "teacher_outputs",
        {
            "teacher": teacher.fingerprint,
            "items": durable.fingerprint([item.sample.sample_id for item in clips.items]),
            "data": data.provenance["data"],
            "asked": "every frame" if teacher.is_video else "views",
            "views": None if teacher.is_video else vars(config.views),
            "degradation": None if teacher.is_video else config.degradation,
            "clip_frames": clips.model_input.clip_frames,
            "seed": None if teacher.is_video else config.loop.seed,
        },
        num_parts=1 if num_views is None or teacher.is_video else num_views,
        num_outputs=num_frames if teacher.is_video else len(clips),
    )
    if teacher.is_video:
        return ask_every_frame(teacher, clips.items, cache, clips.model_input.clip_frames)
    return ask_every_view(teacher, clips, cache, config.loop.batch_size)
