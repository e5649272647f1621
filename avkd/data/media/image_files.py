"""Pictures on disk as frames: one image, an animation, or a folder of numbered frames.

The folder, at 25 pictures a second, may lie in an archive (`picture_archive`).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from avkd import durable
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.inventory import is_picture_name, natural_key
from avkd.data.media import picture_archive
from avkd.data.media.frame import Frame
from avkd.data.media.media_file import MediaError, check_regular_file, check_size, is_heic

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "AVIF", "JPEG2000")
_ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")  # a TIFF has pages
_LEAST_SECONDS, _USUAL_SECONDS = 0.02, 0.1  # a picture of an animation that claims less gets these
_KINDS = "JPEG, PNG, BMP, WebP, GIF, TIFF, AVIF or JPEG 2000"


def read_image(path: Path) -> np.ndarray:
    """Read a picture upright, uint8 RGB (H, W, 3).

    Raises:
        MediaError: no picture of a kind that is read here, broken, or larger than 8K.
    """
    check_regular_file(path)
    return _decode(path, path)


def is_animation(path: Path) -> bool:
    """Whether a picture file holds several pictures that are shown one after the other.

    Raises:
        MediaError: as `read_image`.
    """
    check_regular_file(path)
    with _opened(path, path) as picture:
        return picture.format in _ANIMATED_FORMATS and getattr(picture, "n_frames", 1) > 1


def iter_animation(path: Path) -> Iterator[Frame]:
    """The pictures of an animated GIF, WebP, PNG or AVIF as they are shown, at 25 a second.

    Raises:
        MediaError: as `read_image`.
    """
    shown_until, number = 0.0, 0
    with _opened(path, path) as animation:
        for index, picture in enumerate(ImageSequence.Iterator(animation)):
            image = _as_rgb(picture)  # before its duration, which WebP knows after decoding only
            shown = picture.info.get("duration", 0) / 1000
            shown_until += shown if shown >= _LEAST_SECONDS else _USUAL_SECONDS
            while number < round(shown_until * FRAMES_PER_SECOND):
                yield Frame.of_image(index, number / FRAMES_PER_SECOND, image)
                number += 1


def iter_images(path: Path, digests: list[str] | None = None) -> Iterator[Frame]:
    """One picture, or the pictures of a folder, perhaps in an archive, in natural order of names.

    The ``digests`` are filled with the SHA-256 of each file whose picture was read.

    Raises:
        MediaError: a picture cannot be read, the folder holds none (``no_frames``), or it lies in
            an archive that cannot be read.
    """
    inside = picture_archive.split_path(path)
    if inside is None:
        files = picture_files(path)
        images = ((read_image(file), durable.sha256_of_file(file)) for file in files)
    else:
        images = (
            (_decode(BytesIO(content), path / name), hashlib.sha256(content).hexdigest())
            for name, content in picture_archive.iter_pictures(*inside)
        )
    for number, (image, digest) in enumerate(images):
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


def _decode(source: Path | BytesIO, path: Path) -> np.ndarray:
    """Upright pixels of a picture that is called ``path``."""
    with _opened(source, path) as picture:
        return _as_rgb(ImageOps.exif_transpose(picture))


@contextmanager
def _opened(source: Path | BytesIO, path: Path) -> Iterator[Image.Image]:
    """The picture called ``path``; what goes wrong inside becomes a `MediaError` too."""
    formats = (*_FORMATS, "HEIF") if _can_read_heif() else _FORMATS
    try:
        with Image.open(source, formats=formats) as picture:
            check_size(picture.width, picture.height, path)
            yield picture
    except UnidentifiedImageError:
        detail = f"not a picture that can be read: {_KINDS}"
        if source == path and is_heic(path):
            detail = "HEIC; `pip install 'avkd[heic]'`, or convert it to JPEG"
        raise MediaError("not_media", path, detail) from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise MediaError("not_media", path, f"broken picture ({error}); copy it again") from error


@lru_cache(maxsize=1)
def _can_read_heif() -> bool:
    try:
        import pillow_heif
    except ModuleNotFoundError:
        return False
    pillow_heif.register_heif_opener()
    return True


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
