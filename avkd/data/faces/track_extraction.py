"""From the frames of a file to aligned face crops: what `prepare` stores and `predict` judges.

Where faces are searched, one pass finds the tracks and another cuts the crops; where they are
known, one pass does both.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np

from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.data.faces import face_crop, face_tracks
from avkd.data.faces.face_tracks import (
    DETECT_EVERY_FRAMES,
    LEAST_SCORES,
    FaceDetector,
    LeastScores,
    find_tracks,
    first_to_find,
    smallest_face_pixels,
    turned,
)
from avkd.data.faces.following import Follower, Following
from avkd.data.media.frame import Frame
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile
from avkd.data.stopwatch import step

MIN_FRAMES = 25
"""One second: the shortest clip the video models look at."""

USUAL_FACE_FRACTION = 0.1
"""Smallest face searched for, as a share of the picture's shorter side."""
_SMALL_FACE_FRACTION = 0.03  # where no larger one is; costs MTCNN ten times as much
_PATIENT_EVERY_FRAMES = 25

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

    def transform_at(self, number: int, frame: Frame) -> np.ndarray | None:
        """From pixels of frame ``number`` of the file to the crop, (2, 3); None = not there."""
        t = number - self.start_frame
        return self.transforms[t] if 0 <= t < len(self) else None

    def until(self, num_frames: int) -> "TrackPlan":
        """The part that lies in the first ``num_frames`` frames of the file."""
        own = max(0, num_frames - self.start_frame)
        return replace(self, landmarks=self.landmarks[:own], transforms=self.transforms[:own])

    def moved(self, moves: np.ndarray) -> "TrackPlan":
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
    """``short``, ``several_faces``, ``damaged``, ``stopped_by_limit``, ``long_stills``, ``hdr``."""
    counts: dict[str, int] = field(default_factory=dict)
    """What decoding met; see `video.iter_frames`."""
    candidates: tuple[int, ...] = ()
    """Which of the tracks that were looked at these are."""
    smallest_face_pixels: float | None = None
    """Side of the smallest face that was searched for; None = none was searched."""


class WholePictures:
    """The track of a file whose pictures are face crops already: only brought to the crop's size.

    It grows while the frames pass.
    """

    start_frame = 0

    def __init__(self, crop_pixels: int) -> None:
        self.crop_pixels = crop_pixels
        self._transforms: list[np.ndarray] = []

    def transform_at(self, number: int, frame: Frame) -> np.ndarray:
        """As `TrackPlan.transform_at`; to be asked once for each frame."""
        size = self.crop_pixels
        self._transforms.append(face_crop.resize_to_crop(frame.width, frame.height, size=size))
        return self._transforms[-1]

    def until(self, num_frames: int) -> TrackPlan:
        """What has passed."""
        assert num_frames == len(self._transforms)
        landmarks = np.full((num_frames, 5, 2), np.nan)
        return TrackPlan(0, landmarks, np.stack(self._transforms), 1.0, self.crop_pixels)


Candidate = TrackPlan | WholePictures
"""A track that may reach beyond the end of its file."""


@lru_cache(maxsize=4)
def load_detector(
    name: str, min_face_fraction: float = USUAL_FACE_FRACTION, file: Path | None = None
) -> FaceDetector:
    """The face detector called ``name``; made once per process.

    Args:
        name: Of `face_tracks.DETECTORS`.
        min_face_fraction: Smallest face searched for, as a share of the picture's shorter side.
        file: With its network; for those of `face_tracks.NEED_FILE`.

    Raises:
        ValueError: there is no such detector, it needs a file or none; `ModelRefused` where it is
            not made from this file.
        ModuleNotFoundError: its weights are not installed; the message says how to get them.
    """
    if name not in face_tracks.DETECTORS:
        known = ", ".join([*face_tracks.DETECTORS, "boxes", "none"])
        raise ValueError(f"unknown face detector {name!r}; known: {known}")
    if (name in face_tracks.NEED_FILE) != (file is not None):
        belongs = f"detector_file belongs to detector {' or '.join(face_tracks.NEED_FILE)}"
        raise ValueError(f"{belongs}, which needs it: give both or neither")
    given = {} if file is None else {"file": file}
    with step("import"):
        return face_tracks.DETECTORS[name](min_face_fraction=min_face_fraction, **given)


