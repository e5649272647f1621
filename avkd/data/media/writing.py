"""Writing video and sound files, atomically and repeatably."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from einops import rearrange

from avkd import durable
from avkd.data.clock import FRAMES_PER_SECOND, SAMPLE_RATE_HZ

_AAC_SAMPLES = 1024


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    frames_per_second: float = FRAMES_PER_SECOND,
    waveform: np.ndarray | None = None,
    crf: int = 18,
    preset: str = "fast",
) -> None:
    """Write H.264 (4:2:0) with AAC sound as MP4, atomically; its folder is made.

    Frames are uint8 RGB (H, W, 3), all of one even size, consumed one by one; the waveform is mono
    float (S,) at 16 kHz in [-1, 1] from the first frame on. x264's quality ``crf`` goes from 0
    (lossless) to 51 (worst).

    Raises:
        ValueError: no frames, or an odd or changing size.
    """
    # Without the macroblock tree, whose AVX-512 code gives other bytes from run to run (measured:
    # 8 results in 16 runs; asm=AVX2 or no tree, 1).
    options = {"crf": str(crf), "preset": preset, "x264-params": "mbtree=0"}
    sound = None if waveform is None else np.asarray(waveform, np.float32)
    _write(path, frames, "libx264", options, frames_per_second, sound)


def write_pictures(
    path: Path, frames: Iterable[np.ndarray], *, encoder: str, options: dict[str, str]
) -> None:
    """Write 25 pictures a second (4:2:0, no sound) with an encoder of choice, atomically.

    As MP4, but HEVC as MPEG-TS: FFmpeg 8 refuses every fifth HEVC file of one frame that it is to
    write as MP4, the very same as the others, as "not yet implemented" (measured: 18 of 80).

    Frames are those of `write_video`; ``encoder``, e.g. ``libx265``, and its ``options`` have
    FFmpeg's names.

    Raises:
        ModuleNotFoundError: PyAV was built without the encoder.
        ValueError: no frames, an odd or changing size, or one that the encoder refuses.
    """
    check_encoder(encoder)
    try:
        container = "mpegts" if encoder == "libx265" else "mp4"
        _write(path, frames, encoder, options, FRAMES_PER_SECOND, container=container)
    except FFmpegError as error:
        if error.errno in durable.NO_ROOM_ERRNOS:
            raise
        raise ValueError(f"{path}: {encoder} refuses these pictures ({error.strerror})") from error


def write_sound(path: Path, waveform: np.ndarray, *, encoder: str, bits_per_second: int) -> None:
    """Write mono sound without a picture as Matroska, atomically.

    Matroska, because what `read_sound_file` gives back then lies where it was: of Opus in MP4 a
    part of the encoder's delay is left (measured: FFmpeg 8). The waveform is float (S,) at 16 kHz
    in [-1, 1], ``encoder`` FFmpeg's name, e.g. ``libopus``, which keeps to the rate more or less.

    Raises:
        ModuleNotFoundError: PyAV was built without the encoder.
    """
    check_encoder(encoder)
    samples = np.asarray(waveform, np.float32)
    with (
        durable.replacing(path) as temporary,
        av.open(str(temporary), "w", format="matroska") as output,
    ):
        audio: Any = output.add_stream(encoder, rate=SAMPLE_RATE_HZ, layout="mono")
        audio.bit_rate = bits_per_second
        for start in range(0, len(samples), SAMPLE_RATE_HZ):
            piece = samples[start : start + SAMPLE_RATE_HZ]
            output.mux(audio.encode(_sound_frame(piece, start)))
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


def _write(
    path: Path,
    frames: Iterable[np.ndarray],
    encoder: str,
    options: dict[str, str],
    frames_per_second: float,
    sound: np.ndarray | None = None,
    container: str = "mp4",
) -> None:
    rate = Fraction(frames_per_second).limit_denominator(1001)
    with (
        _same_scheduling(),
        durable.replacing(path) as temporary,
        av.open(str(temporary), "w", format=container) as output,
    ):
        audio: Any = None
        if sound is not None:
            audio = output.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        video: Any = None
        written = 0
        for number, image in enumerate(frames):
            if video is None:
                height, width = image.shape[:2]
                if height % 2 or width % 2:
                    wanted = "H.264 wants even sizes: pad or crop"
                    raise ValueError(f"{path}: {width}x{height} is odd; {wanted}")
                video = output.add_stream(encoder, rate=rate, options=options)
                video.width, video.height, video.pix_fmt = width, height, "yuv420p"
                video.thread_count = 1  # the same bytes on every machine
            if image.shape != (video.height, video.width, 3):
                raise ValueError(f"{path}: frame {number} has shape {image.shape}, unlike 0")
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            picture.pts, picture.time_base = number, 1 / rate
            output.mux(video.encode(picture))
            if sound is not None:
                until = round((number + 1) / frames_per_second * SAMPLE_RATE_HZ)
                written = _encode_sound(output, audio, sound, written, until)
        if video is None:
            raise ValueError(f"{path}: no frames to write; give at least one")
        if sound is not None:
            end = len(sound) + _AAC_SAMPLES
            _encode_sound(output, audio, sound, written, end)
            output.mux(audio.encode(None))
        output.mux(video.encode(None))


@contextmanager
def _same_scheduling() -> Iterator[None]:
    """Undo what SVT-AV1 does to its caller where that is root: it makes it a real-time process.

    Such a one is never put aside: whatever it starts starves all else on its core, for minutes.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameter)


def _sound_frame(samples: np.ndarray, start: int) -> Any:
    """Mono float samples (S,) as the frame that begins at sample ``start``."""
    sound = av.AudioFrame.from_ndarray(rearrange(samples, "S -> 1 S"), "fltp", layout="mono")
    sound.sample_rate = SAMPLE_RATE_HZ
    sound.pts = start
    sound.time_base = Fraction(1, SAMPLE_RATE_HZ)
    return sound


def _encode_sound(output: Any, audio: Any, waveform: np.ndarray, start: int, until: int) -> int:
    """Encode whole AAC frames of ``waveform[start:until]``; returns where the next one begins."""
    while start < len(waveform) and start + _AAC_SAMPLES <= until:
        piece = waveform[start : start + _AAC_SAMPLES]
        output.mux(audio.encode(_sound_frame(piece, start)))
        start += _AAC_SAMPLES
    return start
