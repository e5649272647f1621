"""The zero-shot score: how far the picture of a file disagrees with its sound, by stage one alone.

Stage one never saw a fake. Its students predict each other's teacher, and where a prediction misses
what the other modality really holds, picture and sound do not belong together.

The disagreement of a frame is minus the cosine of prediction and target, the mean of both
directions, after subtracting from each of the four vectors its mean over the windows of the same
file at the same frame index. What the place in the window explains, and what the file is like as a
whole (speaker, room, light), is in that mean and so takes no part: a file is compared with itself
alone, and no other file, real or fake, is needed. 0 = picture and sound have nothing to do with
each other, below 0 = they agree. It ranks files; it is no probability.

Windows lie every `STRIDE_FRAMES` between leading and trailing silence: what is silent has nothing
to agree with, and forged files are often told apart by their silence alone (AVH-Align, arXiv
2412.00175).
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from avkd import durable
from avkd.data import audio_features
from avkd.data.clip_items import ClipItem
from avkd.data.clock import FRAMES_PER_SECOND, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from avkd.data.crops.crop_store import DamagedTrack
from avkd.data.manifest import Sample
from avkd.data.model_input import ModelInput
from avkd.data.silence import silent_ends
from avkd.data.windows import WINDOW_FRAMES, Window
from avkd.evaluation.score_rows import DAMAGED, scored_row, unscored_row
from avkd.losses.agreement import center_per_step
from avkd.models.cross_modal_network import CrossModalNetwork, CrossModalOutput
from avkd.models.model_file import LoadedModel, ModelFileError, load_model, read_header
from avkd.reporting.scores import ClipScore
from avkd.runtime import Runtime

FRAMES = "frames"
"""Folder, beside the scores, of the disagreement of every frame."""
STRIDE_FRAMES = 5  # a fifth of a second: neighbours still differ in what is said
CHUNK_FRAMES = 20 * FRAMES_PER_SECOND
"""Longer files are judged in equal chunks of at most this, each by its own mean, so that neither
memory nor the mean depends on the length."""
LEAST_FRAMES = WINDOW_FRAMES + STRIDE_FRAMES
"""Frames with sound that two windows need; the mean of one window would be the window itself."""
WINDOWS_TEXT = (
    f"windows of {WINDOW_FRAMES} frames, one every {STRIDE_FRAMES} and one aligned with the end, "
    "between leading and trailing silence"
)
NOTE = (
    "Scored by the disagreement of picture and sound (stage one alone, no fake seen), silence at "
    "both ends left out; it ranks files and states no probability."
)

_SAMPLES = WINDOW_FRAMES * SAMPLES_PER_FRAME  # of a window
_FRAMES_HEAD = (
    "# avkd-frames-1; disagreement of picture and sound at each frame between leading and trailing "
    "silence, in [-1, 1], higher = fake, the mean over the windows that hold the frame"
)
_FRAME_COLUMNS = ("sample_id", "frame", "seconds", "disagreement")


@dataclass(frozen=True, eq=False)
class FileAgreement:
    """What was found in one file, or why nothing can be said of it."""

    sample: Sample
    windows: tuple[Window, ...] = ()
    disagreement: np.ndarray | None = None
    """(W, 25) float32 of the frames of each window, in [-1, 1]; None = not judged."""
    status: str = ""
    """Code of the reason why it was not judged: ``no_sound``, ``silent``, ``too_little_sound``,
    `score_rows.DAMAGED`."""
    message: str = ""
    """The reason in words."""

    def of_windows(self) -> list[float]:
        """Disagreement of each window: the mean of its frames."""
        if self.disagreement is None:
            return []
        return [float(value) for value in self.disagreement.mean(axis=1, dtype=np.float64)]

    def of_frames(self) -> Iterator[tuple[int, float]]:
        """(frame, disagreement) of each frame, in order: the mean of the windows that hold it."""
        if self.disagreement is None:
            return
        first = self.windows[0].start_frame
        last = self.windows[-1].start_frame + WINDOW_FRAMES
        total, holders = np.zeros(last - first), np.zeros(last - first)
        for window, values in zip(self.windows, self.disagreement, strict=True):
            place = slice(window.start_frame - first, window.start_frame - first + WINDOW_FRAMES)
            total[place] += values
            holders[place] += 1
        yield from enumerate((total / holders).tolist(), start=first)


def load_stage_one(path: Path) -> tuple[LoadedModel, ModelInput]:
    """The network in ``path``, and what it looks at.

    Raises:
        ModelFileError: no stage-one file, damaged, or trained on another sound or other clips than
            it would be given here; says what to give instead.
        OSError: the file cannot be read.
    """
    header = read_header(path)
    if header.kind != "cross_modal":
        raise ModelFileError(
            f"{path}: holds a {header.kind!r}; stage one is needed: give the model.safetensors of "
            "`avkd pretrain` (or leave --scorer av_agreement out)"
        )
    model_input = header.input_of(ModelInput.read, path)
    if model_input.clip_frames != WINDOW_FRAMES or model_input.landmarks:
        raise ModelFileError(
            f"{path}: stage one looks at {WINDOW_FRAMES} frames without landmarks, this file asks "
            f"for {model_input.clip_frames} frames, landmarks {model_input.landmarks}"
        )
    for name, value in audio_features.preprocessing().items():
        if header.preprocessing.get(name) != value:
            raise ModelFileError(
                f"{path}: it was trained with {name} = {header.preprocessing.get(name)!r}, this "
                f"avkd would give it {value!r}; use the avkd version that made it"
            )
    return load_model(path, kind="cross_modal"), model_input


@torch.no_grad()
def judge(
    network: CrossModalNetwork,
    items: Sequence[ClipItem],
    *,
    model_input: ModelInput,
    machine: Runtime,
    batch_size: int,
    show_progress: bool = False,
) -> Iterator[FileAgreement]:
    """Judge every item, in order, each on its own; in fp32, because half precision makes ties.

    The network is stage one in eval mode on the device, ``model_input`` that of `load_stage_one`;
    tracks may have any length, with or without sound. ``batch_size`` is in windows.
    """
    for item in tqdm(items, desc="score", unit="file", disable=not show_progress):
        try:
            found = _judge_one(network, item, model_input, machine, batch_size)
        except DamagedTrack as error:
            found = FileAgreement(item.sample, status=DAMAGED, message=str(error))
        yield found


def disagreement(
    video_prediction: Tensor, audio_prediction: Tensor, video_target: Tensor, audio_target: Tensor
) -> Tensor:
    """Minus the cosine of what each modality predicts of the other and what that really holds.

    All are (W, T, P) of W windows of one file.

    Returns:
        (W, T) in [-1, 1]; the mean over W of each tensor at each frame is taken off first.
    """
    pairs = ((video_prediction, audio_target), (audio_prediction, video_target))
    cosines = [
        functional.cosine_similarity(center_per_step(one), center_per_step(other), dim=-1)
        for one, other in pairs
    ]
    return -torch.stack(cosines).mean(dim=0)


def non_silent_frames(waveform: np.ndarray) -> range:
    """The frames wholly between leading and trailing silence; empty for no sound at all.

    ``waveform`` is (S,) at 16 kHz from the instant of frame 0 on, S a multiple of 640.
    """
    ends = silent_ends(waveform)
    if ends.is_silent:
        return range(0)
    first = round(ends.leading_seconds * SAMPLE_RATE_HZ)
    last = len(waveform) - round(ends.trailing_seconds * SAMPLE_RATE_HZ)
    return range(-(-first // SAMPLES_PER_FRAME), last // SAMPLES_PER_FRAME)


def chunks(frames: range) -> list[range]:
    """``frames`` cut into as few equal parts as `CHUNK_FRAMES` allows."""
    count = -(-len(frames) // CHUNK_FRAMES)
    edges = [frames.start + part * len(frames) // count for part in range(count + 1)]
    return [range(edges[part], edges[part + 1]) for part in range(count)]


def windows_of(frames: range, *, first_index: int) -> list[Window]:
    """Windows every `STRIDE_FRAMES` of ``frames``, the last one aligned with the end."""
    last = frames.stop - WINDOW_FRAMES
    starts = list(range(frames.start, last + 1, STRIDE_FRAMES))
    if starts[-1] < last:
        starts.append(last)
    return [Window(first_index + place, start, WINDOW_FRAMES) for place, start in enumerate(starts)]


def score_rows(files: Iterable[FileAgreement]) -> Iterator[ClipScore]:
    """A row of scores for each window, without a probability; one with the reason where none."""
    for found in files:
        if found.status:
            yield unscored_row(found.sample, found.status, found.message)
        for window, value in zip(found.windows, found.of_windows(), strict=True):
            yield scored_row(found.sample, window, value, None)


def writing_frames(path: Path, files: Iterable[FileAgreement]) -> Iterator[FileAgreement]:
    """Pass ``files`` on, and write the disagreement of their frames to ``path`` as they come.

    A CSV with a comment in its first line: sample_id, frame from 0 at 25 per second, seconds since
    frame 0, disagreement (empty if not finite). ``path`` appears when the last file went through.
    """
    with (
        durable.replacing(path) as temporary,
        # Names of files on disk need not be valid UTF-8; Python carries the odd bytes so.
        temporary.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file,
    ):
        file.write(f"{_FRAMES_HEAD}\n")
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(_FRAME_COLUMNS)
        for found in files:
            for frame, value in found.of_frames():
                written = value if np.isfinite(value) else ""
                seconds = frame / FRAMES_PER_SECOND
                writer.writerow([found.sample.sample_id, frame, seconds, written])
            yield found


def _judge_one(
    network: CrossModalNetwork,
    item: ClipItem,
    model_input: ModelInput,
    machine: Runtime,
    batch_size: int,
) -> FileAgreement:
    waveform = item.waveform(0, item.num_frames * SAMPLES_PER_FRAME)
    heard = range(0) if waveform is None else non_silent_frames(waveform)
    if waveform is None or len(heard) < LEAST_FRAMES:
        return _not_judged(item.sample, has_sound=waveform is not None, heard=heard)
    windows: list[Window] = []
    found: list[Tensor] = []
    for chunk in chunks(heard):
        of_chunk = windows_of(chunk, first_index=len(windows))
        seen = _see(network, item, waveform, of_chunk, model_input, machine, batch_size)
        found.append(disagreement(*seen))
        windows += of_chunk
    return FileAgreement(item.sample, tuple(windows), torch.cat(found).cpu().numpy())


def _see(
    network: CrossModalNetwork,
    item: ClipItem,
    waveform: np.ndarray,
    windows: Sequence[Window],
    model_input: ModelInput,
    machine: Runtime,
    batch_size: int,
) -> tuple[Tensor, ...]:
    """Predictions and targets of video and audio for the windows of one chunk, as `disagreement`
    takes them."""
    begin, end = windows[0].start_frame, windows[-1].start_frame + WINDOW_FRAMES
    frames = torch.from_numpy(item.frames(begin, end - begin))
    sound = torch.from_numpy(waveform).float() / 32768.0
    outputs: list[CrossModalOutput] = []
    for first in range(0, len(windows), batch_size):
        starts = [window.start_frame for window in windows[first : first + batch_size]]
        clips = torch.stack([frames[start - begin :][:WINDOW_FRAMES] for start in starts])
        sounds = torch.stack([sound[start * SAMPLES_PER_FRAME :][:_SAMPLES] for start in starts])
        views = model_input.center_views(len(starts), item.crop_pixels)
        (seen,) = model_input.view(clips.to(machine.device), None, views)
        mel = audio_features.log_mel(sounds.to(machine.device))
        outputs.append(network(seen, seen, mel, mel))
    names = ("video_prediction", "audio_prediction", "video_target", "audio_target")
    return tuple(torch.cat([getattr(output, name) for output in outputs]) for name in names)


def _not_judged(sample: Sample, *, has_sound: bool, heard: range) -> FileAgreement:
    if not has_sound:
        return FileAgreement(sample, status="no_sound", message="the file has no sound")
    if not heard:
        return FileAgreement(sample, status="silent", message="the file is silent")
    message = f"{len(heard)} frames between leading and trailing silence, {LEAST_FRAMES} are needed"
    return FileAgreement(sample, status="too_little_sound", message=message)
