"""The only file that opens video and sound: probe, frames by timestamp, aligned waveform, writing.

Hostile files are expected: one guarded way in (`_open`), nothing is sized from metadata, time comes
from timestamps, damaged packets are skipped and counted. Knows nothing of faces, labels or models.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition
from einops import rearrange
from scipy.signal import resample_poly

from avkd import durable
from avkd.data.clock import FRAMES_PER_SECOND, SAMPLE_RATE_HZ
from avkd.data.media.orientation import PLAIN, Orientation

MAX_PIXELS = 7680 * 4320
"""Largest picture decoded (8K); a larger header is refused before the first decode."""
_TOLERATED_MISSING = 0.02  # of the frames a header announces; edit lists hide a few
MAX_HOLD_SECONDS = 10.0
"""Longest time one frame may stand still; a longer jump of the timestamps ends the video."""
_AUDIO_GAP_SECONDS = 0.02
"""Sound packets closer to their expected time than this are joined without a seam."""
_MAX_AUDIO_RATE_HZ = 768_000
"""A larger rate in a header is a lie that would size the resampling filter."""
_OPEN_TIMEOUT_SECONDS = 10.0

# Demuxers, not file suffixes. Playlists (hls, concat, dash) and image2 are absent on purpose: they
# open *other* files or addresses named inside the file.
_FORMATS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2",
    "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo",
)  # fmt: skip
_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}

# Names and comments that are no valid UTF-8: PyAV 18 has to be asked to bear them, PyAV 19 does.
_ODD_METADATA: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)


class MediaError(ValueError):
    """A file that cannot be used, with a machine-readable reason.

    Args:
        code: One word for reports, e.g. ``empty_file``.
        path: The file.
        detail: What is wrong and what to do about it.
    """

    def __init__(self, code: str, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.code = code
        self.path = path
        self.detail = detail

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, Path, str]]:
        return type(self), (self.code, self.path, self.detail)


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """What the header claims; for reports and size checks, never for allocating."""

    width: int
    """Pixels, as shown (after rotation)."""
    height: int
    """Pixels, as shown (after rotation)."""
    rotation_degrees: int
    """Clockwise turn that brings the stored picture upright: 0, 90, 180 or 270, after a mirror."""
    average_frames_per_second: float
    """0 when the header does not say."""
    codec: str
    """What the picture is packed with, e.g. ``h264``."""
    duration_seconds: float | None
    has_audio: bool
    sound_codec: str | None
    """What the sound is packed with, e.g. ``aac``; None without sound."""


@dataclass(frozen=True, kw_only=True)
class VideoFrame:
    """One frame, converted to pixels only when asked for."""

    source_index: int
    """Position among all decodable frames of the file, from 0."""
    time_seconds: float
    """The frame's own timestamp, counted from the first frame's."""
    decoded: Any = field(repr=False, compare=False)
    """The decoder's frame; use `image` or `region`."""
    orientation: Orientation = PLAIN
    """How it is shown."""

    @property
    def height(self) -> int:
        """Height in pixels, as shown."""
        return self.orientation.size(self.decoded.width, self.decoded.height)[1]

    @property
    def width(self) -> int:
        """Width in pixels, as shown."""
        return self.orientation.size(self.decoded.width, self.decoded.height)[0]

    @property
    def image(self) -> np.ndarray:
        """The whole picture, uint8 RGB (H, W, 3), upright, with square pixels."""
        return self.orientation.apply(self.decoded.to_ndarray(format="rgb24"))

    def region(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """A window of `image`, uint8 RGB; much cheaper than the whole picture when small.

        Cutting the colour planes before converting keeps 0.8 of the pure decoding speed, against
        0.5 for converting first.
        """
        assert 0 <= left < right <= self.width and 0 <= top < bottom <= self.height
        # Odd sizes are converted by another, slightly different routine: they take the long way.
        odd = self.decoded.width % 2 or self.decoded.height % 2
        is_halved = self.decoded.format.name in ("yuv420p", "yuvj420p")
        if odd or not is_halved or self.orientation != PLAIN:
            return np.ascontiguousarray(self.image[top:bottom, left:right])
        even_left, even_top = left - left % 2, top - top % 2
        window = _cut_planes(self.decoded, even_left, even_top, right, bottom)
        pixels = window.to_ndarray(format="rgb24")
        return np.ascontiguousarray(
            pixels[top - even_top : bottom - even_top, left - even_left : right - even_left]
        )


def _orientation(stream: Any, decoded: Any) -> Orientation:
    matrix = decoded.side_data.get(SideData.DISPLAYMATRIX)
    aspect = stream.sample_aspect_ratio
    return Orientation.of(
        None if matrix is None else bytes(matrix), None if aspect is None else float(aspect)
    )


def _cut_planes(frame: Any, left: int, top: int, right: int, bottom: int) -> Any:
    """Cut a 4:2:0 frame at even ``left`` and ``top`` without converting it."""
    right, bottom = min(right + right % 2, frame.width), min(bottom + bottom % 2, frame.height)
    window = av.VideoFrame(right - left, bottom - top, frame.format.name)
    for number, (source, target) in enumerate(zip(frame.planes, window.planes, strict=True)):
        halved = 2 if number else 1
        pixels = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)
        rows, columns = target.height, target.width
        first_row, first_column = top // halved, left // halved
        part = pixels[first_row : first_row + rows, first_column : first_column + columns]
        padded = np.zeros((rows, target.line_size), np.uint8)
        padded[: part.shape[0], : part.shape[1]] = part
        target.update(padded.tobytes()[: target.buffer_size])
    window.colorspace = frame.colorspace
    window.color_range = frame.color_range
    return window


