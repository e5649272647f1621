"""Pictures inside a `.tar.gz`, read where they lie: nothing is unpacked to disk.

A picture or a folder of pictures in an archive has a path of its own: the archive's, then the path
inside, e.g. ``real_train/12.tar.gz//12/real/3``. Hostile archives are expected: only regular files
are read, links are never followed, names that lead out are passed over, and headers, pictures,
members and the whole are bounded. A gzip stream can only be read from its beginning, so listing
costs one pass over the archive and each folder of pictures another: unpack what is read often.
"""

import gzip
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from avkd.data import inventory
from avkd.data.media.media_file import MediaError

SUFFIX = ".tar.gz"

MAX_MEMBERS = 200_000
"""More files, folders and links than this in one archive are refused."""
MAX_PICTURE_BYTES = 64 << 20
"""Larger pictures are passed over."""
MAX_UNPACKED_BYTES = 64 << 30
"""No more of one archive is unpacked; a few kilobytes may claim to hold any number of bytes."""
MAX_WAITING_BYTES = 512 << 20
"""Pictures that lie before their turn are held in memory, encoded, up to this size together."""
_MAX_HEADER_BYTES = 64 << 10
"""Headers of one member together; bounds memory and how deep long names can be nested."""
_SKIP_BYTES = 1 << 20
_BLOCK_BYTES = 512
_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError)


@dataclass(frozen=True)
class ArchiveListing:
    """The pictures in one archive."""

    folders: Mapping[str, tuple[str, ...]]
    """File names in natural order for each folder that itself holds pictures, by its path inside;
    the archive's top is an empty path."""
    passed_over: Mapping[str, int]
    """How many members were passed over, by reason."""


def split_path(path: Path) -> tuple[Path, str] | None:
    """The archive and the path inside it; None if ``path`` does not lead into an archive."""
    for number, part in enumerate(path.parts, 1):
        if part.lower().endswith(SUFFIX):
            archive = Path(*path.parts[:number])
            if not archive.is_dir():
                return archive, "/".join(path.parts[number:])
    return None


def list_pictures(archive: Path) -> ArchiveListing:
    """List an archive from its beginning to its end; the last few lists are remembered.

    Raises:
        MediaError: no such file, damaged, cut short, or beyond the bounds of this module.
    """
    if not archive.is_file():
        raise MediaError("not_found", archive, "no such archive; check the path")
    state = archive.stat()
    return _list(archive, state.st_size, state.st_mtime_ns)


