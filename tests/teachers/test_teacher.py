"""Who teaches: the right answer to the right draw, and no teacher that sees something else."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch
from avkd.data.transforms import Augmentation, Views, apply_video, draw_view
from avkd.teachers.output_cache import TeacherOutputs
from avkd.teachers.teacher import (
    SpreadFrames,
    TeacherModel,
    _relative_importance,
    every_frame,
    recurring_views,
)

CPU = torch.device("cpu")
IMAGE = ModelInput(
    clip_frames=1,
    crop_pixels=150,
    view_share=0.875,
    image_size=32,
    windows_per_file=32,
)


def asked(*draws: tuple[int, int, int]) -> SimpleNamespace:
    """A batch with these (view, item, first frame)."""
    return SimpleNamespace(draws=torch.tensor(draws))


def batch_of(frames: torch.Tensor, student: Views, teacher: Views) -> ClipBatch:
    count = len(frames)
    return ClipBatch(
        frames=frames,
        waveform=None,
        landmarks=None,
        labels=torch.zeros(count),
        student=student,
        teacher=teacher,
        sample_ids=tuple(map(str, range(count))),
        draws=torch.zeros(count, 3, dtype=torch.long),
    )


def numbered(start: int, count: int) -> TeacherOutputs:
    values = torch.arange(start, start + count).float()
    return TeacherOutputs(values, 100 + values)


class Mean(nn.Module):
    """Its logit is the mean of what it sees; remembers whether it was in eval mode."""

    def forward(self, clip: torch.Tensor) -> SimpleNamespace:
        assert not self.training and not torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        return SimpleNamespace(logit=clip.mean(dim=(1, 2, 3, 4)))


def test_a_teacher_sees_the_students_view_at_its_own_size() -> None:
    """Another crop or flip would teach the student about a picture it does not see."""
    frames = torch.randint(0, 256, (3, 1, 150, 150, 3), dtype=torch.uint8)
    draws = [np.random.default_rng(seed) for seed in range(6)]
    student = Views.cat([draw_view(rng, Augmentation(erasing=1.0), 19) for rng in draws[:3]])
    clean = Views.cat([draw_view(rng, Augmentation(), 19) for rng in draws[3:]])
    batch = batch_of(frames, student, clean)
    teacher = TeacherModel.__new__(TeacherModel)
    teacher.model, teacher.input = Mean().eval(), replace(IMAGE, image_size=64)
    seen = apply_video(frames, student, 64, 0.875)
    with torch.autocast("cpu", torch.bfloat16):  # as the student may train
        outputs = teacher(batch)
    torch.testing.assert_close(outputs.logit, seen.mean(dim=(1, 2, 3, 4)))
    assert outputs.weight.tolist() == [1, 1, 1]


def test_a_video_student_is_taught_by_the_mean_over_frames_of_its_own_view() -> None:
    frames = torch.randint(0, 256, (2, 25, 150, 150, 3), dtype=torch.uint8)
    masked = Augmentation(erasing=1.0, time_mask=1.0)
    draws = [np.random.default_rng(seed) for seed in range(2)]
    student = Views.cat([draw_view(rng, masked, 10) for rng in draws])
    batch = batch_of(frames, student, student)
    video = ModelInput(image_size=112)
    teacher = TeacherModel.__new__(TeacherModel)
    teacher.model, teacher.is_video = Mean().eval(), False
    teacher.input = replace(IMAGE, view_share=video.view_share)
    asked = SpreadFrames(teacher, Path("t.safetensors"), video)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = asked(batch)
    unmasked = replace(student, time_mask=torch.zeros_like(student.time_mask))
    seen = apply_video(frames[:, [6, 18]], unmasked, 32, video.view_share)
    torch.testing.assert_close(outputs.logit, seen.mean(dim=(1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (ModelInput(image_size=32), "no image detector of single frames"),
        (IMAGE, "sees 0.8750 of a crop's side, the student 0.9333; train it with --view_share"),
        (replace(IMAGE, crop_margin=1.3), "trained on crops of margin 1.3"),
        (replace(IMAGE, landmarks=True), "no image detector of single frames"),
    ],
)
def test_a_frame_teacher_that_sees_something_else_is_refused(teacher, message) -> None:
    model = TeacherModel.__new__(TeacherModel)
    model.input, model.is_video = teacher, teacher.clip_frames > 1
    with pytest.raises(ValueError, match=f"t.safetensors.*{message}"):
        SpreadFrames(model, Path("t.safetensors"), ModelInput(image_size=112))


def test_a_draw_gets_the_answer_to_its_own_view_and_item() -> None:
    teacher = recurring_views([numbered(0, 5), numbered(10, 5)], CPU)
    outputs = teacher(asked((0, 3, 0), (1, 3, 9), (1, 0, 0)))
    assert outputs.logit.tolist() == [3, 13, 10]
    assert outputs.weight.tolist() == [103, 113, 110]


def test_a_clip_gets_the_mean_of_its_own_frames() -> None:
    lengths = [4, 2, 6]  # frames 0..3, 4..5, 6..11
    one = every_frame(numbered(0, 12), lengths, clip_frames=1, device=CPU)
    assert one(asked((7, 0, 3), (0, 1, 0), (9, 2, 5))).logit.tolist() == [3, 4, 11]
    three = every_frame(numbered(0, 12), lengths, clip_frames=3, device=CPU)
    assert three(asked((0, 0, 1), (0, 2, 3))).logit.tolist() == [2, 10]
    assert three(asked((0, 0, 1))).weight.tolist() == [102]


def test_a_frame_counts_as_much_as_the_clip_attends_to_it() -> None:
    importance = torch.tensor([[0.5, 0.3, 0.2]])
    video = replace(ModelInput(image_size=32), clip_frames=3)
    weights = _relative_importance(importance, torch.zeros(1), video)
    torch.testing.assert_close(weights, torch.tensor([[1.5, 0.9, 0.6]]))
    assert _relative_importance(None, torch.zeros(2), video).tolist() == [[1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("teacher", "is_video", "message"),
    [
        (replace(IMAGE, faces="whole"), False, "trained on whole faces, the data hold aligned"),
        (replace(IMAGE, clip_frames=8), False, "takes 8 frame"),
        (replace(IMAGE, image_size=224), False, None),  # the same view at another size
        (ModelInput(image_size=64), True, None),
        (ModelInput(image_size=64, faces="whole"), True, "trained on whole faces"),
    ],
)
def test_a_teacher_that_sees_something_else_is_refused(teacher, is_video, message) -> None:
    stand_in = SimpleNamespace(input=teacher, is_video=is_video)
    if message is None:
        TeacherModel.require_same_faces(stand_in, IMAGE, Path("t.safetensors"))
    else:
        with pytest.raises(ValueError, match=f"t.safetensors.*{message}"):
            TeacherModel.require_same_faces(stand_in, IMAGE, Path("t.safetensors"))
