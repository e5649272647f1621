"""From one file to aligned face crops with sound: what `prepare` stores and `predict` judges.

Two passes over the file, each holding one frame at a time: find the tracks, then cut the crops.
Knows nothing of manifests, labels, storage or models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.faces import face_crop, face_tracks
from avkd.data.faces.face_tracks import FaceDetector
from avkd.data.media import image_files, media
from avkd.data.media.media import MediaError
from avkd.data.perturbations.perturbed_frames import Alteration, Frame

MIN_FRAMES = 25
"""One second: the shortest clip the video models look at."""

DETECT_EVERY_FRAMES = 5
"""Frames from one search for faces to the next; the face is followed between."""

_SMALL_FACE_FRACTION = 0.03

FileKind = Literal["video", "frames", "image"]

_DAMAGE = (
    *("bad_packets", "corrupt_frames", "cut_off", "time_jump", "unordered_frames"),
    "missing_frames",
)
_MOST_DAMAGE = 0.2  # share of broken frames from which on what is left says nothing of the file


@dataclass(frozen=True)
class TrackPlan:
    """Where one face is: all that is needed to cut its crops."""

    start_frame: int
    """First frame of the track in the 25 per second stream."""
    landmarks: np.ndarray
    """(T, 5, 2) smoothed, in frame pixels; NaN where no face was searched."""
    transforms: np.ndarray
    """(T, 2, 3) from frame pixels to crop pixels."""
    score: float
    """Mean detection score in [0, 1]; 1 where no face was searched."""
    crop_pixels: int = face_crop.CROP_PIXELS
    """Side of the crops."""

    def __len__(self) -> int:
        return len(self.transforms)

    def moved(self, moves: np.ndarray) -> TrackPlan:
        """The same face where every frame of its file was scaled and shifted.

        Args:
            moves: (F, 2, 3) from the old to the new pixels of each frame of the file.
        """
        own = moves[self.start_frame : self.start_frame + len(self)]
        turns, shifts = own[:, :, :2], own[:, None, :, 2]
        landmarks = np.einsum("tij,tpj->tpi", turns, self.landmarks) + shifts
        back = np.stack([face_crop.inverse_transform(move) for move in own])
        transforms = self.transforms[:, :, :2] @ back
        transforms[:, :, 2] += self.transforms[:, :, 2]
        return replace(self, landmarks=landmarks, transforms=transforms)


@dataclass(frozen=True)
class FilePlan:
    """All tracks of one file, the primary one first."""

    tracks: tuple[TrackPlan, ...]
    num_frames: int
    """Frames of the whole file at 25 per second."""
    num_dropped_tracks: int
    """Tracks left out because they are shorter than the least length."""
    flags: tuple[str, ...]
    """``short``, ``several_faces``, ``damaged``, ``stopped_by_limit``."""
    counts: dict[str, int] = field(default_factory=dict)
    """What decoding met; see `media.iter_frames`."""


@dataclass(frozen=True)
class PreparedTrack:
    """One face of one file, ready for a model."""

    crops: np.ndarray
    """uint8 RGB (T, 150, 150, 3), aligned, at 25 per second."""
    waveform: np.ndarray | None
    """int16 (640 T,) at 16 kHz beginning with the first crop; None when the file has no sound."""
    start_frame: int
    landmarks: np.ndarray
    transforms: np.ndarray
    source_frame_indices: np.ndarray
    """(T,) decoded frame of the file behind each crop."""
    source_times_seconds: np.ndarray
    """(T,) that frame's own timestamp, from the first frame of the file."""
    score: float


@lru_cache(maxsize=4)
def load_detector(name: str, min_face_fraction: float = 0.1) -> FaceDetector:
    """The face detector called ``name``; made once per process.

    Args:
        name: Of `face_tracks.DETECTORS`.
        min_face_fraction: Smallest face searched for, as a share of the picture's shorter side.

    Raises:
        ValueError: there is no such detector.
        ModuleNotFoundError: its weights are not installed; the message says how to get them.
    """
    if name not in face_tracks.DETECTORS:
        known = ", ".join([*face_tracks.DETECTORS, "boxes", "none"])
        raise ValueError(f"unknown face detector {name!r}; known: {known}")
    return face_tracks.DETECTORS[name](min_face_fraction=min_face_fraction)


