"""The scores file: one row per scored window, and one row with a reason for every unscored file.

All numbers of a report are computed from these rows alone; the head says what made them. Label 1 =
fake, 0 = real; a probability is always P(fake).
"""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from avkd import durable
from avkd.reporting.scores_head import ScoresHead

SCORES = "scores"
"""Folder of the score files within the ``--out`` folder of an evaluation."""
OK = "ok"
NO_WINDOW = -1
REAL_METHOD = "real"  # the manifest's word for what is not a forgery

_FORMAT = "avkd-scores-2"
_WITHOUT_HEAD = "avkd-scores-1"
_CONVENTION = "label 1 = fake, 0 = real; probability = P(fake); logit = raw score, higher = fake"
_TRAILER = re.compile(r"# end; (\d+) rows")
_HEAD_LINES = 2  # before the names of the columns
_BOM = b"\xef\xbb\xbf"  # editors put it there
# Names of files on disk need not be valid UTF-8; Python carries the odd bytes as surrogates.
_UNDECODABLE = "surrogatepass"


@dataclass(frozen=True, kw_only=True, slots=True)  # slots: there may be a million
class ClipScore:
    """What the detector said about one window of one file, or why it said nothing.

    Raises:
        ValueError: the fields contradict each other.
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
    """Side of the split; empty if none."""
    window: int = NO_WINDOW
    """Window of the file from 0; -1 when no window of the file was scored."""
    start_frame: int = 0
    """First frame of the window, at 25 frames per second; 0 without a window."""
    num_frames: int = 0
    """Frames the window really holds; 0 without a window."""
    logit: float | None = None
    """Raw score, at least single precision, any finite value; None unless ``ok``."""
    probability: float | None = None
    """P(fake) in [0, 1], after the model's calibration; None unless ``ok``, and where the scorer
    ranks files without stating one."""
    status: str = OK
    """``ok``, or the code of the reason why there is no score."""
    message: str = ""
    """The reason in words."""
    group: str = ""
    """What is resampled together in intervals, e.g. the identity; empty = not known."""

    def __post_init__(self) -> None:
        if self.label not in (0, 1):
            raise ValueError(f"{self.sample_id}: label {self.label!r} is neither 0 (real) nor 1")
        if (self.method == REAL_METHOD) != (self.label == 0):
            raise ValueError(f"{self.sample_id}: method {self.method!r} with label {self.label}")
        if not self.status:
            raise ValueError(f"{self.sample_id}: status is empty; say {OK!r} or the reason")
        if self.is_scored:
            self._check_score()
        elif self.logit is not None or self.probability is not None:
            raise ValueError(f"{self.sample_id}: a score although status is {self.status!r}")

    def _check_score(self) -> None:
        if self.logit is None or not math.isfinite(self.logit):
            raise ValueError(f"{self.sample_id}: logit {self.logit!r} of a scored window")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"{self.sample_id}: probability {self.probability!r} not in [0, 1]")
        if self.window < 0 or self.start_frame < 0 or self.num_frames < 1:
            raise ValueError(f"{self.sample_id}: a scored window needs its index and its frames")

    @property
    def is_scored(self) -> bool:
        """Whether there is a score."""
        return self.status == OK


COLUMNS = tuple(field.name for field in dataclasses.fields(ClipScore))
_INTEGERS = ("label", "window", "start_frame", "num_frames")
_FLOATS = ("logit", "probability")


def write_scores(path: Path, head: ScoresHead, scores: Iterable[ClipScore]) -> None:
    """Write a scores file atomically, row by row; floats keep every bit, names every character.

    The first line is a comment with the format and the label convention, the second holds the head
    as JSON, the third names the columns; the last is a comment with the number of rows, so that a
    file cut short is noticed.
    """
    num_rows = 0
    with (
        durable.replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors=_UNDECODABLE, newline="") as file,
    ):
        file.write(f"# {_FORMAT}; {_CONVENTION}\n# {head.to_json()}\n")
        # Every text is quoted: a name may hold a lone carriage return.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(COLUMNS)
        for row in scores:
            writer.writerow([_cell(row, column) for column in COLUMNS])
            num_rows += 1
        file.write(f"# end; {num_rows} rows\n")


def read_scores(path: Path) -> tuple[ClipScore, ...]:
    """All rows of a scores file at once.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `iter_scores`.
    """
    return tuple(iter_scores(path)[1])


def iter_scores(path: Path) -> tuple[ScoresHead, Iterator[ClipScore]]:
    """The head of a scores file, and its rows one by one.

    A broken row and a file cut short are noticed when the rows come to it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a scores file, of an older format, cut short, or a broken row; names the
            file and the line.
    """
    return read_head(path), _rows(path)


def read_head(path: Path) -> ScoresHead:
    """What made a scores file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a scores file, or of an older format.
    """
    with path.open("rb") as file:
        return _read_head(path, file)


def _read_head(path: Path, file: BinaryIO) -> ScoresHead:
    """Read the lines before the names of the columns."""
    first, second = (file.readline().removeprefix(_BOM).rstrip(b"\r\n") for _ in range(_HEAD_LINES))
    if first.startswith(f"# {_WITHOUT_HEAD};".encode()):
        raise ValueError(
            f"{path}: {_WITHOUT_HEAD} of an older avkd, which does not say what made it; score the "
            "corpus again with `avkd evaluate`"
        )
    if not first.startswith(f"# {_FORMAT};".encode()):
        raise ValueError(f"{path}, line 1: not a scores file (it does not begin '# {_FORMAT}')")
    try:
        return ScoresHead.from_json(second.removeprefix(b"# ").decode("ascii"))
    except ValueError as error:  # of JSON and of the encoding too
        raise ValueError(f"{path}, line 2: {error}") from error


def _rows(path: Path) -> Iterator[ClipScore]:
    with path.open("rb") as file:
        _read_head(path, file)
        # Lines end at \n alone here, so a lone \r in a name ends none.
        reader = csv.reader(line.decode("utf-8", _UNDECODABLE) for line in file)
        line, num_rows = _HEAD_LINES + 1, 0
        try:
            if tuple(next(reader, ())) != COLUMNS:
                raise ValueError(f"{path}, line {line}: the columns are not {', '.join(COLUMNS)}")
            for cells in reader:
                line = reader.line_num + _HEAD_LINES
                if len(cells) == 1 and (announced := _TRAILER.fullmatch(cells[0])):
                    _check_complete(path, num_rows, announced[1], next(reader, None))
                    return
                yield _parse(path, line, cells)
                num_rows += 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {reader.line_num + _HEAD_LINES}: {error}") from error
    raise ValueError(f"{path}: cut short after {num_rows} rows; make the file again")


def _check_complete(path: Path, num_rows: int, announced: str, more: list[str] | None) -> None:
    if num_rows != int(announced) or more is not None:
        held = f"{num_rows} rows" if more is None else "something after its end"
        raise ValueError(
            f"{path}: holds {held} but announces {announced} rows; make the file again"
        )


def _cell(row: ClipScore, column: str) -> str | int | float:
    value = getattr(row, column)
    if value is None:
        return ""
    return float(value) if column in _FLOATS else value  # csv writes repr(float): lossless


def _parse(path: Path, line: int, cells: Sequence[str]) -> ClipScore:
    try:
        row: dict[str, str | int | float | None] = dict(zip(COLUMNS, cells, strict=True))
        for column, cell in zip(COLUMNS, cells, strict=True):
            if column in _INTEGERS:
                row[column] = int(cell)
            elif column in _FLOATS:
                row[column] = float(cell) if cell else None
        return ClipScore(**row)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}, line {line}: {error}") from error
