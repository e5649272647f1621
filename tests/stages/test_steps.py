"""What each stage's step shows to whom, and which way its loss pulls.

The networks are stand-ins that write down their input: a teacher with the student's view, a swapped
label or a setting without effect would train to the end and only be worse.
"""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avkd.config.training_config import PretrainConfig, VideoModelConfig
from avkd.data import audio_features
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch
from avkd.data.transforms import Augmentation, Views, apply_audio, apply_video, draw_view
from avkd.models.build import build_cross_modal_network, build_detector
from avkd.models.cross_modal_network import CrossModalOutput, VideoFeatures
from avkd.stages.distill import DistillStep
from avkd.stages.finetune import FinetuneStep
from avkd.stages.pretrain import PretrainStep, network_arguments
from avkd.teachers.output_cache import TeacherOutputs
from avkd.training import distributed, optim
from avkd.training.loop import TrainingStep

SIZE, FRAMES = 32, 25
LABELS = torch.tensor([0.0, 1.0, 0.0, 1.0])
STUDENT = Augmentation(grayscale=1.0, erasing=1.0, time_mask=1.0, frequency_mask_max=26)


def views(augmentation: Augmentation, first_seed: int) -> Views:
    seeds = range(first_seed, first_seed + len(LABELS))
    return Views.cat([draw_view(np.random.default_rng(seed), augmentation) for seed in seeds])


@pytest.fixture
def batch() -> ClipBatch:
    generator = torch.Generator().manual_seed(0)
    shape = (len(LABELS), FRAMES, 150, 150, 3)
    wave = torch.randint(-9000, 9000, (len(LABELS), 640 * FRAMES), generator=generator)
    return ClipBatch(
        frames=torch.randint(0, 256, shape, generator=generator).to(torch.uint8),
        waveform=wave.to(torch.int16),
        landmarks=None,
        labels=LABELS,
        student=views(STUDENT, 0),
        teacher=views(Augmentation(), 10),
        sample_ids=("a", "b", "c", "d"),
        draws=torch.zeros(len(LABELS), 3, dtype=torch.long),
    )


# Stage one


