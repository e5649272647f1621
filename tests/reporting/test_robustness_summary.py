"""Means and drops of the robustness table: the files are drawn once for all cells."""

import dataclasses

import numpy as np
import pytest
from factories import GRID, Cells, made_up_cells, missing, summarise

from avkd.metrics import ranking
from avkd.metrics.bootstrap import Resampling
from avkd.reporting.robustness_summary import (
    CLEAN_CELL,
    MEAN,
    Cell,
    Entry,
    Robustness,
    summarise_robustness,
)
from avkd.reporting.score_frame import pool


def table_of(cells: Cells, method: str = "all", resamples: int = 200) -> Robustness:
    frames = {cell: pool(rows) for cell, rows in cells.items()}
    tables = summarise_robustness(frames, model="m", resamples=resamples)
    (table,) = (table for table in tables if table.method == method)
    return table


def ends(entry: Entry) -> tuple[float | None, float | None]:
    return entry.auc.interval.low, entry.auc.interval.high


def drop_ends(entry: Entry) -> tuple[float | None, float | None]:
    return entry.drop.interval.low, entry.drop.interval.high


def brute_force(cells: Cells, plan: Resampling, chosen: list[Cell]) -> np.ndarray:
    """(draws, 2): mean AUC of the chosen cells, and the clean one, file by file, draw by draw."""
    labels = np.array([row.label for row in cells[CLEAN_CELL]])
    draws = []
    for weights in plan.group_weights():
        for weight in weights:
            times = weight[plan.group_of_file]
            aucs = []
            for cell in [*chosen, CLEAN_CELL]:
                drawn = [i for i, n in enumerate(times) for _ in range(n)]
                scored = [i for i in drawn if cells[cell][i].is_scored]
                logits = [cells[cell][i].logit for i in scored]
                aucs.append(ranking.auc(labels[scored], np.array(logits)).value)
            draws.append((np.mean(aucs[:-1]), aucs[-1]))
    return np.array(draws)


@pytest.mark.parametrize("group_size", [0, 2])
def test_the_intervals_of_means_and_drops_equal_a_bootstrap_done_by_hand(group_size: int) -> None:
    """One draw of files for all cells, and a file without a score missing in its cell alone."""
    cells = made_up_cells(lost=4, group_size=group_size)
    table = table_of(cells, resamples=60)
    rows = cells[CLEAN_CELL]
    groups = [row.group for row in rows] if group_size else None
    labels = np.array([row.label for row in rows])
    plan = Resampling.of(labels, groups=groups, resamples=60, seed=0)
    for entry, chosen in (
        (table.at(MEAN, None), GRID),
        (table.at("blur", None), GRID[:2]),
        (table.at(MEAN, 3), [GRID[1], GRID[3]]),
    ):
        draws = brute_force(cells, plan, chosen)
        mean, clean = draws.T
        assert ends(entry) == pytest.approx(tuple(np.quantile(mean, (0.025, 0.975))))
        assert drop_ends(entry) == pytest.approx(tuple(np.quantile(clean - mean, (0.025, 0.975))))
        assert entry.auc.interval.unit == ("groups" if group_size else "files")


@pytest.mark.parametrize("method", ["all", "swap"])
def test_a_cell_is_the_row_of_its_own_report_and_a_mean_the_mean_of_its_cells(method: str) -> None:
    cells = made_up_cells(lost=3)
    table = table_of(cells, method)
    for cell in (CLEAN_CELL, *GRID):
        (row,) = (r for r in summarise(cells[cell], resamples=200) if r.method == method)
        entry = table.at(cell.perturbation, cell.severity)
        assert entry.rows == (row,)
        assert (entry.auc, entry.coverage) == (row.auc, row.coverage)
    of = {cell: table.at(cell.perturbation, cell.severity).auc.value for cell in GRID}
    assert table.at("jpeg", None).auc.value == pytest.approx(np.mean([of[c] for c in GRID[2:]]))
    assert table.at(MEAN, 1).auc.value == pytest.approx(np.mean([of[GRID[0]], of[GRID[2]]]))
    assert table.at(MEAN, None).auc.value == pytest.approx(np.mean([*of.values()]))
    drop = table.at(MEAN, 3).drop.value
    assert drop == pytest.approx(table.clean.auc.value - table.at(MEAN, 3).auc.value)


