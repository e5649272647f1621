"""What the robustness table says, in every form it is printed in."""

import csv
import io

import pytest
from factories import GRID, made_up_cells, pooled, summarised, tables

from avkd.reporting import page, robustness_table
from avkd.reporting.robustness_summary import (
    CLEAN_CELL,
    MEAN,
    Robustness,
    summarise_robustness,
)
from avkd.reporting.score_frame import pool
from avkd.reporting.tables import with_interval


def markdown(found: list[Robustness], notes: tuple[str, ...] = ()) -> str:
    return page.to_markdown([robustness_table.section(found, notes=notes)])


def markdown_rows(text: str, caption: str) -> dict[str, list[str]]:
    """Cells of the table under a caption, by their first cell."""
    part = text.split(f"\n{caption}")[1].split("\n\n")[1]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines()]
    return {cells[0].strip("*"): [cell.strip("*") for cell in cells[1:]] for cells in lines}


def test_every_number_stands_in_its_row_and_column() -> None:
    found = tables()
    table = pooled(found)
    rows = markdown_rows(markdown(found), "m on d (test)")
    assert rows["Perturbation"] == ["1", "3", "Mean", "Drop at 3"]
    assert list(rows)[2:] == ["clean", "blur", "jpeg", "mean"]
    assert rows["clean"] == ["-", "-", with_interval(table.clean.auc), "-"]
    for name in ("blur", "jpeg", MEAN):
        entries = [table.at(name, severity) for severity in (1, 3, None)]
        assert rows[name][:3] == [with_interval(e.auc) for e in entries]
        drop = table.at(name, 3)
        assert rows[name][3] == with_interval(drop.drop)


def test_lost_files_are_told_in_the_cell_the_means_and_a_warning() -> None:
    found = tables(lost=7)
    rows = markdown_rows(markdown(found), "m on d (test)")
    assert rows["blur"][1].endswith("(50.0 % scored)")
    assert "scored" not in rows["blur"][0] and "scored" not in rows["jpeg"][2]
    assert rows["blur"][2].endswith("(at least 50.0 % scored)")
    assert rows["mean"][2].endswith("(at least 50.0 % scored)")
    part = robustness_table.section(found, notes=())
    (warning,) = part.warnings
    mean = pooled(found).at(MEAN, None)
    assert "1 of 4 cells lost more than 5 %" in warning and "worst: blur 3, 50.0 %" in warning
    assert f"ties: {100 * mean.auc_missing_neutral.value:.1f} %" in warning
    assert "1 of 4 cells" in robustness_table.to_text(found)
    assert robustness_table.section(tables(), notes=()).warnings == ()


def test_a_cell_without_a_score_is_a_sentence_and_not_a_number() -> None:
    found = tables(lost=14)
    text = markdown(found)
    rows = markdown_rows(text, "m on d (test)")
    assert rows["blur"][1].startswith("not defined") and rows["mean"][2].startswith("not defined")
    assert "Not defined, no scored file: m, blur 3." in text


def test_models_side_by_side_and_methods_have_tables_of_their_own() -> None:
    found = tables(models=("one", "two"))
    part = robustness_table.section(found, notes=("a note",))
    captions = [table.caption.split(":")[0] for table in part.tables]
    assert captions == ["All models", "one on d (test)", "two on d (test)", "By forgery"]
    assert [row[0] for row in part.tables[0].rows] == ["one", "two"]
    assert [row[2] for row in part.tables[3].rows] == ["reenact", "swap"] * 2
    assert part.notes[-1] == "a note"


def test_the_csv_has_every_entry_of_every_method() -> None:
    found = tables(lost=7)
    lines = list(csv.DictReader(io.StringIO(robustness_table.to_csv(found))))
    assert len(lines) == 3 * (1 + len(GRID) + 2 + 3)
    by_name = {(line["method"], line["perturbation"], line["severity"]): line for line in lines}
    for table in found:
        for entry in table.entries:
            severity = "mean" if entry.severity is None else str(entry.severity)
            line = by_name[table.method, entry.perturbation, severity]
            assert float(line["auc"]) == entry.auc.value
            assert float(line["auc_low"]) == entry.auc.interval.low
            assert float(line["auc_missing_neutral"]) == entry.auc_missing_neutral.value
            assert float(line["coverage"]) == entry.coverage
            assert (line["drop"] == "") == (entry is table.clean)
            assert (line["scored_real"] == "") == (not entry.is_cell and entry is not table.clean)
    worst = by_name["all", "blur", "3"]
    assert worst["unscored"] == "21 x no_face" and worst["scored_fake"] == "14"


@pytest.mark.parametrize("name", ["a|b", "<script>", "two\nlines"])
def test_odd_names_cannot_break_the_table(name: str) -> None:
    text = markdown(tables(models=(name, "other")), (f"{name}: x",))
    assert "<script>" not in text and "two\nlines" not in text
    rows = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    overview = rows[: rows.index(next(row for row in rows if row.startswith("| Perturbation")))]
    assert {row.count("|") for row in overview} == {7}


def test_the_same_scores_give_the_same_bytes_and_no_minus_zero() -> None:
    one, other = (markdown(summarised()) for _ in range(2))
    assert one == other
    cells = made_up_cells()
    still = summarise_robustness(dict.fromkeys(cells, pool(cells[CLEAN_CELL])), model="m")
    assert "-0.0" not in markdown(still)
