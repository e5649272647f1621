"""Trainings x tests: results in, one section of a report, a heat map and a CSV out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from avkd.metrics.bootstrap import Interval, Metric
from avkd.reporting.figures.canvas import Figure, picture
from avkd.reporting.figures.results import heat_map
from avkd.reporting.page import Section
from avkd.reporting.score_frame import ALL_METHODS
from avkd.reporting.scores import REAL_METHOD
from avkd.reporting.summary import SummaryRow, coverage_cells
from avkd.reporting.tables import (
    Cell,
    Table,
    interval_notes,
    percent,
    percent_down,
    with_ends,
    with_interval,
)

Overlap = Literal["same", "shared", "none"]
NOT_RUN = "-"
_OVERLAP_MARKS = {"same": " (same corpus)", "shared": " (shared corpus)", "none": ""}
_SELECTION = (
    "Every model was selected, and its threshold chosen, on the validation splits of its own "
    "training corpora; nothing was chosen on a test. To choose a row, compare its validation files."
)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Which of a study's models it is."""

    training: str
    """Row of the matrix."""
    left_out: str = ""
    """Forgery method the training went without for leave-one-out; empty = none."""
    seed: int | None
    """Of the run; None = a model that was given."""
    trained_on: str = ""
    """Name of the training set, where a study has several."""
    ratio: str = ""
    """real:fake of the training samples, where a study has several."""

    @property
    def names(self) -> dict[str, Any]:
        """These fields by their names."""
        return {field.name: getattr(self, field.name) for field in fields(Trained)}


@dataclass(frozen=True, kw_only=True)
class Result(Trained):
    """One trained model on one test, all forgeries or those of one method."""

    model_fingerprint: str
    """Digest of its file."""
    training_methods: frozenset[str] | None
    """Forgery methods it was trained on; None = its file does not say."""
    validation_auc: float | None = None
    """On the validation files it was selected on, by its file; None = that does not say."""
    test: str
    """Column of the matrix."""
    overlap: Overlap
    """Whether it was trained on other splits of the tested corpora: of all, some, none of them."""
    row: SummaryRow
    """The numbers."""

    @property
    def is_seen(self) -> bool | None:
        """Whether it was trained on the method of the row; None = not known, or all methods."""
        if self.training_methods is None or self.row.method == ALL_METHODS:
            return None
        return self.row.method in self.training_methods


def over_seeds(runs: Sequence[Metric]) -> Metric:
    """The mean over runs that differ in their seed alone; not defined where one of them is not.

    Its interval goes from the lowest lower to the highest upper end of those of the runs, so that
    it holds the spread over seeds and over files; there is none where one of them has none.
    """
    values = [run.value for run in runs if run.value is not None]
    ends = [run.interval.ends for run in runs if run.interval.ends is not None]
    if not runs or len(values) < len(runs):
        return Metric(None)
    interval = Interval()
    if len(ends) == len(runs):
        interval = Interval(min(low for low, _ in ends), max(high for _, high in ends))
    return Metric(float(np.mean(values)), interval=interval)


def to_csv(results: Iterable[Result]) -> str:
    """One line for each run, test and method; a number that is not defined is empty."""
    return Table.of(map(_csv_line, results)).to_csv()


def _csv_line(result: Result) -> dict[str, Cell]:
    row, interval = result.row, result.row.auc.interval
    neutral = "video_auc_missing_neutral"
    return {
        "training": result.training,
        "left_out": result.left_out,
        "seed": result.seed,
        "validation_auc": result.validation_auc,
        "test": result.test,
        "corpora_shared_with_training": result.overlap,
        "method": row.method,
        "is_pooled": row.is_pooled,
        "method_in_training": result.is_seen,
        **coverage_cells(row),
        **with_ends("video_auc", row.auc),
        neutral: row.values[neutral].value,
        "interval_unit": interval.unit,
        "resamples": interval.resamples,
        "bootstrap_seed": interval.seed,
        "model_fingerprint": result.model_fingerprint,
    }


