"""The scores file: one row per scored window, and one row with a reason for every unscored file.

All numbers of a report are computed from these rows alone; the head says what made them, and so
which files may stand in one table. Label 1 = fake, 0 = real; a probability is always P(fake).
"""

import csv
import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, get_args

from avkd import durable
from avkd.metrics.pooling import RULES, Pooling
from avkd.models.calibration import Calibration
from avkd.models.strict import read_record

Scorer = Literal["detector", "av_agreement", "table"]
Row = TypeVar("Row")
SCORES = "scores"
"""Folder of the score files within the ``--out`` folder of an evaluation."""
OK = "ok"
NO_WINDOW = -1
REAL_METHOD = "real"  # the manifest's word for what is not a forgery

_FORMAT = "avkd-scores-2"
_WITHOUT_HEAD = "avkd-scores-1"
_CONVENTION = "label 1 = fake, 0 = real; probability = P(fake); logit = raw score, higher = fake"
_END = re.compile(r"# end; (\d+) rows")
_HEAD_LINES = 2  # before the names of the columns
BOM = b"\xef\xbb\xbf"  # editors put it there
UNDECODABLE = "surrogatepass"
"""How names are written: on disk they need not be valid UTF-8, and Python carries the odd bytes as
surrogates."""


@dataclass(frozen=True, kw_only=True)
class ScoresHead:
    """What made the scores of one dataset; stands at the head of their file.

    Raises:
        ValueError: a field is no text, or there is no such scorer or pooling.
    """

    model: str
    model_fingerprint: str
    """The model file, for the reader, and its digest."""
    scorer: Scorer
    """``detector``, ``av_agreement`` of a stage-one model, or ``table``: nothing is known of it."""
    preprocessing: str
    preprocessing_text: str
    """What made the crops, as a digest and in words; their perturbation stands apart."""
    perturbation: str = ""
    """What was done to the frames before their faces were cut out; empty = nothing."""
    windows: str
    """Which parts of a file were looked at."""
    pooling: Pooling
    """Rule that makes one score of a file's windows."""
    calibration: Calibration | None = None
    """What makes P(fake) of that score; None = not known, or no P(fake) is stated."""
    protocol: str = ""
    protocol_fingerprint: str = ""
    """Name of the protocol, and the digest of all that it says; empty = none."""
    reals_from: str = ""
    """Dataset whose real files the forgeries are set against; empty = each dataset's own."""
    avkd_version: str
    """Version that wrote the file."""
    command: str
    """Command line that gives the same scores."""
    date: str
    """Day of the scoring, ISO 8601."""

    def __post_init__(self) -> None:
        if not isinstance(self.calibration, Calibration | None):
            raise ValueError(f"calibration is {self.calibration!r}, not a curve")
        for field in dataclasses.fields(self):
            if field.name != "calibration" and not isinstance(getattr(self, field.name), str):
                raise ValueError(f"{field.name} is {getattr(self, field.name)!r}, not a text")
        if self.scorer not in get_args(Scorer):
            raise ValueError(f"scorer {self.scorer!r} is none of {', '.join(get_args(Scorer))}")
        if self.pooling not in RULES:
            raise ValueError(f"pooling {self.pooling!r} is none of {', '.join(RULES)}")

    @property
    def in_words(self) -> dict[str, str]:
        """Its fields for a reader; of the calibration the kind."""
        kind = self.calibration.kind if self.calibration else ""
        return {**vars(self), "calibration": kind}

    def to_json(self) -> str:
        """One line of ASCII that `from_json` reads back, odd characters of names included."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=True, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ScoresHead":
        """The head that ``text`` holds.

        Raises:
            ValueError: it is no JSON, or a field is missing, unknown or none such.
        """
        values = json.loads(text)
        if isinstance(values, dict):
            values = {"calibration": None, **values}  # of before this field
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            differing = sorted(names ^ set(values)) if isinstance(values, dict) else "all of it"
            raise ValueError(f"the head is not what this avkd writes: {differing}")
        if values["calibration"] is not None:
            values["calibration"] = read_record(Calibration, values["calibration"])
        return cls(**values)


_SCORE_AGAIN = "score them again with one `avkd evaluate`, or keep them in folders of their own"
_CROPS_CURE = (
    "prepare both alike, keep them in folders of their own, or allow it: --mixed_preprocessing true"
)
# Rows of one table must agree in these.
_OF_ONE_TABLE = {
    "model_fingerprint": ("the model file", _SCORE_AGAIN),
    "scorer": ("the scorer", _SCORE_AGAIN),
    "windows": ("the windows", _SCORE_AGAIN),
    "pooling": ("the pooling", _SCORE_AGAIN),
    "protocol_fingerprint": ("the protocol", _SCORE_AGAIN),
    "preprocessing": ("the preprocessing of the crops", _CROPS_CURE),
    "perturbation": ("the perturbation of the frames", _CROPS_CURE),
}
_OF_CROPS = ("preprocessing", "perturbation")  # all that a comparison of models must agree in
_IN_WORDS = {"preprocessing": "preprocessing_text", "protocol_fingerprint": "protocol"}


def check_heads(
    heads: Mapping[str, ScoresHead], *, mixed_preprocessing: bool, are_models: bool = False
) -> str:
    """Refuse to put scores into one table, or models into one comparison, that do not compare.

    Args:
        heads: by what the reader knows them as: a score file, a corpus, a model.
        mixed_preprocessing: allow other crops and perturbations; nothing else can be allowed.
        are_models: they are of different models on one dataset: only the crops must be the same,
            for scorer, windows and pooling belong to a detector as its makers use it.

    Returns:
        The sentence that the report must carry where mixing was allowed and happened; else empty.

    Raises:
        ValueError: names two of them, what differs, and the cure.
    """
    (first, expected), *others = heads.items()
    mixed = ""
    for other, found in others:
        for name in _OF_CROPS if are_models else _OF_ONE_TABLE:
            if getattr(found, name) == getattr(expected, name):
                continue
            words = _IN_WORDS.get(name, name)
            what, cure = _OF_ONE_TABLE[name]
            difference = (
                f"{what} differs: {getattr(expected, words) or 'none'!r} for {first}, "
                f"{getattr(found, words) or 'none'!r} for {other}"
            )
            if not mixed_preprocessing or name not in _OF_CROPS:
                raise ValueError(f"{difference}; {cure}")
            mixed = mixed or difference
    if not mixed:
        return ""
    return f"Mixed on request (--mixed_preprocessing), so the rows do not compare: {mixed}."


@dataclass(frozen=True, kw_only=True, slots=True)  # slots: there may be a million
class FileRow:
    """Which file a row is about."""

    sample_id: str
    """Id of the file in its manifest."""
    label: int
    """1 = fake, 0 = real."""
    dataset: str
    method: str
    """Of the forgery; ``real`` for real files."""
    split: str
    """Empty if none."""

    def check_label(self) -> None:
        """Refuse a label that is none, or that its forgery method contradicts."""
        if self.label not in (0, 1):
            raise ValueError(f"{self.sample_id}: label {self.label!r} is neither 0 (real) nor 1")
        if (self.method == REAL_METHOD) != (self.label == 0):
            raise ValueError(f"{self.sample_id}: method {self.method!r} with label {self.label}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipScore(FileRow):
    """What the detector said about one window of one file, or why it said nothing.

    Raises:
        ValueError: the fields contradict each other.
    """

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
        self.check_label()
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


def write_scores(path: Path, head: ScoresHead, scores: Iterable[ClipScore]) -> None:
    """Write a scores file atomically, row by row; floats keep every bit, names every character.

    The first line is a comment with the format and the label convention, the second holds the head
    as JSON, the third names the columns; the last is a comment with the number of rows, so that a
    file cut short is noticed.
    """
    first = f"# {_FORMAT}; {_CONVENTION}\n# {head.to_json()}\n"
    write_rows(path, first, COLUMNS, map(attrgetter(*COLUMNS), scores), last="# end; {} rows\n")


def write_rows(
    path: Path, first: str, columns: Sequence[str], rows: Iterable[Sequence[object]], last: str = ""
) -> None:
    """Write rows of cells (None = empty) as CSV atomically, one by one.

    ``first`` stands before the names of the columns, ``last`` after the rows; ``{}`` in it is their
    number.
    """
    number = 0
    with (
        durable.replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors=UNDECODABLE, newline="") as file,
    ):
        file.write(first)
        # Every text is quoted: a name may hold a lone carriage return.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        for row in rows:
            writer.writerow(map(_cell, row))
            number += 1
        file.write(last.format(number))


def _cell(value: object) -> str | int | float:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Integral):
        return int(value)
    return float(value)  # type: ignore[arg-type]  # csv writes repr(float): lossless


def read_scores(path: Path) -> tuple[ClipScore, ...]:
    """All rows of a scores file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a scores file, of an older format, cut short, or a broken row; names the
            file and the line.
    """
    with path.open("rb") as file:
        _read_head(path, file)
        return tuple(read_rows(path, file, ClipScore, COLUMNS, _READERS, lines_above=_HEAD_LINES))


def read_head(path: Path) -> ScoresHead:
    """What made a scores file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a scores file, or of an older format.
    """
    with path.open("rb") as file:
        return _read_head(path, file)


def _read_head(path: Path, file: BinaryIO) -> ScoresHead:
    first, second = (file.readline().removeprefix(BOM).rstrip(b"\r\n") for _ in range(_HEAD_LINES))
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


def number_or_none(cell: str) -> float | None:
    """The number of a cell; None of an empty one."""
    return float(cell) if cell else None


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("label", "window", "start_frame", "num_frames"), int),
    **dict.fromkeys(("logit", "probability"), number_or_none),
}


def read_rows(
    path: Path,
    file: BinaryIO,
    kind: Callable[..., Row],
    columns: Sequence[str],
    readers: Mapping[str, Callable[[str], Any]],
    *,
    lines_above: int,
    announced: int | None = None,
) -> Iterator[Row]:
    """The records that `write_rows` wrote below some lines; ``readers`` make what is no text.

    How many there are was ``announced`` above, or is so in the last line.

    Raises:
        ValueError: a row is broken, which names its line, or rows are missing.
    """
    # Lines end at \n alone here, so a lone \r in a name ends none.
    reader = csv.reader(line.decode("utf-8", UNDECODABLE) for line in file)
    num_rows, is_over = 0, False
    try:
        if tuple(next(reader, ())) != columns:
            raise ValueError(f"the columns are not {', '.join(columns)}")
        for cells in reader:
            if is_over:
                raise ValueError("holds something after its end; make the file again")
            if len(cells) == 1 and announced is None and (end := _END.fullmatch(cells[0])):
                announced, is_over = int(end[1]), True
                continue
            named = zip(columns, cells, strict=True)
            yield kind(**{name: readers.get(name, str)(cell) for name, cell in named})
            num_rows += 1
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}, line {reader.line_num + lines_above}: {error}") from error
    if announced is None:
        raise ValueError(f"{path}: cut short after {num_rows} rows; make the file again")
    if announced != num_rows:
        raise ValueError(
            f"{path}: holds {num_rows} rows but announces {announced}; make the file again"
        )
