"""Pictures on disk as frames: one image, or a folder of numbered frames at 25 per second.

The folder may lie in an archive (`picture_archive`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from avkd import durable
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.inventory import is_picture_name, natural_key
from avkd.data.media import picture_archive
from avkd.data.media.frame import Frame
from avkd.data.media.media_file import MAX_PIXELS, MediaError

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")


def read_image(path: Path) -> np.ndarray:
    """Read a picture upright, uint8 RGB (H, W, 3).

    Raises:
        MediaError: not a JPEG, PNG, BMP or WebP picture, broken, or larger than 8K.
    """
    if not path.is_file():
        raise MediaError("not_found", path, "no such picture; check the path")
    if path.stat().st_size == 0:
        raise MediaError("empty_file", path, "the file is empty; copy or download it again")
    return _decode(path, path)


def iter_images(path: Path, digests: list[str] | None = None) -> Iterator[Frame]:
    """One picture, or the pictures of a folder in the natural order of their names.

    Args:
        path: A picture, a folder, or a folder in an archive.
        digests: Filled with the SHA-256 of each file whose picture was read.

    Raises:
        MediaError: a picture cannot be read, the folder holds none (``no_frames``), or it lies in
            an archive that cannot be read.
    """
    for number, (image, digest) in enumerate(_images(path, digests is not None)):
        if digests is not None:
            digests.append(digest)
        yield Frame.of_image(number, number / FRAMES_PER_SECOND, image)


def picture_digests(path: Path) -> list[str]:
    """SHA-256 of every file that `iter_images` reads, in the same order.

    Raises:
        MediaError: the folder holds no picture, or lies in an archive that cannot be read.
    """
    inside = picture_archive.split_path(path)
    if inside is None:
        return [durable.sha256_of_file(file) for file in picture_files(path)]
    pictures = picture_archive.iter_pictures(*inside)
    return [hashlib.sha256(content).hexdigest() for _, content in pictures]


def _images(path: Path, with_digest: bool) -> Iterator[tuple[np.ndarray, str]]:
    inside = picture_archive.split_path(path)
    if inside is None:
        for file in picture_files(path):
            yield read_image(file), durable.sha256_of_file(file) if with_digest else ""
        return
    for name, content in picture_archive.iter_pictures(*inside):
        digest = hashlib.sha256(content).hexdigest() if with_digest else ""
        yield _decode(BytesIO(content), path / name), digest


def _decode(source: Path | BytesIO, path: Path) -> np.ndarray:
    """Upright pixels of a picture that is called ``path``."""
    try:
        with Image.open(source, formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise MediaError("too_large", path, "larger than 8K; scale it down first")
            return _as_rgb(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        raise MediaError("not_media", path, "not a JPEG, PNG, BMP or WebP picture") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError("not_media", path, f"broken picture ({error}); copy it again") from error


def _as_rgb(picture: Image.Image) -> np.ndarray:
    """uint8 RGB (H, W, 3); greys of 16 bits are scaled by their depth, which Pillow would clip."""
    if picture.mode.startswith("I"):
        deep = np.asarray(picture).astype(np.float64)
        grey = np.rint(np.clip(deep, 0, 65535) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(picture.convert("RGB"))


def format_of_name(name: str) -> str:
    """Format that a picture's name claims, e.g. ``jpeg``."""
    suffix = name.rpartition(".")[2].lower()
    return "jpeg" if suffix == "jpg" else suffix


def picture_files(path: Path) -> list[Path]:
    """The picture itself, or a folder's pictures in natural order.

    Raises:
        MediaError: the folder holds no picture (``no_frames``).
    """
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if is_picture_name(file.name)]
    if not files:
        raise MediaError("no_frames", path, "the folder holds no JPEG, PNG, BMP or WebP picture")
    return sorted(files, key=lambda file: natural_key(file.name))
