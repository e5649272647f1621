"""Pictures on disk as frames: one image, or a folder of numbered frames at 25 per second.

Knows pixels and file names only; nothing of video, faces or labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.media import MAX_PIXELS, MediaError

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


@dataclass(frozen=True)
class ImageFrame:
    """A picture with the interface of `media.VideoFrame`."""

    source_index: int
    time_seconds: float
    image: np.ndarray
    """uint8 RGB (H, W, 3)."""

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.image.shape[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.image.shape[1]

    def region(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """A window of `image`."""
        return np.ascontiguousarray(self.image[top:bottom, left:right])


def read_image(path: Path) -> np.ndarray:
    """Read a picture upright, uint8 RGB (H, W, 3).

    Raises:
        MediaError: not a JPEG, PNG, BMP or WebP picture, broken, or larger than 8K.
    """
    if not path.is_file():
        raise MediaError("not_found", path, "no such picture; check the path")
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise MediaError("too_large", path, "larger than 8K; scale it down first")
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except UnidentifiedImageError:
        raise MediaError("not_media", path, "not a JPEG, PNG, BMP or WebP picture") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError("not_media", path, f"broken picture ({error}); copy it again") from error


def iter_images(path: Path) -> Iterator[ImageFrame]:
    """One picture, or the pictures of a folder in the natural order of their names.

    Raises:
        MediaError: a picture cannot be read, or the folder holds none (``no_frames``).
    """
    files = image_files(path)
    for number, file in enumerate(files):
        yield ImageFrame(number, number / FRAMES_PER_SECOND, read_image(file))


def image_files(path: Path) -> list[Path]:
    """The picture itself, or a folder's pictures, ``frame2`` before ``frame10``.

    Raises:
        MediaError: the folder holds no picture.
    """
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES]
    if not files:
        raise MediaError("no_frames", path, "the folder holds no JPEG, PNG, BMP or WebP picture")
    return sorted(files, key=lambda file: _natural_key(file.name))


def _natural_key(name: str) -> list[tuple[int, str]]:
    """Digits compare as numbers, all else as text."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
