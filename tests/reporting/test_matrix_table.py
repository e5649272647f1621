"""The table of a matrix: its cells, marks and means, from scores made up by hand."""

import csv
import io
import math
from dataclasses import replace
from typing import Any

import pytest
from factories import summarise

from avkd.metrics.bootstrap import Metric
from avkd.reporting import matrix_table
from avkd.reporting.matrix_table import Overlap, Result, over_seeds, to_csv
from avkd.reporting.page import Section, to_markdown
from avkd.reporting.scores import ClipScore
from avkd.reporting.summary import SummaryRow
from avkd.reporting.tables import Table, with_interval


def rows(wins: dict[str, int], *, missing: int = 0) -> tuple[SummaryRow, ...]:
    """A test with 10 reals at 0..9 and two forgeries a method that beat so many of them."""
    logits = {("real", n): float(n) for n in range(10)}
    logits |= {(method, n): won - 0.5 for method, won in wins.items() for n in range(2)}
    scores = [
        ClipScore(
            sample_id=f"{method}-{number}",
            label=int(method != "real"),
            dataset="made up",
            method=method,
            split="test",
            window=0,
            start_frame=0,
            num_frames=1,
            logit=logit,
            probability=1 / (1 + math.exp(-logit)),
        )
        for (method, number), logit in logits.items()
    ]
    for number in range(missing):
        scores.append(
            ClipScore(
                sample_id=f"gone-{number}",
                label=0,
                dataset="made up",
                method="real",
                split="test",
                status="no_face",
                message="no face",
            )
        )
    return summarise(scores, resamples=100)


def results_of(
    wins: dict[str, int],
    *,
    training: str = "a",
    test: str = "x",
    left_out: str = "",
    seed: int | None = 0,
    trained_on: frozenset[str] | None = frozenset({"swap", "blend"}),
    overlap: Overlap = "none",
    missing: int = 0,
) -> list[Result]:
    return [
        Result(
            training=training,
            left_out=left_out,
            seed=seed,
            model_fingerprint="0123",
            training_methods=None if trained_on is None else trained_on - {left_out},
            test=test,
            overlap=overlap,
            row=row,
        )
        for row in rows(wins, missing=missing)
    ]


def table(section: Section, caption: str) -> Table:
    (found,) = (table for table in section.tables if caption in table.caption)
    return found


def number(cell: str) -> str:
    return cell.partition(" [")[0]


def test_a_cell_is_the_auc_over_all_methods_and_says_whose_corpus_it_is() -> None:
    section = matrix_table.section(
        [
            *results_of({"swap": 9, "blend": 7}, test="x", overlap="same"),
            *results_of({"swap": 4, "other": 6}, test="y"),
            *results_of({"swap": 1, "blend": 2}, training="b", test="x", overlap="shared"),
            *results_of({"swap": 5, "other": 5}, training="b", test="y"),
        ]
    )
    matrix = table(section, "all forgeries of the test")
    assert matrix.columns == ("trained on", "x", "y")
    (a, a_x, a_y), (b, b_x, b_y) = matrix.rows
    assert (a, b) == ("a", "b")
    assert [number(cell) for cell in (a_x, a_y, b_x, b_y)] == ["80.0", "50.0", "15.0", "50.0"]
    assert a_x.endswith("(same corpus)") and b_x.endswith("(shared corpus)")
    assert a_y.endswith("]") and b_y.endswith("]")


def test_every_method_stands_against_the_same_reals_and_unseen_ones_are_marked() -> None:
    section = matrix_table.section(
        [
            *results_of({"swap": 9, "other": 4}),
            *results_of({"swap": 9, "other": 4}, training="secret", trained_on=None),
        ]
    )
    methods = table(section, "Tested on x")
    assert methods.columns == ("trained on", "other", "swap")
    known, secret = methods.rows
    assert [number(cell) for cell in known[1:]] == ["40.0", "90.0"]
    assert known[1].endswith("(unseen)") and "unseen" not in known[2]
    assert not any("unseen" in cell for cell in secret)
    assert any("do not say their training methods" in note for note in section.notes)


