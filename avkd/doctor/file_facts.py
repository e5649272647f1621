"""What one file is, or why it cannot be used, without keeping its pixels; and its digest.

For worker processes, as any of these files may take its process down; so it imports no torch. Knows
nothing of labels, splits or corpora.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avkd import durable
from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.inventory import is_picture_name, natural_key
from avkd.data.manifest import Kind
from avkd.data.media import image_files, picture_archive
from avkd.data.media.media_file import MediaError
from avkd.data.media.video import iter_frames, probe, read_waveform

# What the decoder met and went on from; frames are missing or wrong there.
_DAMAGE = ("bad_packets", "corrupt_frames", "cut_off", "time_jump", "unordered_frames")


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """One file to look at."""

    sample_id: str
    path: Path
    kind: Kind
    read: Literal["headers", "all"]
    """Its header and first picture, or all of it."""


@dataclass(frozen=True, kw_only=True)
class MediaFacts:
    """What a file is; where there is a ``problem``, nothing else is known."""

    problem: str = ""
    """Code of the reason why it cannot be used, e.g. ``empty_file``; empty = it can."""
    width: int = 0
    """Pixels, upright."""
    height: int = 0
    """Pixels, upright."""
    codec: str = ""
    """What the pictures are packed with: a video's codec, or the suffix of a picture's name."""
    frames_per_second: float | None = None
    """Claimed by a video's header; None for pictures, and where the header does not say."""
    seconds: float | None = None
    """Length; by the header, or counted if all was read. None for one picture."""
    has_audio: bool | None = None
    """None for pictures."""
    bits_per_pixel: float | None = None
    """Size on disk over the number of pixels; of a folder, its first picture's."""
    signature: str = ""
    """Files of equal content have equal ones; the reverse is what digests are for."""
    damage: tuple[str, ...] = ()
    """What the decoder had to leave out; known only if all was read."""


def examine(job: FileJob) -> MediaFacts:
    """Look at one file; a file that cannot be used is an answer, not an exception."""
    try:
        if job.kind == "video":
            return _of_video(job)
        return _of_picture(job) if job.kind == "image" else _of_folder(job)
    except MediaError as error:
        return MediaFacts(problem=error.code)
    except OSError:
        return MediaFacts(problem="io_error")


def digest(job: FileJob) -> str:
    """SHA-256 of a file's bytes; of a folder, of its pictures' digests in order.

    Raises:
        MediaError: the folder holds no picture, or lies in an archive that cannot be read.
        OSError: the file cannot be read.
    """
    if job.kind != "frames":
        return durable.sha256_of_file(job.path)
    return hashlib.sha256("".join(image_files.picture_digests(job.path)).encode()).hexdigest()


def _of_video(job: FileJob) -> MediaFacts:
    info = probe(job.path)
    num_bytes = job.path.stat().st_size
    seconds, has_audio = info.duration_seconds, info.has_audio
    counts: Counter[str] = Counter()
    if job.read == "all":
        num_frames = sum(1 for _ in iter_frames(job.path, counts=counts))
        seconds = num_frames / FRAMES_PER_SECOND
        if has_audio:  # a stream may be announced and hold nothing
            has_audio = read_waveform(job.path, counts=counts) is not None
    rate = info.average_frames_per_second
    return MediaFacts(
        width=info.width,
        height=info.height,
        codec=info.codec,
        frames_per_second=rate or None,
        seconds=seconds,
        has_audio=has_audio,
        bits_per_pixel=(
            8 * num_bytes / (info.width * info.height * seconds * rate)
            if seconds and rate
            else None
        ),
        signature=f"video {num_bytes}",
        damage=tuple(name for name in _DAMAGE if counts[name]),
    )


def _of_picture(job: FileJob) -> MediaFacts:
    image = image_files.read_image(job.path)
    num_bytes = job.path.stat().st_size
    return MediaFacts(
        width=image.shape[1],
        height=image.shape[0],
        codec=image_files.format_of_name(job.path.name),
        bits_per_pixel=8 * num_bytes / (image.shape[0] * image.shape[1]),
        signature=f"image {num_bytes}",
    )


def _of_folder(job: FileJob) -> MediaFacts:
    images = image_files.iter_images(job.path)
    first = next(images)
    if job.read == "all":
        for _ in images:
            pass
    names, num_bytes = _first_of_folder(job.path)
    return MediaFacts(
        width=first.width,
        height=first.height,
        codec=image_files.format_of_name(names[0]),
        seconds=len(names) / FRAMES_PER_SECOND,
        bits_per_pixel=8 * num_bytes / (first.width * first.height),
        signature=f"frames {len(names)} {num_bytes}",
    )


def _first_of_folder(path: Path) -> tuple[list[str], int]:
    """Names of a folder's pictures in order, and the size of the first in bytes."""
    inside = picture_archive.split_path(path)
    if inside is not None:
        names = list(picture_archive.list_pictures(inside[0]).folders[inside[1]])
        _, content = next(picture_archive.iter_pictures(*inside))
        return names, len(content)
    found = (entry.name for entry in path.iterdir() if is_picture_name(entry.name))
    names = sorted(found, key=natural_key)
    return names, (path / names[0]).stat().st_size
