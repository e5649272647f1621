"""Faces through time: detect every few frames, link by overlap, fill short gaps, smooth.

Face detectors are chosen here only (`DETECTORS`); known boxes come from a sidecar file.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avkd import durable
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.media.media_file import MediaError, check_regular_file
from avkd.data.stopwatch import step

DETECT_EVERY_FRAMES = 5
"""Frames from one search for faces to the next; the face is followed between."""
MAX_GAP_FRAMES = 10
"""Longest run of frames without a face that is filled in; a longer one splits the track."""
MIN_TRACK_SCORE = 0.9
"""Least mean score of a track: MTCNN gives real faces 0.95 or more in most frames, while napes and
folds that pass its own threshold stay below 0.88."""
SMALLEST_FACE_PIXELS = 20
"""No smaller face is searched for: there is nothing to be seen in it."""
SURE_SCORE = 0.98
"""Least score of a face that only a more patient search finds: sideways, MTCNN gives a cup of
coffee 0.92, faces 0.997 and more."""
_LINK_OVERLAP = 0.3
"""Least intersection over union of one face's boxes at two detections in a row."""
_SMOOTH_SHAPE_FRAMES = 6
_SMOOTH_POSITION_SIGMA_FRAMES = 2.0
_SIDECAR_SUFFIX = ".faces.json"
_MOST_SIDECAR_BYTES = 64 << 20  # an hour of one face takes 30 MB


@dataclass(frozen=True)
class Faces:
    """Faces found in a picture, or known of a video, in no particular order."""

    boxes: np.ndarray
    """(N, 4) x0 y0 x1 y1 in pixels."""
    scores: np.ndarray
    """(N,) in [0, 1]."""
    landmarks: np.ndarray
    """(N, 5, 2): left eye, right eye, nose tip, left and right mouth corner as seen."""
    frame: np.ndarray | None = None
    """(N,) which frame of a video each face is in; None = all are of one picture."""

    def __len__(self) -> int:
        return len(self.scores)


FaceDetector = Callable[[np.ndarray], Faces]
"""Anything that finds the faces of a picture, uint8 RGB (H, W, 3)."""


def _mtcnn(*, min_face_fraction: float) -> FaceDetector:
    # Late: preparing with known boxes needs no torch, and workers start three seconds sooner.
    from avkd.data.faces.face_detector_mtcnn import MtcnnDetector

    return MtcnnDetector(min_face_fraction=min_face_fraction)


def _yunet(*, min_face_fraction: float, file: Path) -> FaceDetector:
    from avkd.data.faces.face_detector_yunet import YunetDetector

    return YunetDetector(file, min_face_fraction=min_face_fraction)


DETECTORS: dict[str, Callable[..., FaceDetector]] = {"mtcnn": _mtcnn, "yunet": _yunet}
"""Detectors by name, made for a smallest face as a share of the picture's shorter side, and from
the ``file`` of `NEED_FILE`."""
NEED_FILE = ("yunet",)
"""Detectors whose network the user brings."""


class LeastScores(NamedTuple):
    """How sure a detector has to be; scores of one are not those of another."""

    track: float = MIN_TRACK_SCORE
    patient: float = SURE_SCORE


LEAST_SCORES = {"yunet": LeastScores(track=0.7, patient=0.8)}
"""Of detectors other than MTCNN."""


def smallest_face_pixels(min_face_fraction: float, shorter_side: int) -> float:
    """Side of the smallest face that is searched for in a picture."""
    return max(SMALLEST_FACE_PIXELS, min_face_fraction * shorter_side)


def turned(detector: FaceDetector, quarters: int) -> FaceDetector:
    """A detector that looks at pictures turned by quarters, as sideways photographs need it."""

    def find(image: np.ndarray) -> Faces:
        found = detector(np.ascontiguousarray(np.rot90(image, quarters)))
        corners, points = found.boxes.reshape(-1, 2, 2), found.landmarks
        height, width = image.shape[:2]
        for turn in range(quarters):
            # One quarter back: the columns of a picture turned to the left are its rows.
            across = width if (quarters - turn) % 2 else height
            corners, points = (
                np.stack([across - p[..., 1], p[..., 0]], axis=-1) for p in (corners, points)
            )
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        return Faces(boxes, found.scores, points)

    return find