class _Grid:
    """Runs by row and column; those of a cell differ in their seed alone."""

    def __init__(
        self,
        results: Sequence[Result],
        row: Callable[[Result], str],
        column: Callable[[Result], str],
        *,
        corner: str = "trained on",
    ) -> None:
        columns = names(map(column, results))
        if column is _method:
            columns = tuple(sorted({*columns} - {ALL_METHODS, REAL_METHOD})) or columns
        self.rows, self.columns = names(map(row, results)), columns
        self.corner = corner
        self.cells = [
            [[r for r in results if (row(r), column(r)) == (a, b)] for b in self.columns]
            for a in self.rows
        ]

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(name or "nothing" for name in self.rows)

    def table(self, caption: str, mark: Callable[[Result], str]) -> Table:
        rows = tuple(
            (name, *(_cell(cell, mark) for cell in line))
            for name, line in zip(self.named, self.cells, strict=True)
        )
        return Table(caption=caption, columns=(self.corner, *self.columns), rows=rows)

    def figure(self, is_marked: Callable[[Result], bool]) -> Figure:
        return heat_map(
            self.named,
            self.columns,
            [[auc_of(cell) for cell in line] for line in self.cells],
            marked=[
                (row, column)
                for row, line in enumerate(self.cells)
                for column, cell in enumerate(line)
                if cell and is_marked(cell[0])
            ],
            titles=(self.corner, "tested on"),
            title="AUC %, 95 % interval",
        )


def section(results: Sequence[Result], *, warnings: Sequence[str] = ()) -> Section:
    """The matrix, the methods of every test, and leave-one-out, with a heat map of each grid.

    Of every training on every test, and of those with a method left out on the tests that hold it.
    """
    whole = [result for result in results if not result.left_out]
    caption = "AUC % over files, all forgeries of the test against its real files [95 % interval]."
    matrix = _matrix(whole)
    table = matrix.table(caption, lambda result: _OVERLAP_MARKS[result.overlap])
    tables = [_with_validation(matrix, table), _tests_table(whole)]
    for test in names(result.test for result in whole):
        grid = _Grid([r for r in whole if r.test == test], lambda r: r.training, _method)
        caption = f"Tested on {test}: AUC % of each method against the same real files."
        tables.append(grid.table(caption, _unseen_mark))
    caption = "AUC in percent; framed: trained on the same corpus."
    pictures = [picture(matrix_figure(results), caption)]
    for training, test in dict.fromkeys((r.training, r.test) for r in results if r.left_out):
        of_pair = [r for r in results if (r.training, r.test) == (training, test)]
        where = f"{training}, tested on {test}"
        grid = _Grid(of_pair, lambda r: r.left_out, _method, corner="left out of training")
        tables.append(_left_out_table(of_pair, where))
        tables.append(grid.table(f"The same, every method tested: {where}.", _unseen_mark))
        caption = f"Leave one method out: {where}; framed: the method that was left out."
        pictures.append(picture(grid.figure(lambda r: r.left_out == r.row.method), caption))
    return Section(
        title="Train sets x test sets",
        warnings=tuple(warnings),
        paragraphs=(_SELECTION,),
        tables=tuple(tables),
        pictures=tuple(pictures),
        notes=tuple(_how_to_read(results)),
    )


def matrix_figure(results: Sequence[Result]) -> Figure:
    """Trainings x tests as a heat map; cells within one corpus are framed."""
    grid = _matrix([result for result in results if not result.left_out])
    return grid.figure(lambda result: result.overlap == "same")


def names(found: Iterable[str]) -> tuple[str, ...]:
    """Each once, in the order they are first met."""
    return tuple(dict.fromkeys(found))


def auc_of(cell: Sequence[Result]) -> Metric:
    """The AUC over the runs of a cell."""
    return over_seeds([result.row.auc for result in cell])


def _matrix(whole: Sequence[Result]) -> _Grid:
    pooled = [result for result in whole if result.row.is_pooled]
    return _Grid(pooled, lambda r: r.training, lambda r: r.test)


