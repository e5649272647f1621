"""What a media file has to be before it is opened, and the error of one that cannot be used."""

from __future__ import annotations

import stat
from pathlib import Path

MAX_PIXELS = 7680 * 4320
"""Largest picture decoded (8K); a larger header is refused before the first decode."""


class MediaError(ValueError):
    """A file that cannot be used, with a machine-readable reason.

    Args:
        code: One word for reports, e.g. ``empty_file``.
        path: The file.
        detail: What is wrong and what to do about it.
    """

    def __init__(self, code: str, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.code = code
        self.path = path
        self.detail = detail

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, Path, str]]:
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