class CrossModal(nn.Module):
    """Notes its four inputs and gives the outputs it was made with."""

    def __init__(self, **outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs
        self.seen: tuple[Tensor, ...] = ()

    def forward(self, *seen: Tensor, gathered: object) -> CrossModalOutput:
        self.seen = seen
        self.gathered = gathered
        projections = {
            name.replace("target", "projection"): self.outputs[name]
            for name in ("video_target", "audio_target")
        }
        return CrossModalOutput(
            **self.outputs, **projections, video_student=VideoFeatures(seen[0], None)
        )


def pretrain_step(network: nn.Module, **seen: Any) -> PretrainStep:
    return PretrainStep(
        network,
        PretrainConfig(data=("d",), run="r", video=VideoModelConfig(image_size=SIZE)),
        model_input=ModelInput(image_size=SIZE, **seen),
        num_steps=100,
    )


def directions(*axes: int) -> Tensor:
    """(4, 25, 8): every clip and frame points along the axis of its clip."""
    return torch.eye(8)[torch.tensor(axes)][:, None].expand(-1, FRAMES, -1).clone()


@pytest.mark.parametrize("motion_only", [False, True])
def test_students_see_the_masked_views_and_teachers_the_clean_ones(
    batch: ClipBatch, motion_only: bool
) -> None:
    same = directions(0, 1, 2, 3)
    network = CrossModal(
        video_prediction=same, audio_prediction=same, video_target=same, audio_target=same
    )
    pretrain_step(network, motion_only=motion_only)(batch)
    assert batch.waveform is not None
    mel = audio_features.log_mel(batch.waveform.float() / 32768.0)
    student_video, teacher_video, student_audio, teacher_audio = network.seen
    only = {"motion_only": motion_only}
    assert torch.equal(student_video, apply_video(batch.frames, batch.student, SIZE, **only))
    assert torch.equal(teacher_video, apply_video(batch.frames, batch.teacher, SIZE, **only))
    assert torch.equal(student_audio, apply_audio(mel, batch.student))
    assert torch.equal(teacher_audio, mel)
    assert network.gathered is distributed.gathered  # of several processes one target statistic
    # These differ, or the four lines above would say nothing.
    assert not torch.equal(student_video, teacher_video)
    assert not torch.equal(student_audio, teacher_audio)


def test_each_student_predicts_the_teacher_of_the_other_stream(batch: ClipBatch) -> None:
    video, audio = directions(0, 1, 2, 3), directions(4, 5, 6, 7)
    crossed = CrossModal(
        video_prediction=audio, audio_prediction=video, video_target=video, audio_target=audio
    )
    assert pretrain_step(crossed)(batch).loss.item() == pytest.approx(-2.0)
    straight = CrossModal(
        video_prediction=video, audio_prediction=audio, video_target=video, audio_target=audio
    )
    assert pretrain_step(straight)(batch).loss.item() == pytest.approx(0.0)


class Follows(nn.Module):
    """Writes down the momentum with which its teachers are told to follow."""

    def __init__(self) -> None:
        super().__init__()
        self.momenta: list[float] = []

    def update_teachers(self, momentum: float) -> None:
        self.momenta.append(momentum)


def test_the_teachers_follow_by_the_length_of_the_run() -> None:
    network = Follows()
    step = pretrain_step(network)
    step.after_update(0.0)
    step.after_update(1.0)
    assert network.momenta == pytest.approx([0.9, 0.98])  # of 100 steps


# Stage two


class Judge(nn.Module):
    """Gives fixed logits; its features are the numbers of its clips."""

    def __init__(self, logit: Tensor, prediction: Tensor) -> None:
        super().__init__()
        self.logit = nn.Parameter(logit)
        self.prediction = prediction
        self.seen: Tensor | None = None

    def forward(self, clip: Tensor) -> SimpleNamespace:
        self.seen = clip
        numbers = torch.arange(len(clip)).float()[:, None, None].expand(-1, FRAMES, 1)
        return SimpleNamespace(logit=self.logit, features=numbers)

    def auxiliary_prediction(self, features: Tensor) -> Tensor:
        return self.prediction[features[:, 0, 0].long()]


class Targets(nn.Module):
    """Notes what it is shown and gives the targets it was made with."""

    def __init__(self, targets: Tensor) -> None:
        super().__init__()
        self.targets = nn.Parameter(targets)
        self.seen: Tensor | None = None

    def forward(self, clip: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.seen = clip
        return self.targets


def finetune_step(
    judge: Judge,
    teacher: Targets | None,
    weight: float,
    teacher_size: int = SIZE,
    **taught: object,
) -> FinetuneStep:
    teacher_input = ModelInput(image_size=teacher_size, region="mouth") if teacher else None
    return FinetuneStep(
        judge,
        teacher,
        ssl_weight=weight,
        fake_fraction=0.5,
        model_input=ModelInput(image_size=SIZE),
        teacher_input=teacher_input,
        **taught,
    )


def test_the_teacher_of_stage_two_sees_the_clean_reals_alone(batch: ClipBatch) -> None:
    """The agreement is of the real clips, each with its own target; fakes have none."""
    prediction = directions(0, 7, 1, 7)  # right for the reals, 0 and 2
    judge, teacher = Judge(torch.zeros(4), prediction), Targets(directions(0, 1))
    mouths = replace(batch.teacher, zoom=torch.ones(len(LABELS)))
    batch = replace(batch, teacher=mouths)  # as the loader draws for such a teacher
    output = finetune_step(judge, teacher, 0.3, teacher_size=48)(batch)
    real = batch.labels == 0
    clean = apply_video(batch.frames[real], batch.teacher.where(real), 48)
    assert teacher.seen is not None and torch.equal(teacher.seen, clean)
    assert judge.seen is not None
    assert torch.equal(judge.seen, apply_video(batch.frames, batch.student, SIZE))
    assert output.terms["loss/agreement"].item() == pytest.approx(-1.0)
    assert output.loss.item() == pytest.approx(np.log(2) - 0.3)
    output.loss.backward()
    assert judge.logit.grad is not None and teacher.targets.grad is None


@pytest.mark.parametrize("stage", ["finetune", "distill"])
def test_a_higher_logit_is_wanted_of_the_fakes(batch: ClipBatch, stage: str) -> None:
    judge = Judge(torch.zeros(4), torch.zeros(4, FRAMES, 8))
    if stage == "finetune":
        loss = finetune_step(judge, None, 0.0)(batch).loss
    else:
        loss = distill_step(judge, None)(batch).loss
    loss.backward()
    assert judge.logit.grad is not None
    assert torch.equal(judge.logit.grad < 0, batch.labels == 1)  # descent raises the fakes


# Distillation


def distill_step(judge: Judge, teacher: object, temperature: float | None = None) -> DistillStep:
    return DistillStep(
        judge,
        teacher,
        soft_weight=0.0 if teacher is None else 1.0,
        temperature=temperature,
        fake_fraction=0.5,
        model_input=ModelInput(image_size=SIZE),
    )


@pytest.mark.parametrize("stage", ["finetune", "distill"])
@pytest.mark.parametrize("temperature", [None, 4.0])
def test_the_student_is_drawn_to_the_teacher_whatever_the_labels_say(
    batch: ClipBatch, temperature: float | None, stage: str
) -> None:
    asked: list[ClipBatch] = []
    wanted = torch.tensor([5.0, -5.0, 5.0, -5.0])  # against every label

    def teacher(shown: ClipBatch) -> TeacherOutputs:
        asked.append(shown)
        return TeacherOutputs(wanted, torch.ones(4))

    judge = Judge(torch.zeros(4), torch.zeros(4, FRAMES, 8))
    if stage == "distill":
        step = distill_step(judge, teacher, temperature)
    else:
        taught = {"frame_teacher": teacher, "soft_weight": 1.0, "temperature": temperature}
        step = finetune_step(judge, None, 0.0, **taught)
    step(batch).loss.backward()
    assert asked == [batch]
    assert judge.logit.grad is not None
    assert torch.equal(judge.logit.grad < 0, wanted > 0)


# On a GPU


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_no_step_asks_its_device_for_a_number(
    batch: ClipBatch, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """A GPU would be waited for; tensors of the device "meta" hold nothing that could be asked."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no such device
    every = Augmentation(
        grayscale=0.5, erasing=0.5, time_mask=0.5, color_jitter=0.3, downscale=0.5, zoom=(0.0, 1.0)
    )
    batch = replace(batch, student=views(every, 0))
    video = VideoModelConfig(image_size=SIZE, width=4, hidden=16, reduced=8)
    config = PretrainConfig(data=("d",), run="r", video=video, audio_width=8)
    config = replace(config, projection_dim=16, predictor_dim=32)
    network = build_cross_modal_network(**network_arguments(config))
    step: TrainingStep = PretrainStep(
        network, config, model_input=ModelInput(image_size=SIZE), num_steps=9
    )
    if stage == "finetune":
        sizes = {"projection_dim": 16, "predictor_dim": 32}
        detector = build_detector(video=video.arguments(), **sizes)
        step = finetune_step(detector, network.video_teacher, 0.3)
    step.to("meta")
    optimizer = optim.make_optimizer(step.parameter_groups(), rate=0.1, weight_decay=0.1)
    step(batch.to(torch.device("meta"))).loss.backward()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    assert weights and all(weight.grad is not None for weight in weights)
    nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    step.after_update(0.5)
    with pytest.raises(RuntimeError):  # or asking would go unnoticed
        step(batch.to(torch.device("meta"))).loss.item()
