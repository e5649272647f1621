"""Invented speech: a script of phoneme-like units -> 16 kHz sound and the mouth's shape per frame.

Sound and mouth are two views of one articulation track, so whoever hears the sound can predict the
picture.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avkd.data.clock import FRAMES_PER_SECOND, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

MOUTH_PARAMETERS = ("opening", "rounding", "teeth", "tongue")

_ARTICULATION_RATE_HZ = 1_000
_COARTICULATION_SECONDS = 0.022
"""Standard deviation of the blur that lets neighbouring sounds colour each other."""
_FORMANT_BANDWIDTHS_HZ = np.array([90.0, 120.0, 180.0])
_FORMANT_GAINS = np.array([1.0, 0.7, 0.35])
_HIGHEST_HARMONIC_HZ = 5_500.0
_PEAK_LEVEL = 0.5
_LOUDNESS_DECIBEL_SPREAD = 3.0
"""Loudness of each sound varies at random, so that the envelope does not give the sound away."""


@dataclass(frozen=True)
class Phoneme:
    """One sound: how it is made, and what the lips do meanwhile."""

    formants_hz: tuple[float, float, float]
    voicing: float
    noise: float
    noise_band_hz: tuple[float, float]
    mouth: tuple[float, float, float, float]
    """`MOUTH_PARAMETERS`: opening 0 = lips closed, 1 = jaw dropped; rounding -1 = spread wide,
    0 = neutral, 1 = rounded; how much of the teeth and of the tongue is seen."""
    duration_seconds: float


# Formants: rounded averages of adult speakers (Peterson & Barney 1952). Spread and rounded vowels
# come in pairs of like opening and like loudness.
_WIDE = (500.0, 3000.0)
PHONEMES: dict[str, Phoneme] = {
    "sil": Phoneme((500, 1500, 2500), 0.0, 0.0, _WIDE, (0.03, 0.0, 0.0, 0.0), 0.16),
    "aa": Phoneme((750, 1150, 2500), 1.0, 0.0, _WIDE, (1.0, 0.0, 0.3, 0.5), 0.13),
    "iy": Phoneme((300, 2300, 3000), 1.0, 0.0, _WIDE, (0.28, -1.0, 0.9, 0.2), 0.12),
    "uw": Phoneme((320, 800, 2300), 1.0, 0.0, _WIDE, (0.28, 1.0, 0.0, 0.0), 0.12),
    "eh": Phoneme((550, 1850, 2550), 1.0, 0.0, _WIDE, (0.6, -0.6, 0.6, 0.4), 0.12),
    "ow": Phoneme((500, 900, 2450), 1.0, 0.0, _WIDE, (0.6, 0.8, 0.0, 0.1), 0.13),
    "m": Phoneme((250, 1050, 2200), 0.45, 0.0, _WIDE, (0.0, 0.0, 0.0, 0.0), 0.10),
    "b": Phoneme((250, 900, 2200), 0.12, 0.25, (300, 1800), (0.0, 0.1, 0.0, 0.0), 0.09),
    "f": Phoneme((400, 1200, 2400), 0.0, 0.45, (1200, 7800), (0.1, -0.2, 1.0, 0.0), 0.10),
    "s": Phoneme((350, 1700, 2600), 0.0, 0.7, (4300, 7800), (0.16, -0.6, 1.0, 0.0), 0.11),
    "sh": Phoneme((350, 1800, 2500), 0.0, 0.7, (1900, 4600), (0.25, 0.7, 0.8, 0.0), 0.11),
    "l": Phoneme((360, 1300, 2700), 0.7, 0.0, _WIDE, (0.42, -0.1, 0.4, 1.0), 0.09),
}
VOWELS = ("aa", "iy", "uw", "eh", "ow")
CONSONANTS = ("m", "b", "f", "s", "sh", "l")


@dataclass(frozen=True, kw_only=True)
class Voice:
    """What makes one speaker sound like one speaker."""

    pitch_hz: float
    formant_scale: float
    breathiness: float
    seconds_scale: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Voice":
        """A voice between a low man's and a high child's."""
        pitch_hz = float(np.exp(rng.uniform(np.log(95), np.log(250))))
        # Short vocal tracts go with high voices, loosely.
        tract = 0.9 + 0.25 * (pitch_hz - 95) / 155 + rng.normal(0, 0.03)
        return cls(
            pitch_hz=pitch_hz,
            formant_scale=float(np.clip(tract, 0.85, 1.25)),
            breathiness=float(rng.uniform(0.01, 0.06)),
            seconds_scale=float(rng.uniform(0.9, 1.2)),
        )


@dataclass(frozen=True)
class Utterance:
    """Sound and mouth of one clip; both start at time 0."""

    waveform: np.ndarray
    """float32 (S,) in [-1, 1] at 16 kHz."""
    mouth: np.ndarray
    """float32 (T, 4), columns `MOUTH_PARAMETERS`; row i is the state at (i + 0.5) / 25 s."""


def random_script(rng: np.random.Generator, seconds: float) -> list[str]:
    """Syllables with short pauses, at least ``seconds`` long at the slowest common rate."""
    script: list[str] = ["sil"]
    lasted_seconds = 0.0
    while lasted_seconds < seconds:
        syllable = [str(rng.choice(CONSONANTS)), str(rng.choice(VOWELS))]
        if rng.random() < 0.3:
            syllable.append(str(rng.choice(CONSONANTS)))
        if rng.random() < 0.12:
            syllable.append("sil")
        script += syllable
        lasted_seconds += 0.85 * sum(PHONEMES[name].duration_seconds for name in syllable)
    return script


def word_script(word: str) -> list[str]:
    """The sounds of a word: always the same for the same letters (three syllables)."""
    rng = np.random.default_rng(zlib.crc32(word.encode("utf-8")))
    return [str(rng.choice(group)) for _ in range(3) for group in (CONSONANTS, VOWELS)]


def script_seconds(script: list[str], voice: Voice) -> float:
    """How long ``voice`` takes for ``script`` when durations are not jittered."""
    return voice.seconds_scale * sum(PHONEMES[name].duration_seconds for name in script)


def speak(
    script: list[str], *, voice: Voice, num_frames: int, rng: np.random.Generator, start: float = 0
) -> Utterance:
    """Speak ``script`` from ``start`` seconds on, cut or padded with silence to ``num_frames``.

    Harmonics of a wandering pitch are weighed by three formants, fricatives are band-limited noise;
    both follow the same co-articulated track as the mouth. The script holds names of `PHONEMES`; a
    frame is 40 ms; a negative ``start`` cuts the beginning off.
    """
    num_samples = num_frames * SAMPLES_PER_FRAME
    track, activity = _articulate(script, voice, num_samples / SAMPLE_RATE_HZ, rng, start)
    track_times = (np.arange(len(track)) + 0.5) / _ARTICULATION_RATE_HZ
    sample_times = np.arange(num_samples) / SAMPLE_RATE_HZ

    pitch_hz = voice.pitch_hz * np.exp(_wander(rng, len(track), sigma=150) * 0.08)
    waveform = _voiced(track, pitch_hz, voice, track_times, sample_times)
    waveform += _noises(activity, track_times, sample_times, rng)
    waveform += 0.002 * rng.standard_normal(num_samples)  # the room
    waveform *= _PEAK_LEVEL / max(float(np.abs(waveform).max()), 1e-3)

    frame_times = (np.arange(num_frames) + 0.5) / FRAMES_PER_SECOND
    mouth = np.stack([np.interp(frame_times, track_times, track[:, 4 + i]) for i in range(4)], 1)
    return Utterance(waveform.astype(np.float32), mouth.astype(np.float32))


def _articulate(
    script: list[str], voice: Voice, seconds: float, rng: np.random.Generator, start: float
) -> tuple[np.ndarray, dict[tuple[float, float], np.ndarray]]:
    """The smoothed track (N, 8): 3 formants, voicing, 4 mouth; and each noise band's level (N,)."""
    length = round(seconds * _ARTICULATION_RATE_HZ)
    silence = PHONEMES["sil"]
    steps = np.tile(_targets(silence, voice), (length, 1))
    levels: dict[tuple[float, float], np.ndarray] = {}
    now = start
    for name in script:
        phoneme = PHONEMES[name]
        duration = phoneme.duration_seconds * voice.seconds_scale * rng.uniform(0.85, 1.2)
        loudness = 10 ** (rng.normal(0, _LOUDNESS_DECIBEL_SPREAD) / 20)
        first, last = (
            int(np.clip(round(time * _ARTICULATION_RATE_HZ), 0, length))
            for time in (now, now + duration)
        )
        steps[first:last] = _targets(phoneme, voice) * (1, 1, 1, loudness, 1, 1, 1, 1)
        if phoneme.noise > 0:
            level = levels.setdefault(phoneme.noise_band_hz, np.zeros(length))
            level[first:last] = phoneme.noise * loudness
        now += duration
    sigma = _COARTICULATION_SECONDS * _ARTICULATION_RATE_HZ
    track = gaussian_filter1d(steps, sigma, axis=0, mode="nearest")
    # A voice that is off must be off: smoothing is shorter for the source than for the lips.
    track[:, 3] = gaussian_filter1d(steps[:, 3], sigma / 3, mode="nearest")
    smooth = {band: gaussian_filter1d(level, sigma / 3) for band, level in levels.items()}
    return track, smooth