def plan_tracks(
    source: SourceFile,
    *,
    detector: str = "mtcnn",
    detector_file: Path | None = None,
    detect_every_frames: int = DETECT_EVERY_FRAMES,
    min_frames: int = MIN_FRAMES,
    crop_pixels: int = face_crop.CROP_PIXELS,
    crop_margin: float = 1.0,
    min_face_fraction: float | None = None,
    follow: bool = False,
    open_frames: Callable[[], Iterator[Frame]] | None = None,
) -> FilePlan:
    """Find the faces of a file in a pass over its frames.

    Where none is found, a second pass looks more patiently: for smaller ones, and for faces that
    lie on their side.

    Args:
        source: The file.
        detector: A name of `face_tracks.DETECTORS`; ``boxes`` = the sidecar beside the file;
            ``none`` = the pictures are face crops already.
        detector_file: As of `load_detector`.
        detect_every_frames: Frames from one search to the next.
        min_frames: Shorter tracks are dropped, unless the file itself is shorter.
        crop_pixels: Side of the crops.
        crop_margin: How much wider than the template's window they look, see `face_crop`.
        min_face_fraction: Smallest face searched for, as a share of the picture's shorter side;
            unset = 0.1, and where that finds none 0.03.
        follow: Spare searches where faces can be followed, see `following`.
        open_frames: Gives the frames that faces are searched on; unset = those of the file.

    Raises:
        MediaError: unusable file; or ``no_face``, or ``face_too_brief``.
        ValueError: as `load_detector`; or a broken sidecar.
    """
    open_frames = open_frames or source.frames
    candidates: Sequence[Candidate]
    smallest = None
    if detector in ("boxes", "none"):
        frames, candidates = known_tracks(
            open_frames(), source.path, detector, crop_pixels, crop_margin
        )
        for number, frame in enumerate(frames):
            for candidate in candidates:
                candidate.transform_at(number, frame)
    else:
        fraction = min_face_fraction or USUAL_FACE_FRACTION
        finder = load_detector(detector, fraction, detector_file)
        scores = LEAST_SCORES.get(detector, LeastScores())
        search = partial(find_tracks, least_score=scores.track)
        follower = (
            Following(finder, fraction) if follow and isinstance(finder, Follower) else finder
        )
        tracks = search(open_frames(), follower, detect_every_frames=detect_every_frames)
        if not tracks:
            fraction = min(fraction, _SMALL_FACE_FRACTION)
            # For small faces, then for faces turned by a quarter to either side.
            patient = first_to_find(
                load_detector(detector, fraction, detector_file),
                *(turned(finder, 1), turned(finder, 3)),
                least_score=scores.patient,
            )
            every = max(detect_every_frames, _PATIENT_EVERY_FRAMES)
            tracks = search(open_frames(), patient, detect_every_frames=every)
        smallest = smallest_face_pixels(fraction, min(map(min, source.sizes), default=0))
        candidates = [_plan_of(track, crop_pixels, crop_margin) for track in tracks]
    plan = finished_plan(source, candidates, min_frames)
    return replace(plan, smallest_face_pixels=smallest)


def known_tracks(
    frames: Iterator[Frame], path: Path, detector: str, crop_pixels: int, crop_margin: float
) -> tuple[Iterator[Frame], Sequence[Candidate]]:
    """The frames of the file ``path``, and the tracks in them, which nobody has to search.

    ``detector`` is ``boxes`` or ``none``. The sidecar of a file that cannot be read at all is not
    asked for.

    Raises:
        MediaError: unusable file.
        ValueError: the sidecar is missing or broken.
    """
    first = next(frames, None)
    frames = frames if first is None else chain((first,), frames)
    if detector == "none":
        return frames, [WholePictures(crop_pixels)]
    known = face_tracks.tracks_from_faces(face_tracks.read_face_sidecar(path))
    inside = [track.from_first_frame() for track in known]
    return frames, [_plan_of(track, crop_pixels, crop_margin) for track in inside if len(track)]


