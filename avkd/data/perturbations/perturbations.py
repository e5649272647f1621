"""Distortions of whole pictures at five severities, to see how much of them a detector stands.

The seven of `DEEPERFORENSICS` follow the code of DeeperForensics-1.0 (Jiang et al., CVPR 2020;
`perturbation/`), its oddities included, so that numbers compare. Ours are what social networks and
editors do: to single pictures (`PICTURE`), to the clip as a whole (`VIDEO`: encoders, a chain of
them, the frame rate; see `reencoding` and `perturbed_frames`) and to its sound (`SOUND`; see
`perturbed_sound`). Here: names, amounts and pure functions of pixels and a generator; knows nothing
of files, faces or labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image
from scipy.ndimage import correlate1d

from avkd.data.perturbations.overlay_text import write_caption

PictureFunction = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""(uint8 RGB (H, W, 3), amount, generator) to a new uint8 RGB (H, W, 3)."""

DEEPERFORENSICS = ("saturation", "contrast", "blocks", "noise", "blur", "pixelation", "compression")
PICTURE = ("jpeg", "resize", "bar", "overlay_text", "cropping")
VIDEO = ("h264", "hevc", "av1", "vp9", "chain", "frame_rate")
SOUND = ("sound_reencoding", "sound_noise", "sound_shift")
NAMES = (*DEEPERFORENSICS, *PICTURE, *VIDEO, *SOUND)

NUM_SEVERITIES = 5
FRAME_RATE = "frame_rate"
CROPPING = "cropping"
COMPRESSION = "compression"
"""H.264 as DeeperForensics has it, who call it VC."""
OF_WHOLE_FILES: dict[str, tuple[float, ...]] = {
    COMPRESSION: (30, 32, 35, 38, 40),  # constant rate factor of x264
    # Constant rate factor on each codec's own scale
    "h264": (23, 28, 33, 38, 43),
    "hevc": (23, 28, 33, 38, 43),
    "av1": (40, 50, 56, 60, 63),
    "vp9": (31, 39, 47, 55, 63),
    "chain": (1, 2, 3, 4, 5),  # which of `reencoding.CHAINS`
    FRAME_RATE: (20, 15, 12.5, 10, 8),  # pictures a second that are left of 25
    "sound_reencoding": (64, 32, 24, 16, 8),  # kbit a second
    "sound_noise": (30, 20, 10, 5, 0),  # dB of the sound above the noise
    "sound_shift": (1, 2, 3, 5, 10),  # frames of 40 ms
}
"""Amounts at severities 1 to 5 of what takes more than one picture; the rest is of
`PERTURBATIONS`."""

_BLOCK_PIXELS = 8
_BLOCK_SHORT_SIDE = 256
"""Blocks are counted for every whole 256 pixels of the short side: below it there are none."""
_GREY = 128
_LUMA_RANGE, _CHROMA_RANGE = 219.0, 224.0
"""Grey levels of luma and chroma in video, where black is 16."""


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """What is done to the frames of every file of a corpus.

    Raises:
        ValueError: no such perturbation or severity.
    """

    name: str
    """One of `NAMES`."""
    severity: int
    """1 (mild) to 5."""
    faces: Literal["perturbed", "clean"] = "perturbed"
    """Frames that faces are searched on."""
    seed: int = 0
    """Draws noise and places, file by file."""

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            known = ", ".join(NAMES)
            raise ValueError(f"unknown perturbation {self.name!r}; known: {known}")
        if not 1 <= self.severity <= NUM_SEVERITIES:
            raise ValueError(f"severity {self.severity}: choose from 1..{NUM_SEVERITIES}")

    @property
    def amount(self) -> float:
        """The number behind the severity, e.g. the size of the blur."""
        whole = OF_WHOLE_FILES.get(self.name)
        levels = PERTURBATIONS[self.name][0] if whole is None else whole
        return levels[self.severity - 1]

    def drawing_of_file(self, sample_id: str) -> np.random.Generator:
        """What draws once a file; alike at every severity, so that these compare."""
        return np.random.default_rng(_digest(f"{sample_id}\n{self.seed}\n{self.name}"))

    def picture(self, image: np.ndarray, sample_id: str, frame_index: int) -> np.ndarray:
        """Perturb one frame (H, W, 3) of a file; the same frame always comes out the same."""
        if self.name in _DRAWN_ONCE_A_FILE:
            rng = self.drawing_of_file(sample_id)
        else:
            text = f"{sample_id}\n{self.seed}\n{self.name}\n{self.severity}"
            rng = np.random.default_rng([_digest(text), frame_index])
        return PERTURBATIONS[self.name][1](image, self.amount, rng)

    def moves(self, width: int, height: int) -> np.ndarray:
        """Where the points of a picture of this size go: a matrix (2, 3) from old to new pixels."""
        share = self.amount if self.name == CROPPING else 0.0
        scale = 1 / (1 - 2 * share)
        return np.array(
            [[scale, 0.0, -scale * share * width], [0.0, scale, -scale * share * height]]
        )