def _targets(phoneme: Phoneme, voice: Voice) -> np.ndarray:
    formants_hz = np.array(phoneme.formants_hz) * voice.formant_scale
    return np.array([*formants_hz, phoneme.voicing, *phoneme.mouth])


def _voiced(
    track: np.ndarray,
    pitch_hz: np.ndarray,
    voice: Voice,
    track_times: np.ndarray,
    sample_times: np.ndarray,
) -> np.ndarray:
    """Sum of harmonics under the formant envelope, with equal power for every vowel."""
    num_harmonics = int(_HIGHEST_HARMONIC_HZ / pitch_hz.max())
    harmonics_hz = pitch_hz[:, None] * np.arange(1, num_harmonics + 1)
    offsets = (harmonics_hz[:, :, None] - track[:, None, :3]) / _FORMANT_BANDWIDTHS_HZ
    amplitudes = (_FORMANT_GAINS / (1 + offsets**2)).sum(-1) + voice.breathiness
    amplitudes /= np.sqrt((amplitudes**2).sum(1, keepdims=True))
    amplitudes *= track[:, 3:4]
    pitch_at_samples = np.interp(sample_times, track_times, pitch_hz)
    phase = 2 * np.pi * np.cumsum(pitch_at_samples) / SAMPLE_RATE_HZ
    waveform = np.zeros(len(sample_times))
    for harmonic in range(num_harmonics):
        level = np.interp(sample_times, track_times, amplitudes[:, harmonic])
        waveform += level * np.sin((harmonic + 1) * phase)
    return waveform


def _noises(
    activity: dict[tuple[float, float], np.ndarray],
    track_times: np.ndarray,
    sample_times: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    total = np.zeros(len(sample_times))
    frequencies_hz = np.fft.rfftfreq(len(sample_times), 1 / SAMPLE_RATE_HZ)
    for (low_hz, high_hz), level in activity.items():
        edge_hz = 250.0
        band = 1 / (1 + np.exp((low_hz - frequencies_hz) / edge_hz))
        band *= 1 / (1 + np.exp((frequencies_hz - high_hz) / edge_hz))
        spectrum = np.fft.rfft(rng.standard_normal(len(sample_times))) * band
        noise = np.fft.irfft(spectrum, len(sample_times))
        total += np.interp(sample_times, track_times, level) * noise / max(noise.std(), 1e-9)
    return total


def _wander(rng: np.random.Generator, length: int, sigma: float) -> np.ndarray:
    """A slow random walk of unit variance."""
    noise = gaussian_filter1d(rng.standard_normal(length + int(8 * sigma)), sigma)
    noise = noise[int(4 * sigma) :][:length]
    return noise / (noise.std() + 1e-6)