def _check_regular_file(path: Path) -> None:
    """Refuse everything that `open` could hang on; links are followed, to regular files only."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise MediaError("not_found", path, "no such file; check the path") from None
    except OSError as error:
        raise MediaError("io_error", path, f"cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise MediaError("not_regular_file", path, "not a regular file; give a video file")
    if status.st_size == 0:
        raise MediaError("empty_file", path, "the file is empty; copy or download it again")


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a container behind the guards: regular file, known format, local protocol only.

    Raises:
        MediaError: the file cannot be opened; the code says why.
    """
    _check_regular_file(path)
    try:
        container = av.open(
            # "file:" plus an absolute path: a name such as "http:evil.mp4" stays a name.
            "file:" + os.path.abspath(path),  # noqa: PTH100 - resolve() would follow links
            options=_OPTIONS,
            timeout=(_OPEN_TIMEOUT_SECONDS, _OPEN_TIMEOUT_SECONDS),
            **_ODD_METADATA,
        )
    except av.error.ArgumentError as error:
        allowed = "convert it to MP4, MOV, MKV, WebM, AVI, MPEG or TS"
        detail = f"this kind of file is not allowed here; {allowed}"
        raise MediaError("format_not_allowed", path, detail) from error
    except PermissionError as error:
        raise MediaError("io_error", path, "permission denied; make it readable") from error
    except (FFmpegError, OSError) as error:
        detail = f"not a video, or cut off before its index ({error.strerror}); copy it again"
        raise MediaError("not_media", path, detail) from error
    with container:
        yield container


