"""One file of a corpus in the making: its faces found, cut out and packed, in a worker process."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from avkd import durable
from avkd.data import nuisance
from avkd.data.crops.crop_store import JPEG_QUALITY
from avkd.data.crops.crop_writer import PackedTrack, TrackPacker
from avkd.data.faces import face_tracks
from avkd.data.faces.face_crop import CROP_PIXELS
from avkd.data.faces.face_tracks import DETECT_EVERY_FRAMES
from avkd.data.faces.track_extraction import (
    MIN_FRAMES,
    Candidate,
    FilePlan,
    can_be_kept,
    cut_crops,
    finished_plan,
    known_tracks,
    plan_tracks,
    sound_of_track,
)
from avkd.data.manifest import Sample
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile
from avkd.data.perturbations.perturbations import CROPPING, Perturbation
from avkd.data.perturbations.perturbed_file import OpenFrames, perturbed_sound, perturbing

DISK_FULL = "disk_full"


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """All that decides what the crops look like; two corpora with equal ones may be mixed."""

    detector: str = "mtcnn"
    """``mtcnn``, ``yunet``, ``boxes`` (sidecars) or ``none`` (already face crops)."""
    detect_every_frames: int = DETECT_EVERY_FRAMES
    """Frames from one search for faces to the next."""
    min_frames: int = MIN_FRAMES
    """Shorter tracks are dropped; files shorter than this are kept, flagged ``short``."""
    max_seconds: float | None = 120.0
    """Longer files are cut there, flagged ``stopped_by_limit``; None = no limit."""
    crop_size: int = CROP_PIXELS
    """Side of the stored crops in pixels."""
    crop_margin: float = 1.0
    """How much wider than the template's window they look."""
    jpeg_quality: int = JPEG_QUALITY
    perturbation: Perturbation | None = None
    """Done to every whole frame before its faces are cut out, or to the sound."""
    version: int = 2
    """Raised whenever the code makes other crops from the same settings."""

    @property
    def fingerprint(self) -> str:
        """Digest written into every record made with these settings."""
        fields = asdict(self)
        # Corpora older than a setting keep their digest.
        if self.perturbation is None:
            del fields["perturbation"]
        if self.crop_margin == 1.0:
            del fields["crop_margin"]
        return durable.fingerprint(fields)


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """A file to prepare."""

    sample: Sample
    source: Path
    work: Path
    """Beginning of the names of the files this job writes its tracks to."""
    settings: PrepareSettings
    detector_file: Path | None = None
    """With the network of the detector; which one it is, the detector's name says."""


@dataclass(frozen=True)
class PreparedFile:
    """Its row of the report, and its tracks, the primary one first."""

    row: dict[str, Any]
    tracks: list[PackedTrack]


def prepare_file(job: PrepareJob) -> PreparedFile:
    """Prepare one file; one that cannot be used is an answer with a reason, not an exception."""
    started = time.monotonic()
    if job.settings.detector in face_tracks.DETECTORS.keys() - face_tracks.NEED_FILE:
        import torch  # late: only its networks need it

        torch.set_num_threads(1)  # workers share the machine by files, not by threads
    row = report_row(job.sample)
    tracks: list[PackedTrack] = []
    try:
        tracks, facts = _store_tracks(job)
        row |= {"status": "ok", "message": "", **facts}
    except MediaError as error:
        row |= {"status": error.code, "message": str(error)}
    except ValueError as error:
        row |= {"status": "bad_input", "message": str(error)}
    except OSError as error:
        code = DISK_FULL if error.errno in durable.NO_ROOM_ERRNOS else "io_error"
        row |= {"status": code, "message": str(error)}
    row["seconds"] = round(time.monotonic() - started, 3)
    return PreparedFile(row, tracks)


def report_row(sample: Sample) -> dict[str, Any]:
    """What the report says of every file, whatever became of it."""
    names = ("sample_id", "label", "dataset", "method", "split", "path")
    return {name: getattr(sample, name) for name in names}