def test_cells_that_change_nothing_have_the_clean_interval_and_no_drop() -> None:
    """Were the cells drawn apart, the interval of the mean would come out too narrow."""
    cells = made_up_cells()
    table = table_of(dict.fromkeys(cells, cells[CLEAN_CELL]))
    for entry in table.entries:
        assert ends(entry) == pytest.approx(ends(table.clean))
        if entry is not table.clean:
            assert (entry.drop.value, *drop_ends(entry)) == pytest.approx((0.0, 0.0, 0.0))
    assert table.clean.drop.value is None and table.clean.drop.interval.low is None


def test_a_cell_that_lost_files_is_told_and_a_mean_has_the_coverage_of_its_worst() -> None:
    table = table_of(made_up_cells(lost=7))
    worst = table.at("blur", 3)
    assert worst.coverage == 0.5 and table.lost_many(worst)
    assert [e for e in table.entries if table.lost_many(e)] == [worst]
    assert table.at("blur", None).coverage == table.at(MEAN, None).coverage == 0.5
    assert table.at("jpeg", None).coverage == 1.0
    kept = 0.25 * worst.auc.value + 0.75 * 0.5  # a quarter of the pairs have both files
    assert worst.auc_missing_neutral.value == pytest.approx(kept)
    mild = table.at("blur", 1).auc.value
    assert table.at("blur", None).auc_missing_neutral.value == pytest.approx((kept + mild) / 2)


def test_a_cell_without_any_score_leaves_the_means_it_is_in_undefined() -> None:
    cells = made_up_cells(lost=14)
    table = table_of(cells)
    assert table.at("blur", 3).auc.value is None
    for entry in (table.at("blur", None), table.at(MEAN, 3), table.at(MEAN, None)):
        assert entry.auc.value is None and entry.auc.reason == "blur 3: no scored file"
        assert entry.auc.interval.low is None and entry.drop.value is None
        assert entry.auc_missing_neutral.value is not None
    assert table.at(MEAN, 1).auc.value is not None and table.at("jpeg", None).auc.value is not None


def test_a_draw_that_leaves_a_cell_without_a_class_widens_the_interval() -> None:
    """With two scored reals many draws have none of them: the AUC could then be anything."""
    cells = made_up_cells(lost=0)
    cells[GRID[1]] = [
        missing(r.sample_id, r.method) if r.label == 0 and not r.sample_id.endswith("/1") else r
        for r in cells[GRID[1]]
    ]
    table = table_of(cells)
    low, high = ends(table.at("blur", None))
    clean_part = [table.at("blur", 1).auc.interval.low, table.at("blur", 1).auc.interval.high]
    assert low < (clean_part[0] + 0.1) / 2 and high > (clean_part[1] + 0.9) / 2


def test_cells_of_different_files_are_refused_by_the_file() -> None:
    cells = made_up_cells()
    cells[GRID[2]] = cells[GRID[2]][1:]
    with pytest.raises(ValueError, match="d/real/0 of d: is not the same file in jpeg 1"):
        table_of(cells)
    cells = made_up_cells()
    cells[GRID[0]][0] = dataclasses.replace(cells[GRID[0]][0], group="someone")
    with pytest.raises(ValueError, match="blur 1 as in clean"):
        table_of(cells)


def test_the_order_of_the_rows_of_a_cell_changes_nothing() -> None:
    """Files that could not be scored stand at the end of a score file."""
    cells = made_up_cells(lost=3)
    turned = {cell: rows if cell == CLEAN_CELL else rows[::-1] for cell, rows in cells.items()}
    one, other = table_of(cells), table_of(turned)
    for first, second in zip(one.entries, other.entries, strict=True):
        assert first.auc.value == second.auc.value
        assert drop_ends(first) == pytest.approx(drop_ends(second))