def test_leave_one_out_takes_each_number_from_the_model_that_went_without() -> None:
    section = matrix_table.section(
        [
            *results_of({"swap": 9, "blend": 8}),
            *results_of({"swap": 3, "blend": 10}, left_out="swap"),
            *results_of({"swap": 10, "blend": 6}, left_out="blend"),
        ]
    )
    protocol = table(section, "Leave one method out")
    assert protocol.columns == ("method", "left out of training", "in training")
    assert [tuple(map(number, row)) for row in protocol.rows] == [
        ("swap", "30.0", "90.0"),
        ("blend", "60.0", "80.0"),
        ("mean over methods", "45.0", "85.0"),
    ]
    assert protocol.strong_rows == {2}
    grid = table(section, "every method tested")
    assert [row[0] for row in grid.rows] == ["nothing", "swap", "blend"]
    assert [number(cell) for row in grid.rows for cell in row[1:]] == [
        *("80.0", "90.0", "100.0", "30.0", "60.0", "100.0")
    ]
    marked = [["unseen" in cell for cell in row[1:]] for row in grid.rows]
    assert marked == [[False, False], [False, True], [True, False]]
    # What was left out stays out of the matrix itself.
    assert len(table(section, "all forgeries of the test").rows) == 1
    assert len(section.pictures) == 2


def test_a_method_left_out_that_the_test_has_none_of_is_not_run() -> None:
    section = matrix_table.section(
        [
            *results_of({"swap": 9, "blend": 8}),
            *results_of({"swap": 9}, test="y"),
            *results_of({"swap": 3, "blend": 10}, left_out="swap"),
            *results_of({"swap": 2}, test="y", left_out="swap"),
            *results_of({"swap": 10, "blend": 6}, left_out="blend"),
        ]
    )
    protocol = table(section, "Leave one method out: a, tested on y")
    assert [tuple(map(number, row)) for row in protocol.rows] == [
        ("swap", "20.0", "90.0"),
        ("mean over methods", "20.0", "90.0"),
    ]


def test_several_seeds_give_the_mean_the_outermost_interval_and_the_range() -> None:
    section = matrix_table.section(
        [
            *results_of({"swap": 8}, seed=0),
            *results_of({"swap": 4}, seed=1),
            *results_of({"swap": 6}, seed=None, training="given"),
        ]
    )
    ours, given = table(section, "all forgeries of the test").rows
    first, second = (rows({"swap": won})[0].auc.interval for won in (8, 4))
    assert first.high is not None and second.low is not None
    outermost = f"[{100 * second.low:.1f}, {100 * first.high:.1f}]"
    assert ours[1] == f"60.0 {outermost}; seeds 40.0 to 80.0"
    assert given[1].startswith("60.0 [") and "seeds" not in given[1]
    assert any("outermost" in note or "lowest lower" in note for note in section.notes)


def test_a_run_without_a_number_leaves_no_mean_of_the_others() -> None:
    whole, none = rows({"swap": 8})[0], summarise(results_scores_of_one_class(), resamples=100)[0]
    spread = over_seeds([whole.auc, none.auc])
    assert spread.value is None and spread.interval.ends is None
    assert with_interval(spread) == "not defined"
    assert over_seeds([whole.auc]).value == 0.8
    assert with_interval(over_seeds([Metric(whole.auc.value)])) == "80.0"


def results_scores_of_one_class() -> list[ClipScore]:
    return [
        ClipScore(
            sample_id="a",
            label=1,
            dataset="made up",
            method="swap",
            split="test",
            window=0,
            start_frame=0,
            num_frames=1,
            logit=0.0,
            probability=0.5,
        )
    ]


