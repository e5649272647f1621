"""What a media file has to be before it is opened, its kind by its first bytes, and the error."""

import stat
from pathlib import Path
from typing import Literal

MAX_PIXELS = 7680 * 4320
"""Largest picture decoded (8K); a larger header is refused before the first decode."""


class MediaError(ValueError):
    """A file that cannot be used, with a machine-readable reason.

    The ``code`` is one word for reports, e.g. ``empty_file``; the ``detail`` says what is wrong and
    what to do about it.
    """

    def __init__(self, code: str, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.code = code
        self.path = path
        self.detail = detail

    def __reduce__(self) -> "tuple[type[MediaError], tuple[str, Path, str]]":
        return type(self), (self.code, self.path, self.detail)


def check_regular_file(path: Path) -> None:
    """Refuse everything that `open` could hang on; links are followed, to regular files only.

    Raises:
        MediaError: ``not_found``, ``io_error``, ``not_regular_file`` or ``empty_file``.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise MediaError("not_found", path, "no such file; check the path") from None
    except OSError as error:
        raise MediaError("io_error", path, f"cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise MediaError("not_regular_file", path, "not a regular file; give a video file")
    if status.st_size == 0:
        raise MediaError("empty_file", path, "the file is empty; copy or download it again")


def check_size(width: int, height: int, path: Path) -> None:
    """Refuse pictures larger than 8K.

    Raises:
        MediaError: ``too_large``.
    """
    if width * height > MAX_PIXELS:
        detail = f"{width}x{height} is larger than 8K (7680x4320); scale it down first"
        raise MediaError("too_large", path, detail)


MediaKind = Literal["video", "image"]

_HEAD_BYTES = 512
_PICTURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
    b"\xff\x0a",  # JPEG XL
    b"\0\0\0\x0cJXL ",
)
_VIDEOS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF: WMV
    b"\0\0\x01\xba",  # MPEG program stream
    b"\0\0\x01\xb3",  # MPEG video
)
# Of ISO base media (ISO/IEC 14496-12): boxes that may come first, and brands of still pictures.
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_STILL_BRANDS = (*_HEIC_BRANDS, b"avif", b"avis")
_PACKET_STARTS = ((0, 188), (4, 192))  # of MPEG-2 transport streams, in TS and in M2TS


def kind_of(path: Path) -> MediaKind | None:
    """What a regular file is; None = neither, as far as its first bytes tell.

    Raises:
        OSError: the file cannot be read.
    """
    head = _head(path)
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "image"
    if head[4:8] == b"ftyp":
        return "image" if head[8:12] in _STILL_BRANDS else "video"
    if head.startswith(_VIDEOS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "video"
    if head[4:8] in _FIRST_BOXES:
        return "video"
    is_stream = any(head[at : at + 2 * step : step] == b"GG" for at, step in _PACKET_STARTS)
    return "video" if is_stream else None


def is_heic(path: Path) -> bool:
    """Whether a file is a still picture in HEVC, as phones take them."""
    head = _head(path)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
