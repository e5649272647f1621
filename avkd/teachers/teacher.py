"""Teachers of an image student: an image detector, or the video detector of stage two.

Both are frozen, in eval mode and given their own input. An image teacher sees the student's very
view, now or when its answers were computed. A video teacher scores whole clips; each of its frames
inherits the clip's logit and counts as much as the clip's attention to it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from avkd.data.clip_items import ClipItem
from avkd.data.datasets import TrainingClips, WindowClips
from avkd.data.model_input import ModelInput
from avkd.data.sampling import ClipBatch, ClipKey
from avkd.models.model_file import load_detector
from avkd.runtime import Runtime
from avkd.teachers.output_cache import OutputCache, TeacherOutputs

_FRAMES_ASKED = 2  # of a clip, by a video student; each costs the teacher a picture


Teacher = Callable[[ClipBatch], TeacherOutputs]
"""Answers B clips of the student: outputs of length B, on their device, without gradient."""


class TeacherModel:
    """The model file of an image or video detector, opened for teaching; always in fp32.

    Raises:
        ModelFileError: not a detector, or damaged.
    """

    def __init__(self, path: Path, machine: Runtime) -> None:
        model, header = load_detector(path)
        self.model: nn.Module = model.to(machine.device).eval().requires_grad_(False)
        self.input = header.input_of(ModelInput.read, path)
        self.fingerprint = header.sha256
        self.is_video = header.kind == "detector"
        self.machine = machine

    @torch.no_grad()
    def __call__(self, batch: ClipBatch) -> TeacherOutputs:
        """Answers to the student's views of ``batch``."""
        # The student may train in half precision; answers asked now and kept ones are the same.
        with torch.autocast(batch.frames.device.type, enabled=False):
            logit = self.model(*self.input.see(batch, batch.student)).logit.float()
        return TeacherOutputs(logit, torch.ones_like(logit))

    def require_same_faces(self, student: ModelInput, path: Path) -> None:
        """Refuse a teacher that cannot look at what the student sees.

        Raises:
            ValueError: it was trained on other crops, or scores clips of another length.
        """
        if self.input.faces != student.faces:
            raise ValueError(
                f"{path}: the teacher was trained on {self.input.faces} faces, the data hold "
                f"{student.faces} ones; prepare the data as the teacher's were"
            )
        if self.input.crop_margin != student.crop_margin:
            raise ValueError(
                f"{path}: the teacher was trained on crops of margin {self.input.crop_margin:g}, "
                f"the data hold {student.crop_margin:g}; prepare the data as the teacher's were"
            )
        if not self.is_video and self.input.region != student.region:
            raise ValueError(
                f"{path}: looks at the {self.input.region}, the student at the {student.region}"
            )
        if not self.is_video and self.input.clip_frames != student.clip_frames:
            raise ValueError(
                f"{path}: takes {self.input.clip_frames} frame(s) at once, the student "
                f"{student.clip_frames}; they must see the same clip"
            )


