"""Judges files: faces, aligned crops, the windows the model looks at, a verdict.

A video detector sees windows that cover every frame, an image detector single frames spread over
the file, or a picture. Streams: whatever a file's length, only the last frames of each face and one
batch of windows are held. A file that cannot be judged is `cannot_tell` with its reason, never
`real`.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from avkd import durable, runtime
from avkd.config.evaluation_config import PredictConfig
from avkd.data import inventory
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.crops.crop_store import as_stored
from avkd.data.faces import face_crop
from avkd.data.faces.track_extraction import (
    DETECT_EVERY_FRAMES,
    MIN_FRAMES,
    FileKind,
    FilePlan,
    TrackPlan,
    cut_crops,
    iter_file,
    plan_tracks,
)
from avkd.data.faces.track_extraction import load_detector as load_face_detector
from avkd.data.inventory import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_picture_name
from avkd.data.media.media import MediaError
from avkd.data.model_input import ModelInput
from avkd.data.windows import Window
from avkd.inference.verdict import Note, Verdict, WindowScore, cannot_tell, judge, to_csv
from avkd.models import starter
from avkd.models.decision import DecisionRule
from avkd.models.model_file import ModelFileError, load_detector
from avkd.outcome import ExitCode, Outcome
from avkd.runtime import Runtime

_FLAG_MESSAGES = {
    "damaged": "the file is damaged; only the frames that could be decoded were judged",
    "stopped_by_limit": "only the first part of the file was judged (max_seconds)",
}
_UNCALIBRATED = (
    Note(
        code="uncalibrated",
        message="P(fake) is the bare sigmoid of the score: it says which side of the threshold the "
        "file is on, not how sure that is; fit it with `avkd calibrate`",
    ),
)


@dataclass(frozen=True)
class Judge:
    """A detector ready to judge files."""

    model: nn.Module
    rule: DecisionRule
    input: ModelInput
    fingerprint: str
    machine: Runtime
    starter: str | None = None
    """Name of the shipped model it is; None = one of the user's."""

    @classmethod
    def load(cls, path: Path, machine: Runtime) -> Judge:
        """Read a model file of `avkd finetune` or `avkd distill`.

        Raises:
            ModelFileError: damaged, not a detector, without decision rule, or for another input.
        """
        model, header = load_detector(path)
        if header.decision is None:
            raise ModelFileError(f"{path}: has no decision rule; train it with this avkd")
        return cls(
            model=model.to(machine.device),
            rule=header.decision,
            input=header.input_of(ModelInput.read, path),
            fingerprint=header.fingerprint,
            machine=machine,
            starter=str(path) if starter.is_starter(path) else None,
        )

    @torch.no_grad()
    def logits(self, crops: np.ndarray, landmarks: np.ndarray) -> list[float]:
        """B raw logits, always in fp32, of uint8 crops (B, L, S, S, 3) and (B, L, 5, 2) points."""
        device = self.machine.device
        views = self.input.center_views(len(crops), crops.shape[2]).to(device)
        seen = self.input.view(
            torch.from_numpy(crops).to(device), torch.from_numpy(landmarks).to(device), views
        )
        return [float(value) for value in self.model(*seen).logit]

    def face_detector(self, config: PredictConfig) -> str:
        """Where faces come from: as the user says, else as in training."""
        return config.detector or ("none" if self.input.faces == "whole" else "mtcnn")


