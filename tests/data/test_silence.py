"""Silence at both ends of a sound: measured, whatever the level, the type or the offset."""

import numpy as np
import pytest

from avkd.data.clock import SAMPLE_RATE_HZ
from avkd.data.silence import SILENT_BELOW_LOUDEST_DB, SilentEnds, silent_ends


def speech(seconds: float, level: float = 0.3) -> np.ndarray:
    """A tone, as float."""
    times = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * np.sin(2 * np.pi * 220 * times)).astype(np.float32)


def padded(sound: np.ndarray, before: float, after: float) -> np.ndarray:
    return np.pad(sound, (round(before * SAMPLE_RATE_HZ), round(after * SAMPLE_RATE_HZ)))


def test_both_ends_are_measured_to_ten_milliseconds() -> None:
    ends = silent_ends(padded(speech(1.0), 0.33, 1.5))
    assert (ends.leading_seconds, ends.is_silent) == (0.33, False)
    assert ends.trailing_seconds == pytest.approx(1.5, abs=0.011)


def test_a_pause_in_the_middle_is_no_end() -> None:
    sound = np.concatenate([speech(0.5), np.zeros(SAMPLE_RATE_HZ, np.float32), speech(0.5)])
    assert silent_ends(sound).leading_seconds == 0.0
    assert silent_ends(sound).trailing_seconds < 0.011


@pytest.mark.parametrize("level", [0.9, 0.01])
def test_a_quiet_recording_has_no_more_silence_than_a_loud_one(level: float) -> None:
    """Its own loudest part is the measure, or quiet files would be told apart by being trimmed."""
    sound = padded(speech(1.0, level), 0.5, 0.25)
    as_integers = np.round(sound * 32767).astype(np.int16)
    for waveform in (sound, sound.astype(np.float64), as_integers):
        assert silent_ends(waveform).leading_seconds == 0.5


def test_room_noise_is_silence_only_far_below_the_voice() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 3 * SAMPLE_RATE_HZ)
    for decibels, leading in (
        (-SILENT_BELOW_LOUDEST_DB - 6, 1.0),
        (-SILENT_BELOW_LOUDEST_DB + 6, 0),
    ):
        level = 0.3 / np.sqrt(2) * 10 ** (decibels / 20)
        ends = silent_ends(padded(speech(1.0), 1.0, 1.0) + level * noise)
        assert ends.leading_seconds == leading


def test_a_constant_offset_is_no_sound() -> None:
    """A recorder's bias would make every silence loud."""
    assert silent_ends(padded(speech(1.0), 1.0, 0.2) + 0.05).leading_seconds == 1.0
    assert silent_ends(np.full(8000, 700, np.int16)).is_silent


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_nothing_to_hear_is_silence_from_end_to_end(kind: type) -> None:
    assert silent_ends(np.zeros(8000, kind)) == SilentEnds(0.5, 0.5, is_silent=True)
    assert silent_ends(np.zeros(0, kind)) == SilentEnds(0.0, 0.0, is_silent=True)


def test_one_step_of_sixteen_bits_is_no_sound_but_a_whisper_is() -> None:
    dither = np.random.default_rng(0).integers(-1, 2, 16000).astype(np.int16)
    assert silent_ends(dither).is_silent
    assert not silent_ends((20 * dither).astype(np.int16)).is_silent


def test_the_last_block_may_be_short() -> None:
    ends = silent_ends(np.concatenate([np.zeros(200, np.float32), speech(1.0)[:777]]))
    assert (ends.leading_seconds, ends.trailing_seconds) == (0.01, 0.0)


@pytest.mark.parametrize("waveform", [np.zeros((2, 800)), np.array([0.1, np.nan] * 400)])
def test_what_is_no_waveform_is_our_bug(waveform: np.ndarray) -> None:
    with pytest.raises(AssertionError):
        silent_ends(waveform)
