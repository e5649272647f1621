"""Numbers of a matrix: one trained model on one test, how to find them again, and all as CSV.

Knows summary rows and names, not how anything was trained or printed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from avkd.reporting.score_frame import ALL_METHODS
from avkd.reporting.scores import REAL_METHOD
from avkd.reporting.seed_spread import SeedSpread
from avkd.reporting.summary import SummaryRow

Overlap = Literal["same", "shared", "none"]

CSV_COLUMNS = (
    *("training", "left_out", "seed", "test", "corpora_shared_with_training"),
    *("method", "is_pooled", "method_in_training"),
    *("scored_real", "expected_real", "scored_fake", "expected_fake", "coverage"),
    *("video_auc", "video_auc_low", "video_auc_high", "video_auc_missing_neutral"),
    *("interval_unit", "resamples", "bootstrap_seed", "model_fingerprint"),
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One trained model on one test, all forgeries or those of one method."""

    training: str
    """Row of the matrix."""
    left_out: str = ""
    """Forgery method the training went without for leave-one-out; empty = none."""
    seed: int | None
    """Of the run; None = a model that was given."""
    model_fingerprint: str
    """Digest of its file."""
    training_methods: frozenset[str] | None
    """Forgery methods it was trained on; None = its file does not say."""
    test: str
    """Column of the matrix."""
    overlap: Overlap
    """Whether it was trained on the other sides of the tested corpora: all, some, none of them."""
    row: SummaryRow
    """The numbers."""

    @property
    def is_seen(self) -> bool | None:
        """Whether it was trained on the method of the row; None = not known, or all methods."""
        if self.training_methods is None or self.row.method == ALL_METHODS:
            return None
        return self.row.method in self.training_methods


def names(found: Iterable[str]) -> tuple[str, ...]:
    """Each once, in the order they are first met."""
    return tuple(dict.fromkeys(found))


def methods(results: Iterable[Result]) -> tuple[str, ...]:
    """Forgery methods that have a row, by name."""
    return tuple(sorted({r.row.method for r in results} - {ALL_METHODS, REAL_METHOD}))


def pooled(results: Iterable[Result], training: str, test: str) -> list[Result]:
    """The runs of one cell of the matrix, one a seed: all methods together, none left out."""
    return [
        r
        for r in results
        if (r.training, r.test, r.left_out) == (training, test, "") and r.row.is_pooled
    ]


def of_method(results: Iterable[Result], left_out: str, method: str) -> list[Result]:
    """Of the results of one training and test, the runs without a method, on a method."""
    return [r for r in results if r.left_out == left_out and r.row.method == method]


def left_out_pairs(results: Sequence[Result]) -> list[tuple[str, str, list[Result]]]:
    """Training, test and their results, for all that were trained without a method too."""
    pairs = dict.fromkeys((r.training, r.test) for r in results if r.left_out)
    return [(*pair, [r for r in results if (r.training, r.test) == pair]) for pair in pairs]


def auc_of(cell: Sequence[Result]) -> SeedSpread | None:
    """The AUC over the runs of a cell; None where nothing was run."""
    return SeedSpread.of([(r.row.auc, r.row.auc_interval) for r in cell]) if cell else None


def to_csv(results: Iterable[Result]) -> str:
    """One line for each run, test and method; a number that is not defined is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_line(result) for result in results)
    return text.getvalue()


def _csv_line(result: Result) -> tuple[object, ...]:
    row = result.row
    interval = row.auc_interval
    return (
        *(result.training, result.left_out, result.seed, result.test, result.overlap),
        *(row.method, int(row.is_pooled)),
        None if result.is_seen is None else int(result.is_seen),
        *(row.num_real, row.expected_real, row.num_fake, row.expected_fake, row.coverage),
        *(
            row.auc.value,
            interval.low,
            interval.high,
            row.values["video_auc_missing_neutral"].value,
        ),
        *(interval.unit, interval.resamples, interval.seed, result.model_fingerprint),
    )