def _with_validation(matrix: _Grid, table: Table) -> Table:
    """The table with what each row was selected by, where the model files say it."""
    runs = [[r for cell in line for r in cell] for line in matrix.cells]
    found = [{r.seed: r.validation_auc for r in line} for line in runs]
    if not any(value is not None for line in found for value in line.values()):
        return table
    cells = [_spread([Metric(value) for value in line.values()]) for line in found]
    rows = tuple((*row, cell) for row, cell in zip(table.rows, cells, strict=True))
    return replace(table, columns=(*table.columns, "its validation files"), rows=rows)


def _method(result: Result) -> str:
    return result.row.method


def _tests_table(whole: Sequence[Result]) -> Table:
    """What was expected of every test, and the least any model could score of it."""
    lines = []
    for test in names(result.test for result in whole):
        rows = [r.row for r in whole if r.test == test and r.row.is_pooled]
        least = percent_down(min(row.coverage for row in rows))
        if len({row.num_real + row.num_fake for row in rows}) > 1:
            least += " at least"
        lines.append((test, str(rows[0].expected_real), str(rows[0].expected_fake), least))
    return Table(
        caption="Files of each test, and how many of them could be scored.",
        columns=("test", "real files", "fake files", "coverage"),
        rows=tuple(lines),
    )


def _left_out_table(of_pair: Sequence[Result], where: str) -> Table:
    """The protocol's numbers, beside those of the training that saw the method."""
    left_out = [name for name in names(r.left_out for r in of_pair) if name]
    lines, means = [], []
    for trained_without in (True, False):
        cells = [
            [r for r in of_pair if (r.left_out, r.row.method) == (m if trained_without else "", m)]
            for m in left_out
        ]
        lines.append([_cell(cell) for cell in cells])
        means.append(percent(over_seeds([auc_of(cell) for cell in cells])))
    rows = zip(left_out, *lines, strict=True)
    return Table(
        caption=f"Leave one method out: {where}; AUC % of the method against the same real files.",
        columns=("method", "left out of training", "in training"),
        rows=(*rows, ("mean over methods", *means)),
        strong_rows=frozenset({len(left_out)}),
    )


def _cell(cell: Sequence[Result], mark: Callable[[Result], str] = lambda result: "") -> str:
    if not cell:
        return NOT_RUN
    return _spread([result.row.auc for result in cell]) + mark(cell[0])


def _spread(runs: Sequence[Metric]) -> str:
    """The mean over the runs, and from the lowest to the highest of them where there are more."""
    mean, values = over_seeds(runs), [run.value for run in runs if run.value is not None]
    if len(runs) < 2 or mean.value is None:
        return with_interval(mean)
    return f"{with_interval(mean)}; seeds {100 * min(values):.1f} to {100 * max(values):.1f}"


def _unseen_mark(result: Result) -> str:
    return " (unseen)" if result.is_seen is False else ""


def _how_to_read(results: Sequence[Result]) -> list[str]:
    sentences = [
        "same corpus: the test split of a corpus whose train split it was trained on; shared "
        "corpus: some of the tested corpora are such; all others are cross-dataset.",
        "unseen: the training data hold no forgery of that method's name; corpora may call the "
        "same method differently, or different methods the same.",
    ]
    if any(result.training_methods is None for result in results):
        sentences.append("Some model files do not say their training methods: none is marked.")
    if len({result.seed for result in results} - {None}) > 1:
        sentences.append(
            "Trainings at several seeds: the mean over the runs; in brackets from the lowest lower "
            "to the highest upper end of their 95 % intervals, so it holds the spread over seeds "
            "and over files; after seeds: the lowest and the highest run, the spread over seeds "
            "alone."
        )
    sentences += interval_notes(result.row.auc for result in results)
    if any(result.left_out for result in results):
        sentences.append(
            "Left out of training: each number belongs to another model, trained and selected "
            "without that method; the mean has no interval: its parts share their real files."
        )
    return sentences
