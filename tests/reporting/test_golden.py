"""Numbers do not move: stored scores still give the stored tables, every value to 1e-12.

`tests/golden` holds two folders of `avkd evaluate` (a dataset with identities and a shortcut, one
with several windows a file and files without a score) and three cells of a robustness table; scores
were drawn once. Where a number is meant to change: `python tests/reporting/test_golden.py` writes
the tables again, and the change is named in the changelog.
"""

import csv
import math
import shutil
import tempfile
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from avkd.config.evaluation_config import ReportConfig
from avkd.reporting import robustness_table
from avkd.reporting.recompute import recompute
from avkd.reporting.robustness_summary import Cell, summarise_robustness
from avkd.reporting.score_frame import pool
from avkd.reporting.scores import read_scores

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TABLES = ("one/report.csv", "one/shortcuts.csv", "two/report.csv", "paired.csv", "robustness.csv")


def make_tables(out: Path) -> None:
    folders = (GOLDEN / "one", GOLDEN / "two")
    recompute(ReportConfig(scores=folders, out=out, bootstrap_resamples=200))
    cells = {}
    for path in sorted((GOLDEN / "robustness").glob("*.csv")):
        name, _, severity = path.stem.partition("_")
        cells[Cell(name, int(severity))] = pool(read_scores(path))
    found = summarise_robustness(cells, model="one", resamples=200)
    (out / "robustness.csv").write_text(robustness_table.to_csv(found), encoding="utf-8")


def is_same(cell: str, kept: str) -> bool:
    try:
        return math.isclose(float(cell), float(kept), rel_tol=1e-12, abs_tol=1e-12)
    except ValueError:
        return cell == kept


def differences(made: Path, kept: Path) -> list[str]:
    """What differs, as ``row, column: made, kept``."""
    with made.open(newline="") as new, kept.open(newline="") as old:
        rows, expected = list(csv.DictReader(new)), list(csv.DictReader(old))
    found = [] if len(rows) == len(expected) else [f"{len(rows)} rows, kept {len(expected)}"]
    for number, (row, other) in enumerate(zip(rows, expected, strict=False)):
        if list(row) != list(other):
            found.append(f"columns {sorted(row.keys() ^ other.keys())}, or their order")
        found += [
            f"row {number}, {name}: {row[name]}, kept {other[name]}"
            for name in row.keys() & other.keys()
            if not is_same(row[name], other[name])
        ]
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("golden")
    with pytest.MonkeyPatch.context() as undrawn:  # pictures take seconds and hold no number
        undrawn.setattr(Figure, "savefig", lambda *_, **__: None)
        make_tables(out)
    return out


@pytest.mark.parametrize("name", TABLES)
def test_stored_scores_give_the_stored_numbers(name: str, made: Path) -> None:
    assert not (found := differences(made / name, GOLDEN / name)), "\n".join(found)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_numbers_that_could_move(name: str) -> None:
    with (GOLDEN / name).open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert sum("." in cell and cell.replace(".", "").isdigit() for cell in cells) > 20


def test_a_number_that_moves_by_a_billionth_is_noticed(tmp_path: Path) -> None:
    """Also a text, a row and a column."""
    kept = tmp_path / "kept.csv"
    kept.write_text("auc,method\n0.9,swap\n")
    for text, told in (
        ("auc,method\n0.900000001,swap\n", "row 0, auc"),
        ("auc,method\n,swap\n", "row 0, auc"),
        ("auc,method\n0.9,Swap\n", "row 0, method"),
        ("auc,method\n0.9,swap\n0.9,swap\n", "2 rows"),
        ("auc,methods\n0.9,swap\n", "columns"),
        ("method,auc\nswap,0.9\n", "order"),
    ):
        (tmp_path / "made.csv").write_text(text)
        assert told in "\n".join(differences(tmp_path / "made.csv", kept)), text
    (tmp_path / "made.csv").write_text("auc,method\n0.9000000000000001,swap\n")
    assert not differences(tmp_path / "made.csv", kept)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make_tables(Path(folder))
        for table in TABLES:
            shutil.copyfile(Path(folder) / table, GOLDEN / table)
