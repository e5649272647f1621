"""Several models file by file: the rows of their comparison, and its tables.

Each row sets two models against each other over the files that both scored, cut into datasets and
methods as in the table of one model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations

import pandas as pd

from avkd.metrics.bootstrap import Metric
from avkd.metrics.paired import AucDifference, auc_difference, holm
from avkd.metrics.table import METRICS
from avkd.reporting import page, score_frame, tables
from avkd.reporting.page import Section
from avkd.reporting.score_frame import TableRow
from avkd.reporting.summary import Provenance
from avkd.reporting.tables import Cell, Table, percent

COMPARED = tuple(measure for measure in METRICS if measure.over in ("files", "probabilities"))
"""Metrics of files that two models can be compared by."""


@dataclass(frozen=True, kw_only=True)
class PairedRow(TableRow):
    """Two models on the forgeries of one method and all real files of the dataset."""

    first: str
    second: str
    """Names of the two models."""
    num_real: int
    num_fake: int
    """Files of each class that both scored."""
    only_first: int
    only_second: int
    """Files that one of them scored and the other did not."""
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

    Within a row both models, given by name as scores frames, get the same bootstrap draws.
    ``reals_from`` as in `summary.summarise`.

    Raises:
        ValueError: two models disagree on what a file is: its label, method or split; or
            ``reals_from`` has no real files there.
    """
    rows = [
        _row(row, files, (first, second), resamples, seed)
        for first, second in combinations(models, 2)
        for row, files in score_frame.row_files(_pairs(models, first, second), reals_from)
    ]
    corrected = holm([row.auc.p_value.value for row in rows])
    return tuple(replace(row, holm_p_value=p) for row, p in zip(rows, corrected, strict=True))


def _pairs(models: Mapping[str, pd.DataFrame], first: str, second: str) -> pd.DataFrame:
    """Files of two models side by side; a group where both name the same one."""
    one, other = (score_frame.by_file(models[name]) for name in (first, second))
    is_shared = one.index.isin(other.index)
    of_both = one[is_shared], other.reindex(one.index[is_shared])
    for field in ("label", "method", "split"):
        values = zip(*(frame[field] for frame in of_both), strict=True)
        for (dataset, file), (value, another) in zip(of_both[0].index, values, strict=True):
            if value != another:
                raise ValueError(
                    f"{file} of {dataset}: {field} is {value!r} for {first} and {another!r} for "
                    f"{second}; score both on one prepared corpus"
                )
    files = pd.concat([one, other[~other.index.isin(one.index)]])
    differ = of_both[0].index[of_both[0]["group"] != of_both[1]["group"]]
    files.loc[files.index.isin(differ), "group"] = ""
    for place, frame in enumerate((one, other)):
        for name in ("logit", "probability"):
            files[f"{name}_{place}"] = frame[name].reindex(files.index)
    return files


def _row(
    row: TableRow, pairs: pd.DataFrame, names: tuple[str, str], resamples: int, seed: int
) -> PairedRow:
    has_first, has_second = (pairs[name].notna() for name in ("logit_0", "logit_1"))
    both = pairs[has_first & has_second]
    labels = both["label"].to_numpy()
    logits, stated = (
        [both[f"{name}_{place}"].to_numpy() for place in (0, 1)]
        for name in ("logit", "probability")
    )
    values: dict[str, tuple[Metric, Metric]] = {}
    for measure in COMPARED:
        first, second = logits if measure.over == "files" else stated
        values[measure.name] = measure.function(labels, first), measure.function(labels, second)
    groups = score_frame.groups_of(both)
    return PairedRow(
        **vars(row),
        first=names[0],
        second=names[1],
        num_real=int((labels == 0).sum()),
        num_fake=int((labels == 1).sum()),
        only_first=int((has_first & ~has_second).sum()),
        only_second=int((has_second & ~has_first).sum()),
        auc=auc_difference(labels, *logits, groups=groups, resamples=resamples, seed=seed),
        values=values,
    )


