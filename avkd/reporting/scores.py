"""The scores file: one row per scored window, and one row with a reason for every unscored file.

All numbers of a report are computed from these rows alone. Knows nothing of models, media or
manifests. Label 1 = fake, 0 = real; a probability is always P(fake).
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avkd import durable

OK = "ok"
NO_WINDOW = -1
REAL_METHOD = "real"  # the manifest's word for what is not a forgery

_FORMAT = "avkd-scores-1"
_CONVENTION = "label 1 = fake, 0 = real; probability = P(fake); logit = raw score, higher = fake"
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
    window: int
    """Window of the file from 0; -1 when no window of the file was scored."""
    start_frame: int
    """First frame of the window, at 25 frames per second; 0 without a window."""
    num_frames: int
    """Frames the window really holds; 0 without a window."""
    logit: float | None
    """Raw score, at least single precision, any finite value; None unless ``ok``."""
    probability: float | None
    """P(fake) in [0, 1], after the model's calibration; None unless ``ok``."""
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
        if self.probability is None or not 0.0 <= self.probability <= 1.0:
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


def unscored(
    *,
    sample_id: str,
    label: int,
    dataset: str,
    method: str,
    split: str,
    status: str,
    message: str,
    group: str = "",
) -> ClipScore:
    """The row of a file that could not be scored at all; ``status`` is the reason's code."""
    return ClipScore(
        sample_id=sample_id,
        label=label,
        dataset=dataset,
        method=method,
        split=split,
        window=NO_WINDOW,
        start_frame=0,
        num_frames=0,
        logit=None,
        probability=None,
        status=status,
        message=message,
        group=group,
    )


def write_scores(path: Path, scores: Iterable[ClipScore]) -> None:
    """Write a scores file atomically; floats keep every bit, names keep every character.

    The first line is a comment with the format, the number of rows and the label convention; the
    second names the columns.
    """
    rows = list(scores)
    text = io.StringIO(newline="")
    text.write(f"# {_FORMAT}; {len(rows)} rows; {_CONVENTION}\n")
    # Every text is quoted: a name may hold a lone carriage return.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row, column) for column in COLUMNS] for row in rows)
    durable.write_bytes(path, text.getvalue().encode("utf-8", _UNDECODABLE))


def read_scores(path: Path) -> tuple[ClipScore, ...]:
    """Read a scores file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a scores file, cut short, or a broken row; names the file and the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", _UNDECODABLE)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a scores file: {error}") from error
    announced = re.match(rf"# {_FORMAT}; (\d+) rows;[^\n]*\n", text)
    if announced is None:
        raise ValueError(f"{path}, line 1: not a scores file (it does not begin '# {_FORMAT}')")
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
    return tuple(rows)


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
