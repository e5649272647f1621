"""The table of a comparison as Markdown and CSV: plain results in, text out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from avkd.metrics.bootstrap import Interval
from avkd.metrics.ranking import Metric
from avkd.reporting.matrix_table import SeedSpread
from avkd.reporting.summary import SummaryRow


@dataclass(frozen=True)
class Result:
    """One trained model on the test side of one set, all forgeries or those of one method."""

    arm: str
    trained_on: str
    ratio: str
    """real:fake of its training samples."""
    seed: int
    tested_on: str
    row: SummaryRow


_METRICS: dict[str, Callable[[SummaryRow], tuple[Metric, Interval | None]]] = {
    "accuracy": lambda row: (row.values["accuracy"], row.intervals["accuracy"]),
    "precision": lambda row: (row.values["precision"], row.intervals["precision"]),
    "recall": lambda row: (row.values["recall"], row.intervals["recall"]),
    "f1": lambda row: (row.values["f1"], row.intervals["f1"]),
    "auc": lambda row: (row.auc, row.auc_interval),
}
_COUNTS = ("true_real", "false_fake", "false_real", "true_fake")
CSV_COLUMNS = (
    *("trained_on", "ratio", "arm", "seed", "tested_on", "method", "is_pooled"),
    *("scored", "expected"),
    *(f"{name}{part}" for name in _METRICS for part in ("", "_low", "_high")),
    *_COUNTS,
)


def to_markdown(results: Sequence[Result], *, speeds_table: str, date: str) -> str:
    """One block for each set, ratio and test set; a row for each arm over its seeds."""
    lines = ["# Comparison", ""]
    pooled = [result for result in results if result.row.is_pooled]
    blocks = dict.fromkeys((r.trained_on, r.ratio, r.tested_on) for r in pooled)
    for trained_on, ratio, tested_on in blocks:
        of_block = [
            r
            for r in pooled
            if (r.trained_on, r.ratio, r.tested_on) == (trained_on, ratio, tested_on)
        ]
        where = "the same set" if trained_on == tested_on else "another set"
        row = of_block[0].row
        lines += [
            f"## Trained on {trained_on} ({_ratio_text(ratio)}), tested on {tested_on} ({where})",
            "",
            f"{row.num_real + row.num_fake} of {row.expected_real + row.expected_fake} files "
            f"scored: {row.num_real} real, {row.num_fake} fake.",
            "",
            "| model | runs | " + " | ".join(f"{name} %" for name in _METRICS) + " |",
            "|---|---:|" + "---:|" * len(_METRICS),
        ]
        for arm in dict.fromkeys(result.arm for result in of_block):
            rows = [result.row for result in of_block if result.arm == arm]
            cells = " | ".join(
                SeedSpread.of([find(r) for r in rows]).text for find in _METRICS.values()
            )
            lines.append(f"| {arm} | {len(rows)} | {cells} |")
        lines.append("")
    lines += [
        "Each cell: the mean over the runs (one for each seed); in brackets from the lowest lower "
        "to the highest upper end of their 95 % bootstrap intervals, so it holds the spread over "
        "seeds and over files. Fake is the positive class. Accuracy, precision, recall and F1 at "
        "the threshold each run chose on its validation side. Every run and method: compare.csv.",
        "",
    ]
    if speeds_table:
        lines += ["## Speed", "", speeds_table]
    return "\n".join([*lines, f"Made {date}.", ""])


def to_csv(results: Iterable[Result]) -> str:
    """One line for each run, test set and method; a number that is not defined is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for result in results:
        row = result.row
        line: dict[str, object] = {
            "trained_on": result.trained_on,
            "ratio": result.ratio,
            "arm": result.arm,
            "seed": result.seed,
            "tested_on": result.tested_on,
            "method": row.method,
            "is_pooled": int(row.is_pooled),
            "scored": row.num_real + row.num_fake,
            "expected": row.expected_real + row.expected_fake,
        }
        for name, find in _METRICS.items():
            metric, interval = find(row)
            line[name] = metric.value
            line[f"{name}_low"] = None if interval is None else interval.low
            line[f"{name}_high"] = None if interval is None else interval.high
        if row.confusion is not None:
            line |= {name: getattr(row.confusion, name) for name in _COUNTS}
        writer.writerow(line)
    return text.getvalue()


def _ratio_text(ratio: str) -> str:
    return "all samples" if ratio == "as_is" else f"real:fake {ratio}"