def _store_tracks(job: PrepareJob) -> tuple[list[PackedTrack], dict[str, Any]]:
    """The tracks and facts of a file, its frames and sound perturbed where that is wanted.

    Known faces are cut out in the one pass that tells all else of a file. Faces that have to be
    found, or to follow a cropped picture, take a pass before.
    """
    settings, sample_id = job.settings, job.sample.sample_id
    assert job.sample.kind != "crops"
    is_read_twice = settings.detector in face_tracks.DETECTORS or settings.perturbation is not None
    source = SourceFile(
        job.source, job.sample.kind, settings.max_seconds, with_sound=True, keep=is_read_twice
    )
    with ExitStack() as stack:
        open_frames = stack.enter_context(
            perturbing(
                settings.perturbation,
                source.frames,
                sample_id=sample_id,
                scratch=job.work.with_name(f"{job.work.name}-encoded.mp4"),
            )
        )
        plan = _plan_ahead(source, open_frames, job)
        frames = open_frames()
        candidates: Sequence[Candidate]
        if plan is not None:
            candidates = plan.tracks
        else:
            size, margin = settings.crop_size, settings.crop_margin
            frames, candidates = known_tracks(frames, source.path, settings.detector, size, margin)
        # A noisy sidecar may hold a thousand brief tracks: no file is opened for those.
        packers = {
            number: TrackPacker(job.work.with_name(f"{job.work.name}-{number}.track"))
            for number, track in enumerate(candidates)
            if can_be_kept(track, 1 if plan is not None else settings.min_frames)
        }
        for packer in packers.values():
            stack.callback(packer.discard)
        for number, frame, crop in cut_crops(frames, candidates, packers):
            packers[number].add_frame(crop, frame.source_index, frame.time_seconds)
        plan = plan or finished_plan(source, candidates, settings.min_frames)
        sound, sound_flags = perturbed_sound(
            source.sound,
            settings.perturbation,
            sample_id=sample_id,
            scratch=job.work.with_name(f"{job.work.name}-encoded.mka"),
        )
        digest = source.sha256()
        packed = [
            packers[candidate].finish(
                waveform=sound_of_track(sound, track),
                landmarks=track.landmarks,
                transforms=track.transforms,
                path=f"{sample_id}/track-{number}",
                source_path=job.sample.path,
                source_sha256=digest,
                source_start_frame=track.start_frame,
                settings_fingerprint=settings.fingerprint,
            )
            for number, (candidate, track) in enumerate(
                zip(plan.candidates, plan.tracks, strict=True)
            )
        ]
    facts = {
        "tracks": len(plan.tracks),
        "tracks_dropped": plan.num_dropped_tracks,
        "file_frames": plan.num_frames,
        "num_frames": len(plan.tracks[0]),
        "has_audio": sound is not None,
        "flags": [*plan.flags, *sound_flags],
        "decoding": plan.counts,
        "nuisance": nuisance.facts_of_file(source, plan),
    }
    return packed, facts


def _plan_ahead(source: SourceFile, open_frames: OpenFrames, job: PrepareJob) -> FilePlan | None:
    """The tracks that a pass of its own has to find or move; None = they are known."""
    settings, perturbation = job.settings, job.settings.perturbation
    is_cropped = perturbation is not None and perturbation.name == CROPPING
    is_searched = settings.detector in face_tracks.DETECTORS
    if not is_searched and not (is_cropped and settings.detector == "boxes"):
        return None
    on_clean = perturbation is not None and perturbation.faces == "clean"
    plan = plan_tracks(
        source,
        detector=settings.detector,
        detector_file=job.detector_file,
        detect_every_frames=settings.detect_every_frames,
        min_frames=settings.min_frames,
        crop_pixels=settings.crop_size,
        crop_margin=settings.crop_margin,
        open_frames=source.frames if on_clean else open_frames,
    )
    if perturbation is not None and is_cropped and (on_clean or not is_searched):
        moves = np.stack([perturbation.moves(*size) for size in source.sizes])
        plan = replace(plan, tracks=tuple(track.moved(moves) for track in plan.tracks))
    return replace(plan, candidates=tuple(range(len(plan.tracks))))