def first_to_find(*detectors: FaceDetector, least_score: float = SURE_SCORE) -> FaceDetector:
    """A detector that asks several until one is sure of a face."""
    nothing = Faces(np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2)))

    def find(image: np.ndarray) -> Faces:
        answers = (detector(image) for detector in detectors)
        return next((a for a in answers if (a.scores >= least_score).any()), nothing)

    return find


@dataclass(frozen=True)
class FaceTrack:
    """One face followed without interruption."""

    start_frame: int
    """First of its consecutive frames in the 25 per second stream."""
    landmarks: np.ndarray
    """(T, 5, 2) smoothed, in frame pixels."""
    boxes: np.ndarray
    """(T, 4) x0 y0 x1 y1, interpolated between detections."""
    score: float
    """Mean detection score."""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def prominence(self) -> float:
        """Mean side of the face in pixels times frames: the primary track has most."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float(np.sqrt(np.clip(sides.prod(axis=1), 0, None)).sum())

    def from_first_frame(self) -> "FaceTrack":
        """Without what a sidecar places before the beginning of the file."""
        before = max(0, -self.start_frame)
        return dataclasses.replace(
            self,
            start_frame=self.start_frame + before,
            landmarks=self.landmarks[before:],
            boxes=self.boxes[before:],
        )


class _Sighting(NamedTuple):
    frame: int
    box: np.ndarray
    landmarks: np.ndarray
    score: float


_Chain = list[_Sighting]
"""Of one face."""


def find_tracks(
    frames: Iterable[Any],
    detector: FaceDetector,
    *,
    detect_every_frames: int = DETECT_EVERY_FRAMES,
    least_score: float = MIN_TRACK_SCORE,
) -> list[FaceTrack]:
    """Detect and follow every face of a video, holding one frame at a time.

    Frames are consecutive and have an ``image`` property (uint8 RGB (H, W, 3)), which is read only
    where faces are searched: in every ``detect_every_frames``-th, and in the last, so that tracks
    reach both ends. Tracks whose mean score is below ``least_score`` are left out.

    Returns:
        Tracks, the largest times longest first.
    """
    chains: list[_Chain] = []

    def search(image: np.ndarray) -> None:
        with step("detection"):
            faces = detector(image)
        _link(chains, number, faces, detect_every_frames)

    number, frame = -1, None
    for number, frame in enumerate(frames):
        if number % detect_every_frames == 0:
            search(frame.image)
    if frame is not None and number % detect_every_frames:
        search(frame.image)
    return _ranked(chains, least_score)


def tracks_from_faces(faces: Faces) -> list[FaceTrack]:
    """Tracks from faces already known, e.g. of a sidecar; ``faces.frame`` counts at 25 per second.

    Returns:
        Tracks, the largest times longest first.
    """
    assert faces.frame is not None, "faces of a video"
    chains: list[_Chain] = []
    for number in np.unique(faces.frame).tolist():
        there = faces.frame == number
        seen = Faces(faces.boxes[there], faces.scores[there], faces.landmarks[there])
        _link(chains, number, seen, 1)
    return _ranked(chains, MIN_TRACK_SCORE)


def _link(chains: list[_Chain], now: int, faces: Faces, every_frames: int) -> None:
    """Append each face of frame ``now`` to the chain it overlaps most; else it starts its own."""
    found = zip(faces.boxes, faces.landmarks, faces.scores.tolist(), strict=True)
    sightings = [_Sighting(now, *face) for face in found]
    # Between two searches lie every_frames - 1 frames nobody looked at; they are no gap.
    reach = max(MAX_GAP_FRAMES + 1, every_frames)
    open_chains = [chain for chain in chains if now - chain[-1].frame <= reach]
    pairs = [
        (_overlap(chain[-1].box, sighting.box), c, s)
        for c, chain in enumerate(open_chains)
        for s, sighting in enumerate(sightings)
    ]
    used_chains, used_sightings = set(), set()
    for overlap, c, s in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap < _LINK_OVERLAP:
            break
        if c not in used_chains and s not in used_sightings:
            open_chains[c].append(sightings[s])
            used_chains.add(c)
            used_sightings.add(s)
    chains.extend([sighting] for s, sighting in enumerate(sightings) if s not in used_sightings)


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    common = float(np.clip(sides, 0, None).prod())
    union = float((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod()) - common
    return common / union if union > 0 else 0.0


def _ranked(chains: Sequence[_Chain], least_score: float) -> list[FaceTrack]:
    """Tracks that are sure enough, filled linearly between sightings and smoothed."""
    tracks = []
    for chain in chains:
        seen, boxes, landmarks, scores = map(np.array, zip(*chain, strict=True))
        frames = np.arange(seen[0], seen[-1] + 1)
        values = np.concatenate([boxes, landmarks.reshape(-1, 10)], axis=1, dtype=np.float64)
        filled = np.stack([np.interp(frames, seen, column) for column in values.T], axis=1)
        track = FaceTrack(
            start_frame=int(seen[0]),
            landmarks=smooth_landmarks(filled[:, 4:].reshape(-1, 5, 2)),
            boxes=filled[:, :4],
            score=float(scores.mean()),
        )
        if track.score >= least_score:
            tracks.append(track)
    return sorted(tracks, key=lambda track: -track.prominence)


def smooth_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Steady landmarks (T, 5, 2): shape over +-6 frames, position with sigma 2 frames.

    Windows shrink symmetrically towards the ends, so that steady motion is never delayed.
    """
    position = landmarks.mean(axis=1, keepdims=True)
    shape = landmarks - position
    flat = np.ones(2 * _SMOOTH_SHAPE_FRAMES + 1)
    offsets = np.arange(-_SMOOTH_SHAPE_FRAMES, _SMOOTH_SHAPE_FRAMES + 1)
    bell = np.exp(-0.5 * (offsets / _SMOOTH_POSITION_SIGMA_FRAMES) ** 2)
    return _weighted_mean(shape, flat) + _weighted_mean(position, bell)


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Moving mean along axis 0, its window cut to stay inside and symmetric."""
    reach = len(weights) // 2
    smoothed = np.empty_like(values, dtype=np.float64)
    for t in range(len(values)):
        half = min(reach, t, len(values) - 1 - t)
        part = weights[reach - half : reach + half + 1]
        smoothed[t] = np.tensordot(part / part.sum(), values[t - half : t + half + 1], axes=1)
    return smoothed


def face_sidecar_path(video_path: Path) -> Path:
    """Where the known faces of a video lie: ``<video path>.faces.json``."""
    return video_path.with_name(video_path.name + _SIDECAR_SUFFIX)


def write_face_sidecar(
    video_path: Path, boxes: np.ndarray, landmarks: np.ndarray, size: tuple[int, int]
) -> None:
    """Write one known face per frame beside a video, for ``detector="boxes"``.

    Boxes are (T, 4) x0 y0 x1 y1 in pixels, one row a frame of the 25 per second stream, landmarks
    (T, 5, 2); ``size`` is width and height of the video.
    """
    rows = zip(np.round(boxes, 2).tolist(), np.round(landmarks, 2).tolist(), strict=True)
    faces = [
        {"frame": number, "box": box, "landmarks": points}
        for number, (box, points) in enumerate(rows)
    ]
    sidecar = {"frames_per_second": FRAMES_PER_SECOND, "size": list(size), "faces": faces}
    durable.write_text(face_sidecar_path(video_path), json.dumps(sidecar) + "\n")


def read_face_sidecar(video_path: Path) -> Faces:
    """Read the known faces of a video.

    Raises:
        ValueError: there is no sidecar or it is broken; names the file.
    """
    path = face_sidecar_path(video_path)
    try:
        check_regular_file(path)
        if path.stat().st_size > _MOST_SIDECAR_BYTES:
            raise ValueError(f"larger than {_MOST_SIDECAR_BYTES >> 20} MB")
        sidecar = json.loads(path.read_text(encoding="utf-8"))
        rows = sidecar["faces"]
        if sidecar["frames_per_second"] != FRAMES_PER_SECOND:
            raise ValueError(f"frames must be counted at {FRAMES_PER_SECOND} per second")
        boxes = np.array([row["box"] for row in rows], np.float64).reshape(len(rows), 4)
        points = np.array([row["landmarks"] for row in rows], np.float64).reshape(len(rows), 5, 2)
        frame = np.array([row["frame"] for row in rows], np.int64)
    except MediaError as error:
        if error.code == "not_found":
            missing = f"{path}: missing; detector 'boxes' needs one beside the video"
            raise ValueError(missing) from None
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: not a face sidecar ({error}); write it again") from error
    return Faces(boxes, np.ones(len(rows)), points, frame)
