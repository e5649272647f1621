"""How much silence a sound begins and ends with: a pure function of a waveform.

Forged speech often starts with a short silence that the real recordings lack, and a reader of that
alone scores near-perfectly on some benchmarks (AVH-Align, arXiv 2412.00175). So the silence is
measured on its own, and cut off before anything else is.
"""

from dataclasses import dataclass

import numpy as np

from avkd.data.clock import SAMPLE_RATE_HZ

BLOCK_SAMPLES = 160
"""10 ms: the loudness of so much sound is looked at at once."""
SILENT_BELOW_LOUDEST_DB = 40.0
"""A block this far below the loudest one is silence; speech pauses of a good recording are."""
SILENT_LEVEL = 1e-4
"""Root mean square, full scale 1, below which even the loudest block is no sound: three steps of
16 bits."""


@dataclass(frozen=True)
class SilentEnds:
    """Where the sound of a file starts and stops."""

    leading_seconds: float
    """Silence before the first sound; the whole length where there is none."""
    trailing_seconds: float
    """Silence after the last sound; the whole length where there is none."""
    is_silent: bool
    """Nothing is to be heard from the first sample to the last."""


def silent_ends(waveform: np.ndarray) -> SilentEnds:
    """Measure the silence at both ends of ``waveform``, to 10 ms.

    The threshold is relative to the loudest block, so that a quiet recording has no more silence
    than a loud one; a click counts as sound. A constant offset of the samples does not. It is (S,)
    at 16 kHz, int16 or finite float in [-1, 1]; without samples it is silent.
    """
    assert waveform.ndim == 1, waveform.shape
    if not len(waveform):
        return SilentEnds(0.0, 0.0, is_silent=True)
    scale = 32768.0 if np.issubdtype(waveform.dtype, np.integer) else 1.0
    # The median, not the mean: a short loud sound in a long silence would shift a mean.
    centre = float(np.median(waveform))
    squares = np.square((waveform.astype(np.float32) - centre) / scale, dtype=np.float32)
    starts = np.arange(0, len(waveform), BLOCK_SAMPLES)
    counts = np.minimum(BLOCK_SAMPLES, len(waveform) - starts)  # the last may be shorter
    levels = np.sqrt(np.add.reduceat(squares, starts) / counts)
    seconds = len(waveform) / SAMPLE_RATE_HZ
    loudest = levels.max()
    assert np.isfinite(loudest), "NaN or infinity"
    if loudest < SILENT_LEVEL:
        return SilentEnds(seconds, seconds, is_silent=True)
    sounding = np.flatnonzero(levels >= loudest * 10.0 ** (-SILENT_BELOW_LOUDEST_DB / 20.0))
    end_samples = min((int(sounding[-1]) + 1) * BLOCK_SAMPLES, len(waveform))
    return SilentEnds(
        leading_seconds=int(sounding[0]) * BLOCK_SAMPLES / SAMPLE_RATE_HZ,
        trailing_seconds=(len(waveform) - end_samples) / SAMPLE_RATE_HZ,
        is_silent=False,
    )
