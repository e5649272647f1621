"""Stage two: real/fake classification, together with stage one's task on the real clips.

loss = (1 - alpha) x prior-corrected cross-entropy + alpha x agreement with an image detector
     + ssl_weight x (minus cosine to the frozen stage-one teacher); alpha is 0 unless asked for.
Source: RealForensics (Haliassos et al. 2022), section 4; the prior comes from the actual sampler,
the teacher is loaded strictly, and the model is selected on validation data only.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avkd.config.training_config import FinetuneConfig, VideoModelConfig
from avkd.data import build
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, MixedBatches
from avkd.evaluation.calibration import require_enough_files
from avkd.losses.agreement import negative_cosine
from avkd.losses.classification import prior_corrected_cross_entropy
from avkd.losses.distillation import TEMPERATURE, soft_loss
from avkd.models.build import build_detector
from avkd.models.cross_modal_network import VideoTeacher
from avkd.models.detector import Detector
from avkd.models.model_file import ModelHeader, load_model, read_header
from avkd.models.weights import load_fitting, load_strict
from avkd.outcome import Outcome
from avkd.runtime import Runtime
from avkd.stages.runner import start_machine, train_detector
from avkd.teachers.teacher import SpreadFrames, Teacher, TeacherModel
from avkd.training import optim
from avkd.training.distributed import gathered, joined
from avkd.training.loop import StepOutput, TrainingStep
from avkd.training.run import plan_of

logger = logging.getLogger(__name__)

# Equal AUCs (small validation sets) are told apart by the cross-entropy, which this keeps below
# one step of AUC: FF++'s 140 real and 560 fake validation files step by 1.3e-5.
_TIE_BREAK = 1e-6


class FinetuneStep(TrainingStep):
    """Classification of all clips, agreement with the teacher on the real ones.

    The ``teacher`` is stage one's, frozen, and None exactly if ``ssl_weight`` is 0;
    ``teacher_input`` is what it looks at, of the same clips (e.g. the mouth where the detector sees
    the face). The ``frame_teacher`` is None exactly if ``soft_weight`` is 0; ``temperature``
    softens the divergence from it, None = squared difference of logits. ``fake_fraction``: in a
    batch, from the sampler.
    """

    def __init__(
        self,
        detector: Detector,
        teacher: VideoTeacher | None,
        *,
        ssl_weight: float,
        fake_fraction: float,
        model_input: ModelInput,
        teacher_input: ModelInput | None,
        frame_teacher: Teacher | None = None,
        soft_weight: float = 0.0,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        assert (teacher is None) == (ssl_weight == 0) == (teacher_input is None)
        assert (frame_teacher is None) == (soft_weight == 0)
        self.detector = detector
        self.teacher = teacher
        self.ssl_weight = ssl_weight
        self.fake_fraction = fake_fraction
        self.model_input = model_input
        self.teacher_input = teacher_input
        # In a tuple, so that it is no part of the checkpoints.
        self._frame_teacher = (frame_teacher,)
        self.soft_weight = soft_weight
        self.temperature = temperature

    def forward(self, batch: ClipBatch) -> StepOutput:
        """One batch of forgery clips and further real clips."""
        output = self.detector(*self.model_input.see(batch, batch.student))
        logit = gathered(output.logit)
        labels = torch.tensor(joined(batch.labels.tolist()))  # on the CPU: asking waits for nothing
        known = labels.to(logit.device, non_blocking=True)
        classification = prior_corrected_cross_entropy(logit, known, self.fake_fraction)
        terms = {"loss/classification": classification, **_logit_means(logit, labels)}
        loss = classification
        (frame_teacher,) = self._frame_teacher
        if frame_teacher is not None:
            taught = gathered(frame_teacher(batch).logit)
            soft = soft_loss(logit, taught, temperature=self.temperature)
            terms["loss/soft"] = soft
            loss = self.soft_weight * soft + (1.0 - self.soft_weight) * classification
        if self.teacher is None or self.teacher_input is None or not (labels == 0).any():
            return StepOutput(loss, terms)
        real = _places(batch.labels == 0, logit.device)
        prediction = self.detector.auxiliary_prediction(output.features[real])
        target = torch.zeros_like(prediction)
        if len(real):  # in this process
            where = batch.teacher.where(batch.labels == 0)
            with torch.no_grad():
                (clean,) = self.teacher_input.view(batch.frames[real], None, where)
                target = self.teacher(clean)
        agreement = negative_cosine(gathered(prediction), gathered(target))
        terms["loss/agreement"] = agreement
        return StepOutput(loss + self.ssl_weight * agreement, terms)

    def parameter_groups(self) -> list[optim.ParameterGroup]:
        """The whole detector; its cosine weight has no length worth decaying."""
        return optim.groups_of(self.detector, "detector", undecayed=("classifier.",))


def finetune(config: FinetuneConfig) -> Outcome:
    """Run stage two; leaves the run folder with ``model.safetensors`` and validation scores.

    Raises:
        ModelFileError: the stage-one file is not one, is damaged or partial; names the tensor.
        ValueError: the data hold one class only, an identity is in two splits, ...
        FileExistsError: the run folder holds a run and ``resume`` is not set.
    """
    parent = _stage_one_header(config.pretrained)
    teacher = _stage_one_header(config.teacher_file)
    machine = start_machine(config)
    arguments = _arguments(config, parent, teacher)
    teacher_input = None
    if teacher is not None and config.teacher_file is not None:
        teacher_input = teacher.input_of(ModelInput.read, config.teacher_file)
    data = build.finetune_data(
        config, image_size=arguments["video"]["image_size"], teacher_input=teacher_input
    )
    require_enough_files(config.calibration, [item.sample.label for item in data.validation])
    batches = MixedBatches(
        [item.sample.label for item in data.forgeries],
        data.sources,
        num_real_items=data.num_real_items,
        batch_size=config.loop.batch_size,
        real_ratio=config.real_ratio,
        balance=config.class_balance,
        seed=config.loop.seed,
        fakes=config.fakes,
        stored_share=config.online.stored_share,
    )
    step = _step(
        config,
        arguments,
        model_input=data.training.model_input,
        teacher_input=teacher_input,
        fake_fraction=batches.fake_fraction,
        machine=machine,
    ).to(machine.device)
    plan = plan_of(config.optim, config.loop, len(batches), select="selection")
    plan = replace(plan, some_unused=step.teacher is not None)  # by batches without a real clip
    return train_detector(
        config,
        step,
        step.detector,
        plan,
        data,
        batches,
        machine,
        kind="detector",
        arguments=arguments,
        provenance={
            "pretrained": None if parent is None else parent.sha256,
            "teacher": None if teacher is None else teacher.sha256,
            "start": "scratch" if parent is None else config.start,
            "ssl_weight": config.ssl_weight,
            **_taught_by(config),
        },
        fake_fraction=batches.fake_fraction,
        selection=lambda found: found["video_auc"] - _TIE_BREAK * min(found["cross_entropy"], 1.0),
        importance=lambda seen: step.detector(seen).importance,
    )


def _stage_one_header(path: Path | None) -> ModelHeader | None:
    return None if path is None else read_header(path, kind="cross_modal")


def _arguments(
    config: FinetuneConfig, parent: ModelHeader | None, teacher: ModelHeader | None
) -> dict[str, Any]:
    """What the detector is built from: stage one's backbone or its own, the teacher's sizes."""
    video = config.video.arguments()
    if parent is not None and config.start == "pretrained":
        theirs = dict(parent.arguments["video"])
        if config.video not in (VideoModelConfig(), VideoModelConfig(**theirs)):
            raise ValueError(
                f"{config.pretrained} holds the backbone {theirs}, not the one given as video: "
                f"{video}; leave video out, give the file that belongs to it, or "
                "say --start fitting (take what fits) or --start scratch"
            )
        video = theirs
    sizes = {}
    if teacher is not None:
        names = ("projection_dim", "predictor_dim", "predictor_heads")
        sizes = {name: teacher.arguments[name] for name in names if name in teacher.arguments}
    return {
        "video": video,
        "pool": config.pool,
        "classifier_scale": config.classifier_scale,
        "auxiliary": teacher is not None,
        **sizes,
    }


def _step(
    config: FinetuneConfig,
    arguments: dict[str, Any],
    *,
    model_input: ModelInput,
    teacher_input: ModelInput | None,
    fake_fraction: float,
    machine: Runtime,
) -> FinetuneStep:
    detector = build_detector(**arguments)
    if config.pretrained is not None:
        _start_from(config, detector.get_submodule("encoder"), config.pretrained)
    frame_teacher = None
    if config.frame_teacher is not None:  # after the detector, whose weights are drawn alike
        asked = TeacherModel(config.frame_teacher, machine)
        frame_teacher = SpreadFrames(asked, config.frame_teacher, model_input)
    teacher: VideoTeacher | None = None
    if config.teacher_file is not None:
        teacher = load_model(config.teacher_file, kind="cross_modal").model.video_teacher.freeze()
    return FinetuneStep(
        detector,
        teacher,
        ssl_weight=config.ssl_weight,
        fake_fraction=fake_fraction,
        model_input=model_input,
        teacher_input=teacher_input,
        frame_teacher=frame_teacher,
        soft_weight=config.soft_weight,
        temperature=None if config.soft == "mse" else TEMPERATURE,
    )


def _taught_by(config: FinetuneConfig) -> dict[str, Any]:
    if config.frame_teacher is None:
        return {}
    taught = {"alpha": config.soft_weight, "soft": config.soft or "kl"}
    return {"frame_teacher": read_header(config.frame_teacher).sha256, **taught}


def _start_from(config: FinetuneConfig, encoder: nn.Module, path: Path) -> None:
    """Give the detector's encoder the weights it is to start from.

    Raises:
        ModelFileError: the file is none of stage one, its encoder is another, or nothing fits.
    """
    if config.start == "scratch":
        return
    weights = load_model(path, kind="cross_modal").model.video_student.encoder.state_dict()
    if config.start == "pretrained":
        load_strict(encoder, weights, source=str(path))
        return
    left = load_fitting(encoder, weights, source=str(path))
    total = len(encoder.state_dict())
    logger.info(
        "%d of %d tensors of the backbone come from %s, not: %s",
        *(total - len(left), total, path, ", ".join(left)),
    )


def _logit_means(logit: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Mean logit of each class that is in the batch; ``labels`` are on the CPU."""
    named = {"logit/real": labels == 0, "logit/fake": labels == 1}
    return {n: logit[_places(of, logit.device)].mean() for n, of in named.items() if of.any()}


def _places(chosen: Tensor, device: torch.device) -> Tensor:
    """Where ``chosen`` (B,) bool on the CPU is true, as indices on ``device``."""
    return chosen.nonzero().flatten().to(device, non_blocking=True)