def _video_stream(container: Any, path: Path) -> Any:
    """The first real video stream (cover art does not count), checked for size and codec."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise MediaError("no_video_stream", path, "holds no video; give a file with a picture")
    stream = streams[0]
    if stream.codec_context is None:
        detail = "its video codec is not supported; convert it to H.264"
        raise MediaError("unsupported_codec", path, detail)
    _check_size(stream.width, stream.height, path)
    # Workers are processes; threads inside them would only fight for the same cores.
    stream.thread_type = "NONE"
    return stream


def _check_size(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS:
        detail = f"{width}x{height} is larger than 8K (7680x4320); scale it down first"
        raise MediaError("too_large", path, detail)


def _audio_stream(container: Any) -> Any | None:
    """The default sound stream, else the first, of those that can be decoded; or None."""
    decodable = [stream for stream in container.streams.audio if stream.codec_context is not None]
    preferred = [stream for stream in decodable if stream.disposition & Disposition.default]
    return next(iter((*preferred, *decodable)), None)


def probe(path: Path) -> MediaInfo:
    """What the header and the first frame say about a video.

    Raises:
        MediaError: the file is not usable; ``code`` says why.
    """
    with _open(path) as container:
        stream = _video_stream(container, path)
        first = next(_decoded(container, stream, path, Counter()), None)
        if first is None:
            raise MediaError("no_frames", path, "not one frame can be decoded; copy it again")
        orientation = _orientation(stream, first)
        frame = VideoFrame(source_index=0, time_seconds=0.0, decoded=first, orientation=orientation)
        sound = _audio_stream(container)
        return MediaInfo(
            width=frame.width,
            height=frame.height,
            rotation_degrees=orientation.clockwise_degrees,
            average_frames_per_second=float(stream.average_rate or 0),
            codec=stream.codec_context.name,
            duration_seconds=container.duration / av.time_base if container.duration else None,
            has_audio=sound is not None,
            sound_codec=None if sound is None else sound.codec_context.name,
        )


def _decoded(container: Any, stream: Any, path: Path, counts: Counter[str]) -> Iterator[Any]:
    """Every frame of a stream that can be decoded; what cannot is counted and skipped."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (FFmpegError, OSError):
            counts["cut_off"] += 1  # the container ends in the middle of a packet
            packet = None
        try:
            frames = stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):  # ValueError: the stream turned into another kind
            counts["bad_packets"] += 1
            frames = []
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                _check_size(frame.width, frame.height, path)
            counts["corrupt_frames"] += bool(frame.is_corrupt)
            yield frame
        if packet is None:
            return


def _timed(container: Any, stream: Any, path: Path, counts: Counter[str]) -> Iterator[VideoFrame]:
    """Frames in order of time, counted from the first one; backward jumps are dropped."""
    step = 1.0 / float(stream.average_rate or FRAMES_PER_SECOND)
    origin, previous = None, -step
    # AVI knows when a frame is decoded, not when it is shown; what stands as pts is out of order.
    has_no_pts = container.format.name == "avi"
    for index, decoded in enumerate(_decoded(container, stream, path, counts)):
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
        if time - previous > MAX_HOLD_SECONDS + step:
            counts["time_jump"] += 1
            return
        previous = time
        counts["source_frames"] += 1
        yield VideoFrame(
            source_index=index,
            time_seconds=time,
            decoded=decoded,
            orientation=_orientation(stream, decoded),
        )


