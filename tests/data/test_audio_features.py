"""Sound and picture must agree to the millisecond, and the mel bank with an independent one."""

import librosa
import numpy as np
import pytest
import torch

from avkd.data import audio_features
from avkd.data.audio_features import (
    MEL_FRAMES_PER_VIDEO_FRAME,
    SILENCE_VALUE,
    log_mel,
)
from avkd.data.clock import SAMPLES_PER_FRAME

CLIP_SAMPLES = 16_000


def speech_like(seed: int, num_samples: int = CLIP_SAMPLES) -> np.ndarray:
    """Noise whose loudness rises and falls as syllables do, in [-1, 1]."""
    random = np.random.default_rng(seed)
    time_seconds = np.arange(num_samples) / 16_000
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * (3 * time_seconds + random.random()))
    tone = sum(np.sin(2 * np.pi * f * time_seconds) for f in random.uniform(100, 6000, 5)) / 5
    return (0.3 * envelope * (tone + 0.1 * random.normal(size=num_samples))).clip(-1, 1)


def reference_log_mel(waveform: np.ndarray) -> np.ndarray:
    """Method 2.3 with librosa's STFT and mel bank."""
    power = librosa.feature.melspectrogram(
        y=waveform.astype(np.float32),
        sr=16_000,
        n_fft=512,
        win_length=320,
        hop_length=160,
        n_mels=80,
        fmin=0.0,
        fmax=8_000.0,
        htk=True,
        norm=None,
        power=2.0,
        center=True,
        pad_mode="reflect",
        window="hann",
    )[:, : len(waveform) // 160]
    decibels = 10 * np.log10(np.maximum(power, 1e-10) / power.max())
    return (np.maximum(decibels, -80.0).T + 40.0) / 40.0


def as_batch(waveform: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(waveform.astype(np.float32))[None]


def test_the_constants_tie_sound_to_pictures():
    assert SAMPLES_PER_FRAME == 640 and MEL_FRAMES_PER_VIDEO_FRAME == 4
    assert audio_features.HOP_SAMPLES * MEL_FRAMES_PER_VIDEO_FRAME == SAMPLES_PER_FRAME


@pytest.mark.parametrize("first_frame", [0, 1, 4, 37])
def test_a_click_in_a_video_frame_is_loudest_in_its_own_mel_frames(first_frame):
    """Method 11.2: a click at sample 640 k + 320 peaks in mel frame 4 k + 2, for every k.

    RealForensics' sound started 8 to 96 ms late; half a frame off is half of what lips can tell.
    """
    track = np.zeros((first_frame + 25 + 1) * 640, dtype=np.float32)
    for k in range(25):
        click = track.copy()
        click[640 * (first_frame + k) + 320] = 1.0
        clip = click[640 * first_frame :][:CLIP_SAMPLES]
        energy = log_mel(torch.from_numpy(clip)[None])[0, 0].mean(dim=1)
        assert energy.argmax().item() == 4 * k + 2, k


@pytest.mark.parametrize("num_frames", [1, 2, 24, 25, 29])
def test_a_clip_has_exactly_four_mel_frames_a_video_frame(num_frames):
    mel = log_mel(torch.rand(2, 640 * num_frames) - 0.5)
    assert mel.shape == (2, 1, 4 * num_frames, 80)
    assert mel.dtype == torch.float32


@pytest.mark.parametrize("seed", range(3))
def test_the_spectrogram_agrees_with_librosa(seed):
    waveform = speech_like(seed)
    ours = log_mel(as_batch(waveform))[0, 0].numpy()
    assert np.abs(ours - reference_log_mel(waveform)).max() < 1e-3


def test_values_run_from_minus_one_to_one_and_the_loudest_cell_is_one():
    mel = log_mel(torch.cat([as_batch(speech_like(seed)) for seed in range(4)]))
    assert mel.min() >= -1.0
    assert torch.equal(mel.amax(dim=(1, 2, 3)), torch.ones(4))


@pytest.mark.parametrize("gain", [0.01, 0.1, 3.0])
def test_the_level_of_a_clip_does_not_matter(gain):
    waveform = as_batch(speech_like(0))
    torch.testing.assert_close(log_mel(gain * waveform), log_mel(waveform), atol=1e-3, rtol=0)


def test_a_loud_neighbour_in_the_batch_does_not_matter():
    quiet, loud = as_batch(0.01 * speech_like(0)), as_batch(3 * speech_like(1))
    torch.testing.assert_close(log_mel(torch.cat([quiet, loud]))[:1], log_mel(quiet))


@pytest.mark.parametrize("level", [0.0, 1e-6])
def test_silence_is_minus_one_everywhere(level):
    """Relative to its own maximum, silence would be the loudest clip of all (method 2.3)."""
    noise = torch.randn(1, CLIP_SAMPLES, generator=torch.Generator().manual_seed(0))
    assert torch.equal(log_mel(level * noise), torch.full((1, 1, 100, 80), SILENCE_VALUE))


def test_a_whisper_is_not_silence():
    assert log_mel(as_batch(0.001 * speech_like(0))).max() == 1.0


@pytest.mark.parametrize("num_samples", [0, 1, 639, 641, 15_360 + 1, 15_999])
def test_a_clip_that_is_no_whole_number_of_frames_is_our_bug(num_samples):
    with pytest.raises(AssertionError, match="whole video frames"):
        log_mel(torch.zeros(1, num_samples))


def test_half_precision_training_hears_the_same_spectrogram():
    """Under autocast the mel bank's matrix product would lose a quarter of a decibel."""
    waveform = as_batch(speech_like(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = log_mel(waveform)
    assert torch.equal(inside, log_mel(waveform))


def test_no_mel_bin_is_empty():
    """A filter narrower than the resolution would be a constant input."""
    white = torch.randn(1, CLIP_SAMPLES, generator=torch.Generator().manual_seed(0))
    assert (log_mel(white)[0, 0].amax(dim=0) > 0).all()
