"""What lies under a dataset's folder, by name: each folder is listed once, no file is opened."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from urllib.parse import quote

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"}
    | {".wmv"}
)
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})

_ARCHIVER_LEFTOVER = "__MACOSX"  # macOS puts a shadow of every file there when it zips a folder
_NAMES_SHOWN = 8
_FOLDERS_SEARCHED = 200  # enough to find the right folder near a wrong one without walking a disk


@dataclass(frozen=True)
class Listing:
    """The files below one folder."""

    files: tuple[str, ...]
    """POSIX paths relative to the dataset's root, sorted, so independent of the file system."""
    other_suffixes: Counter[str]
    """How many files of which suffix were passed over because they are not what was looked for."""
    hidden: int
    """How many entries were passed over because their name starts with a dot or is `__MACOSX`."""
    links: tuple[str, ...]
    """Symbolic links; none is followed, so nothing outside the root can come in or come twice."""

    def notes(self) -> tuple[str, ...]:
        """One remark for each reason why something was passed over."""
        notes = []
        if self.other_suffixes:
            kinds = ", ".join(f"{n} {kind}" for kind, n in self.other_suffixes.most_common())
            notes.append(f"passed over, other kinds of file: {kinds}")
        if self.hidden:
            notes.append(f"passed over, hidden: {self.hidden}")
        if self.links:
            notes.append(
                f"passed over, symbolic links (never followed): {len(self.links)}, "
                f"first {self.links[0]!r}; mount or copy what they point to"
            )
        return tuple(notes)


def part_of(name: str, count: int) -> int:
    """Which of ``count`` parts of the work a file belongs to, whatever other files there are."""
    return int(hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest(), 16) % count


def list_files(
    root: Path,
    folder: str = "",
    *,
    suffixes: Collection[str] = VIDEO_SUFFIXES,
    recursive: bool = True,
    also: Callable[[Path], bool] = lambda path: False,
) -> Listing:
    """List ``root / folder``, by default with everything below it.

    That folder may itself be a link (data spread over disks); below it none is followed. Listed are
    files with ``suffixes`` (in lower case with the dot) and others for which ``also`` holds.

    Raises:
        OSError: a folder cannot be read; a corpus with silent holes would be worse.
    """
    files: list[str] = []
    other_suffixes: Counter[str] = Counter()
    hidden = 0
    links: list[str] = []
    pending = [folder]
    while pending:
        current = pending.pop()
        prefix = f"{current}/" if current else ""
        with os.scandir(root / current) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    hidden += 1
                elif entry.is_symlink():
                    links.append(prefix + entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    if recursive:
                        pending.append(prefix + entry.name)
                elif entry.is_file(follow_symlinks=False) and (
                    suffix_of(entry.name) in suffixes or also(Path(entry.path))
                ):
                    files.append(prefix + entry.name)
                else:
                    other_suffixes[suffix_of(entry.name) or "no suffix"] += 1
    return Listing(tuple(sorted(files)), other_suffixes, hidden, tuple(sorted(links)))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the dataset's own."""
    return name.startswith(".") or name == _ARCHIVER_LEFTOVER


def is_picture_name(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return suffix_of(name) in PICTURE_SUFFIXES


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts ``frame2`` before ``frame10``: digits compare as numbers, all else as text."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]


def compare(what: str, found: int, official: int) -> str:
    """The sentence that holds a count against the official inventory."""
    return f"{what}: {found} found, {official} official, difference {found - official:+d}"


def name_some(names: Sequence[str]) -> str:
    """The first few of ``names``, with a mark where some are left unsaid."""
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
    return shown + (", ..." if len(names) > _NAMES_SHOWN else "")


def name_counts(names: Iterable[str]) -> str:
    """How often each name comes, e.g. ``2 fake, 1 real``, in the order of the names."""
    return ", ".join(f"{number} {name}" for name, number in sorted(Counter(names).items()))


def note_names(what: str, names: Iterable[str]) -> list[str]:
    """One note with the number of names and the first of them in order; none without names."""
    names = sorted(names)
    return [f"{what}: {len(names)}: {name_some(names)}"] if names else []


def plain_id(name: str) -> str:
    """``name`` as printable ASCII without blanks: percent-encoded, reversible, never ambiguous.

    Names with blanks, line breaks, ``%`` or bytes that are not UTF-8 then survive any list or
    table; ``urllib.parse.unquote(..., errors="surrogateescape")`` gives the name back.
    """
    return quote(name, safe="/", errors="surrogateescape")


def stem_of(path: str) -> str:
    """File name of a POSIX path without its last suffix."""
    return PurePosixPath(path).stem


def compiled(pattern: str | None, *, option: str, group: str) -> re.Pattern[str] | None:
    """Compile the user's regular expression, if there is one; it has to hold the named ``group``.

    Raises:
        ValueError: not a regular expression, or without that group; names the option.
    """
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{option}={pattern!r} is not a regular expression: {error}") from error
    if group not in expression.groupindex:
        raise ValueError(f"{option}={pattern!r} lacks the named group (?P<{group}>...)")
    return expression


class WrongRoot(ValueError):
    """A folder that is not the dataset; any other error of a layout is a fault of its dataset."""


def check_root(root: Path, expected: str, recognises: Callable[[Path], object]) -> None:
    """Refuse a folder that does not look like the dataset, in the words of `wrong_root`.

    Raises:
        WrongRoot: it does not, or is no folder; ``recognises`` is asked about folders only.
    """
    if not root.is_dir() or not recognises(root):
        raise wrong_root(root, expected, recognises)


def wrong_root(root: Path, expected: str, recognises: Callable[[Path], object]) -> WrongRoot:
    """The error for a folder that is not the dataset; points at the right one if it is near.

    ``recognises`` says whether a folder looks right; it must be cheap, and may raise OSError.
    """
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "does not exist"
        return WrongRoot(f"{root} {state}; expected a folder with {expected}")
    names = sorted(entry.name for entry in os.scandir(root))
    message = f"{root}: expected {expected}; found {name_some(names) or 'an empty folder'}"
    children = _folders_in(root)
    grandchildren = (folder for child in children for folder in _folders_in(child))
    for candidate in chain(children, grandchildren, list(root.resolve().parents)[:3]):
        with suppress(OSError):
            if recognises(candidate):
                return WrongRoot(f"{message}. Did you mean {candidate}?")
    return WrongRoot(message)


def suffix_of(name: str) -> str:
    """What follows the last dot of a file name, with it and in lower case; empty = nothing."""
    # Half a million names: a split of the text is several times faster than a path object.
    stem, _, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem else ""


def _folders_in(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return [folder / name for name in names[:_FOLDERS_SEARCHED]]
    return []
