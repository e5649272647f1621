"""The frames and the sound of a file as a perturbation leaves them, before a face is looked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from avkd.data.clock import FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from avkd.data.media.frame import Frame
from avkd.data.media.media_file import MediaError
from avkd.data.media.sound import read_sound_file
from avkd.data.media.writing import check_encoder, write_sound
from avkd.data.perturbations.perturbations import FRAME_RATE, SOUND, Perturbation
from avkd.data.perturbations.reencoding import encodings_of, reencoded

OpenFrames = Callable[[], Iterator[Frame]]
"""Reads the frames of a file from the beginning."""


NO_SOUND_FLAG = "no_sound_to_perturb"
SOUND_ENCODERS = ("aac", "libopus", "libmp3lame")
"""Each file goes through one of them, drawn by its name; FFmpeg's names of AAC, Opus and MP3."""
_FULL_SCALE = float(np.iinfo(np.int16).max)


@contextmanager
def perturbing(
    perturbation: Perturbation | None, open_frames: OpenFrames, *, sample_id: str, scratch: Path
) -> Iterator[OpenFrames]:
    """Yield what reads the perturbed frames of a file: as many, in the same order and size.

    What is encoded is the stream that models see, 25 frames a second: a video of another rate is
    encoded after its frames were chosen; its own file is then read once only, at the beginning. Of
    lower frame rates the length stays: frames are left out and the one before is held.

    ``sample_id`` seeds the noise; ``scratch`` begins the names of encoded videos, for as long as
    they are needed.

    Raises:
        MediaError: the file cannot be read.
        ModuleNotFoundError: the encoder is not there.
        ValueError: to be encoded, its frames would have to be of one size.
    """
    if perturbation is None or perturbation.name in SOUND:
        yield open_frames
    elif perturbation.name == FRAME_RATE:
        yield lambda: _held(open_frames(), perturbation.amount)
    elif encodings := encodings_of(perturbation.name, perturbation.amount):
        places: list[tuple[int, float]] = []

        def pictures() -> Iterator[np.ndarray]:
            for frame in open_frames():
                places.append((frame.source_index, frame.time_seconds))
                yield frame.image

        with reencoded(pictures(), encodings, scratch=scratch) as open_pictures:
            yield lambda: (
                Frame.of_image(*place, picture)
                for place, picture in zip(places, open_pictures(), strict=True)
            )
    else:
        yield lambda: (_perturbed(frame, perturbation, sample_id) for frame in open_frames())


def _perturbed(clean: Frame, perturbation: Perturbation, sample_id: str) -> Frame:
    # A slow video shows one frame several times: seeded by its own index, it stays the same.
    index = clean.source_index
    return replace(
        clean, make=lambda: perturbation.picture(clean.image, sample_id, index), cut=None
    )


def _held(frames: Iterator[Frame], frames_per_second: float) -> Iterator[Frame]:
    """Each frame until the next one of the lower rate is due; it keeps its own index and time."""
    shown, held = -1, None
    for number, frame in enumerate(frames):
        due = int(number * frames_per_second // FRAMES_PER_SECOND)
        if held is None or due != shown:
            shown, held = due, frame
        yield held


def perturbed_sound(
    sound: np.ndarray | None, perturbation: Perturbation | None, *, sample_id: str, scratch: Path
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Alter the sound of a file, int16 (S,) at 16 kHz, where the perturbation is one of sound.

    ``sample_id`` draws noise, direction and encoder; ``scratch`` holds the encoded sound meanwhile.

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
    rng, amount = perturbation.drawing_of_file(sample_id), perturbation.amount
    if perturbation.name == "sound_shift":
        return _shifted(sound, int(amount), rng, sample_id), ()
    waveform = (sound / _FULL_SCALE).astype(np.float32)
    if perturbation.name == "sound_noise":  # white, so many decibels below the whole sound's level
        level = np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))
        noise = rng.standard_normal(len(waveform), dtype=np.float32)
        altered = waveform + noise * np.float32(level * 10 ** (-amount / 20))
    else:
        encoder = SOUND_ENCODERS[rng.integers(len(SOUND_ENCODERS))]
        try:
            write_sound(scratch, waveform, encoder=encoder, bits_per_second=round(1000 * amount))
            decoded = read_sound_file(scratch, num_samples=len(waveform))
        finally:
            scratch.unlink(missing_ok=True)
        altered = np.zeros_like(waveform) if decoded is None else decoded
    return np.round(altered.clip(-1, 1) * _FULL_SCALE).astype(np.int16), ()


def check_available(perturbation: Perturbation) -> None:
    """Refuse a perturbation whose encoders are not all there.

    Raises:
        ModuleNotFoundError: the message says what to do.
    """
    encodings = encodings_of(perturbation.name, perturbation.amount)
    sounds = SOUND_ENCODERS if perturbation.name == "sound_reencoding" else ()
    for encoder in (*(encoding.encoder for encoding in encodings), *sounds):
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
