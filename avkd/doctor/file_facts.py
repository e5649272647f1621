"""What one file is, or why it cannot be used, without keeping its pixels; and its digest.

For worker processes, as any of these files may take its process down; so it imports no torch.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avkd.data.clock import FRAMES_PER_SECOND
from avkd.data.manifest import Kind
from avkd.data.media import image_files, picture_archive
from avkd.data.media.media_file import MediaError
from avkd.data.media.source_file import SourceFile

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
        return _look_at(job)
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
    assert job.kind != "crops"
    return SourceFile(job.path, job.kind).sha256()


def _look_at(job: FileJob) -> MediaFacts:
    assert job.kind != "crops"
    source = SourceFile(job.path, job.kind, with_sound=job.read == "all")
    frames = source.frames()
    first = next(frames)
    if job.read == "all":
        deque(frames, maxlen=0)
    if (info := source.info) is None:
        names, num_bytes = _pictures(job.path)
        codec = image_files.format_of_name(names[0])
        rate = has_audio = None
        seconds = None if job.kind == "image" else len(names) / FRAMES_PER_SECOND
        num_pixels: float = first.width * first.height
        signature = f"{job.kind} {len(names)} {num_bytes}"
    else:
        num_bytes = job.path.stat().st_size
        codec, rate = info.codec, info.average_frames_per_second or None
        seconds, has_audio = info.duration_seconds, info.sound_codec is not None
        if job.read == "all":  # a stream may be announced and hold nothing
            seconds, has_audio = source.num_frames / FRAMES_PER_SECOND, source.sound is not None
        num_pixels = first.width * first.height * (seconds or 0) * (rate or 0)
        signature = f"video {num_bytes}"
    counts = source.counts + source.sound_counts
    return MediaFacts(
        width=first.width,
        height=first.height,
        codec=codec,
        frames_per_second=rate,
        seconds=seconds,
        has_audio=has_audio,
        bits_per_pixel=8 * num_bytes / num_pixels if num_pixels else None,
        signature=signature,
        damage=tuple(name for name in _DAMAGE if counts[name] and job.read == "all"),
    )


def _pictures(path: Path) -> tuple[list[str], int]:
    """Names of a folder's pictures in order, or the picture's, and the bytes of the first."""
    inside = picture_archive.split_path(path)
    if inside is not None:
        names = list(picture_archive.list_pictures(inside[0]).folders[inside[1]])
        _, content = next(picture_archive.iter_pictures(*inside))
        return names, len(content)
    files = image_files.picture_files(path)
    return [file.name for file in files], files[0].stat().st_size
