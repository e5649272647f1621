"""Trainings x tests as tables and heat maps: results in, one section of a report out.

Chooses nothing: every run of every training is in the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from avkd.reporting.heat_map import HeatMap, heat_map
from avkd.reporting.matrix_result import (
    Result,
    auc_of,
    left_out_pairs,
    methods,
    names,
    of_method,
    pooled,
)
from avkd.reporting.page_parts import Picture, Section, Table
from avkd.reporting.table_text import NOT_DEFINED, percent_down

NOT_RUN = "-"
_NOTHING = "nothing"
_TRAINED_ON, _TESTED_ON = "trained on", "tested on"
_OVERLAP_MARKS = {"same": " (same corpus)", "shared": " (shared corpus)", "none": ""}
_UNITS = {"files": "files", "groups": "identities, with all their files"}
_SELECTION = (
    "Every model was selected, and its threshold chosen, on the validation sides of its own "
    "training corpora; nothing was chosen on a test."
)


def section(
    results: Sequence[Result], *, warnings: Sequence[str] = (), notes: Sequence[str] = ()
) -> Section:
    """The matrix, the methods of every test, and leave-one-out, with a heat map of each grid.

    Args:
        results: every training on every test, and those with a method left out on the tests that
            hold it, in the order of the table; at least one.
        warnings: what must not be overlooked, e.g. what could not be checked.
        notes: further sentences on how it was made.
    """
    whole = [result for result in results if not result.left_out]
    tables = [_matrix_table(whole), _tests_table(whole)]
    for test in names(result.test for result in whole):
        tables.append(_methods_table([r for r in whole if r.test == test], test))
    pictures = [_picture(matrix_map(results), "AUC in percent; framed: trained on the same corpus")]
    for training, test, of_pair in left_out_pairs(results):
        where = f"{training}, tested on {test}"
        tables += [_left_out_table(of_pair, where), _left_out_grid(of_pair, where)]
        caption = f"Leave one method out: {where}; framed: the method that was left out"
        pictures.append(_picture(left_out_map(of_pair), caption))
    return Section(
        title="Train sets x test sets",
        warnings=tuple(warnings),
        paragraphs=(_SELECTION,),
        tables=tuple(tables),
        pictures=tuple(pictures),
        notes=(*_how_to_read(results), *notes),
    )


def matrix_map(results: Sequence[Result]) -> HeatMap:
    """Trainings x tests; cells within one corpus are framed."""
    rows, columns = names(r.training for r in results), names(r.test for r in results)
    return _heat_map(
        rows,
        columns,
        lambda row, column: pooled(results, row, column),
        is_marked=lambda result: result.overlap == "same",
        row_title=_TRAINED_ON,
    )


def left_out_map(of_pair: Sequence[Result]) -> HeatMap:
    """Methods left out x methods tested, of one training and test; the left-out ones framed."""
    return _heat_map(
        names(r.left_out for r in of_pair),
        methods(of_pair),
        lambda row, column: of_method(of_pair, row, column),
        is_marked=lambda result: result.left_out == result.row.method,
        row_title="left out of training",
    )


def _heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    find: Callable[[str, str], list[Result]],
    *,
    is_marked: Callable[[Result], bool],
    row_title: str,
) -> HeatMap:
    cells = [[find(row, column) for column in columns] for row in rows]
    spreads = [[auc_of(cell) for cell in line] for line in cells]
    return HeatMap(
        title="AUC %, 95 % interval",
        rows=tuple(row or _NOTHING for row in rows),
        columns=tuple(columns),
        values=tuple(tuple(None if s is None else s.mean for s in line) for line in spreads),
        intervals=tuple(tuple(None if s is None else s.interval for s in line) for line in spreads),
        marked=frozenset(
            (row, column)
            for row, line in enumerate(cells)
            for column, cell in enumerate(line)
            if cell and is_marked(cell[0])
        ),
        row_title=row_title,
        column_title=_TESTED_ON,
    )


def _picture(table: HeatMap, caption: str) -> Picture:
    return Picture(svg=heat_map(table), caption=f"{caption}.")


def _matrix_table(whole: Sequence[Result]) -> Table:
    tests = names(result.test for result in whole)
    return Table(
        caption="AUC % over files, all forgeries of the test against its reals [95 % interval].",
        columns=(_TRAINED_ON, *tests),
        rows=tuple(
            (training, *(_cell(pooled(whole, training, t), _overlap_mark) for t in tests))
            for training in names(result.training for result in whole)
        ),
    )


def _tests_table(whole: Sequence[Result]) -> Table:
    """What was expected of every test, and the least any model could score of it."""
    lines = []
    for test in names(result.test for result in whole):
        rows = [r.row for r in whole if r.test == test and r.row.is_pooled]
        scored = [row.num_real + row.num_fake for row in rows]
        least = percent_down(min(row.coverage for row in rows))
        if len(set(scored)) > 1:
            least += " at least"
        lines.append((test, str(rows[0].expected_real), str(rows[0].expected_fake), least))
    return Table(
        caption="Files of each test, and how many of them could be scored.",
        columns=("test", "reals", "fakes", "coverage"),
        rows=tuple(lines),
    )


def _methods_table(of_test: Sequence[Result], test: str) -> Table:
    columns = methods(of_test)
    return Table(
        caption=f"Tested on {test}: AUC % of each method against the same reals.",
        columns=(_TRAINED_ON, *columns),
        rows=tuple(
            (
                training,
                *(
                    _cell([r for r in of_test if _is_on(r, training, method)], _unseen_mark)
                    for method in columns
                ),
            )
            for training in names(result.training for result in of_test)
        ),
    )


def _is_on(result: Result, training: str, method: str) -> bool:
    return (result.training, result.row.method) == (training, method)


def _left_out_table(of_pair: Sequence[Result], where: str) -> Table:
    """The protocol's numbers, beside those of the training that saw the method."""
    left_out = [name for name in names(r.left_out for r in of_pair) if name]
    lines, means = [], []
    for trained_without in (True, False):
        cells = [of_method(of_pair, m if trained_without else "", m) for m in left_out]
        lines.append([_cell(cell) for cell in cells])
        spreads = [auc_of(cell) for cell in cells]
        numbers = [s.mean for s in spreads if s is not None and s.mean is not None]
        is_whole = len(numbers) == len(left_out)
        means.append(f"{100 * np.mean(numbers):.1f}" if is_whole else NOT_DEFINED)
    rows = zip(left_out, *lines, strict=True)
    return Table(
        caption=f"Leave one method out: {where}; AUC % of the method against the same reals.",
        columns=("method", "left out of training", "in training"),
        rows=(*rows, ("mean over methods", *means)),
        strong_rows=frozenset({len(left_out)}),
    )


