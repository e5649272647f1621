"""The facts file: one row per expected file with what is known of it beside its face.

It has the ids of the scores file of the same dataset; `shortcut_audit` asks whether the facts alone
give the label away.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from avkd.reporting.scores import BOM, FileRow, number_or_none, read_rows, write_rows

FACTS = "facts"
"""Folder of the facts files, beside that of the scores."""
Fact = float | str | bool

_FORMAT = "avkd-facts-1"
_CONVENTION = "label 1 = fake, 0 = real; an empty cell = not known"
KINDS: dict[str, type] = {
    "duration_seconds": float,  # counted by decoding where the file was read to its end
    "frames_per_second": float,  # claimed by the header
    "width": float,  # pixels, upright
    "height": float,
    "codec": str,  # what the pictures are packed with
    "bit_rate": float,  # bits a second, sound included: the file's size over its length
    "file_bytes": float,  # on disk; of a folder of frames, its first picture's
    "has_sound": bool,  # whether there is sound that can be decoded
    "sound_codec": str,
    "leading_silence_seconds": float,
    "trailing_silence_seconds": float,  # to the end of the pictures
    "sound_level_db": float,  # root mean square of the whole sound, relative to full scale
    "first_frame_brightness": float,  # mean luma of the first whole frame, 0..255
    "face_side_pixels": float,  # of the primary face in the file's own pixels, mean over its track
    "face_area_share": float,  # of the primary face, relative to the frame
    "face_center_x": float,  # its middle, relative to the frame's width
    "face_center_y": float,  # relative to the frame's height
}
"""What a fact may be, by its name."""
_IDENTITY = ("sample_id", "label", "dataset", "method", "split", "group", "source")
COLUMNS = (*_IDENTITY, *KINDS)
_identity = attrgetter(*_IDENTITY)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts(FileRow):
    """What one file is, apart from being real or fake.

    Raises:
        ValueError: the fields contradict each other, or a fact is not of its kind.
    """

    group: str = ""
    """Whose face it is; empty = not known."""
    source: str = ""
    """Id of the real file a forgery was made from; empty = not known."""
    facts: Mapping[str, Fact]
    """What is known, by the names of `KINDS`."""

    def __post_init__(self) -> None:
        self.check_label()
        for name, value in self.facts.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number if KINDS[name] is float else isinstance(value, KINDS[name])):
                raise ValueError(f"{self.sample_id}: {name} {value!r} is not of the right kind")
            if number and not math.isfinite(value):  # type: ignore[arg-type]
                raise ValueError(f"{self.sample_id}: {name} {value!r} is not a finite number")


def write_facts(path: Path, facts: Iterable[FileFacts]) -> None:
    """Write a facts file atomically; numbers keep every bit, names keep every character.

    The first line is a comment with the format, the number of rows and the label convention; the
    second names the columns.
    """
    rows = list(facts)
    cells = ([*_identity(row), *map(row.facts.get, KINDS)] for row in rows)
    write_rows(path, f"# {_FORMAT}; {len(rows)} rows; {_CONVENTION}\n", COLUMNS, cells)


def read_facts(path: Path) -> tuple[FileFacts, ...]:
    """Read a facts file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a facts file, cut short, a broken row, or a file that occurs twice; names
            the file and the line.
    """
    with path.open("rb") as file:
        head = re.match(rf"# {_FORMAT}; (\d+) rows;".encode(), file.readline().removeprefix(BOM))
        if head is None:
            raise ValueError(f"{path}, line 1: not a facts file (it does not begin '# {_FORMAT}')")
        found = read_rows(
            path, file, _made, COLUMNS, _READERS, lines_above=1, announced=int(head[1])
        )
        rows = tuple(found)
    for key, count in Counter((row.dataset, row.sample_id) for row in rows).items():
        if count > 1:
            raise ValueError(f"{path}: {key[1]} occurs {count} times; make the file again")
    return rows


def read_folder(folder: Path) -> tuple[FileFacts, ...]:
    """All facts that `avkd evaluate` left in its folder, if any; errors as of `read_facts`."""
    return tuple(row for path in sorted((folder / FACTS).glob("*.csv")) for row in read_facts(path))


def _made(**cells: Any) -> FileFacts:
    facts = {name: value for name in KINDS if (value := cells.pop(name)) is not None}
    return FileFacts(**cells, facts=facts)


def _yes_or_no(cell: str) -> bool | None:
    if cell not in ("", "0", "1"):
        raise ValueError(f"has_sound {cell!r} is neither 0 nor 1")
    return cell == "1" if cell else None


_OF_KIND: dict[type, Callable[[str], Any]] = {
    float: number_or_none,
    str: lambda cell: cell or None,
    bool: _yes_or_no,
}
_READERS: dict[str, Callable[[str], Any]] = {
    "label": int,
    **{name: _OF_KIND[kind] for name, kind in KINDS.items()},
}