def finished_plan(source: SourceFile, candidates: Sequence[Candidate], min_frames: int) -> FilePlan:
    """What is left of some tracks after a pass over their file, and remarks about it.

    Raises:
        MediaError: ``too_damaged``, ``no_face`` or ``face_too_brief``.
    """
    path, counts, num_frames = source.path, source.counts, source.num_frames
    broken = counts["bad_packets"] + counts["corrupt_frames"]
    total = counts["source_frames"] + counts["bad_packets"]
    if broken > _MOST_DAMAGE * total:  # a face in the rest may be an artefact
        detail = f"{broken} of {total} frames are damaged or encrypted; copy or download it again"
        raise MediaError("too_damaged", path, detail)
    tracks = [candidate.until(num_frames) for candidate in candidates]
    longest = max(map(len, tracks), default=0)
    if not longest:
        raise MediaError("no_face", path, "no face found; nothing can be said about this file")
    least = max(1, min(min_frames, num_frames))
    kept = tuple(number for number, track in enumerate(tracks) if len(track) >= least)
    if not kept:
        detail = f"no face stays for {min_frames} frames (longest {longest} of {num_frames})"
        raise MediaError("face_too_brief", path, detail)
    conditions = {
        "short": num_frames < min_frames and source.kind != "image",
        "several_faces": len(kept) > 1,
        "damaged": any(counts[name] for name in _DAMAGE),
        "stopped_by_limit": counts["stopped_by_limit"] > 0,
        "long_stills": counts["seconds_left_out"] > 0,
        "hdr": counts["hdr_frames"] > 0,
    }
    return FilePlan(
        tracks=tuple(tracks[number] for number in kept),
        num_frames=num_frames,
        num_dropped_tracks=sum(len(track) > 0 for track in tracks) - len(kept),
        flags=tuple(name for name, holds in conditions.items() if holds),
        counts=dict(counts),
        candidates=kept,
    )


def _plan_of(track: face_tracks.FaceTrack, crop_pixels: int, crop_margin: float) -> TrackPlan:
    transforms = face_crop.align_to_template(track.landmarks, size=crop_pixels, margin=crop_margin)
    return TrackPlan(track.start_frame, track.landmarks, transforms, track.score, crop_pixels)


def can_be_kept(track: Candidate, min_frames: int) -> bool:
    """Whether a track may turn out long enough; a brief one only where the file is as brief."""
    if isinstance(track, WholePictures):
        return True
    return len(track) >= min_frames or track.start_frame < min_frames


def cut_crops(
    frames: Iterable[Frame], tracks: Sequence[Candidate], wanted: Container[int] | None = None
) -> Iterator[tuple[int, Frame, np.ndarray]]:
    """The crops of tracks in order of time, one frame held at a time.

    Args:
        frames: Of the whole file.
        tracks: Where faces are.
        wanted: Numbers of the tracks to cut out; None = all.

    Yields:
        Number of the track, the frame, and its crop, uint8 RGB (S, S, 3).
    """
    cut = {n: track for n, track in enumerate(tracks) if wanted is None or n in wanted}
    for number, frame in enumerate(frames):
        for track_number, track in cut.items():
            crop = crop_of(track, number, frame)
            if crop is not None:
                yield track_number, frame, crop


def crop_of(track: Candidate, number: int, frame: Frame) -> np.ndarray | None:
    """The crop of a track, uint8 RGB (S, S, 3), in frame ``number`` of its file.

    None = the track is not there.
    """
    transform, size = track.transform_at(number, frame), track.crop_pixels
    if transform is None:
        return None
    with step("alignment"):
        window = face_crop.needed_window(transform, frame.width, frame.height, size=size)
        if window is None:  # the smoothed face lies wholly outside the picture
            return np.zeros((size, size, 3), np.uint8)
        return face_crop.warp(frame.region(*window), transform, origin=window[:2], size=size)


def sound_of_track(sound: np.ndarray | None, plan: TrackPlan) -> np.ndarray | None:
    """The part of a file's sound that belongs to a track."""
    if sound is None:
        return None
    start = plan.start_frame * SAMPLES_PER_FRAME
    return sound[start : start + len(plan) * SAMPLES_PER_FRAME]
