"""The scores frame: one row per file with its windows pooled, and which files a table row is over.

It is made once from the rows of score files; tables, comparisons, audits and pictures all read it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from avkd.metrics.bootstrap import FloatArray, IntArray
from avkd.metrics.pooling import MEAN_LOGIT, Pooling, pooled_scores
from avkd.metrics.ranking import frame_scores
from avkd.reporting.scores import REAL_METHOD, ClipScore

ALL_METHODS = "all"


class PooledFile(NamedTuple):
    """One file with its windows pooled: a row of the scores frame."""

    sample_id: str
    label: int
    dataset: str
    method: str
    split: str
    group: str
    logit: float | None
    probability: float | None
    """Raw logits of the scored windows and their P(fake), pooled (`pooling.pooled_scores`); None
    (nan in a frame) when none was scored, or none stated."""
    reason: str
    """Status code of the first unscored row when there is no logit; else empty."""
    windows: FloatArray
    """(W, 3) first frame, number of frames and logit of the scored windows."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """What a row of any table is over: forgeries of one method, or all, against real files."""

    dataset: str
    split: str
    """Split of the dataset; empty if none."""
    method: str
    """Forgery method, or ``all``."""
    is_pooled: bool
    """Whether these are all forgeries of the dataset: then this is the dataset's number."""

    @property
    def cells(self) -> dict[str, str | int]:
        """The same as CSV cells."""
        return {f.name: getattr(self, f.name) for f in fields(TableRow)}

    @property
    def dataset_title(self) -> str:
        """The dataset, with its split where it has one."""
        return f"{self.dataset} ({self.split})" if self.split else self.dataset

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the other rows of a table."""
        return self.dataset, self.split, self.method


def pool(
    rows: Iterable[ClipScore],
    pooling: Pooling = MEAN_LOGIT,
    curve: Callable[[float], float] | None = None,
) -> pd.DataFrame:
    """The scores frame of score rows, files in the order they are first met.

    Files are told apart by dataset and whole sample id, never by a folder or stem: the same clip
    name occurs under several methods. ``pooling`` and ``curve`` as `pooled_scores` takes them.

    Raises:
        ValueError: a window occurs twice, or the rows of a file contradict each other.
    """
    rows_of: dict[tuple[str, str], list[ClipScore]] = defaultdict(list)
    for row in rows:
        rows_of[row.dataset, row.sample_id].append(row)
    return frame_of([_pool_file(of_file, pooling, curve) for of_file in rows_of.values()])


def frame_of(files: Sequence[PooledFile]) -> pd.DataFrame:
    """The frame of pooled files."""
    # Objects, not pandas' strings: names of files on disk need not be valid UTF-8.
    frame = pd.DataFrame(files, columns=list(PooledFile._fields), dtype=object)
    return frame.astype({"label": np.int64, "logit": np.float64, "probability": np.float64})


def by_file(files: pd.DataFrame) -> pd.DataFrame:
    """A scores frame with (dataset, sample id) as its index."""
    # Tuples, not a MultiIndex: that makes pandas' strings of names, which must be valid UTF-8.
    keys = list(zip(files["dataset"], files["sample_id"], strict=True))
    return files.set_index(pd.Index(keys, dtype=object, tupleize_cols=False))


def scored(files: pd.DataFrame) -> pd.DataFrame:
    """Those of the files that have a score."""
    return files[files["logit"].notna()]


def labels_and_logits(files: pd.DataFrame) -> tuple[IntArray, FloatArray]:
    """(N,) labels and (N,) pooled logits of scored files."""
    return files["label"].to_numpy(), files["logit"].to_numpy()


def groups_of(files: pd.DataFrame) -> np.ndarray | None:
    """(N,) what is resampled together; None = each file for itself, for one has no group."""
    groups = files["group"]
    return groups.to_numpy().astype(str) if (groups != "").all() else None


def window_labels_and_logits(files: pd.DataFrame) -> tuple[IntArray, FloatArray]:
    """(W,) labels and (W,) logits of all windows of scored files."""
    return _parts(files, [windows[:, 2] for windows in files["windows"]])


def frame_labels_and_logits(files: pd.DataFrame) -> tuple[IntArray, FloatArray]:
    """(F,) labels and (F,) logits of all frames that lie in a scored window."""
    logits = [
        frame_scores(windows[:, 0].astype(int), windows[:, 1].astype(int), windows[:, 2])
        for windows in files["windows"]
    ]
    return _parts(files, logits)


def row_files(files: pd.DataFrame, reals_from: str = "") -> Iterator[tuple[TableRow, pd.DataFrame]]:
    """Every row of the table with its files.

    Datasets (and their splits) come in the order they are first met; within one each method by
    name, then all of them; where there is one method its row is that of all.

    Args:
        files: a scores frame, or any frame with its columns dataset, split and method.
        reals_from: dataset whose real files, of the same split, replace those of every dataset; it
            makes no row itself unless it has forgeries. Empty = each dataset's own.

    Raises:
        ValueError: ``reals_from`` has no real files in a split that has forgeries.
    """
    for dataset, split in dict.fromkeys(zip(files["dataset"], files["split"], strict=True)):
        of_split = files[files["split"] == split]
        block = of_split[of_split["dataset"] == dataset]
        if reals_from:
            fakes = block[block["method"] != REAL_METHOD]
            is_real = (of_split["dataset"] == reals_from) & (of_split["method"] == REAL_METHOD)
            if not len(fakes):
                continue
            if not is_real.any():
                raise ValueError(
                    f"{dataset}: its forgeries are to be set against real files of "
                    f"{reals_from!r}, of which there are none in the split {split!r}; score that "
                    "dataset along with it"
                )
            block = pd.concat([of_split[is_real], fakes])
        row = TableRow(dataset=dataset, split=split, method=ALL_METHODS, is_pooled=True)
        methods = forgeries(block)
        if len(methods) == 1:
            yield replace(row, method=methods[0]), block
            continue
        for method in methods:
            yield replace(row, method=method, is_pooled=False), against_reals(block, method)
        yield row, block


def forgeries(files: pd.DataFrame) -> list[str]:
    """Forgery methods of the files, by name."""
    return sorted({*files["method"]} - {REAL_METHOD})


def against_reals(files: pd.DataFrame, method: str) -> pd.DataFrame:
    """The forgeries of one method and all real files."""
    return files[files["method"].isin([method, REAL_METHOD])]


def _parts(files: pd.DataFrame, parts: list[FloatArray]) -> tuple[IntArray, FloatArray]:
    """Labels and logits of parts of files, each with the label of its file."""
    labels = np.repeat(files["label"].to_numpy(), [part.size for part in parts])
    return labels, np.concatenate([np.zeros(0), *parts])


def _pool_file(
    rows: Sequence[ClipScore], pooling: Pooling, curve: Callable[[float], float] | None
) -> PooledFile:
    first = rows[0]
    for row in rows:
        for field in ("label", "method", "split", "group"):
            if getattr(row, field) != getattr(first, field):
                raise ValueError(
                    f"{first.sample_id}: {field} is {getattr(first, field)!r} in one row and "
                    f"{getattr(row, field)!r} in another"
                )
    window, count = Counter(row.window for row in rows).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{first.sample_id}: window {window} occurs {count} times")
    of_windows = [row for row in rows if row.is_scored]
    logit = probability = None
    if of_windows:
        logits = [row.logit or 0.0 for row in of_windows]
        probabilities = [row.probability or 0.0 for row in of_windows]
        logit, probability = pooled_scores(logits, probabilities, pooling, curve)
        if any(row.probability is None for row in of_windows):
            probability = None
    numbers: list[Any] = [(row.start_frame, row.num_frames, row.logit) for row in of_windows]
    return PooledFile(
        *(first.sample_id, first.label, first.dataset, first.method, first.split, first.group),
        logit=logit,
        probability=probability,
        reason="" if of_windows else first.status,
        windows=np.array(numbers, dtype=np.float64).reshape(-1, 3),
    )
