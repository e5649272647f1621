"""Waveform -> log-mel spectrogram; every audio constant, derived on this page.

The only file that imports torchaudio or librosa. Shapes: B clips, S samples, M mel bins.
Source: RealForensics (Haliassos et al. 2022) audio settings; the exact cut is ours.
"""

import functools
from typing import Any

import torch
import torchaudio
from einops import rearrange
from torch import Tensor

from avkd.data.clock import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

HOP_SAMPLES = 160  # 10 ms
WINDOW_SAMPLES = 320  # 20 ms Hann
FFT_SAMPLES = 512
MEL_BINS = 80  # HTK scale, 0 Hz to the Nyquist frequency
MEL_FRAMES_PER_VIDEO_FRAME = SAMPLES_PER_FRAME // HOP_SAMPLES  # 4

FLOOR_DB = -80.0  # below the clip's own maximum
SILENT_POWER = 1e-8  # a clip whose loudest mel cell is below this is digital silence
SILENCE_VALUE = -1.0
MASK_VALUE = 0.0  # what masked instants and bands hold: -40 dB, the middle of the range


def preprocessing() -> dict[str, Any]:
    """What a model file must remember about its sound input."""
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "hop_samples": HOP_SAMPLES,
        "window_samples": WINDOW_SAMPLES,
        "fft_samples": FFT_SAMPLES,
        "mel_bins": MEL_BINS,
        "floor_db": FLOOR_DB,
    }


def log_mel(waveform: Tensor) -> Tensor:
    """Log-mel spectrogram of clips (B, S) that start exactly at a video frame.

    They are in [-1, 1] at 16 kHz, S a multiple of 640. Mel frame j is centred on sample 160 j, so
    mel frames 4i..4i+3 belong to video frame i.

    Returns:
        (B, 1, S / 160, 80) in [-1, 1]: decibels under the clip's maximum, floor -80 dB, scaled;
        -1 everywhere for digital silence.
    """
    num_samples = waveform.shape[-1]
    assert num_samples and num_samples % SAMPLES_PER_FRAME == 0, "whole video frames"
    with torch.autocast(waveform.device.type, enabled=False):  # a matrix product
        power = _mel_spectrogram(waveform.device)(waveform.float())
    # A centred transform has one frame more than hops; the last belongs to the next clip.
    power = power[..., : num_samples // HOP_SAMPLES]
    loudest = power.amax(dim=(-2, -1), keepdim=True)
    # The floor is relative: an absolute one would give quiet clips a smaller range.
    share = power / loudest.clamp_min(SILENT_POWER)
    decibels = 10.0 * torch.log10(share.clamp_min(10.0 ** (FLOOR_DB / 10.0)))
    scaled = (decibels - FLOOR_DB / 2) / (-FLOOR_DB / 2)
    scaled = torch.where(loudest < SILENT_POWER, torch.full_like(scaled, SILENCE_VALUE), scaled)
    return rearrange(scaled, "b mel time -> b 1 time mel")


@functools.cache
def _mel_spectrogram(device: torch.device) -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        sample_rate=SAMPLE_RATE_HZ,
        n_fft=FFT_SAMPLES,
        win_length=WINDOW_SAMPLES,
        hop_length=HOP_SAMPLES,
        n_mels=MEL_BINS,
        f_min=0.0,
        f_max=SAMPLE_RATE_HZ / 2,
        power=2.0,
        center=True,
        pad_mode="reflect",
        norm=None,
        mel_scale="htk",
    ).to(device)
