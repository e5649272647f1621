"""Decoded sound as one mono waveform, placed by its timestamps."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange

from avkd.data.clock import SAMPLE_RATE_HZ
from avkd.data.media.container import decoded_frames, open_container, packets_of, sound_stream

_GAP_SECONDS = 0.02
"""Sound packets closer to their expected time than this are joined without a seam."""
_MAX_HOLE_SECONDS = 10.0
"""Longest silence filled in between two packets; a longer one ends the sound."""
_MAX_RATE_HZ = 768_000
"""A larger rate in a header is a lie that would size the resampling filter."""


def read_sound_file(
    path: Path,
    *,
    start_seconds: float = 0.0,
    num_samples: int | None = None,
    counts: Counter[str] | None = None,
) -> np.ndarray | None:
    """Mono sound of a file, as `waveform_of` lays it; the file needs to hold no picture.

    Raises:
        MediaError: the file cannot be opened.
    """
    with open_container(path) as container:
        stream = sound_stream(container)
        if stream is None:
            return None
        counts = Counter() if counts is None else counts
        frames = decoded_frames(packets_of(container, [stream]), stream, path, counts)
        return waveform_of(frames, start_seconds, num_samples)


def waveform_of(
    frames: Iterable[Any], start_seconds: float, num_samples: int | None
) -> np.ndarray | None:
    """Lay decoded sound on a time line: what came before is cut, a late start or a hole is silence.

    A decoder's frames are taken no further than asked for, which is ``num_samples`` (cut or padded
    with zeros), None = to the end, from ``start_seconds`` on.

    Returns:
        float32 in [-1, 1] (S,) at 16 kHz, or None when nothing could be decoded.
    """
    limit_seconds = None if num_samples is None else num_samples / SAMPLE_RATE_HZ
    placed = _placed(frames, start_seconds, limit_seconds)
    if placed is None:
        return None
    samples, rate = placed
    waveform = np.clip(_resampled(samples, rate, SAMPLE_RATE_HZ), -1.0, 1.0).astype(np.float32)
    if num_samples is None:
        return waveform
    return np.pad(waveform[:num_samples], (0, max(0, num_samples - len(waveform))))


def _placed(
    frames: Iterable[Any], start_seconds: float, limit_seconds: float | None
) -> tuple[np.ndarray, int] | None:
    """Sound from ``start_seconds`` on, at its own rate, and that rate."""
    pieces: list[np.ndarray] = []
    rate = 0
    filled = 0  # samples on the time line so far
    for frame in frames:
        if not 0 < frame.sample_rate <= _MAX_RATE_HZ:
            continue
        rate = rate or frame.sample_rate
        mono = _mono(frame)
        mono = _resampled(mono, frame.sample_rate, rate)
        if frame.pts is None:
            position = filled
        else:
            position = round((float(frame.pts * frame.time_base) - start_seconds) * rate)
            # One seamless stream unless there is a true hole: timestamps are only rounded times.
            if pieces and abs(position - filled) < _GAP_SECONDS * rate:
                position = filled
        # A first piece may come late, but only as far as somebody asked for sound.
        if position > filled + _MAX_HOLE_SECONDS * rate and (pieces or limit_seconds is None):
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


def _resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """At ``wanted`` instead of ``rate`` samples a second."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly  # takes a second to import

    common = int(np.gcd(rate, wanted))
    # A polyphase filter is symmetric in time: it moves nothing, which the alignment relies on.
    resampled: np.ndarray = resample_poly(samples, wanted // common, rate // common)
    return resampled


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
