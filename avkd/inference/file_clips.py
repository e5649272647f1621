"""The clips of a file that a detector judges, one after the other as its frames pass.

Streams: whatever the file's length, only the last frames of each face are held.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from avkd.data.crops.crop_store import as_stored
from avkd.data.faces import face_crop
from avkd.data.faces.track_extraction import FilePlan, TrackPlan, crop_of
from avkd.data.media.source_file import SourceFile
from avkd.data.model_input import ModelInput
from avkd.data.stopwatch import step
from avkd.data.windows import Window


class FileClip(NamedTuple):
    """A window of a face."""

    track: int
    start_frame: int
    """In the file; ``place`` counts from the beginning of its track."""
    place: Window
    crops: np.ndarray
    """(L, S, S, 3) uint8 RGB; a short one repeats its last frame."""
    points: np.ndarray
    """(L, 5, 2) float32 in pixels of the crops; NaN where no face was searched."""


def clips_of(source: SourceFile, plan: FilePlan, seen: ModelInput) -> Iterator[FileClip]:
    """Every window that a detector with this input looks at, as soon as its last frame has come.

    Raises:
        MediaError: the file cannot be read.
    """
    pending = [deque(seen.windows(len(track))) for track in plan.tracks]
    wanted = [{n for place in of_track for n in _frames(place)} for of_track in pending]
    recent: list[deque[np.ndarray]] = [deque(maxlen=seen.clip_frames) for _ in plan.tracks]
    for number, frame in enumerate(source.frames()):
        for track, planned in enumerate(plan.tracks):
            own = number - planned.start_frame
            if own in wanted[track] and (crop := crop_of(planned, number, frame)) is not None:
                # Training and evaluation saw compressed crops; sharper ones move the logits.
                with step("alignment"):
                    recent[track].append(as_stored(crop))
            while pending[track] and _frames(pending[track][0]).stop == own + 1:
                place = pending[track].popleft()
                last = np.stack(list(recent[track]))[-place.num_frames :]
                yield FileClip(
                    track,
                    planned.start_frame + place.start_frame,
                    place,
                    last[place.frame_indices - place.start_frame],
                    _landmarks(planned, place),
                )


def _frames(place: Window) -> range:
    return range(place.start_frame, place.start_frame + place.num_frames)


def _landmarks(track: TrackPlan, place: Window) -> np.ndarray:
    points = [
        face_crop.apply_transform(track.transforms[frame], track.landmarks[frame])
        for frame in place.frame_indices
    ]
    return np.stack(points).astype(np.float32)