def iter_frames(
    path: Path,
    *,
    frames_per_second: float | None = FRAMES_PER_SECOND,
    max_seconds: float | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[VideoFrame]:
    """Decode a video frame by frame in constant memory, tolerating damage.

    Args:
        path: A video file.
        frames_per_second: Output rate: output k is the source frame nearest to k / rate seconds
            after the first one, so a slow source repeats frames and a fast one skips them. None
            gives every source frame.
        max_seconds: Stop after this much of the video.
        counts: Filled with what was met: ``source_frames``, ``bad_packets``, ``corrupt_frames``,
            ``unordered_frames``, ``time_jump``, ``cut_off``, ``stopped_by_limit``, and
            ``missing_frames`` where the header announced more than 2 % more than there were.

    Raises:
        MediaError: the file cannot be opened, or not one frame can be decoded (``no_frames``).
    """
    counts = Counter() if counts is None else counts
    with _open(path) as container:
        stream = _video_stream(container, path)
        frames = _timed(container, stream, path, counts)
        if frames_per_second is not None:
            step = 1.0 / float(stream.average_rate or frames_per_second)
            frames = _resampled(frames, frames_per_second, step)
        for number, frame in enumerate(frames):
            rate = frames_per_second
            time = frame.time_seconds if rate is None else number / rate
            if max_seconds is not None and time >= max_seconds:
                counts["stopped_by_limit"] += 1
                break
            yield frame
        else:
            missing = stream.frames - counts["source_frames"]  # 0 frames = the header does not say
            if missing > max(1, _TOLERATED_MISSING * stream.frames) and not counts["time_jump"]:
                counts["missing_frames"] = missing
        if not counts["source_frames"]:
            raise MediaError("no_frames", path, "not one frame can be decoded; copy it again")


def _resampled(
    frames: Iterator[VideoFrame], frames_per_second: float, last_step: float
) -> Iterator[VideoFrame]:
    """For k = 0, 1, ... the frame nearest to k / rate; the last frame counts for its own length."""
    tolerance = 1e-6  # timestamps are rounded to their time base
    number = 0
    current: VideoFrame | None = None
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


def read_waveform(
    path: Path,
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    num_samples: int | None = None,
    counts: Counter[str] | None = None,
) -> np.ndarray | None:
    """Mono sound whose sample 0 is heard when the first video frame is seen.

    Placed by timestamps: sound before the first frame is cut, a late start or a hole is silence.

    Args:
        path: A video file.
        sample_rate_hz: Output rate.
        num_samples: Exact length wanted (cut or padded with zeros); None = to the end of the sound.
        counts: As in `iter_frames`; here ``bad_packets`` and ``cut_off``.

    Returns:
        float32 in [-1, 1] (S,), or None when the file has no decodable sound.

    Raises:
        MediaError: the file cannot be opened or has no video.
    """
    counts = Counter() if counts is None else counts
    start_seconds = _first_video_seconds(path)
    return _waveform_from(path, start_seconds, sample_rate_hz, num_samples, counts)


def read_sound_file(
    path: Path, *, sample_rate_hz: int = SAMPLE_RATE_HZ, num_samples: int | None = None
) -> np.ndarray | None:
    """Mono sound of a file from time 0 on, as `read_waveform`; it needs to hold no picture."""
    return _waveform_from(path, 0.0, sample_rate_hz, num_samples, Counter())


def _waveform_from(
    path: Path,
    start_seconds: float,
    sample_rate_hz: int,
    num_samples: int | None,
    counts: Counter[str],
) -> np.ndarray | None:
    limit = None if num_samples is None else num_samples / sample_rate_hz
    with _open(path) as container:
        stream = _audio_stream(container)
        if stream is None:
            return None
        placed = _placed_sound(_decoded(container, stream, path, counts), start_seconds, limit)
    if placed is None:
        return None
    samples, rate = placed
    common = int(np.gcd(rate, sample_rate_hz))
    # A polyphase filter is symmetric in time: it moves nothing, which the alignment relies on.
    resampled = resample_poly(samples, sample_rate_hz // common, rate // common)
    waveform = np.clip(resampled, -1.0, 1.0).astype(np.float32)
    if num_samples is None:
        return waveform
    return np.pad(waveform[:num_samples], (0, max(0, num_samples - len(waveform))))


def _first_video_seconds(path: Path) -> float:
    """Timestamp of the first decodable video frame (0 where the file has none)."""
    with _open(path) as container:
        stream = _video_stream(container, path)
        for frame in _decoded(container, stream, path, Counter()):
            pts = frame.pts if frame.pts is not None else frame.dts
            return float(pts * frame.time_base) if pts is not None else 0.0
    raise MediaError("no_frames", path, "not one frame can be decoded; copy it again")


def _placed_sound(
    frames: Iterable[Any], start_seconds: float, limit_seconds: float | None
) -> tuple[np.ndarray, int] | None:
    """Lay sound frames on a time line starting at ``start_seconds``, at their own rate."""
    pieces: list[np.ndarray] = []
    rate = 0
    filled = 0  # samples on the time line so far
    for frame in frames:
        if not 0 < frame.sample_rate <= _MAX_AUDIO_RATE_HZ:
            continue
        rate = rate or frame.sample_rate
        mono = _mono(frame)
        if frame.sample_rate != rate:
            common = int(np.gcd(rate, frame.sample_rate))
            mono = resample_poly(mono, rate // common, frame.sample_rate // common)
        if frame.pts is None:
            position = filled
        else:
            position = round((float(frame.pts * frame.time_base) - start_seconds) * rate)
            # One seamless stream unless there is a true hole: timestamps are only rounded times.
            if pieces and abs(position - filled) < _AUDIO_GAP_SECONDS * rate:
                position = filled
        # A first piece may come late, but only as far as somebody asked for sound.
        if position > filled + MAX_HOLD_SECONDS * rate and (pieces or limit_seconds is None):
            break
        if limit_seconds is not None and max(position, filled) > (limit_seconds + 1) * rate:
            break
        if position > filled:
            pieces.append(np.zeros(position - filled, np.float32))
            filled = position
        kept = mono[filled - position :]
        pieces.append(kept)
        filled += len(kept)
    return (np.concatenate(pieces), rate) if filled else None


def _mono(frame: Any) -> np.ndarray:
    """Mean over the channels, float32 in [-1, 1]."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = rearrange(samples, "1 (S C) -> C S", C=frame.layout.nb_channels)
    if samples.dtype == np.uint8:
        scaled = (samples.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(samples.dtype, np.integer):
        scaled = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    else:
        scaled = np.nan_to_num(samples.astype(np.float32))
    return scaled.mean(axis=0)


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    frames_per_second: float = FRAMES_PER_SECOND,
    waveform: np.ndarray | None = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    crf: int = 18,
    preset: str = "fast",
    repeatable: bool = True,
) -> None:
    """Write H.264 (4:2:0) with AAC sound as MP4, atomically.

    Args:
        path: Target; its folder is made.
        frames: uint8 RGB (H, W, 3), all of one even size; consumed one by one.
        frames_per_second: Constant frame rate.
        waveform: Mono float (S,) in [-1, 1] starting with the first frame, or None.
        sample_rate_hz: Rate of ``waveform``.
        crf: x264 quality, 0 (lossless) to 51 (worst).
        preset: x264's trade of time for size.
        repeatable: Without x264's macroblock tree, whose AVX-512 code gives other bytes from run to
            run (measured: 8 results in 16 runs; asm=AVX2 or no tree, 1); false = as ffmpeg does.

    Raises:
        ValueError: no frames, or an odd or changing size.
    """
    with durable.replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as output:
        video: Any = None
        rate = Fraction(frames_per_second).limit_denominator(1001)
        audio: Any = output.add_stream("aac", rate=sample_rate_hz, layout="mono") if (
            waveform is not None
        ) else None  # fmt: skip
        packed = None if waveform is None else np.asarray(waveform, np.float32)
        written = 0
        for number, image in enumerate(frames):
            if video is None:
                options = {"crf": str(crf), "preset": preset}
                options |= {"x264-params": "mbtree=0"} if repeatable else {}
                video = _add_video_stream(output, image, path, rate, "libx264", options)
            output.mux(_encode_picture(video, image, number, path, rate))
            if packed is not None:
                until = round((number + 1) / frames_per_second * sample_rate_hz)
                written = _encode_sound(output, audio, packed, written, until, sample_rate_hz)
        if video is None:
            raise ValueError(f"{path}: no frames to write; give at least one")
        if packed is not None:
            _encode_sound(
                output, audio, packed, written, len(packed) + _AAC_SAMPLES, sample_rate_hz
            )
            output.mux(audio.encode(None))
        output.mux(video.encode(None))


def write_pictures(
    path: Path, frames: Iterable[np.ndarray], *, encoder: str, options: dict[str, str]
) -> None:
    """Write 25 pictures a second (4:2:0, no sound) as MP4 with an encoder of choice, atomically.

    Args:
        path: Target; its folder is made.
        frames: uint8 RGB (H, W, 3), all of one even size; consumed one by one.
        encoder: FFmpeg's name, e.g. ``libx265``.
        options: Its settings, by FFmpeg's names.

    Raises:
        ModuleNotFoundError: PyAV was built without the encoder.
        ValueError: no frames, an odd or changing size, or one that the encoder refuses.
    """
    check_encoder(encoder)
    rate = Fraction(FRAMES_PER_SECOND)
    try:
        with (
            durable.replacing(path) as temporary,
            av.open(str(temporary), "w", format="mp4") as output,
        ):
            video: Any = None
            for number, image in enumerate(frames):
                if video is None:
                    video = _add_video_stream(output, image, path, rate, encoder, options)
                output.mux(_encode_picture(video, image, number, path, rate))
            if video is None:
                raise ValueError(f"{path}: no frames to write; give at least one")
            output.mux(video.encode(None))
    except FFmpegError as error:
        if error.errno in durable.NO_ROOM_ERRNOS:
            raise
        raise ValueError(f"{path}: {encoder} refuses these pictures ({error.strerror})") from error


def write_sound(
    path: Path,
    waveform: np.ndarray,
    *,
    encoder: str,
    bits_per_second: int,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
) -> None:
    """Write mono sound without a picture as Matroska, atomically.

    Matroska, because what `read_sound_file` gives back then lies where it was: of Opus in MP4 a
    part of the encoder's delay is left (measured: FFmpeg 8).

    Args:
        path: Target; its folder is made.
        waveform: Float (S,) in [-1, 1].
        encoder: FFmpeg's name, e.g. ``libopus``.
        bits_per_second: Wanted rate; encoders keep to it more or less.
        sample_rate_hz: Rate of ``waveform``.

    Raises:
        ModuleNotFoundError: PyAV was built without the encoder.
    """
    check_encoder(encoder)
    samples = np.asarray(waveform, np.float32)
    with (
        durable.replacing(path) as temporary,
        av.open(str(temporary), "w", format="matroska") as output,
    ):
        audio: Any = output.add_stream(encoder, rate=sample_rate_hz, layout="mono")
        audio.bit_rate = bits_per_second
        for start in range(0, len(samples), sample_rate_hz):
            piece = samples[start : start + sample_rate_hz]
            output.mux(audio.encode(_sound_frame(piece, start, sample_rate_hz)))
        output.mux(audio.encode(None))


def check_encoder(name: str) -> None:
    """Refuse an encoder that is not there.

    Raises:
        ModuleNotFoundError: PyAV was built without it; the message says what to do.
    """
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        raise ModuleNotFoundError(
            f"PyAV {av.__version__} was built without the encoder {name}; install the wheel of "
            "PyPI (pip install --force-reinstall --only-binary av av), or do without"
        ) from None


_AAC_SAMPLES = 1024


def _add_video_stream(
    output: Any,
    image: np.ndarray,
    path: Path,
    rate: Fraction,
    encoder: str,
    options: dict[str, str],
) -> Any:
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"{path}: {width}x{height} is odd; H.264 wants even sizes: pad or crop")

    stream = output.add_stream(encoder, rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.thread_count = 1  # the same bytes on every machine
    return stream


def _encode_picture(
    video: Any, image: np.ndarray, number: int, path: Path, rate: Fraction
) -> list[Any]:
    """The packets that picture ``number`` of a stream brings forth."""
    if image.shape != (video.height, video.width, 3):
        raise ValueError(f"{path}: frame {number} has shape {image.shape}, unlike the first")
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    picture.pts = number
    picture.time_base = 1 / rate
    packets: list[Any] = video.encode(picture)
    return packets


def _sound_frame(samples: np.ndarray, start: int, sample_rate_hz: int) -> Any:
    """Mono float samples (S,) as the frame that begins at sample ``start``."""
    sound = av.AudioFrame.from_ndarray(rearrange(samples, "S -> 1 S"), "fltp", layout="mono")
    sound.sample_rate = sample_rate_hz
    sound.pts = start
    sound.time_base = Fraction(1, sample_rate_hz)
    return sound


def _encode_sound(
    output: Any, audio: Any, waveform: np.ndarray, start: int, until: int, sample_rate_hz: int
) -> int:
    """Encode whole AAC frames of ``waveform[start:until]``; returns where the next one begins."""
    while start < len(waveform) and start + _AAC_SAMPLES <= until:
        piece = waveform[start : start + _AAC_SAMPLES]
        output.mux(audio.encode(_sound_frame(piece, start, sample_rate_hz)))
        start += _AAC_SAMPLES
    return start