def predict(config: PredictConfig) -> Outcome:
    """`avkd predict`: one verdict for each file, in order.

    Raises:
        ValueError: a folder holds no video and no picture.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    judge_of_files = Judge.load(config.model or starter.DEFAULT, machine)
    face_detector = judge_of_files.face_detector(config)
    if face_detector not in ("boxes", "none"):
        load_face_detector(face_detector)  # fails here, once, if its weights are missing
    paths = [path for named in config.files for path in _files_of(named)]
    files = tqdm(paths, desc="predict", unit="file", disable=len(paths) < 2)
    verdicts = [judge_file(path, judge_of_files, config) for path in files]
    lines = [verdict.to_json() for verdict in verdicts]
    if config.out is not None:
        is_table = config.out.suffix.lower() == ".csv"
        text = to_csv(verdicts) if is_table else "".join(line + "\n" for line in lines)
        durable.write_text(config.out, text)
    text = "\n".join(lines if config.json else [verdict.to_text() for verdict in verdicts])
    unjudged = sum(verdict.decision == "cannot_tell" for verdict in verdicts)
    if unjudged == len(verdicts):
        return Outcome(text, ExitCode.NOTHING_USABLE)
    return Outcome(text, ExitCode.SOME_SKIPPED if unjudged else ExitCode.DONE)


def judge_file(path: Path, detector: Judge, config: PredictConfig) -> Verdict:
    """Judge one file; whatever is wrong with it becomes the verdict's reason."""
    kind: FileKind = "image" if is_picture_name(path.name) else "video"
    try:
        if kind == "image" and detector.input.clip_frames > 1:
            detail = "a picture, but this model judges videos; give one of `avkd distill`"
            raise MediaError("single_picture", path, detail)
        plan = plan_tracks(
            path,
            kind=kind,
            detector=detector.face_detector(config),
            detect_every_frames=config.detect_every_frames or DETECT_EVERY_FRAMES,
            # An image detector has no use for a face that stays: every glimpse is judged.
            min_frames=MIN_FRAMES if detector.input.clip_frames > 1 else 1,
            max_seconds=config.max_seconds,
            crop_pixels=detector.input.crop_pixels,
            crop_margin=detector.input.crop_margin,
        )
    except ValueError as error:  # also what is wrong with a sidecar
        return _cannot_tell(path, error, detector)
    try:
        windows = list(_windows(path, kind, plan, detector, config))
    except MediaError as error:
        return _cannot_tell(path, error, detector)
    scores = [window for window in windows if window is not None]
    return judge(
        str(path),
        scores,
        num_frames=plan.num_frames,
        face_frames=_face_frames(plan, {window.track for window in scores}),
        probability_of=detector.rule.probability,
        answer_of=detector.rule.decide,
        threshold=detector.rule.threshold,
        pooling=detector.rule.pooling,
        threshold_origin=detector.rule.source,
        model_fingerprint=detector.fingerprint,
        skipped=_skipped(plan, num_not_finite=len(windows) - len(scores)),
        warnings=[
            *_starter_note(detector),
            *(_UNCALIBRATED if detector.rule.calibration.kind == "none" else ()),
            *(_flag_note(flag, plan) for flag in plan.flags if flag in _FLAG_MESSAGES),
        ],
    )


def _flag_note(flag: str, plan: FilePlan) -> Note:
    message = _FLAG_MESSAGES[flag]
    missing = plan.counts.get("missing_frames", 0)
    if flag == "damaged" and missing:
        share = missing / (missing + plan.counts["source_frames"])
        message += f"; {missing} frames that its header announces are missing ({share:.0%})"
    return Note(code=flag, message=message)


def _starter_note(detector: Judge) -> tuple[Note, ...]:
    if detector.starter is None:
        return ()
    message = (
        f"judged by {detector.starter}, which ships with avkd and knows few people and few kinds "
        f"of fakes; how far it can be trusted: {starter.CARD}"
    )
    return (Note(code="starter_model", message=message),)


def _cannot_tell(path: Path, error: ValueError, detector: Judge) -> Verdict:
    if isinstance(error, MediaError):
        note = Note(code=error.code, message=error.detail)  # the verdict names the file itself
    else:
        note = Note(code="bad_input", message=str(error))  # as `prepare` says it
    return cannot_tell(
        str(path),
        reason=note.message,
        skipped=(note,),
        model_fingerprint=detector.fingerprint,
    )


