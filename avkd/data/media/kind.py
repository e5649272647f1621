"""Whether a file is a video or a picture, by its first bytes: names lie, or say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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
