"""Several models file by file: the rows of their comparison, and its tables.

Each row sets two models against each other over the files that both scored, cut into datasets and
methods as in the table of one model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from avkd.metrics.paired import AucDifference, auc_difference, holm
from avkd.metrics.ranking import Metric
from avkd.metrics.table import METRICS, Measure
from avkd.reporting import page, score_frame
from avkd.reporting.csv_cells import Cell
from avkd.reporting.page import Section
from avkd.reporting.report_csv import Provenance
from avkd.reporting.score_frame import PooledFile, RowFiles
from avkd.reporting.tables import NOT_DEFINED, Table, percent, plain, with_interval

COMPARED = tuple(measure for measure in METRICS if measure.over in ("files", "probabilities"))
"""Metrics of files that two models can be compared by."""


@dataclass(frozen=True, kw_only=True)
class PairedRow:
    """Two models on the forgeries of one method and all real files of the dataset."""

    dataset: str
    split: str
    method: str
    """Forgery method, or ``all``."""
    is_pooled: bool
    """Whether these are all forgeries of the dataset."""
    first: str
    """Name of the first model."""
    second: str
    """Name of the second model."""
    num_real: int
    """Real files that both scored."""
    num_fake: int
    """Fake files that both scored."""
    only_first: int
    """Files that the first scored and the second did not."""
    only_second: int
    """Files that the second scored and the first did not."""
    auc: AucDifference
    """AUCs over the files that both scored, their difference and whether it is one."""
    values: Mapping[str, tuple[Metric, Metric]]
    """Every metric of `COMPARED` of the first and of the second model, over the same files."""
    holm_p_value: float | None = None
    """``auc.p_value`` corrected for all rows of the table; None where it is not defined."""


def compare_models(
    models: Mapping[str, pd.DataFrame],
    *,
    reals_from: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[PairedRow, ...]:
    """Rows of the table: every pair of models, each dataset and method of theirs.

    Args:
        models: scores frame of each model, by its name; at least two.
        reals_from: dataset whose reals every forgery is set against; empty = each dataset's own.
        resamples: bootstrap draws per row.
        seed: of the draws; within a row both models get the same draws.

    Raises:
        ValueError: two models disagree on what a file is: its label, method or side of the split;
            or ``reals_from`` has no reals there.
    """
    rows = [
        _row(of_row, (first, second), resamples, seed)
        for first, second in combinations(models, 2)
        for of_row in score_frame.row_files(_pairs(models, first, second), reals_from)
    ]
    corrected = holm([row.auc.p_value.value for row in rows])
    return tuple(
        dataclasses.replace(row, holm_p_value=p) for row, p in zip(rows, corrected, strict=True)
    )


def _pairs(models: Mapping[str, pd.DataFrame], first: str, second: str) -> pd.DataFrame:
    """Files of two models side by side; a group where both name the same one."""
    sides = [
        {(file.dataset, file.sample_id): file for file in score_frame.records(models[name])}
        for name in (first, second)
    ]
    files: list[PooledFile] = []
    numbers: dict[str, list[float | None]] = {}
    for key in dict.fromkeys((*sides[0], *sides[1])):
        pair = [side.get(key) for side in sides]
        present = [file for file in pair if file is not None]
        _check_same_file((first, second), present)
        groups = {file.group for file in present}
        files.append(present[0]._replace(group=groups.pop() if len(groups) == 1 else ""))
        for number, file in enumerate(pair):
            for name in ("logit", "probability"):
                value = None if file is None else getattr(file, name)
                numbers.setdefault(f"{name}_{number}", []).append(value)
    columns = {name: np.array(values, dtype=np.float64) for name, values in numbers.items()}
    return score_frame.frame_of(files).assign(**columns)


def _check_same_file(names: tuple[str, str], files: Sequence[PooledFile]) -> None:
    for field in ("label", "method", "split"):
        values = [getattr(file, field) for file in files]
        if len({*values}) > 1:
            raise ValueError(
                f"{files[0].sample_id} of {files[0].dataset}: {field} is {values[0]!r} for "
                f"{names[0]} and {values[1]!r} for {names[1]}; score both on one prepared corpus"
            )


def _row(of_row: RowFiles, names: tuple[str, str], resamples: int, seed: int) -> PairedRow:
    pairs = of_row.files
    has_first, has_second = (pairs[name].notna() for name in ("logit_0", "logit_1"))
    both = pairs[has_first & has_second]
    labels = both["label"].to_numpy()
    logits = [both[f"logit_{side}"].to_numpy() for side in (0, 1)]
    given = {
        "files": logits,
        "probabilities": [both[f"probability_{side}"].to_numpy() for side in (0, 1)],
    }
    values: dict[str, tuple[Metric, Metric]] = {}
    for measure in COMPARED:
        first, second = given[measure.over]
        values[measure.name] = measure.function(labels, first), measure.function(labels, second)
    return PairedRow(
        dataset=of_row.dataset,
        split=pairs["split"].iloc[0],
        method=of_row.method,
        is_pooled=of_row.is_pooled,
        first=names[0],
        second=names[1],
        num_real=int(np.sum(labels == 0)),
        num_fake=int(np.sum(labels == 1)),
        only_first=int(np.sum(has_first & ~has_second)),
        only_second=int(np.sum(has_second & ~has_first)),
        auc=auc_difference(
            labels,
            logits[0],
            logits[1],
            groups=score_frame.groups_of(both),
            resamples=resamples,
            seed=seed,
        ),
        values=values,
    )


Columns = dict[str, Callable[[PairedRow], Cell]]
_NAME_COLUMNS: Columns = {
    "Dataset": lambda row: f"{row.dataset} ({row.split})" if row.split else row.dataset,
    "Forgery": lambda row: row.method,
    "First": lambda row: row.first,
    "Second": lambda row: row.second,
}
_AUC_COLUMNS: Columns = {
    "Scored by both": lambda row: row.num_real + row.num_fake,
    "Only first": lambda row: row.only_first,
    "Only second": lambda row: row.only_second,
    "AUC % first": lambda row: percent(row.auc.first, decimals=2),
    "AUC % second": lambda row: percent(row.auc.second, decimals=2),
    "First - second [95 % interval]": lambda row: with_interval(
        row.auc.difference, row.auc.interval, decimals=2
    ),
    "p (DeLong)": lambda row: _probability(row.auc.p_value.value),
    "p (Holm)": lambda row: _probability(row.holm_p_value),
}


def _both(measure: Measure, row: PairedRow) -> str:
    written = percent if measure.in_percent else plain
    return " / ".join(map(written, row.values[measure.name]))


_OTHER_COLUMNS: Columns = {
    f"{measure.label}, {'higher' if measure.higher_is_better else 'lower'} is better": partial(
        _both, measure
    )
    for measure in COMPARED[1:]
}


def sections(
    rows: Sequence[PairedRow], *, models: Mapping[str, Provenance], notes: Sequence[str] = ()
) -> tuple[Section, ...]:
    """The tables with how to read them, what else a reader must know, and what the models are."""
    tables = [
        Table.of(
            rows,
            {**_NAME_COLUMNS, **columns},
            is_strong=lambda row: row.is_pooled,
            num_texts=len(_NAME_COLUMNS),
            caption=caption,
        )
        for columns, caption in (
            (_AUC_COLUMNS, ""),
            (_OTHER_COLUMNS, "Other metrics over the files that both scored, first / second"),
        )
    ]
    made: list[tuple[str, Sequence[str]]] = [
        ("Numbers that are not defined", _undefined(rows)),
        ("Models", [_model(*item) for item in models.items()]),
    ]
    return (
        Section(
            title="Paired comparison",
            warnings=tuple(notes),
            tables=tuple(tables),
            notes=tuple(_legend(rows)),
        ),
        *(Section(title=title, notes=tuple(lines)) for title, lines in made if lines),
    )


def to_markdown(
    rows: Sequence[PairedRow], *, models: Mapping[str, Provenance], notes: Sequence[str] = ()
) -> str:
    """`sections` as Markdown."""
    return page.to_markdown(sections(rows, models=models, notes=notes))


def to_text(rows: Sequence[PairedRow]) -> str:
    """The main columns, aligned for a terminal; two models may have long names."""
    columns = {**_NAME_COLUMNS, **_AUC_COLUMNS}
    shown = {n: cell for n, cell in columns.items() if not n.startswith(("AUC", "Only"))}
    return Table.of(rows, shown).to_text()


def to_csv(rows: Sequence[PairedRow]) -> str:
    """One line per row; a number that is not defined is empty."""
    lines = [_csv_line(row) for row in rows]
    return Table.of_lines(lines, tuple(lines[0])).to_csv()


def _csv_line(row: PairedRow) -> dict[str, Cell]:
    interval = row.auc.interval
    line: dict[str, Cell] = {
        "dataset": row.dataset,
        "split": row.split,
        "method": row.method,
        "is_pooled": row.is_pooled,
        "first": row.first,
        "second": row.second,
        "both_real": row.num_real,
        "both_fake": row.num_fake,
        "only_first": row.only_first,
        "only_second": row.only_second,
        "first_auc": row.auc.first.value,
        "second_auc": row.auc.second.value,
        "auc_difference": row.auc.difference.value,
        "auc_difference_low": interval.low,
        "auc_difference_high": interval.high,
        "delong_p_value": row.auc.p_value.value,
        "holm_p_value": row.holm_p_value,
        "interval_unit": interval.unit,
        "resamples": interval.resamples,
        "seed": interval.seed,
    }
    for measure in COMPARED[1:]:
        for place, metric in zip(("first", "second"), row.values[measure.name], strict=True):
            line[f"{place}_{measure.name}"] = metric.value
    return line


def _legend(rows: Sequence[PairedRow]) -> list[str]:
    intervals = sorted({(i.resamples, i.seed, i.unit) for i in (row.auc.interval for row in rows)})
    num_tests = sum(row.holm_p_value is not None for row in rows)
    return [
        "Both AUCs are over the files that both models scored, so they can differ from those of "
        "each model's own report. The difference is in percentage points.",
        "Only first, only second: files that one model scored and the other did not.",
        *(
            f"Intervals: 95 % percentile bootstrap, {resamples} resamples of {unit}, the same for "
            f"both models, seed {seed}."
            for resamples, seed, unit in intervals
        ),
        "p (DeLong): chance of such a difference or a larger one if both AUCs were equal. It takes "
        "files as independent; where one face is in many files trust the interval over groups.",
        f"p (Holm): corrected for the {num_tests} tests of this table; where no model differed, "
        "the chance of even one row below 0.05 would be 5 % at most.",
    ]


def _undefined(rows: Sequence[PairedRow]) -> list[str]:
    """Each reason once, with the rows it holds for."""
    rows_of: dict[str, list[str]] = {}
    for row in rows:
        parts = [
            row.auc.difference,
            row.auc.p_value,
            *(m for pair in row.values.values() for m in pair),
        ]
        found = {part.reason for part in parts} | {row.auc.interval.reason}
        for reason in sorted(found - {""}):
            name = f"{row.dataset} ({row.method}), {row.first} and {row.second}"
            rows_of.setdefault(reason, []).append(name)
    return [f"{reason}: {'; '.join(names)}" for reason, names in rows_of.items()]


def _model(name: str, provenance: Provenance) -> str:
    facts = [provenance.model_fingerprint and f"file {provenance.model_fingerprint}"]
    facts.append(provenance.date and f"evaluated {provenance.date}")
    return ", ".join([f"{name}: {provenance.model}", *filter(None, facts)])


def _probability(value: float | None) -> str:
    return NOT_DEFINED if value is None else f"{value:.2g}"
