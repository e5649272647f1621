"""A video of what was judged: a frame around each face, P(fake) over time, and heat maps.

Collected while a file is judged, drawn in one more pass over it. It has no sound.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.faces import face_crop
from avkd.data.faces.track_extraction import TrackPlan
from avkd.data.media import drawing
from avkd.data.media.drawing import FaceMark
from avkd.data.media.source_file import SourceFile
from avkd.data.media.writing import write_video
from avkd.inference.evidence import Show
from avkd.inference.verdict import WindowScore

MOST_BYTES = 1 << 30
"""Size of an overlay; 1280x720 takes some 4 MB a minute."""
_MOST_SECONDS = 600
_HEAT_CELLS = 56  # a heat map is kept for every window
_REAL, _FAKE = (86, 180, 233), (230, 120, 0)  # told apart by colour-blind people too


class Overlay:
    """What is drawn over a file.

    Args:
        path: The video to write.
        show: Gives the heat map of a window; None = no heat maps.
        view_share: Side of what the network sees as a share of a crop's.
    """

    def __init__(self, path: Path, show: Show | None, view_share: float) -> None:
        self.path, self._show, self._view_share = path, show, view_share
        self._windows: dict[int, list[WindowScore]] = defaultdict(list)
        self._heat: dict[tuple[int, int], np.ndarray] = {}

    def add(self, score: WindowScore, crops: np.ndarray, points: np.ndarray) -> None:
        """Take a window; arguments as of `Evidence.add`."""
        self._windows[score.track].append(score)
        heat = None if self._show is None else self._show(crops, points)[1]
        if heat is not None:
            step = max(1, len(heat) // _HEAT_CELLS)
            cells = np.round(255 * heat[::step, ::step]).astype(np.uint8)
            self._heat[score.track, score.start_frame] = cells

    def write(
        self,
        source: SourceFile,
        tracks: Sequence[TrackPlan],
        face_of_track: Mapping[int, int],
        threshold: float,
    ) -> None:
        """Write the first ten minutes as H.264 in MP4, atomically.

        Args:
            source: The file that was judged, after a pass over it.
            tracks: Where its faces are.
            face_of_track: Which face each judged track shows.
            threshold: P(fake) from which on a face is drawn as a fake one.

        Raises:
            OSError: it cannot be written, or is too large.
            MediaError: the file cannot be read any more.
        """
        assert self.path.resolve() != source.path.resolve(), "the file that was judged stays"
        for of_face in self._windows.values():
            of_face.sort(key=lambda window: window.start_frame)
        judged = [(tracks[number], face) for number, face in sorted(face_of_track.items())]
        write_video(self.path, self._frames(source, judged, threshold), crf=23, preset="veryfast")

    def _frames(
        self, source: SourceFile, judged: Sequence[tuple[TrackPlan, int]], threshold: float
    ) -> Iterator[np.ndarray]:
        size = drawing.fitted_size(*source.sizes[0])
        num_frames = min(source.num_frames, _MOST_SECONDS * FRAMES_PER_SECOND)
        lines = [
            (
                _FAKE if max(w.probability for w in of_face) >= threshold else _REAL,
                [
                    (min(1.0, (w.start_frame + w.num_frames / 2) / num_frames), w.probability)
                    for w in of_face
                    if w.start_frame < num_frames
                ],
            )
            for of_face in self._windows.values()
        ]
        for number, frame in enumerate(islice(source.frames(), num_frames)):
            marks = [
                self._mark(track, face, number, threshold)
                for track, face in judged
                if 0 <= number - track.start_frame < len(track)
            ]
            yield drawing.drawn(frame, size, marks, lines, number / max(1, num_frames - 1))

    def _mark(self, track: TrackPlan, face: int, number: int, threshold: float) -> FaceMark:
        size, windows = track.crop_pixels, self._windows.get(face, [])
        back = face_crop.inverse_transform(track.transforms[number - track.start_frame])
        border = size * (1 - self._view_share) / 2
        place = bisect_right(windows, number, key=lambda window: window.start_frame) - 1
        score = windows[max(0, place)] if windows else None
        if score is None:
            return FaceMark(_square(back, 0, size), f"face {face}", _REAL)
        return FaceMark(
            corners=_square(back, 0, size),
            text=f"face {face}: P(fake) {score.probability:.2f}",
            colour=_FAKE if score.probability >= threshold else _REAL,
            heat=self._heat.get((face, score.start_frame)),
            heat_corners=_square(back, border, size - border),
        )


def _square(back: np.ndarray, low: float, high: float) -> np.ndarray:
    """(4, 2) corners of a square of the crop, in pixels of the frame."""
    corners = np.array([[low, low], [high, low], [high, high], [low, high]], np.float64)
    return face_crop.apply_transform(back, corners)
