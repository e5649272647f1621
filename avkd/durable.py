"""Durable files: what is written is either the old file or the whole new one, never a part.

Knows bytes and paths only. A crash between any two instructions leaves the previous file intact,
and at worst a temporary file ``.NAME.*.tmp`` beside it.
"""

import errno
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

NO_ROOM_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""`OSError.errno` where a place takes no more bytes: full, over quota or limit, or read-only."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and renamed to ``path``.

    Raises:
        OSError: the folder cannot be written (read-only, full); ``path`` is then unchanged. Also
            where a library says so in words of its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:  # an interrupt too leaves no half-written file
        with suppress(FileNotFoundError):
            temporary.unlink()
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is not None and int(number[1]) in NO_ROOM_ERRNOS:  # as safetensors words it
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed writers left in ``folder``, if there is one."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented, key-sorted JSON to ``path`` atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file ``path``; the lock ends with the process, however it ends.

    Raises:
        ValueError: another process holds it: the message is ``busy``.
    """
    with path.open("w") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise ValueError(busy) from None
        yield


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Short hexadecimal digest (16 digits) of any JSON-serialisable value."""
    # ASCII: file names that are not valid UTF-8 arrive as lone surrogates.
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def _lock(file: IO[str]) -> None:
    """Take the file for this process, at once or not at all."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut (a no-op where folders cannot sync)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
