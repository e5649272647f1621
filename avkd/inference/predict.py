"""Judges files: faces, aligned crops, windows of 25 frames that cover every frame, a verdict.

Streams: whatever a file's length, only the last second of each face and one batch of windows are
held. A file that cannot be judged is `cannot_tell` with its reason, never `real`.
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
from avkd.data import transforms
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.crop_store import as_stored
from avkd.data.media import MediaError
from avkd.data.track_extraction import (
    DETECT_EVERY_FRAMES,
    FilePlan,
    cut_crops,
    iter_file,
    load_detector,
    plan_tracks,
)
from avkd.data.windows import Window, windows_covering
from avkd.inference.verdict import Note, Verdict, WindowScore, cannot_tell, judge
from avkd.models.decision import DecisionRule
from avkd.models.model_file import ModelFileError, load_model
from avkd.runtime import ExitCode, Outcome, Runtime

_FLAG_MESSAGES = {
    "damaged": "the file is damaged; only the frames that could be decoded were judged",
    "stopped_by_limit": "only the first part of the file was judged (max_seconds)",
}


@dataclass(frozen=True)
class Judge:
    """A detector ready to judge files."""

    model: nn.Module
    rule: DecisionRule
    image_size: int
    fingerprint: str
    machine: Runtime

    @classmethod
    def load(cls, path: Path, machine: Runtime) -> Judge:
        """Read a model file of `avkd finetune`.

        Raises:
            ModelFileError: damaged, not a detector, without decision rule, or for another input.
        """
        model, header = load_model(path, kind="detector")
        if header.decision is None:
            raise ModelFileError(f"{path}: has no decision rule; finetune it with this avkd")
        image_size = header.image_size(path)
        header.require_preprocessing(transforms.preprocessing(image_size), path)
        return cls(
            model=model.to(machine.device),
            rule=header.decision,
            image_size=image_size,
            fingerprint=header.sha256[:16],
            machine=machine,
        )

    @torch.no_grad()
    def logits(self, clips: np.ndarray) -> list[float]:
        """(B, 25, 150, 150, 3) uint8 crops -> B raw logits, always in fp32."""
        frames = torch.from_numpy(clips).to(self.machine.device)
        views = transforms.center_views(len(clips)).to(self.machine.device)
        logit = self.model(transforms.apply_video(frames, views, self.image_size)).logit
        return [float(value) for value in logit]


def predict(config: PredictConfig) -> Outcome:
    """`avkd predict`: one verdict for each file, in order."""
    machine = runtime.start(device=config.device, threads=config.threads)
    judge_of_files = Judge.load(config.model, machine)
    if config.detector not in ("boxes", "none"):
        load_detector(config.detector)  # fails here, once, if its weights are missing
    files = tqdm(config.files, desc="predict", unit="file", disable=len(config.files) < 2)
    verdicts = [judge_file(path, judge_of_files, config) for path in files]
    lines = [verdict.to_json() for verdict in verdicts]
    if config.out is not None:
        durable.write_text(config.out, "".join(line + "\n" for line in lines))
    text = "\n".join(lines if config.json else [verdict.to_text() for verdict in verdicts])
    unjudged = sum(verdict.decision == "cannot_tell" for verdict in verdicts)
    if unjudged == len(verdicts):
        return Outcome(text, ExitCode.NOTHING_USABLE)
    return Outcome(text, ExitCode.SOME_SKIPPED if unjudged else ExitCode.DONE)


def judge_file(path: Path, detector: Judge, config: PredictConfig) -> Verdict:
    """Judge one file; whatever is wrong with it becomes the verdict's reason."""
    try:
        plan = plan_tracks(
            path,
            detector=config.detector,
            detect_every_frames=config.detect_every_frames or DETECT_EVERY_FRAMES,
            max_seconds=config.max_seconds,
        )
    except ValueError as error:  # also what is wrong with a sidecar
        return _cannot_tell(path, error, detector)
    try:
        windows = list(_windows(path, plan, detector, config))
    except MediaError as error:
        return _cannot_tell(path, error, detector)
    scores = [window for window in windows if window is not None]
    return judge(
        str(path),
        scores,
        num_frames=plan.num_frames,
        probability_of=detector.rule.probability,
        answer_of=detector.rule.decide,
        threshold=detector.rule.threshold,
        threshold_origin=detector.rule.source,
        model_fingerprint=detector.fingerprint,
        skipped=_skipped(plan, num_not_finite=len(windows) - len(scores)),
        warnings=[
            Note(code=flag, message=_FLAG_MESSAGES[flag])
            for flag in plan.flags
            if flag in _FLAG_MESSAGES
        ],
    )


def _cannot_tell(path: Path, error: ValueError, detector: Judge) -> Verdict:
    code = error.code if isinstance(error, MediaError) else "bad_input"  # as `prepare` says it
    return cannot_tell(
        str(path),
        reason=str(error),
        skipped=(Note(code=code, message=str(error)),),
        model_fingerprint=detector.fingerprint,
    )


def _windows(
    path: Path, plan: FilePlan, detector: Judge, config: PredictConfig
) -> Iterator[WindowScore | None]:
    """Every window with its score; None where the detector gave no finite number."""
    clips = _clips(path, plan, config)
    while batch := list(islice(clips, config.batch_size)):
        logits = detector.logits(np.stack([crops for _, _, crops in batch]))
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
    path: Path, plan: FilePlan, config: PredictConfig
) -> Iterator[tuple[int, Window, np.ndarray]]:
    """(track, window, (25, 150, 150, 3) crops) as soon as a window's last frame has come."""
    pending = [deque(windows_covering(len(track))) for track in plan.tracks]
    recent: list[deque[np.ndarray]] = [deque(maxlen=transforms.CLIP_FRAMES) for _ in plan.tracks]
    seen = Counter[int]()
    frames = iter_file(path, "video", max_seconds=config.max_seconds, counts=Counter())
    for track, _, crop in cut_crops(frames, plan.tracks):
        # Training and evaluation saw compressed crops; sharper ones move the logits.
        recent[track].append(as_stored(crop))
        seen[track] += 1
        while pending[track] and _end(pending[track][0]) == seen[track]:
            window = pending[track].popleft()
            yield track, window, _stacked(recent[track], window)


def _end(window: Window) -> int:
    return window.start_frame + window.num_frames


def _stacked(recent: Iterable[np.ndarray], window: Window) -> np.ndarray:
    """The last frames seen, as the window wants them; a short one repeats its last frame."""
    last = np.stack(list(recent))[-window.num_frames :]
    return last[window.frame_indices - window.start_frame]


def _skipped(plan: FilePlan, *, num_not_finite: int) -> list[Note]:
    messages = {
        "face_too_brief": (
            plan.num_dropped_tracks,
            "further face(s) were seen for less than one second",
        ),
        "logit_not_finite": (num_not_finite, "window(s) to which the detector gave no number"),
    }
    return [
        Note(code=code, message=f"{count} {message}")
        for code, (count, message) in messages.items()
        if count
    ]