def iter_file(
    path: Path, kind: FileKind, *, max_seconds: float | None, counts: Counter[str]
) -> Iterator[Frame]:
    """Frames of a video, a folder of pictures or a picture, at 25 per second."""
    if kind == "video":
        yield from media.iter_frames(path, max_seconds=max_seconds, counts=counts)
        return
    for frame in image_files.iter_images(path):
        if max_seconds is not None and frame.time_seconds >= max_seconds:
            counts["stopped_by_limit"] += 1
            return
        yield frame


def plan_tracks(
    path: Path,
    *,
    kind: FileKind = "video",
    detector: str | FaceDetector = "mtcnn",
    detect_every_frames: int = DETECT_EVERY_FRAMES,
    min_frames: int = MIN_FRAMES,
    max_seconds: float | None = None,
    crop_pixels: int = face_crop.CROP_PIXELS,
    crop_margin: float = 1.0,
    alteration: Alteration | None = None,
) -> FilePlan:
    """First pass: find the faces of a file.

    Args:
        path: The file.
        kind: What it is.
        detector: A name of `face_tracks.DETECTORS`; ``boxes`` = the sidecar beside the file;
            ``none`` = the pictures are face crops already; or a detector itself.
        detect_every_frames: Frames from one search to the next.
        min_frames: Shorter tracks are dropped, unless the file itself is shorter.
        max_seconds: Look at no more than this much of the file.
        crop_pixels: Side of the crops.
        crop_margin: How much wider than the template's window they look, see `face_crop`.
        alteration: What is done to the frames before faces are searched; None = nothing.

    Raises:
        MediaError: unusable file; or ``no_face``, or ``face_too_brief``.
        ValueError: unknown detector, or a broken sidecar.
    """
    counts: Counter[str] = Counter()

    def opened(counts: Counter[str]) -> Iterator[Frame]:
        clean = iter_file(path, kind, max_seconds=max_seconds, counts=counts)
        return clean if alteration is None else alteration(clean)

    frames = opened(counts)
    if detector == "none":
        plan = _whole_picture_plan(frames, crop_pixels)
        found, num_frames = [plan], len(plan)
    else:
        tracks, num_frames = _known_or_found(path, frames, detector, detect_every_frames)
        if not tracks and kind == "image" and detector in face_tracks.DETECTORS:
            # A group photograph: worth ten times the work where there is one picture only.
            thorough = load_detector(str(detector), _SMALL_FACE_FRACTION)
            tracks, num_frames = face_tracks.find_tracks(opened(Counter()), thorough)
        found = [_plan_of(track, crop_pixels, crop_margin) for track in tracks]
    _refuse_wreck(path, counts)
    if not found:
        raise MediaError("no_face", path, "no face found; nothing can be said about this file")
    kept = [plan for plan in found if len(plan) >= min(min_frames, num_frames)]
    if not kept:
        longest = max(map(len, found))
        detail = f"no face stays for {min_frames} frames (longest {longest} of {num_frames})"
        raise MediaError("face_too_brief", path, detail)
    conditions = {
        "short": num_frames < min_frames and kind != "image",
        "several_faces": len(kept) > 1,
        "damaged": any(counts[name] for name in _DAMAGE),
        "stopped_by_limit": counts["stopped_by_limit"] > 0,
    }
    return FilePlan(
        tracks=tuple(kept),
        num_frames=num_frames,
        num_dropped_tracks=len(found) - len(kept),
        flags=tuple(name for name, holds in conditions.items() if holds),
        counts=dict(counts),
    )


def _refuse_wreck(path: Path, counts: Mapping[str, int]) -> None:
    """Refuse a file of which so much is broken that a face in the rest may be an artefact.

    Raises:
        MediaError: ``too_damaged``.
    """
    broken = counts["bad_packets"] + counts["corrupt_frames"]
    total = counts["source_frames"] + counts["bad_packets"]
    if broken > _MOST_DAMAGE * total:
        detail = f"{broken} of {total} frames are damaged or encrypted; copy or download it again"
        raise MediaError("too_damaged", path, detail)


def _known_or_found(
    path: Path,
    frames: Iterable[Frame],
    detector: str | FaceDetector,
    detect_every_frames: int,
) -> tuple[list[face_tracks.FaceTrack], int]:
    if detector == "boxes":
        num_frames = sum(1 for _ in frames)
        known = face_tracks.tracks_from_faces(face_tracks.read_face_sidecar(path))
        inside = [face_tracks.shifted_track(track, start=0, stop=num_frames) for track in known]
        return [track for track in inside if len(track)], num_frames
    finder = load_detector(detector) if isinstance(detector, str) else detector
    return face_tracks.find_tracks(frames, finder, detect_every_frames=detect_every_frames)


