"""Single changes of a picture: resolution, JPEG, frequency, tone, colour, noise, up-sampling.

Pictures are float32 (S, S, 3) RGB in 0..255, or uint8 where it says so.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy.ndimage import correlate1d, gaussian_filter1d

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_RESAMPLINGS = (
    Image.Resampling.NEAREST,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)

Drawn = Callable[[np.ndarray, object], np.ndarray]
"""A change whose settings are drawn; what differs from frame to frame has no effect on it."""


def as_uint8(image: np.ndarray) -> np.ndarray:
    """Rounded and held in 0..255."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def recompressed(image: np.ndarray, quality: int, *, chroma_halved: bool) -> np.ndarray:
    """Through JPEG and back."""
    packed = io.BytesIO()
    Image.fromarray(as_uint8(image)).save(
        packed, "JPEG", quality=quality, subsampling=2 if chroma_halved else 0
    )
    return np.asarray(Image.open(packed), np.float32)


def rescaled(image: np.ndarray, share: float, down: int, up: int) -> np.ndarray:
    """Brought down to a ``share`` of its resolution and back, by two ways out of five."""
    size = image.shape[0]
    small = max(8, round(size * share))
    picture = Image.fromarray(as_uint8(image))
    picture = picture.resize((small, small), _RESAMPLINGS[down])
    return np.asarray(picture.resize((size, size), _RESAMPLINGS[up]), np.float32)


def drawn_jpeg(rng: np.random.Generator, qualities: tuple[int, int]) -> Drawn:
    """`recompressed` at a quality in this range."""
    quality, halved = int(rng.integers(*qualities)), bool(rng.random() < 0.8)
    return lambda image, _: recompressed(image, quality, chroma_halved=halved)


def drawn_rescaling(rng: np.random.Generator, shares: tuple[float, float], first: int) -> Drawn:
    """`rescaled` to a share in this range, by ways from the ``first`` on."""
    share, (down, up) = rng.uniform(*shares), rng.integers(first, len(_RESAMPLINGS), 2)
    return lambda image, _: rescaled(image, share, int(down), int(up))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Low-passed by a Gaussian of ``sigma`` pixels."""
    rows = gaussian_filter1d(image, sigma, axis=0, truncate=3.0)
    return gaussian_filter1d(rows, sigma, axis=1, truncate=3.0)


def sharpened(image: np.ndarray, amount: float, sigma: float = 1.5) -> np.ndarray:
    """Unsharp masking; a negative amount softens."""
    return image + amount * (image - blurred(image, sigma))


def toned(
    image: np.ndarray,
    *,
    gamma: float = 1.0,
    contrast: float = 1.0,
    brightness: float = 0.0,
    saturation: float = 1.0,
    shift: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Gamma, then contrast about mid grey, brightness and a shift by channel, then saturation."""
    if gamma != 1.0:
        image = 255 * (np.clip(image, 0, 255) / 255) ** np.float32(gamma)
    image = (image - 127.5) * np.float32(contrast) + 127.5 + np.float32(255 * brightness)
    image = image + np.asarray(shift, np.float32)
    if saturation != 1.0:
        grey = (image @ _LUMA)[..., None]
        image = grey + np.float32(saturation) * (image - grey)
    return image


def up_sampled(image: np.ndarray, kernel: np.ndarray, factor: int) -> np.ndarray:
    """A picture (S, S, 3) down by a whole factor, then up as a transposed convolution does it.

    Zeros are put between the pixels and a kernel, (K,) of one axis with its sum made 1, is laid
    over them; where it does not weigh all phases alike a faint grid remains, and its spectrum
    repeats (Odena et al. 2016; Zhang et al. 2019, AutoGAN). The factor is 2 or more.
    """
    size = image.shape[0]
    small_size = -(-size // factor)
    small = Image.fromarray(as_uint8(image)).resize(
        (small_size, small_size), Image.Resampling.BOX, box=(0, 0, size, size)
    )
    spread = np.zeros((small_size * factor, small_size * factor, 3), np.float32)
    # Where each small pixel's centre lies in the large picture.
    spread[factor // 2 :: factor, factor // 2 :: factor] = np.asarray(small, np.float32)
    weights = (factor * kernel / kernel.sum()).astype(np.float32)
    spread = correlate1d(spread, weights, axis=0, mode="mirror")
    return correlate1d(spread, weights, axis=1, mode="mirror")[:size, :size]
