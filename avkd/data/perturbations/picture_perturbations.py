"""What is done to the pixels of one picture, given an amount and a generator.

The first six follow the code of DeeperForensics-1.0 (Jiang et al., CVPR 2020; `perturbation/`), its
oddities included, so that numbers compare. All take uint8 RGB (H, W, 3), which stays as it is, and
give a new picture of that size.
"""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import correlate1d

_BLOCK_PIXELS = 8
_BLOCK_SHORT_SIDE = 256
"""Blocks are counted for every whole 256 pixels of the short side: below it there are none."""
_GREY = 128
_LUMA_RANGE, _CHROMA_RANGE = 219.0, 224.0
"""Grey levels of luma and chroma in video, where black is 16."""

_WORDS = (
    *("amber", "basil", "cobalt", "damson", "ember", "fennel", "garnet", "hazel", "indigo"),
    *("juniper", "kelp", "lilac", "maple", "nutmeg", "olive", "pepper", "quartz", "russet"),
    *("saffron", "thyme", "umber", "violet", "walnut", "yarrow", "zinnia"),
)
_WIDTH_SHARE = 0.9
"""Of the picture's width that a line of words fills."""
_LEAST_LETTER_PIXELS = 4
_LINE_SHARES = (0.05, 0.01)
"""Height of a line as a share of the picture: the first, and the second for each line there is."""
_BOTTOM_SHARE = 0.95
"""Lower edge of the last line."""


def saturation(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Shrink Cb and Cr; 0 leaves grey."""
    luma, blue, red = _to_luma_and_chroma(image)
    # The original holds a middle of 128/255 but shrinks about 127.5/255: next to nothing, yet its
    # pixels are cut to whole numbers, and grey 100 becomes (99, 100, 99).
    shift = np.float32((1 - amount) * 0.5 / _CHROMA_RANGE)
    scale = np.float32(amount)
    return _to_rgb(luma, scale * blue - shift, scale * red - shift)


def contrast(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Multiply by the amount: darker as well as flatter."""
    table = (np.arange(256, dtype=np.float32) * np.float32(amount)).astype(np.uint8)
    return table[image]


def blocks(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Grey 8x8 squares, ``amount`` for every whole 256 pixels of the short side."""
    height, width = image.shape[:2]
    blocked = image.copy()
    for _ in range(min(height, width) // _BLOCK_SHORT_SIDE * int(amount)):
        left, top = rng.integers(0, width - _BLOCK_PIXELS), rng.integers(0, height - _BLOCK_PIXELS)
        blocked[top : top + _BLOCK_PIXELS, left : left + _BLOCK_PIXELS] = _GREY
    return blocked


def noise(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """White noise of variance ``amount`` on luma, Cb and Cr.

    The original divides by 255 twice and then stretches by the video range, so that the deviation
    in grey levels is sqrt(amount) times 297 for luma and 290 for chroma.
    """
    deviations = np.sqrt(amount) * 255.0**2 / np.array([_LUMA_RANGE, *[_CHROMA_RANGE] * 2])
    noise = rng.standard_normal(image.shape, dtype=np.float32) * deviations.astype(np.float32)
    luma, blue, red = _to_luma_and_chroma(image)
    return _to_rgb(luma + noise[..., 0], blue + noise[..., 1], red + noise[..., 2])


def blur(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Gaussian of ``amount`` pixels, a sixth of which is its sigma; mirrored at the edges."""
    offsets = np.arange(amount) - (amount - 1) / 2
    kernel = np.exp(-0.5 * (offsets / (amount / 6)) ** 2)
    blurred = image.astype(np.float32)
    for axis in (0, 1):
        blurred = correlate1d(blurred, kernel / kernel.sum(), axis=axis, mode="mirror")
    return _rounded(blurred)


def pixelation(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Shrink by ``amount`` and enlarge again, sampling bilinearly both ways (so with aliasing)."""
    height, width = image.shape[:2]
    small = max(1, height // int(amount)), max(1, width // int(amount))
    return _sampled(_sampled(image, *small), height, width)


def jpeg(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Through a JPEG file of quality ``amount``, colour at half resolution."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(amount), subsampling="4:2:0")
    with Image.open(file, formats=("JPEG",)) as picture:
        return np.array(picture)


def resize(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Average down to a share of the size, then enlarge bilinearly."""
    height, width = image.shape[:2]
    small = max(1, round(width * amount)), max(1, round(height * amount))
    picture = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))


def bar(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """A black bar over the lowest share of the picture, as captions have."""
    barred = image.copy()
    barred[len(image) - round(len(image) * amount) :] = 0
    return barred


def cropping(image: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Cut a share of each side away, then enlarge the rest bilinearly to the old size."""
    height, width = image.shape[:2]
    left, top = width * amount, height * amount
    picture = Image.fromarray(image)
    rest = (left, top, width - left, height - top)
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR, box=rest))


def overlay_text(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A caption of ``amount`` lines over the lower part, as people write before they share a clip.

    White letters with a black edge in the font that Pillow carries, of words that mean nothing.
    More lines are larger ones, too: one covers 6 % of the height, five half of it, up to mouth and
    nose of a face in the middle.
    """
    height, width = image.shape[:2]
    num_lines = int(amount)
    first, more = _LINE_SHARES
    line_pixels = height * (first + more * num_lines)
    font = _font(max(_LEAST_LETTER_PIXELS, round(0.8 * line_pixels)))
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for number in range(num_lines):
        middle = height * _BOTTOM_SHARE - (num_lines - number - 0.5) * line_pixels
        draw.text(
            (width / 2, middle),
            _line(font, _WIDTH_SHARE * width, rng),
            fill=(255, 255, 255),
            font=font,
            anchor="mm",
            stroke_width=max(1, round(line_pixels / 16)),
            stroke_fill=(0, 0, 0),
        )
    return np.array(picture)


@lru_cache(maxsize=8)
def _font(letter_pixels: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(letter_pixels)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _line(font: ImageFont.FreeTypeFont, width: float, rng: np.random.Generator) -> str:
    """As many words as fit, at least one."""
    line = str(rng.choice(_WORDS))
    while True:
        longer = f"{line} {rng.choice(_WORDS)}"
        if font.getlength(longer) > width:
            return line
        line = longer


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
