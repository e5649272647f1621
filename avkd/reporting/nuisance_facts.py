"""The facts file: one row per expected file with what is known of it beside its face.

It has the ids of the scores file of the same dataset; `shortcut_audit` asks whether the facts alone
give the label away.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd import durable
from avkd.reporting.scores import REAL_METHOD

FACTS = "facts"
"""Folder of the facts files, beside that of the scores."""

_FORMAT = "avkd-facts-1"
_CONVENTION = "label 1 = fake, 0 = real; an empty cell = not known"
# Names of files on disk need not be valid UTF-8; Python carries the odd bytes as surrogates.
_UNDECODABLE = "surrogatepass"


@dataclass(frozen=True, kw_only=True, slots=True)  # slots: there may be a million
class FileFacts:
    """What one file is, apart from being real or fake; None = not known, or no such thing.

    Raises:
        ValueError: the fields contradict each other, or a number is not finite.
    """

    sample_id: str
    """Id of the file in its manifest."""
    label: int
    """1 = fake, 0 = real."""
    dataset: str
    """Dataset name."""
    method: str
    """Forgery method; ``real`` for real files."""
    split: str
    """Split; empty if none."""
    group: str = ""
    """Whose face it is; empty = not known."""
    source: str = ""
    """Id of the real file a forgery was made from; empty = not known."""
    duration_seconds: float | None = None
    """Length; counted by decoding where the file was read to its end."""
    frames_per_second: float | None = None
    """Claimed by the header."""
    width: float | None = None
    """Pixels, upright."""
    height: float | None = None
    """Pixels, upright."""
    codec: str | None = None
    """What the pictures are packed with."""
    bit_rate: float | None = None
    """Bits a second, sound included: the file's size over its length."""
    file_bytes: float | None = None
    """Size on disk; of a folder of frames, its first picture's."""
    has_sound: bool | None = None
    """Whether there is sound that can be decoded."""
    sound_codec: str | None = None
    """What the sound is packed with."""
    leading_silence_seconds: float | None = None
    """Silence before the first sound."""
    trailing_silence_seconds: float | None = None
    """Silence after the last sound, to the end of the pictures."""
    sound_level_db: float | None = None
    """Root mean square of the whole sound, relative to full scale."""
    first_frame_brightness: float | None = None
    """Mean luma of the first whole frame, 0..255."""
    face_side_pixels: float | None = None
    """Side of the primary face in the file's own pixels, mean over its track."""
    face_area_share: float | None = None
    """Area of the primary face relative to the frame."""
    face_center_x: float | None = None
    """Middle of the primary face relative to the frame's width."""
    face_center_y: float | None = None
    """Middle of the primary face relative to the frame's height."""

    def __post_init__(self) -> None:
        if self.label not in (0, 1):
            raise ValueError(f"{self.sample_id}: label {self.label!r} is neither 0 (real) nor 1")
        if (self.method == REAL_METHOD) != (self.label == 0):
            raise ValueError(f"{self.sample_id}: method {self.method!r} with label {self.label}")
        for name in NAMES:
            value = getattr(self, name)
            kind = _KINDS.get(name, (int, float))
            if value is None:
                continue
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{self.sample_id}: {name} {value!r} is not of the right kind")
            if isinstance(value, (int, float)) and not math.isfinite(value):
                raise ValueError(f"{self.sample_id}: {name} {value!r} is not a finite number")

    @property
    def is_known(self) -> bool:
        """Whether there is any fact at all."""
        return any(getattr(self, name) is not None for name in NAMES)


_KINDS: dict[str, type | tuple[type, ...]] = {"codec": str, "sound_codec": str, "has_sound": bool}
COLUMNS = tuple(field.name for field in dataclasses.fields(FileFacts))
NAMES = COLUMNS[COLUMNS.index("source") + 1 :]
"""Names of the facts themselves."""


def write_facts(path: Path, facts: Iterable[FileFacts]) -> None:
    """Write a facts file atomically; numbers keep every bit, names keep every character.

    The first line is a comment with the format, the number of rows and the label convention; the
    second names the columns.
    """
    rows = list(facts)
    text = io.StringIO(newline="")
    text.write(f"# {_FORMAT}; {len(rows)} rows; {_CONVENTION}\n")
    # Every text is quoted: a name may hold a lone carriage return.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row, column) for column in COLUMNS] for row in rows)
    durable.write_bytes(path, text.getvalue().encode("utf-8", _UNDECODABLE))


def read_facts(path: Path) -> tuple[FileFacts, ...]:
    """Read a facts file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a facts file, cut short, a broken row, or a file that occurs twice; names
            the file and the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", _UNDECODABLE)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a facts file: {error}") from error
    announced = re.match(rf"# {_FORMAT}; (\d+) rows;[^\n]*\n", text)
    if announced is None:
        raise ValueError(f"{path}, line 1: not a facts file (it does not begin '# {_FORMAT}')")
    reader = csv.reader(io.StringIO(text[announced.end() :], newline=""))
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError(f"{path}, line 2: the columns are not {', '.join(COLUMNS)}")
        rows = [_parse(path, reader.line_num + 1, cells) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num + 1}: {error}") from error
    if len(rows) != int(announced[1]):
        raise ValueError(
            f"{path}: holds {len(rows)} rows but announces {announced[1]}; make the file again"
        )
    for key, count in Counter((row.dataset, row.sample_id) for row in rows).items():
        if count > 1:
            raise ValueError(f"{path}: {key[1]} occurs {count} times; make the file again")
    return tuple(rows)


def read_folder(folder: Path) -> tuple[FileFacts, ...]:
    """All facts that `avkd evaluate` left in its folder; none where it left none.

    Raises:
        ValueError: as `read_facts`.
    """
    return tuple(row for path in sorted((folder / FACTS).glob("*.csv")) for row in read_facts(path))


def _cell(row: FileFacts, column: str) -> str | int | float:
    value = getattr(row, column)
    if value is None:
        return ""
    return int(value) if isinstance(value, bool) else value  # csv writes repr(float): lossless


def _parse(path: Path, line: int, cells: Sequence[str]) -> FileFacts:
    try:
        row: dict[str, object] = dict(zip(COLUMNS, cells, strict=True))
        row["label"] = int(cells[COLUMNS.index("label")])
        for name in NAMES:
            row[name] = _value(name, str(row[name]))
        return FileFacts(**row)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}, line {line}: {error}") from error


def _value(name: str, cell: str) -> str | float | bool | None:
    if not cell:
        return None
    if _KINDS.get(name) is bool:
        if cell not in ("0", "1"):
            raise ValueError(f"{name} {cell!r} is neither 0 nor 1")
        return cell == "1"
    return cell if _KINDS.get(name) is str else float(cell)