def _left_out_grid(of_pair: Sequence[Result], where: str) -> Table:
    columns = methods(of_pair)
    return Table(
        caption=f"The same, every method tested: {where}.",
        columns=("left out of training", *columns),
        rows=tuple(
            (
                left_out or _NOTHING,
                *(_cell(of_method(of_pair, left_out, m), _unseen_mark) for m in columns),
            )
            for left_out in names(r.left_out for r in of_pair)
        ),
    )


def _cell(cell: Sequence[Result], mark: Callable[[Result], str] | None = None) -> str:
    spread = auc_of(cell)
    if spread is None:
        return NOT_RUN
    over_seeds = f"; seeds {spread.range_text}" if spread.range_text else ""
    return spread.text + over_seeds + ("" if mark is None else mark(cell[0]))


def _overlap_mark(result: Result) -> str:
    return _OVERLAP_MARKS[result.overlap]


def _unseen_mark(result: Result) -> str:
    return " (unseen)" if result.is_seen is False else ""


def _how_to_read(results: Sequence[Result]) -> list[str]:
    sentences = [
        "same corpus: the test side of a corpus whose train side was learnt from; shared corpus: "
        "some of the tested corpora are such; all others are cross-dataset.",
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
    intervals = [result.row.auc_interval for result in results]
    units = " or ".join(_UNITS[unit] for unit in sorted({i.unit for i in intervals}))
    sentences.append(f"Intervals: {intervals[0].resamples} bootstrap resamples of {units}.")
    if any(result.left_out for result in results):
        sentences.append(
            "Left out of training: each number belongs to another model, trained and selected "
            "without that method; the mean has no interval, because its parts share their reals."
        )
    return sentences