def test_coverage_is_the_least_of_all_models() -> None:
    section = matrix_table.section(
        [
            *results_of({"swap": 9}, missing=1),
            *results_of({"swap": 9}, training="b", missing=1),
            *results_of({"swap": 9}, test="y"),
        ]
    )
    lines = table(section, "Files of each test").rows
    assert lines == (("x", "11", "2", "92.3 %"), ("y", "10", "2", "100.0 %"))


def test_the_heat_map_holds_the_same_numbers_and_frames_the_same_corpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = [
        *results_of({"swap": 9}, overlap="same"),
        *results_of({"swap": 4}, test="y"),
        *results_of({"swap": 2}, left_out="swap"),
    ]
    drawn: list[tuple] = []

    def heat_map(rows: Any, columns: Any, cells: Any, *, marked: Any, **_: Any) -> None:
        drawn.append((rows, columns, [[cell.value for cell in line] for line in cells], marked))

    monkeypatch.setattr(matrix_table, "heat_map", heat_map)
    monkeypatch.setattr(matrix_table, "picture", lambda figure, caption: None)
    matrix_table.section(results)
    assert drawn == [
        (("a",), ("x", "y"), [[0.9, 0.4]], [(0, 0)]),
        (("nothing", "swap"), ("swap",), [[0.9], [0.2]], [(1, 0)]),
    ]


def test_a_row_says_by_what_it_was_selected_where_its_models_do() -> None:
    results = [
        replace(result, validation_auc=auc)
        for training, seed, auc in (("a", 0, 0.9), ("a", 1, 0.8), ("b", 0, None), ("b", 1, 0.7))
        for result in results_of({"swap": 5}, training=training, seed=seed)
    ]
    first = matrix_table.section(results).tables[0]
    assert first.columns == ("trained on", "x", "its validation files")
    assert [row[-1] for row in first.rows] == ["85.0; seeds 80.0 to 90.0", "not defined"]
    assert ",0.9," in to_csv(results).splitlines()[1]


def test_the_csv_has_one_line_for_each_run_and_method() -> None:
    results = [*results_of({"swap": 9, "other": 4}, missing=1), *results_of({"swap": 9}, seed=None)]
    lines = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert list(lines[0]) == [
        *("training", "left_out", "seed", "validation_auc", "test", "corpora_shared_with_training"),
        *("method", "is_pooled", "method_in_training", "scored_real", "expected_real"),
        *("scored_fake", "expected_fake", "coverage"),
        *("video_auc", "video_auc_low", "video_auc_high", "video_auc_missing_neutral"),
        *("interval_unit", "resamples", "bootstrap_seed", "model_fingerprint"),
    ]
    assert [(line["method"], line["is_pooled"], line["method_in_training"]) for line in lines] == [
        *(("other", "0", "0"), ("swap", "0", "1"), ("all", "1", ""), ("swap", "1", "1"))
    ]
    assert float(lines[1]["video_auc"]) == 0.9 and float(lines[1]["coverage"]) == 12 / 13
    assert float(lines[1]["video_auc_missing_neutral"]) == pytest.approx((9 + 0.5) / 11)
    assert lines[3]["seed"] == "" and lines[0]["seed"] == "0"


def test_markdown_of_a_section_cannot_be_steered_by_a_name() -> None:
    evil = "x|y\n# heading <script> [a](http://b) `code` *strong*"
    section = Section(
        title=evil,
        warnings=(evil,),
        tables=(Table(columns=("trained on", evil), rows=((evil, "1"),), caption=evil),),
        notes=(evil,),
    )
    text = to_markdown([section])
    assert (
        "\n# heading" not in text
        and "<script" not in text
        and "](http" not in text.replace("\\](http", "")
    )
    (row,) = (line for line in text.splitlines() if line.endswith("| 1 |"))
    assert row.replace("\\|", "").count("|") == 3
    assert "`" not in text.replace("\\`", "") and text.count("**") == 2