class SpreadFrames:
    """An image teacher's answer to clips: its mean logit over some frames of the student's view.

    Raises:
        ValueError: it knows other crops, another share of them, or needs landmarks; names ``path``.
    """

    def __init__(self, teacher: TeacherModel, path: Path, student: ModelInput) -> None:
        seen = teacher.input
        if teacher.is_video or seen.clip_frames != 1 or seen.landmarks:
            raise ValueError(f"{path}: no image detector of single frames; train one with distill")
        teacher.require_same_faces(replace(student, clip_frames=1), path)
        if seen.view_share != student.view_share:
            raise ValueError(
                f"{path}: the teacher sees {seen.view_share:.4f} of a crop's side, the student "
                f"{student.view_share:.4f}; train it with --view_share {student.view_share}"
            )
        self._teacher = teacher

    def __call__(self, batch: ClipBatch) -> TeacherOutputs:
        """Answers to the clips of ``batch``; no frame of the teacher's is masked."""
        length, count = batch.frames.shape[1], min(_FRAMES_ASKED, batch.frames.shape[1])
        places = [(2 * index + 1) * length // (2 * count) for index in range(count)]
        views = batch.student.each(lambda tensor: tensor.repeat_interleave(count, 0))
        views = replace(views, time_mask=torch.zeros_like(views.time_mask))
        frames = rearrange(batch.frames[:, places], "b t h w c -> (b t) 1 h w c")
        asked = replace(batch, frames=frames, landmarks=None, student=views)
        logit = rearrange(self._teacher(asked).logit, "(b t) -> b t", t=count).mean(1)
        return TeacherOutputs(logit, torch.ones_like(logit))


def recurring_views(outputs: Sequence[TeacherOutputs], device: torch.device) -> Teacher:
    """Looks up the answers to every item in every one of a bounded number of views."""
    logit, weight = (torch.stack(values).to(device) for values in zip(*outputs, strict=True))

    def answer(batch: ClipBatch) -> TeacherOutputs:
        views, items, _ = batch.draws.unbind(1)
        return TeacherOutputs(logit[views, items], weight[views, items])

    return answer


def every_frame(
    outputs: TeacherOutputs, lengths: Sequence[int], *, clip_frames: int, device: torch.device
) -> Teacher:
    """Looks up the answers to every frame of every item; a clip of several gets their mean.

    ``outputs`` are those of all items, of ``lengths`` frames, laid end to end.
    """
    ends = torch.tensor(lengths).cumsum(0)
    starts = (ends - torch.tensor(lengths)).to(device)
    logit, weight = (values.to(device) for values in outputs)
    offsets = torch.arange(clip_frames, device=device)

    def answer(batch: ClipBatch) -> TeacherOutputs:
        _, items, first = batch.draws.unbind(1)
        frames = (starts[items] + first)[:, None] + offsets
        return TeacherOutputs(logit[frames].mean(1), weight[frames].mean(1))

    return answer


def ask_every_view(
    teacher: TeacherModel, clips: TrainingClips, cache: OutputCache, batch_size: int
) -> Teacher:
    """Complete ``cache`` with one part for each view of all items, and read it."""
    for view in tqdm(cache.missing(), desc="teacher", unit="view"):
        loader = DataLoader(
            clips,
            sampler=[ClipKey(view, item, item) for item in range(len(clips))],
            batch_size=batch_size,
            collate_fn=ClipBatch.collate,
            generator=torch.Generator().manual_seed(0),
        )
        answers = [teacher(batch.to(teacher.machine.device)) for batch in loader]
        cache.write(view, TeacherOutputs(*(torch.cat(part) for part in zip(*answers, strict=True))))
    parts = [cache.read(view) for view in range(cache.num_parts)]
    return recurring_views(parts, teacher.machine.device)


def ask_every_frame(
    teacher: TeacherModel, items: Sequence[ClipItem], cache: OutputCache, clip_frames: int
) -> Teacher:
    """Complete ``cache`` with the video teacher's answers to every frame, and read it."""
    lengths = [item.num_frames for item in items]
    if cache.missing():
        cache.write(0, _video_outputs(teacher, items, lengths))
    return every_frame(
        cache.read(0), lengths, clip_frames=clip_frames, device=teacher.machine.device
    )


@torch.no_grad()
def _video_outputs(
    teacher: TeacherModel, items: Sequence[ClipItem], lengths: Sequence[int]
) -> TeacherOutputs:
    """Mean over the windows that hold a frame of the window's logit and of its attention there."""
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    logit, weight, holders = torch.zeros(3, sum(lengths)).unbind(0)
    clips = WindowClips(items, teacher.input)
    bar = tqdm(total=len(clips), desc="teacher", unit="window")
    for batch, places in clips.batches(batch_size=8):
        bar.update(len(batch))
        batch = batch.to(teacher.machine.device)
        output = teacher.model(*teacher.input.see(batch, batch.student))
        importance = _relative_importance(output.importance, output.logit, teacher.input)
        for row, (index, window) in enumerate(places):
            first = starts[index] + window.start_frame
            held = slice(first, first + window.num_frames)
            logit[held] += output.logit[row].float().cpu()
            weight[held] += importance[row, : window.num_frames].cpu()
            holders[held] += 1
    return TeacherOutputs(logit / holders, weight / holders)


def _relative_importance(importance: Tensor | None, logit: Tensor, seen: ModelInput) -> Tensor:
    """(B, T) with mean 1 over a clip; ones where the detector has no attention."""
    if importance is None:
        return torch.ones(len(logit), seen.clip_frames)
    return importance.float() * seen.clip_frames
