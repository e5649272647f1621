"""A caption written over a picture, as people do before they share a clip.

White letters with a black edge in the font that Pillow carries, of words that mean nothing. Knows
pixels and a generator; nothing of files, faces or severities.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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


def write_caption(image: np.ndarray, num_lines: int, rng: np.random.Generator) -> np.ndarray:
    """Write lines of words over the lower part of a picture; more lines are larger ones, too.

    One line covers 6 % of the height, five lines half of it: they reach mouth and nose of a face in
    the middle.

    Args:
        image: uint8 RGB (H, W, 3); not changed.
        num_lines: Lines of words.
        rng: Chooses the words.

    Returns:
        uint8 RGB (H, W, 3).
    """
    height, width = image.shape[:2]
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
