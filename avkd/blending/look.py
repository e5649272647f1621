"""The look of a whole picture, taken over from another one: colours, contrast, sharpness, grain.

A generated portrait and a real photograph differ in how they are lit, graded and sharpened before
they differ in what is forged. Where two pictures of other origin stand side by side in training,
one takes the other's look, so that the look is no label. Fourier statistics are exchanged after
Yang and Soatto (CVPR 2020), by rings of frequency instead of single ones.
"""

import numpy as np

from avkd.blending import picture_changes as change

_RINGS = 24
_GAIN = (0.4, 2.5)  # of a ring, and of a channel's spread
_TO_LUMA_CHROMA = np.array(  # ITU-R BT.601
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_TO_RGB = np.linalg.inv(_TO_LUMA_CHROMA).astype(np.float32)


def with_look_of(frames: np.ndarray, reference: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """A clip (T, S, S, 3) with the colours and the sharpness of a picture (S, S, 3), all uint8.

    All frames are changed alike, by what the middle one needs; a ``strength`` of 0 changes nothing,
    1 all.
    """
    ours = frames[len(frames) // 2] @ _TO_LUMA_CHROMA.T
    theirs = reference @ _TO_LUMA_CHROMA.T
    rings = _ring_of_frequencies(frames.shape[1])
    gains = np.sqrt(_ring_powers(theirs[..., 0], rings) / _ring_powers(ours[..., 0], rings))
    gains = np.clip(gains, *_GAIN) ** np.float32(strength)
    # The mean and the broadest structure stay: they are the face itself.
    gains = np.interp(rings, np.arange(1, _RINGS), gains[1:]).astype(np.float32)
    gains[rings < 1] = 1.0
    spread = np.clip((theirs.std((0, 1)) + 1) / (ours.std((0, 1)) + 1), *_GAIN)
    shift = theirs.mean((0, 1)) - ours.mean((0, 1))
    middle = ours.mean((0, 1))
    changed = np.empty_like(frames)
    for index, frame in enumerate(frames):
        planes = frame @ _TO_LUMA_CHROMA.T
        spectrum = np.fft.rfft2(planes[..., 0]) * gains
        planes[..., 0] = np.fft.irfft2(spectrum, planes.shape[:2])
        planes = middle + (planes - middle) * spread**strength + strength * shift
        changed[index] = change.as_uint8(planes @ _TO_RGB.T)
    return changed


def _ring_of_frequencies(size: int) -> np.ndarray:
    """(S, S // 2 + 1) which ring a frequency lies in, as a real number 0 .. _RINGS - 1."""
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    return np.minimum(radius / 0.5, 1.0).astype(np.float32) * (_RINGS - 1)


def _ring_powers(plane: np.ndarray, rings: np.ndarray) -> np.ndarray:
    """(_RINGS,) mean power of each ring, of the plane faded out towards its edges."""
    window = np.hanning(len(plane)).astype(np.float32)
    power = np.abs(np.fft.rfft2((plane - plane.mean()) * window * window[:, None])) ** 2
    index = np.rint(rings).astype(int).ravel()
    counts = np.bincount(index, minlength=_RINGS)
    sums = np.bincount(index, power.ravel(), minlength=_RINGS)
    return (sums / np.maximum(counts, 1) + 1.0).astype(np.float32)
