"""Videos: header, frames by timestamp and aligned sound, all from one pass over the file.

Hostile files are expected (`container`): nothing is sized from metadata, time comes from
timestamps, damaged packets are skipped and counted.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.media.container import (
    decoded_frames,
    open_container,
    packets_of,
    sound_stream,
    video_stream,
)
from avkd.data.media.frame import Frame
from avkd.data.media.media_file import MediaError
from avkd.data.media.sound import read_sound_file, waveform_of
from avkd.data.media.video_frame import video_frame

MAX_HOLD_SECONDS = 10.0
"""Longest time one frame may stand still; a longer jump of the timestamps ends the video."""
MAX_STILL_SECONDS = 60.0
"""The same where a jump is shortened to this instead (`open_video`)."""
_HDR_TRANSFERS = (16, 18)  # PQ (SMPTE ST 2084) and HLG (ARIB STD-B67), by ITU-T H.273
MAX_WAITING_BYTES = 128 << 20
"""Packed sound held back while the pictures are read; of more, the file is opened again."""
_TOLERATED_MISSING = 0.02  # of the frames a header announces; edit lists hide a few
_DURATION = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)")  # as Matroska files carry it


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """What the header claims; for reports, never for allocating."""

    average_frames_per_second: float
    """0 when the header does not say."""
    codec: str
    """What the picture is packed with, e.g. ``h264``."""
    duration_seconds: float | None
    sound_codec: str | None
    """What the sound is packed with, e.g. ``aac``; None without sound."""


class OpenVideo:
    """An open video, read from the beginning to the end once: `frames`, then `waveform`."""

    def __init__(
        self, container: Any, path: Path, *, with_sound: bool, shorten_jumps: bool
    ) -> None:
        self.path = path
        self._shorten_jumps = shorten_jumps
        self._most_hold = MAX_STILL_SECONDS if shorten_jumps else MAX_HOLD_SECONDS
        self._container = container
        self._stream = video_stream(container, path)
        self._sound = sound_stream(container)
        sounds = [self._sound] if with_sound and self._sound is not None else []
        self._packets = packets_of(container, [self._stream, *sounds])
        self._waiting: deque[Any] = deque()
        self._waiting_bytes = 0
        self._start_seconds: float | None = None
        self._last_seconds = 0.0
        self._converter = VideoReformatter()

    def info(self) -> MediaInfo:
        """What the header says."""
        rate, duration = self._stream.average_rate, self._container.duration
        return MediaInfo(
            average_frames_per_second=float(rate or 0),
            codec=self._stream.codec_context.name,
            duration_seconds=duration / av.time_base if duration else None,
            sound_codec=None if self._sound is None else self._sound.codec_context.name,
        )

    def source_frames(self, counts: Counter[str]) -> Iterator[Frame]:
        """Frames in order of time, counted from the first one; backward jumps are dropped."""
        step = self._step_seconds(FRAMES_PER_SECOND)
        origin, previous = None, -step
        # AVI knows when a frame is decoded, not when it is shown; its pts are out of order.
        has_no_pts = self._container.format.name == "avi"
        for index, decoded in enumerate(self._decoded(counts)):
            pts = decoded.dts if has_no_pts or decoded.pts is None else decoded.pts
            if pts is None or decoded.time_base is None:
                time = previous + step
            else:
                absolute = float(pts * decoded.time_base)
                origin = absolute if origin is None else origin
                time = absolute - origin
            if time <= previous:
                counts["unordered_frames"] += 1
                continue
            excess = time - previous - self._most_hold
            if excess > step:
                if not self._shorten_jumps:
                    counts["time_jump"] += 1
                    return
                assert origin is not None, "without timestamps nothing jumps"
                counts["seconds_left_out"] += max(1, round(excess))
                origin, time = origin + excess, time - excess
            previous = self._last_seconds = time
            counts["source_frames"] += 1
            if decoded.color_trc in _HDR_TRANSFERS:
                counts["hdr_frames"] += 1
            yield video_frame(index, time, self._stream, decoded, self._converter)

    def frames(
        self, frames_per_second: float | None, max_seconds: float | None, counts: Counter[str]
    ) -> Iterator[Frame]:
        """As `iter_frames`."""
        frames = self.source_frames(counts)
        if frames_per_second is not None:
            frames = _resampled(frames, frames_per_second, self._step_seconds(frames_per_second))
        for number, frame in enumerate(frames):
            time = number / frames_per_second if frames_per_second else frame.time_seconds
            if max_seconds is not None and time >= max_seconds:
                counts["stopped_by_limit"] += 1
                break
            yield frame
        else:
            announced = self._announced_frames(counts["source_frames"])
            missing = announced - counts["source_frames"]
            if missing > max(1, _TOLERATED_MISSING * announced) and not counts["time_jump"]:
                counts["missing_frames"] = missing
        if not counts["source_frames"]:
            detail = "not one frame can be decoded; copy it again"
            raise MediaError("no_frames", self.path, detail)

    def _announced_frames(self, seen: int) -> int:
        """By the header; 0 where it does not say. Matroska tells a length only."""
        told = _DURATION.fullmatch(self._stream.metadata.get("DURATION", ""))
        if self._stream.frames or told is None:
            return int(self._stream.frames)
        hours, minutes, seconds = map(float, told.groups())
        step = self._step_seconds(FRAMES_PER_SECOND)
        # By time, not by rate: of a varying rate a header tells the usual one.
        unseen = 3600 * hours + 60 * minutes + seconds - self._last_seconds - step
        return seen + round(max(0.0, unseen) / step)

    def _step_seconds(self, otherwise: float) -> float:
        """From one frame to the next, by the header, which may claim anything."""
        return min(1.0 / float(self._stream.average_rate or otherwise), self._most_hold)

    def waveform(self, num_samples: int | None, counts: Counter[str]) -> np.ndarray | None:
        """Mono sound whose sample 0 is heard when the first frame is seen.

        After at least one frame, and only if opened with sound. Sound before the first frame is
        cut, a late start or a hole is silence. It is cut or padded with zeros to ``num_samples``;
        None = as long as it is. ``counts`` are filled with what decoding met.

        Returns:
            float32 in [-1, 1] (S,) at 16 kHz, or None when the file has no decodable sound.
        """
        if self._sound is None:
            return None
        assert self._start_seconds is not None, "sound is placed by the first frame"
        if self._waiting_bytes > MAX_WAITING_BYTES:
            start = self._start_seconds
            return read_sound_file(
                self.path, start_seconds=start, num_samples=num_samples, counts=counts
            )
        frames = decoded_frames(self._sound_packets(), self._sound, self.path, counts)
        return waveform_of(frames, self._start_seconds, num_samples)

    def _decoded(self, counts: Counter[str]) -> Iterator[Any]:
        """Every decodable picture."""
        for frame in decoded_frames(self._picture_packets(), self._stream, self.path, counts):
            if self._start_seconds is None:
                pts = frame.pts if frame.pts is not None else frame.dts
                self._start_seconds = float(pts * frame.time_base) if pts is not None else 0.0
            yield frame

    def _picture_packets(self) -> Iterator[Any]:
        for packet in self._packets:
            if packet is None or not self._is_picture(packet):
                self._waiting_bytes += 0 if packet is None else packet.size
                if self._waiting_bytes <= MAX_WAITING_BYTES:
                    self._waiting.append(packet)
                else:
                    self._waiting.clear()
            if packet is None or self._is_picture(packet):
                yield packet

    def _is_picture(self, packet: Any) -> bool:
        # Not `packet.stream_index`, which the packets that flush a decoder do not have.
        return bool(packet.stream.index == self._stream.index)

    def _sound_packets(self) -> Iterator[Any]:
        while self._waiting:
            yield self._waiting.popleft()
        for packet in self._packets:
            if packet is None or not self._is_picture(packet):
                yield packet


@contextmanager
def open_video(
    path: Path, *, with_sound: bool = False, shorten_jumps: bool = False
) -> Iterator[OpenVideo]:
    """Open a video for one pass, ``with_sound`` that is kept for `OpenVideo.waveform` as it comes.

    With ``shorten_jumps`` it goes on after a frame that stands still for too long, as if that had
    stood for `MAX_STILL_SECONDS`; else it ends there.

    Raises:
        MediaError: the file cannot be opened, or holds no video that can be decoded.
    """
    with open_container(path) as container:
        yield OpenVideo(container, path, with_sound=with_sound, shorten_jumps=shorten_jumps)


def iter_frames(
    path: Path,
    *,
    frames_per_second: float | None = FRAMES_PER_SECOND,
    max_seconds: float | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[Frame]:
    """Decode a video frame by frame in constant memory, tolerating damage.

    Args:
        path: A video file.
        frames_per_second: Output rate: output k is the source frame nearest to k / rate seconds
            after the first one, so a slow source repeats frames and a fast one skips them. None
            gives every source frame.
        max_seconds: Stop after this much of the video.
        counts: Filled with what was met: ``source_frames``, ``bad_packets``, ``corrupt_frames``,
            ``unordered_frames``, ``time_jump``, ``seconds_left_out``, ``hdr_frames``, ``cut_off``,
            ``stopped_by_limit``, and ``missing_frames`` where the header announced more than 2 %
            more than there were.

    Raises:
        MediaError: the file cannot be opened, or not one frame can be decoded (``no_frames``).
    """
    with open_video(path) as video:
        yield from video.frames(
            frames_per_second, max_seconds, Counter() if counts is None else counts
        )


def _resampled(
    frames: Iterator[Frame], frames_per_second: float, last_step: float
) -> Iterator[Frame]:
    """For k = 0, 1, ... the frame nearest to k / rate; the last frame counts for its own length."""
    tolerance = 1e-6  # timestamps are rounded to their time base
    number = 0
    current: Frame | None = None
    for following in frames:
        if current is not None:
            middle = (current.time_seconds + following.time_seconds) / 2
            while number / frames_per_second < middle - tolerance:
                yield current
                number += 1
        current = following
    if current is not None:
        while number / frames_per_second < current.time_seconds + last_step / 2 - tolerance:
            yield current
            number += 1
