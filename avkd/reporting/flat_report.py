"""Score files of any size to rows of the table, in flat memory; see `flat_summary`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from avkd.reporting.flat_summary import FlatRow, summarise_flat
from avkd.reporting.scores import ClipScore, iter_scores, read_head
from avkd.reporting.summary import SummaryRow, Threshold


def summarise_files(
    paths: Sequence[Path], *, threshold: Threshold | None, resamples: int, seed: int
) -> tuple[tuple[SummaryRow, ...], str]:
    """Rows of the table from score files of one dataset each, and what a reader must know of them.

    Raises:
        ValueError: no file has a row; one is broken or holds several datasets; or its forgeries are
            to be set against the reals of another dataset, which is another file.
    """
    found: list[FlatRow] = []
    for path in paths:
        head = read_head(path)
        if head.reals_from:
            raise ValueError(
                f"{path}: its forgeries meet reals of {head.reals_from!r}, and flat memory reads "
                "one dataset at a time; leave --flat_memory out"
            )
        found += summarise_flat(
            partial(_rows_of, path),
            threshold=threshold,
            pooling=head.pooling,
            resamples=resamples,
            seed=seed,
        )
    if not found:
        raise ValueError(f"{paths[0].parent}: the score files have no row")
    return tuple(row.row for row in found), _note(found)


def _rows_of(path: Path) -> Iterator[ClipScore]:
    return iter_scores(path)[1]


def _note(rows: Sequence[FlatRow]) -> str:
    ties = [row.tie_share for row in rows if row.tie_share is not None]
    told = f" (here at most {100 * max(ties) / 2:.2g} points of AUC)" if ties else ""
    return (
        "Made in flat memory: logits within 0.2 % of each other count as tied in ranking numbers"
        f"{told}, and intervals are of a Poisson bootstrap. No page and no shortcut audit."
    )
