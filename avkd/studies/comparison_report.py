"""The table of a comparison as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from avkd.reporting.csv_cells import Cell
from avkd.reporting.matrix_table import Result, SeedSpread
from avkd.reporting.tables import Table

# Column -> metric of a summary row.
_METRICS = {name: name for name in ("accuracy", "precision", "recall", "f1")} | {"auc": "video_auc"}
_COUNTS = ("true_real", "false_fake", "false_real", "true_fake")
CSV_COLUMNS = (
    *("trained_on", "ratio", "arm", "seed", "tested_on", "method", "is_pooled"),
    *("scored", "expected"),
    *(f"{name}{part}" for name in _METRICS for part in ("", "_low", "_high")),
    *_COUNTS,
)
_HOW_TO_READ = (
    "Each cell: the mean over the runs (one for each seed); in brackets from the lowest lower to "
    "the highest upper end of their 95 % bootstrap intervals, so it holds the spread over seeds "
    "and over files. Fake is the positive class. Accuracy, precision, recall and F1 at the "
    "threshold each run chose on its validation split. Every run and method: compare.csv."
)


def to_markdown(results: Sequence[Result], *, speeds_table: str, date: str) -> str:
    """One block for each set, ratio and test set; a row for each arm over its seeds."""
    blocks: dict[tuple[str, str, str], dict[str, list[Result]]] = {}
    for result in results:
        if result.row.is_pooled:
            block = blocks.setdefault((result.trained_on, result.ratio, result.test), {})
            block.setdefault(result.training, []).append(result)
    parts = ["# Comparison"]
    for (trained_on, ratio, tested_on), arms in blocks.items():
        row = next(iter(arms.values()))[0].row
        samples = "all samples" if ratio == "as_is" else f"real:fake {ratio}"
        where = "the same set" if trained_on == tested_on else "another set"
        parts += [
            f"## Trained on {trained_on} ({samples}), tested on {tested_on} ({where})",
            f"{row.num_scored} of {row.num_expected} files scored: {row.num_real} real, "
            f"{row.num_fake} fake.",
            Table(
                columns=("model", "runs", *(f"{name} %" for name in _METRICS)),
                rows=tuple(
                    (arm, len(runs), *(_spread(runs, metric) for metric in _METRICS.values()))
                    for arm, runs in arms.items()
                ),
            ).to_markdown(),
        ]
    parts.append(_HOW_TO_READ)
    if speeds_table:
        parts += ["## Speed", speeds_table.rstrip("\n")]
    return "\n\n".join([*parts, f"Made {date}.\n"])


def _spread(runs: Sequence[Result], metric: str) -> str:
    return SeedSpread.of([(r.row.values[metric], r.row.intervals[metric]) for r in runs]).text


def to_csv(results: Iterable[Result]) -> str:
    """One line for each run, test set and method; a number that is not defined is empty."""
    return Table.of_lines(map(_line, results), CSV_COLUMNS).to_csv()


def _line(result: Result) -> dict[str, Cell]:
    row = result.row
    line: dict[str, Cell] = {
        "trained_on": result.trained_on,
        "ratio": result.ratio,
        "arm": result.training,
        "seed": result.seed,
        "tested_on": result.test,
        "method": row.method,
        "is_pooled": row.is_pooled,
        "scored": row.num_scored,
        "expected": row.num_expected,
    }
    for name, metric in _METRICS.items():
        interval = row.intervals[metric]
        line |= {name: row.values[metric].value}
        line |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    if row.confusion is not None:
        line |= {name: getattr(row.confusion, name) for name in _COUNTS}
    return line