def _plan_of(track: face_tracks.FaceTrack, crop_pixels: int, crop_margin: float) -> TrackPlan:
    transforms = face_crop.align_to_template(track.landmarks, size=crop_pixels, margin=crop_margin)
    start = int(track.frame_indices[0])
    return TrackPlan(start, track.landmarks, transforms, track.score, crop_pixels)


def _whole_picture_plan(frames: Iterable[Frame], crop_pixels: int) -> TrackPlan:
    """The pictures are crops already: every frame is only brought to the crop's size."""
    transforms = np.stack(
        [face_crop.resize_to_crop(f.width, f.height, size=crop_pixels) for f in frames]
    )
    return TrackPlan(0, np.full((len(transforms), 5, 2), np.nan), transforms, 1.0, crop_pixels)


def cut_crops(
    frames: Iterable[Frame], plans: tuple[TrackPlan, ...]
) -> Iterator[tuple[int, Frame, np.ndarray]]:
    """Second pass: the crops of all tracks in order of time, one frame held at a time.

    Yields:
        Number of the track, the frame, and its crop, uint8 RGB (S, S, 3).
    """
    for number, frame in enumerate(frames):
        for track_number, plan in enumerate(plans):
            t = number - plan.start_frame
            if 0 <= t < len(plan):
                yield track_number, frame, _crop(frame, plan.transforms[t], plan.crop_pixels)


def _crop(frame: Frame, transform: np.ndarray, size: int) -> np.ndarray:
    window = face_crop.needed_window(transform, frame.width, frame.height, size=size)
    if window is None:  # the smoothed face lies wholly outside the picture
        return np.zeros((size, size, 3), np.uint8)
    return face_crop.warp(frame.region(*window), transform, origin=window[:2], size=size)


def read_sound(path: Path, kind: FileKind, num_frames: int) -> np.ndarray | None:
    """int16 sound (640 * num_frames,) from the first frame on; None when there is none."""
    if kind != "video":
        return None
    waveform = media.read_waveform(path, num_samples=num_frames * SAMPLES_PER_FRAME)
    if waveform is None:
        return None
    largest = np.iinfo(np.int16).max
    return np.round(waveform * largest).astype(np.int16)


def sound_of_track(sound: np.ndarray | None, plan: TrackPlan) -> np.ndarray | None:
    """The part of a file's sound that belongs to a track."""
    if sound is None:
        return None
    start = plan.start_frame * SAMPLES_PER_FRAME
    return sound[start : start + len(plan) * SAMPLES_PER_FRAME]


def extract_tracks(
    path: Path,
    *,
    kind: FileKind = "video",
    detector: str | FaceDetector = "mtcnn",
    detect_every_frames: int = DETECT_EVERY_FRAMES,
    min_frames: int = MIN_FRAMES,
    max_seconds: float | None = None,
) -> list[PreparedTrack]:
    """Aligned crops and sound of every face of a file, the primary face first.

    Memory: 1.7 MB a second and face; ``max_seconds`` bounds it. To stream instead, use
    `plan_tracks` and `cut_crops`. Arguments and errors as in `plan_tracks`.
    """
    plan = plan_tracks(
        path,
        kind=kind,
        detector=detector,
        detect_every_frames=detect_every_frames,
        min_frames=min_frames,
        max_seconds=max_seconds,
    )
    crops: list[list[np.ndarray]] = [[] for _ in plan.tracks]
    sources: list[list[tuple[int, float]]] = [[] for _ in plan.tracks]
    frames = iter_file(path, kind, max_seconds=max_seconds, counts=Counter())
    for number, frame, crop in cut_crops(frames, plan.tracks):
        crops[number].append(crop)
        sources[number].append((frame.source_index, frame.time_seconds))
    sound = read_sound(path, kind, plan.num_frames)
    return [
        PreparedTrack(
            crops=np.stack(crops[number]),
            waveform=sound_of_track(sound, track),
            start_frame=track.start_frame,
            landmarks=track.landmarks,
            transforms=track.transforms,
            source_frame_indices=np.array([index for index, _ in sources[number]]),
            source_times_seconds=np.array([time for _, time in sources[number]]),
            score=track.score,
        )
        for number, track in enumerate(plan.tracks)
    ]
