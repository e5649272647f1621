"""The scores frame: one row per file with its windows pooled, and which files a table row is over.

It is made once from the rows of score files; tables, comparisons, audits and pictures all read it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from avkd.metrics.bootstrap import FloatArray, IntArray, Resampling
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
    """Raw logits of the scored windows, pooled; None (nan in a frame) when none was scored."""
    probability: float | None
    """P(fake) of its windows, pooled, in [0, 1] (`pooling.pooled_scores`); None (nan in a frame)
    where its scorer states none."""
    reason: str
    """Status code of the first unscored row when there is no logit; else empty."""
    windows: FloatArray
    """(W, 3) first frame, number of frames and logit of the scored windows."""


class RowFiles(NamedTuple):
    """The files of one row of a table: forgeries of one method, or all, against the reals."""

    dataset: str
    method: str
    """Forgery method, or ``all``."""
    is_pooled: bool
    """Whether these are all forgeries of the dataset."""
    files: pd.DataFrame


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreBlock:
    """The scored files behind one pooled row of the table as arrays, N of them, for pictures."""

    labels: IntArray
    """(N,) 1 = fake, 0 = real."""
    logits: FloatArray
    """(N,) pooled raw logits."""
    methods: np.ndarray
    """(N,) forgery methods, ``real`` for reals."""
    groups: np.ndarray | None
    """(N,) what is resampled together; None = each file for itself."""

    @classmethod
    def of(cls, files: pd.DataFrame) -> ScoreBlock:
        """Those of scored files."""
        labels, logits = labels_and_logits(files)
        methods = files["method"].to_numpy()
        return cls(labels=labels, logits=logits, methods=methods, groups=groups_of(files))

    @property
    def forgeries(self) -> tuple[str, ...]:
        """Methods of its fakes, in the order of the table."""
        return tuple(sorted({*self.methods} - {REAL_METHOD}))

    def against_reals(self, method: str) -> tuple[IntArray, FloatArray]:
        """(M,) labels and logits of one method's fakes and all reals."""
        chosen = (self.methods == method) | (self.labels == 0)
        return self.labels[chosen], self.logits[chosen]

    def plan(self, *, resamples: int, seed: int) -> Resampling:
        """The draws behind the intervals of its row."""
        return Resampling.of(self.labels, groups=self.groups, resamples=resamples, seed=seed)


def pool(rows: Iterable[ClipScore], pooling: Pooling = MEAN_LOGIT) -> pd.DataFrame:
    """The scores frame of score rows, files in the order they are first met.

    Files are told apart by dataset and whole sample id, never by a folder or stem: the same clip
    name occurs under several methods.

    Raises:
        ValueError: a window occurs twice, or the rows of a file contradict each other.
    """
    rows_of: dict[tuple[str, str], list[ClipScore]] = defaultdict(list)
    for row in rows:
        rows_of[row.dataset, row.sample_id].append(row)
    return frame_of([_pool_file(of_file, pooling) for of_file in rows_of.values()])


def frame_of(files: Sequence[PooledFile]) -> pd.DataFrame:
    """The frame of pooled files."""
    # Objects, not pandas' strings: names of files on disk need not be valid UTF-8.
    frame = pd.DataFrame(files, columns=list(PooledFile._fields), dtype=object)
    return frame.astype({"label": np.int64, "logit": np.float64, "probability": np.float64})


def records(files: pd.DataFrame) -> list[PooledFile]:
    """The rows of a scores frame one by one, with None where a number is not there."""
    found = (PooledFile(*row) for row in files.itertuples(index=False, name=None))
    return [
        file._replace(
            logit=None if pd.isna(file.logit) else file.logit,
            probability=None if pd.isna(file.probability) else file.probability,
        )
        for file in found
    ]


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


def row_files(files: pd.DataFrame, reals_from: str = "") -> Iterator[RowFiles]:
    """The files of every row of the table.

    Datasets (and sides of their split) come in the order they are first met; within one each method
    by name, then all of them; where there is one method its row is that of all.

    Args:
        files: a scores frame, or any frame with its columns dataset, split and method.
        reals_from: dataset whose reals, of the same side, replace those of every dataset; it makes
            no row itself unless it has forgeries. Empty = each dataset's own.

    Raises:
        ValueError: ``reals_from`` has no reals on a side that has forgeries.
    """
    for dataset, block in _blocks(files, reals_from):
        forgeries = sorted({*block["method"]} - {REAL_METHOD})
        if len(forgeries) == 1:
            yield RowFiles(dataset, forgeries[0], True, block)
            continue
        for method in forgeries:
            yield RowFiles(
                dataset, method, False, block[block["method"].isin([method, REAL_METHOD])]
            )
        yield RowFiles(dataset, ALL_METHODS, True, block)


def _blocks(files: pd.DataFrame, reals_from: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each dataset and side of its split, with the reals it is set against."""
    for dataset, split in dict.fromkeys(zip(files["dataset"], files["split"], strict=True)):
        of_side = files[files["split"] == split]
        own = of_side[of_side["dataset"] == dataset]
        if not reals_from:
            yield dataset, own
            continue
        fakes = own[own["method"] != REAL_METHOD]
        is_real = (of_side["dataset"] == reals_from) & (of_side["method"] == REAL_METHOD)
        if len(fakes) and not is_real.any():
            raise ValueError(
                f"{dataset}: its forgeries are to be set against reals of {reals_from!r}, of which "
                f"there are none on side {split!r}; score that dataset along with it"
            )
        if len(fakes):
            yield dataset, pd.concat([of_side[is_real], fakes])


def _parts(files: pd.DataFrame, parts: list[FloatArray]) -> tuple[IntArray, FloatArray]:
    """Labels and logits of parts of files, each with the label of its file."""
    labels = np.repeat(files["label"].to_numpy(), [part.size for part in parts])
    return labels, np.concatenate([np.zeros(0), *parts])


def _pool_file(rows: Sequence[ClipScore], pooling: Pooling) -> PooledFile:
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
        logit, probability = pooled_scores(logits, probabilities, pooling)
        if any(row.probability is None for row in of_windows):
            probability = None
    numbers: list[Any] = [(row.start_frame, row.num_frames, row.logit) for row in of_windows]
    return PooledFile(
        sample_id=first.sample_id,
        label=first.label,
        dataset=first.dataset,
        method=first.method,
        split=first.split,
        group=first.group,
        logit=logit,
        probability=probability,
        reason="" if of_windows else first.status,
        windows=np.array(numbers, dtype=np.float64).reshape(-1, 3),
    )
