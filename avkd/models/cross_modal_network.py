"""The network of stage one: two students, and the two slowly following teachers they predict.

The video student predicts the audio teacher and the audio student the video teacher
(RealForensics, section 3; method 3.3 to 3.5). Knows the networks and their moving average, but no
loss, optimiser or schedule. Legend: see ``encoders.py``.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from avkd.models.encoders import VideoEncoder, VideoFeatures, flatten_recurrent_parameters
from avkd.models.projection import Predictor, Projector
from avkd.models.target_normalisation import TargetNormalisation


class CrossModalOutput(NamedTuple):
    """Predictions (with gradient) and targets (without), each (B, T, P).

    ``video_prediction`` is compared with ``audio_target`` and ``audio_prediction`` with
    ``video_target``: the teachers' projections, normalised. ``video_student`` holds the student's
    own features and importance.
    """

    video_prediction: Tensor
    audio_prediction: Tensor
    video_target: Tensor
    audio_target: Tensor
    video_projection: Tensor
    audio_projection: Tensor
    video_student: VideoFeatures


class VideoStudent(nn.Module):
    """Encoder, projector and predictor of the video stream."""

    def __init__(self, encoder: VideoEncoder, projector: Projector, predictor: Predictor) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.predictor = predictor

    def forward(self, clip: Tensor) -> tuple[VideoFeatures, Tensor]:
        """From ``clip`` (B, 3, T, H, W) to the features and the prediction (B, T, P)."""
        encoded = self.encoder(clip)
        return encoded, self.predictor(self.projector(encoded.features))


class VideoTeacher(nn.Module):
    """Encoder and projector of the video stream; the source of stage two's targets too."""

    def __init__(self, encoder: VideoEncoder, projector: Projector) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.frozen = False

    def forward(self, clip: Tensor) -> Tensor:
        """From ``clip`` (B, 3, T, H, W), the clean view, to the target (B, T, P)."""
        return self.projector(self.encoder(clip).features)

    def freeze(self) -> "VideoTeacher":
        """Stay in eval mode without gradients for good, whatever ``train()`` a parent calls."""
        self.frozen = True
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "VideoTeacher":
        """Set the mode, unless frozen: its batch norms then keep their stored statistics."""
        return super().train(mode and not self.frozen)


class CrossModalNetwork(nn.Module):
    """Both students and both teachers; the teachers start as exact copies.

    Teachers follow ``train()`` and ``eval()`` as the students do: while training their batch norms
    use the statistics of the batch and keep running ones of their own (method 3.5). Their dropout
    is off, so that a target depends on the clip alone. ``audio_student`` is ``encoder``,
    ``projector``, ``predictor`` of log-mels (B, 1, 4T, M) in line; the teacher is the first two.
    """

    def __init__(
        self,
        *,
        video_student: VideoStudent,
        audio_student: nn.Sequential,
        video_normalisation: TargetNormalisation,
        audio_normalisation: TargetNormalisation,
    ) -> None:
        super().__init__()
        self.video_normalisation = video_normalisation
        self.audio_normalisation = audio_normalisation
        self.video_student = video_student
        self.audio_student = audio_student
        self.video_teacher = VideoTeacher(
            copy.deepcopy(video_student.encoder), copy.deepcopy(video_student.projector)
        )
        self.audio_teacher = copy.deepcopy(audio_student[:2])
        for teacher in (self.video_teacher, self.audio_teacher):
            teacher.requires_grad_(False)
            for part in teacher.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.0
        flatten_recurrent_parameters(self)

    def forward(
        self,
        student_video: Tensor,
        teacher_video: Tensor,
        student_audio: Tensor,
        teacher_audio: Tensor,
        *,
        gathered: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    ) -> CrossModalOutput:
        """Predict and make the targets of clips (B, 3, T, H, W) and log-mels (B, 1, 4T, M).

        Students see augmented and masked ones, teachers clean ones. Where several processes share a
        batch, ``gathered`` leads from what this one has to what all have; the output but
        ``video_student`` is then of the whole batch.
        """
        with torch.no_grad():
            video_projection = gathered(self.video_teacher(teacher_video))
            audio_projection = gathered(self.audio_teacher(teacher_audio))
            video_target = self.video_normalisation(video_projection)
            audio_target = self.audio_normalisation(audio_projection)
        encoded, video_prediction = self.video_student(student_video)
        return CrossModalOutput(
            video_prediction=gathered(video_prediction),
            audio_prediction=gathered(self.audio_student(student_audio)),
            video_target=video_target,
            audio_target=audio_target,
            video_projection=video_projection,
            audio_projection=audio_projection,
            video_student=encoded,
        )

    @torch.no_grad()
    def update_teachers(self, momentum: float) -> None:
        """Move every teacher parameter: teacher <- momentum * teacher + (1 - momentum) * student.

        In place, so that recurrent weights stay in cuDNN's one buffer. Batch-norm buffers are left
        alone: teachers keep their own statistics. A momentum in [0, 1]; 0 copies the students.
        """
        assert 0 <= momentum <= 1, f"momentum {momentum} is outside [0, 1]"
        pairs = ((self.video_teacher, self.video_student), (self.audio_teacher, self.audio_student))
        for teacher, student in pairs:
            followed = dict(student.named_parameters())
            followers = dict(teacher.named_parameters())
            torch._foreach_lerp_(
                list(followers.values()), [followed[name] for name in followers], 1 - momentum
            )