def _windows(
    path: Path, kind: FileKind, plan: FilePlan, detector: Judge, config: PredictConfig
) -> Iterator[WindowScore | None]:
    """Every window with its score; None where the detector gave no finite number."""
    clips = _clips(path, kind, plan, detector.input, config.max_seconds)
    while batch := list(islice(clips, config.batch_size)):
        points = [_landmarks(plan.tracks[track], window) for track, window, _ in batch]
        logits = detector.logits(np.stack([crops for _, _, crops in batch]), np.stack(points))
        for (track, window, _), logit in zip(batch, logits, strict=True):
            start_frame = plan.tracks[track].start_frame + window.start_frame
            yield _scored(track, start_frame, window, logit, detector.rule)


def _scored(
    track: int, start_frame: int, window: Window, logit: float, rule: DecisionRule
) -> WindowScore | None:
    if not math.isfinite(logit):
        return None
    return WindowScore(
        track=track,
        start_frame=start_frame,
        num_frames=window.num_frames,
        start_seconds=start_frame / FRAMES_PER_SECOND,
        end_seconds=(start_frame + window.num_frames) / FRAMES_PER_SECOND,
        logit=logit,
        probability=rule.probability(logit),
        num_repeated=window.num_repeated,
    )


def _clips(
    path: Path, kind: FileKind, plan: FilePlan, seen: ModelInput, max_seconds: float | None
) -> Iterator[tuple[int, Window, np.ndarray]]:
    """(track, window, (L, S, S, 3) crops) as soon as a window's last frame has come."""
    pending = [deque(seen.windows(len(track))) for track in plan.tracks]
    wanted = [{frame for window in of_track for frame in _frames(window)} for of_track in pending]
    recent: list[deque[np.ndarray]] = [deque(maxlen=seen.clip_frames) for _ in plan.tracks]
    passed = Counter[int]()
    frames = iter_file(path, kind, max_seconds=max_seconds, counts=Counter())
    for track, _, crop in cut_crops(frames, plan.tracks):
        if passed[track] in wanted[track]:
            # Training and evaluation saw compressed crops; sharper ones move the logits.
            recent[track].append(as_stored(crop))
        passed[track] += 1
        while pending[track] and _end(pending[track][0]) == passed[track]:
            window = pending[track].popleft()
            yield track, window, _stacked(recent[track], window)


def _landmarks(track: TrackPlan, window: Window) -> np.ndarray:
    """(L, 5, 2) float32 in pixels of the crop; NaN where no face was searched."""
    points = [
        face_crop.apply_transform(track.transforms[frame], track.landmarks[frame])
        for frame in window.frame_indices
    ]
    return np.stack(points).astype(np.float32)


def _face_frames(plan: FilePlan, judged: set[int]) -> int:
    """Frames of the file that lie in a judged track."""
    tracks = [plan.tracks[number] for number in judged]
    spans = (range(track.start_frame, track.start_frame + len(track)) for track in tracks)
    return len(set().union(*spans))


def _frames(window: Window) -> range:
    return range(window.start_frame, _end(window))


def _end(window: Window) -> int:
    return window.start_frame + window.num_frames


def _stacked(recent: Iterable[np.ndarray], window: Window) -> np.ndarray:
    """The last frames seen, as the window wants them; a short one repeats its last frame."""
    last = np.stack(list(recent))[-window.num_frames :]
    return last[window.frame_indices - window.start_frame]


def _files_of(path: Path) -> list[Path]:
    """A file itself, or all videos and pictures below a folder, by name; links are not followed.

    Raises:
        ValueError: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    listing = inventory.list_files(path, suffixes=VIDEO_SUFFIXES | PICTURE_SUFFIXES)
    if not listing.files:
        raise ValueError(f"{path}: holds no video and no picture; {'; '.join(listing.notes())}")
    return [path / name for name in listing.files]


def _skipped(plan: FilePlan, *, num_not_finite: int) -> list[Note]:
    messages = {
        "face_too_brief": (
            plan.num_dropped_tracks,
            "further face(s) were seen too briefly for this model",
        ),
        "logit_not_finite": (num_not_finite, "window(s) to which the detector gave no number"),
    }
    return [
        Note(code=code, message=f"{count} {message}")
        for code, (count, message) in messages.items()
        if count
    ]