def _names(row: PairedRow) -> dict[str, Cell]:
    titles: dict[str, Cell] = {"Dataset": row.dataset_title, "Forgery": row.method}
    return titles | {"First": row.first, "Second": row.second}


def _tests(row: PairedRow) -> dict[str, Cell]:
    difference = tables.with_interval(row.auc.difference, decimals=2)
    return {
        "Scored by both": row.num_real + row.num_fake,
        "Only first": row.only_first,
        "Only second": row.only_second,
        "AUC % first": percent(row.auc.first, decimals=2),
        "AUC % second": percent(row.auc.second, decimals=2),
        "First - second [95 % interval]": difference,
        "p (DeLong)": _probability(row.auc.p_value.value),
        "p (Holm)": _probability(row.holm_p_value),
    }


def _others(row: PairedRow) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for measure in COMPARED[1:]:
        better = "higher" if measure.higher_is_better else "lower"
        written = percent if measure.in_percent else tables.plain
        both = " / ".join(map(written, row.values[measure.name]))
        cells[f"{measure.label}, {better} is better"] = both
    return cells


def sections(
    rows: Sequence[PairedRow], *, models: Mapping[str, Provenance], notes: Sequence[str] = ()
) -> tuple[Section, ...]:
    """The tables with how to read them, what else a reader must know, and what the models are."""
    shown = [
        Table.of(
            [_names(row) | cells(row) for row in rows],
            num_texts=4,
            caption=caption,
            strong_rows=[place for place, row in enumerate(rows) if row.is_pooled],
        )
        for cells, caption in (
            (_tests, ""),
            (_others, "Other metrics over the files that both scored, first / second"),
        )
    ]
    numbers = [
        (f"{row.dataset} ({row.method}), {row.first} and {row.second}", metric)
        for row in rows
        for metric in (row.auc.difference, row.auc.p_value, *chain(*row.values.values()))
    ]
    told = [", ".join(filter(None, (f"{n}: {p.model}", p.origin))) for n, p in models.items()]
    return (
        Section(
            title="Paired comparison",
            warnings=tuple(notes),
            tables=tuple(shown),
            notes=tuple(_legend(rows)),
        ),
        *page.undefined(numbers),
        Section(title="Models", notes=tuple(told)),
    )


def to_text(rows: Sequence[PairedRow]) -> str:
    """The main columns, aligned for a terminal; two models may have long names."""
    lines = (_names(row) | _tests(row) for row in rows)
    left_out = ("AUC", "Only")
    return Table.of(
        {name: cell for name, cell in line.items() if not name.startswith(left_out)}
        for line in lines
    ).to_text()


def to_csv(rows: Sequence[PairedRow]) -> str:
    """One line per row; a number that is not defined is empty."""
    return Table.of(map(_csv_line, rows)).to_csv()


def _csv_line(row: PairedRow) -> dict[str, Cell]:
    interval = row.auc.difference.interval
    line: dict[str, Cell] = {
        **row.cells,
        "first": row.first,
        "second": row.second,
        "both_real": row.num_real,
        "both_fake": row.num_fake,
        "only_first": row.only_first,
        "only_second": row.only_second,
        "first_auc": row.auc.first.value,
        "second_auc": row.auc.second.value,
        **tables.with_ends("auc_difference", row.auc.difference),
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
    num_tests = sum(row.holm_p_value is not None for row in rows)
    return [
        "Both AUCs are over the files that both models scored, so they can differ from those of "
        "each model's own report. The difference is in percentage points.",
        "Only first, only second: files that one model scored and the other did not.",
        *tables.interval_notes((row.auc.difference for row in rows), ", the same for both models"),
        "p (DeLong): chance of such a difference or a larger one if both AUCs were equal. It takes "
        "files as independent; where one face is in many files trust the interval over groups.",
        f"p (Holm): corrected for the {num_tests} tests of this table; where no model differed, "
        "the chance of even one row below 0.05 would be 5 % at most.",
    ]


def _probability(value: float | None) -> str:
    return tables.NOT_DEFINED if value is None else f"{value:.2g}"
