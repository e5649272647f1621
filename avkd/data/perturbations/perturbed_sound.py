"""The sound of a file as a perturbation leaves it: encoded again, under noise, or shifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avkd.data.clock import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from avkd.data.media.media_file import MediaError
from avkd.data.media.sound import read_sound_file
from avkd.data.media.writing import check_encoder, write_sound
from avkd.data.perturbations.perturbations import SOUND, Perturbation

NO_SOUND_FLAG = "no_sound_to_perturb"
SOUND_ENCODERS = ("aac", "libopus", "libmp3lame")
"""Each file goes through one of them, drawn by its name; FFmpeg's names of AAC, Opus and MP3."""
_FULL_SCALE = float(np.iinfo(np.int16).max)


def perturbed_sound(
    sound: np.ndarray | None, perturbation: Perturbation | None, *, sample_id: str, scratch: Path
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Alter the sound of a whole file where the perturbation is one of sound.

    Args:
        sound: int16 (S,) at 16 kHz; None = the file has none.
        perturbation: What to do; None = nothing.
        sample_id: The file's name in its corpus; it draws noise, direction and encoder.
        scratch: Where the encoded sound may lie for as long as it is needed.

    Returns:
        int16 sound of the same length, and remarks: ``no_sound_to_perturb`` where there is none or
        it is all silence, which is then left as it is.

    Raises:
        MediaError: ``too_short_to_shift``.
        ModuleNotFoundError: the sound encoder is not there.
    """
    if perturbation is None or perturbation.name not in SOUND:
        return sound, ()
    if sound is None or not sound.any():
        return sound, (NO_SOUND_FLAG,)
    rng = perturbation.drawing_of_file(sample_id)
    if perturbation.name == "sound_shift":
        return _shifted(sound, int(perturbation.amount), rng, sample_id), ()
    waveform = (sound / _FULL_SCALE).astype(np.float32)
    if perturbation.name == "sound_noise":
        altered = _with_noise(waveform, perturbation.amount, rng)
    else:
        encoder = SOUND_ENCODERS[rng.integers(len(SOUND_ENCODERS))]
        altered = _reencoded(waveform, encoder, round(1000 * perturbation.amount), scratch)
    return np.round(altered.clip(-1, 1) * _FULL_SCALE).astype(np.int16), ()


def check_available(perturbation: Perturbation) -> None:
    """Refuse a perturbation whose encoders are not all there.

    Raises:
        ModuleNotFoundError: the message says what to do.
    """
    if perturbation.name == "sound_reencoding":
        for encoder in SOUND_ENCODERS:
            check_encoder(encoder)


def _shifted(
    sound: np.ndarray, num_frames: int, rng: np.random.Generator, sample_id: str
) -> np.ndarray:
    """Later or earlier, as drawn; what leaves at one end comes back at the other.

    As a ring, because silence in its place would be a clue of its own.
    """
    if len(sound) <= num_frames * SAMPLES_PER_FRAME:
        detail = f"has no more than the {num_frames} frames that its sound is to be shifted by"
        raise MediaError("too_short_to_shift", Path(sample_id), detail)
    direction = 1 if rng.integers(2) else -1
    return np.roll(sound, direction * num_frames * SAMPLES_PER_FRAME)


def _with_noise(waveform: np.ndarray, decibels: float, rng: np.random.Generator) -> np.ndarray:
    """White noise so many decibels below the root mean square of the whole sound."""
    level = np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))
    noise = rng.standard_normal(len(waveform), dtype=np.float32)
    return waveform + noise * np.float32(level * 10 ** (-decibels / 20))


def _reencoded(
    waveform: np.ndarray, encoder: str, bits_per_second: int, scratch: Path
) -> np.ndarray:
    """Encoded at 16 kHz and decoded, in step with the original."""
    try:
        write_sound(scratch, waveform, encoder=encoder, bits_per_second=bits_per_second)
        decoded = read_sound_file(scratch, sample_rate_hz=SAMPLE_RATE_HZ, num_samples=len(waveform))
    finally:
        scratch.unlink(missing_ok=True)
    return np.zeros_like(waveform) if decoded is None else decoded