def iter_pictures(archive: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """The pictures that lie in a folder of an archive itself, in the natural order of their names.

    One picture is held at a time where the archive holds them in order, else also those that come
    before their turn.

    Yields:
        File name and encoded bytes.

    Raises:
        MediaError: as `list_pictures`; or there is no picture in that folder, or too much would
            have to be held.
    """
    names = list_pictures(archive).folders.get(folder, ())
    if not names:
        raise MediaError("no_frames", archive, f"no pictures in its folder {folder!r}")
    waiting: dict[str, bytes] = {}
    missing = set(names)
    waiting_bytes = place = 0
    with _opened(archive) as stream:
        for member in _members(stream):
            parent, _, name = _plain_name(member).rpartition("/")
            if parent != folder or name not in missing or _reason_against(member):
                continue
            missing.remove(name)
            waiting[name] = stream.read_content(member)
            waiting_bytes += member.size
            while place < len(names) and names[place] in waiting:
                content = waiting.pop(names[place])
                waiting_bytes -= len(content)
                yield names[place], content
                place += 1
            if place == len(names):
                return
            if waiting_bytes > MAX_WAITING_BYTES:
                detail = f"the pictures of {folder!r} lie too far out of order; unpack the archive"
                raise MediaError("too_large", archive, detail)
    raise MediaError("not_media", archive, "changed while it was read; leave it alone meanwhile")


@lru_cache(maxsize=4)
def _list(archive: Path, size: int, modified: int) -> ArchiveListing:
    folders: dict[str, dict[str, None]] = {}
    passed_over: Counter[str] = Counter()
    with _opened(archive) as stream:
        for number, member in enumerate(_members(stream), 1):
            if number > MAX_MEMBERS:
                raise MediaError("too_large", archive, f"more than {MAX_MEMBERS} members")
            if member.isdir():
                continue
            reason = _reason_against(member)
            if reason:
                passed_over[reason] += 1
                continue
            folder, _, name = _plain_name(member).rpartition("/")
            if name in folders.setdefault(folder, {}):
                passed_over["second picture of the same name"] += 1
            folders[folder][name] = None
    return ArchiveListing(
        {
            folder: tuple(sorted(names, key=inventory.natural_key))
            for folder, names in sorted(folders.items())
        },
        passed_over,
    )


class _ForwardStream:
    """The unpacked archive as `tarfile` sees it: forwards only, and only so much at once.

    A header can claim a name of any length, a picture of any size, or a next member that lies
    before this one; each would otherwise cost memory or never end.
    """

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._position = 0
        self._header_bytes_left = 0
        self.last_block = b""

    def allow_header(self) -> None:
        """Let `tarfile` read the headers of one more member."""
        self._header_bytes_left = _MAX_HEADER_BYTES

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("a header points backwards")
        while self._position < position and self._read(min(_SKIP_BYTES, position - self._position)):
            pass

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self._header_bytes_left:
            raise tarfile.ReadError(f"headers larger than {_MAX_HEADER_BYTES} bytes")
        self._header_bytes_left -= size
        self.last_block = self._read(size)
        return self.last_block

    def read_content(self, member: tarfile.TarInfo) -> bytes:
        """The bytes of the member whose header was just read."""
        assert 0 <= member.size <= MAX_PICTURE_BYTES
        self.seek(member.offset_data)
        content = self._read(member.size)
        if len(content) < member.size:
            raise EOFError("ends inside a picture")
        return content

    def drain(self) -> None:
        """Read what follows the end mark, so that gzip compares its checksum."""
        while self._read(_SKIP_BYTES):
            pass

    def _read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._position += len(content)
        if self._position > MAX_UNPACKED_BYTES:
            raise tarfile.ReadError(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        return content


@contextmanager
def _opened(archive: Path) -> Iterator[_ForwardStream]:
    """Open an archive; whatever proves wrong with its bytes names it."""
    try:
        with gzip.open(archive, "rb") as file:
            yield _ForwardStream(file)
    except MediaError:
        raise
    except _DAMAGE as error:
        detail = f"damaged archive ({error}); download it again"
        raise MediaError("not_media", archive, detail) from error


def _members(stream: _ForwardStream) -> Iterator[tarfile.TarInfo]:
    """The members in their order, to the end mark."""
    stream.allow_header()
    opened: Any = stream  # it has all that `tarfile` asks of a file here
    tar: Any  # its stubs leave out the members it remembers
    with tarfile.TarFile(fileobj=opened, mode="r") as tar:
        while (member := tar.next()) is not None:
            if member.size < 0:
                raise tarfile.ReadError(f"{member.name!r} has a negative size")
            yield member
            tar.members.clear()  # else it remembers every member,
            tar.pax_headers.clear()  # and every global header
            stream.allow_header()
    # tarfile takes a broken header in the middle for the end.
    if stream.last_block != bytes(_BLOCK_BYTES):
        raise tarfile.ReadError("cut short, or a broken header in the middle")
    stream.drain()


def _reason_against(member: tarfile.TarInfo) -> str | None:
    """Why a member is passed over; None for a picture."""
    if not member.isreg() or member.issparse():
        return "link, device or sparse file"
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "name that leads out of the archive"
    name = _plain_name(member)
    if any(inventory.is_hidden(part) for part in name.split("/")):
        return "hidden"
    if not inventory.is_picture_name(name.rpartition("/")[2]):
        return "not a picture"
    if member.size > MAX_PICTURE_BYTES:
        return "picture too large"
    return None


def _plain_name(member: tarfile.TarInfo) -> str:
    return "/".join(part for part in member.name.split("/") if part not in ("", "."))