def _digest(text: str) -> int:
    # Surrogates: file names that are not valid UTF-8 become part of ids.
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(), "big")


def _saturation(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Shrink Cb and Cr; 0 leaves grey."""
    luma, blue, red = _to_luma_and_chroma(image)
    # The original holds a middle of 128/255 but shrinks about 127.5/255: next to nothing, yet its
    # pixels are cut to whole numbers, and grey 100 becomes (99, 100, 99).
    shift = np.float32((1 - amount) * 0.5 / _CHROMA_RANGE)
    scale = np.float32(amount)
    return _to_rgb(luma, scale * blue - shift, scale * red - shift)


def _contrast(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Multiply by the amount: darker as well as flatter."""
    table = (np.arange(256, dtype=np.float32) * np.float32(amount)).astype(np.uint8)
    return table[image]


def _blocks(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Grey 8x8 squares, ``amount`` for every whole 256 pixels of the short side."""
    height, width = image.shape[:2]
    blocked = image.copy()
    for _ in range(min(height, width) // _BLOCK_SHORT_SIDE * int(amount)):
        left, top = rng.integers(0, width - _BLOCK_PIXELS), rng.integers(0, height - _BLOCK_PIXELS)
        blocked[top : top + _BLOCK_PIXELS, left : left + _BLOCK_PIXELS] = _GREY
    return blocked


def _noise(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """White noise of variance ``amount`` on luma, Cb and Cr.

    The original divides by 255 twice and then stretches by the video range, so that the deviation
    in grey levels is sqrt(amount) times 297 for luma and 290 for chroma.
    """
    deviations = np.sqrt(amount) * 255.0**2 / np.array([_LUMA_RANGE, *[_CHROMA_RANGE] * 2])
    noise = rng.standard_normal(image.shape, dtype=np.float32) * deviations.astype(np.float32)
    luma, blue, red = _to_luma_and_chroma(image)
    return _to_rgb(luma + noise[..., 0], blue + noise[..., 1], red + noise[..., 2])


def _blur(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Gaussian of ``amount`` pixels, a sixth of which is its sigma; mirrored at the edges."""
    offsets = np.arange(amount) - (amount - 1) / 2
    kernel = np.exp(-0.5 * (offsets / (amount / 6)) ** 2)
    blurred = image.astype(np.float32)
    for axis in (0, 1):
        blurred = correlate1d(blurred, kernel / kernel.sum(), axis=axis, mode="mirror")
    return _rounded(blurred)


def _pixelation(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Shrink by ``amount`` and enlarge again, sampling bilinearly both ways (so with aliasing)."""
    height, width = image.shape[:2]
    small = max(1, height // int(amount)), max(1, width // int(amount))
    return _sampled(_sampled(image, *small), height, width)


def _jpeg(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Through a JPEG file of quality ``amount``, colour at half resolution."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(amount), subsampling="4:2:0")
    with Image.open(file, formats=("JPEG",)) as picture:
        return np.array(picture)


def _resize(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Average down to a share of the size, then enlarge bilinearly."""
    height, width = image.shape[:2]
    small = max(1, round(width * amount)), max(1, round(height * amount))
    picture = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))


def _bar(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """A black bar over the lowest share of the picture, as captions have."""
    barred = image.copy()
    barred[len(image) - round(len(image) * amount) :] = 0
    return barred


def _overlay_text(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A caption of ``amount`` lines, from the lower edge upwards; see `overlay_text`."""
    return write_caption(image, int(amount), rng)


def _cropping(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Cut a share of each side away, then enlarge the rest bilinearly to the old size."""
    height, width = image.shape[:2]
    left, top = width * amount, height * amount
    picture = Image.fromarray(image)
    rest = (left, top, width - left, height - top)
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR, box=rest))


PERTURBATIONS: dict[str, tuple[tuple[float, ...], PictureFunction]] = {
    # DeeperForensics' CS, CC, BW, GNC, GB and "JPEG", which is none
    "saturation": ((0.4, 0.3, 0.2, 0.1, 0.0), _saturation),
    "contrast": ((0.85, 0.725, 0.6, 0.475, 0.35), _contrast),
    "blocks": ((16, 32, 48, 64, 80), _blocks),
    "noise": ((0.001, 0.002, 0.005, 0.01, 0.05), _noise),
    "blur": ((7, 9, 13, 17, 21), _blur),
    "pixelation": ((2, 3, 4, 5, 6), _pixelation),
    # Ours
    "jpeg": ((90, 70, 50, 30, 10), _jpeg),
    "resize": ((2 / 3, 1 / 2, 1 / 3, 1 / 4, 1 / 6), _resize),
    "bar": ((0.05, 0.1, 0.15, 0.2, 0.25), _bar),
    "overlay_text": ((1, 2, 3, 4, 5), _overlay_text),
    CROPPING: ((0.05, 0.1, 0.15, 0.2, 0.25), _cropping),
}
"""Amounts at severities 1 to 5, and what is done with them."""
_DRAWN_ONCE_A_FILE = ("overlay_text",)
"""A caption stands still; all else is drawn anew for every frame."""


def _to_luma_and_chroma(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y, Cb and Cr about 0 in grey levels, float32 (H, W) each; OpenCV's coefficients of BT.601."""
    red, green, blue = np.moveaxis(image.astype(np.float32), 2, 0)
    luma = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return luma, np.float32(0.564) * (blue - luma), np.float32(0.713) * (red - luma)


def _to_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Back to uint8 RGB; cut to whole numbers, not rounded, as the original does."""
    rgb = np.stack(
        [
            luma + np.float32(1.403) * red,
            luma - np.float32(0.344) * blue - np.float32(0.714) * red,
            luma + np.float32(1.773) * blue,
        ],
        axis=2,
    )
    return rgb.clip(0, 255).astype(np.uint8)


def _sampled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear resampling to another size without averaging, pixel centres at halves."""
    sampled = image.astype(np.float32)
    for axis, size in ((0, height), (1, width)):
        length = image.shape[axis]
        place = ((np.arange(size) + 0.5) * (length / size) - 0.5).clip(0, length - 1)
        first = place.astype(np.intp)
        share = (place - first).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        second = np.minimum(first + 1, length - 1)
        low, high = sampled.take(first, axis), sampled.take(second, axis)
        sampled = low + share * (high - low)
    return _rounded(sampled)


def _rounded(image: np.ndarray) -> np.ndarray:
    """Nearest whole numbers, halves up, as uint8."""
    return (image + np.float32(0.5)).clip(0, 255).astype(np.uint8)
