"""Sound and mouth of invented speech: in step, and tied by content rather than by loudness."""

import itertools

import numpy as np
import pytest

from avkd.data.clock import SAMPLES_PER_FRAME
from avkd.synthesis import speech_synthesis as speech

FRAMES = 50


def _say(seed, script=None, **arguments):
    rng = np.random.default_rng(seed)
    voice = speech.Voice.draw(rng)
    script = script or speech.random_script(rng, 2.0)
    return speech.speak(script, voice=voice, num_frames=FRAMES, rng=rng, **arguments)


def test_same_seed_gives_the_same_speech():
    first, second, other = _say(0), _say(0), _say(1)
    assert np.array_equal(first.waveform, second.waveform)
    assert np.array_equal(first.mouth, second.mouth)
    assert not np.array_equal(first.waveform, other.waveform)


def test_sound_and_mouth_cover_the_same_time():
    said = _say(0)
    assert said.waveform.shape == (FRAMES * SAMPLES_PER_FRAME,)
    assert said.waveform.dtype == np.float32
    assert 0.1 < np.abs(said.waveform).max() <= 1
    assert said.mouth.shape == (FRAMES, len(speech.MOUTH_PARAMETERS))


def test_the_same_word_always_has_the_same_sounds():
    assert speech.word_script("ABOUT") == speech.word_script("ABOUT")
    assert speech.word_script("ABOUT") != speech.word_script("FAMILY")


def test_lips_open_in_the_frame_in_which_the_vowel_sounds():
    said = _say(3, script=["aa"], start=1.0)
    loudness = said.waveform.reshape(FRAMES, -1).std(1)
    opening = said.mouth[:, 0]
    loud, open_ = loudness > loudness.max() / 2, opening > 0.5
    assert abs(np.flatnonzero(loud)[0] - np.flatnonzero(open_)[0]) <= 1
    assert abs(np.flatnonzero(loud)[-1] - np.flatnonzero(open_)[-1]) <= 1


def test_lips_close_for_m_between_vowels():
    said = _say(4, script=["aa", "m", "aa"], start=0.5)
    opening = said.mouth[:, 0]
    peaks = np.flatnonzero(opening > 0.8)
    assert opening[peaks[0] : peaks[-1]].min() < 0.25


def _band_energies(waveform):
    windows = waveform.reshape(-1, SAMPLES_PER_FRAME) * np.hanning(SAMPLES_PER_FRAME)
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    edges = np.unique(np.geomspace(2, power.shape[1], 21).astype(int))
    bands = [power[:, low:high].mean(1) for low, high in itertools.pairwise(edges)]
    return np.log(np.stack(bands, 1) + 1e-6)


def _probe(features, target):
    """Correlation on the last quarter of a linear map fitted on the first three."""
    cut = 3 * len(features) // 4
    features = (features - features[:cut].mean(0)) / features[:cut].std(0)
    features = np.concatenate([features, np.ones((len(features), 1))], 1)
    weights = np.linalg.lstsq(features[:cut], target[:cut], rcond=None)[0]
    return np.corrcoef(features[cut:] @ weights, target[cut:])[0, 1]


@pytest.fixture(scope="module")
def corpus():
    said = [_say(seed) for seed in range(24)]
    bands = np.concatenate([_band_energies(one.waveform) for one in said])
    waves = np.concatenate([one.waveform.reshape(FRAMES, -1) for one in said])
    loudness = np.log(waves.std(1) + 1e-4)
    envelope = np.stack([loudness, loudness**2, np.exp(loudness)], 1)
    return bands, envelope, np.concatenate([one.mouth for one in said])


@pytest.mark.parametrize("name", ["opening", "rounding", "teeth"])
def test_spectrum_predicts_the_mouth(corpus, name):
    bands, _, mouth = corpus
    assert _probe(bands, mouth[:, speech.MOUTH_PARAMETERS.index(name)]) > 0.6


def test_loudness_alone_does_not_predict_rounding(corpus):
    """Else stage one could be solved by an on/off envelope."""
    _, envelope, mouth = corpus
    assert abs(_probe(envelope, mouth[:, speech.MOUTH_PARAMETERS.index("rounding")])) < 0.25
