"""A file that faces are cut out of: a video, an animation, a folder of pictures, or a picture.

One pass over it gives its frames and, on the way, all else that is to be known of it.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from avkd import durable
from avkd.data.clock import FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from avkd.data.media.frame import Frame
from avkd.data.media.image_files import iter_animation, iter_images, picture_digests
from avkd.data.media.video import MediaInfo, open_video
from avkd.data.stopwatch import making

FileKind = Literal["video", "animation", "frames", "image"]
MOST_KEPT_BYTES = 512 << 20
"""Frames kept for a second pass, see `SourceFile.keep`: 15 seconds of 1280 x 720."""


@dataclass
class SourceFile:
    """What is known of a file after a pass over its frames; before, the fields are empty."""

    path: Path
    kind: FileKind
    max_seconds: float | None = None
    """Frames from here on are left out."""
    with_sound: bool = False
    """Read the sound as well, in the first pass."""
    shorten_jumps: bool = False
    """Go on after a picture that stands still for too long, see `video.open_video`."""
    keep: bool = False
    """Keep the frames of the first pass for those that follow, unless they take more than
    `MOST_KEPT_BYTES`; what is kept is not decoded again."""
    deadline: float | None = None
    """Value of `time.monotonic` at which the first pass ends early; later ones end there too."""
    counts: Counter[str] = field(default_factory=Counter, init=False)
    """What decoding met in the last pass; see `video.iter_frames`."""
    sizes: list[tuple[int, int]] = field(default_factory=list, init=False)
    """Width and height of every frame."""
    first: Frame | None = field(default=None, init=False)
    """The first frame."""
    info: MediaInfo | None = field(default=None, init=False)
    """Of a video: what its header claims."""
    sound: np.ndarray | None = field(default=None, init=False)
    """int16 (640 * frames,) at 16 kHz from the first frame on; None when there is none."""
    sound_counts: Counter[str] = field(default_factory=Counter, init=False)
    """What decoding the sound met."""
    _digests: list[str] | None = field(default=None, init=False)
    _most_frames: int | None = field(default=None, init=False)
    _kept: list[Frame] | None = field(default=None, init=False)

    @property
    def num_frames(self) -> int:
        """Frames of the last pass, at 25 per second."""
        return len(self.sizes)

    def frames(self) -> Iterator[Frame]:
        """One pass, at 25 frames per second.

        Raises:
            MediaError: the file cannot be read, or not one frame can be decoded.
        """
        if self._kept is None:
            yield from self._read()
        else:
            yield from map(replace, self._kept)  # copies: none keeps the pixels that are made of it

    def _read(self) -> Iterator[Frame]:
        is_first_pass = self.first is None
        self.counts, self.sizes = Counter(), []
        kept: list[Frame] = []
        num_bytes, previous = 0, -1
        frames = self._video(is_first_pass) if self.kind == "video" else self._pictures()
        for number, frame in enumerate(making("decoding", frames)):
            if is_first_pass and self.deadline is not None and time.monotonic() > self.deadline:
                self._most_frames = max(1, number)
            if number == self._most_frames:
                self.counts["stopped_by_limit"] += 1
                break
            self.first = self.first or frame
            self.sizes.append((frame.width, frame.height))
            # A slow video gives the same frame several times.
            num_bytes += frame.num_bytes if frame.source_index != previous else 0
            previous = frame.source_index
            if self.keep and num_bytes <= MOST_KEPT_BYTES:
                kept.append(replace(frame))
            else:
                kept.clear()
            yield frame
        if len(kept) == len(self.sizes):
            self._kept = kept

    def sha256(self) -> str:
        """Of a file's bytes; of a folder, of its pictures' digests in order.

        A video is read once more for it: FFmpeg reads an index at the end first, and is given a
        path, not our bytes, because its whitelist of protocols holds for paths only.
        """
        if self.path.is_file():
            return durable.sha256_of_file(self.path)
        whole = self._digests is not None and not self.counts["stopped_by_limit"]
        digests = self._digests if whole else picture_digests(self.path)
        return hashlib.sha256("".join(digests or ()).encode()).hexdigest()

    def _video(self, is_first_pass: bool) -> Iterator[Frame]:
        wants_sound = self.with_sound and is_first_pass
        opened = open_video(self.path, with_sound=wants_sound, shorten_jumps=self.shorten_jumps)
        with opened as video:
            for frame in video.frames(FRAMES_PER_SECOND, self.max_seconds, self.counts):
                self.info = self.info or video.info()
                yield frame
            if wants_sound:
                num_samples = self.num_frames * SAMPLES_PER_FRAME
                waveform = video.waveform(num_samples, self.sound_counts)
                if waveform is not None:
                    largest = np.iinfo(np.int16).max
                    self.sound = np.round(waveform * largest).astype(np.int16)

    def _pictures(self) -> Iterator[Frame]:
        if self.kind == "image" and self.first is not None:
            yield self.first
            return
        self._digests = []
        pictures = (
            iter_animation(self.path)
            if self.kind == "animation"
            else iter_images(self.path, self._digests)
        )
        for frame in pictures:
            if self.max_seconds is not None and frame.time_seconds >= self.max_seconds:
                self.counts["stopped_by_limit"] += 1
                return
            yield frame
