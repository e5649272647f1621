"""The facts file: what is written is read back, and nothing else is taken for one."""

from pathlib import Path

import pytest
from factories import facts

from avkd.reporting.nuisance_facts import COLUMNS, KINDS, read_facts, write_facts


def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    odd = 'a "name", with\ra return \udcff'
    rows = (facts(), facts(odd, group="x;y", source="d/real/1", has_sound=False, codec=None))
    write_facts(tmp_path / "d.csv", rows)
    assert read_facts(tmp_path / "d.csv") == rows
    write_facts(tmp_path / "again.csv", rows)
    assert (tmp_path / "d.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_a_file_of_which_nothing_is_known_is_a_row_all_the_same(tmp_path: Path) -> None:
    empty = facts(**dict.fromkeys(KINDS))
    assert not empty.facts and facts().facts
    write_facts(tmp_path / "d.csv", [empty])
    assert read_facts(tmp_path / "d.csv") == (empty,)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("avkd-facts-1", "avkd-scores-1", "line 1: not a facts file"),
        ("; 2 rows;", "; 3 rows;", "holds 2 rows but announces 3"),
        ("leading_silence_seconds", "silence", "line 2: the columns are not"),
        ("0.30000000000000004", "nan", "line 3: d/swap/0: leading_silence_seconds nan"),
        ("0.30000000000000004", "1e999", "not a finite number"),
        ("0.30000000000000004", "__import__('os')", "line 3: could not convert"),
        ('"d/swap/1",1', '"d/swap/1",0', "line 4: d/swap/1: method 'swap' with label 0"),
        ('"d/swap/1",1', '"d/swap/1",2', "label 2 is neither"),
        ('"d/swap/1"', '"d/swap/0"', "d/swap/0 occurs 2 times"),
        ('"h264",', '"h264",0,', "line 3"),
    ],
)
def test_a_hostile_or_broken_file_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = tmp_path / "d.csv"
    write_facts(path, [facts(), facts("d/swap/1")])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=r"d\.csv") as error:
        read_facts(path)
    assert told in str(error.value)


def test_presence_of_sound_is_yes_or_no(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    write_facts(path, [facts(has_sound=True)])
    cells = path.read_text().splitlines()
    row = cells[2].split(",")
    row[COLUMNS.index("has_sound")] = "7"
    path.write_text("\n".join([*cells[:2], ",".join(row)]) + "\n")
    with pytest.raises(ValueError, match="has_sound '7' is neither 0 nor 1"):
        read_facts(path)


@pytest.mark.parametrize(
    "change",
    [{"width": "640"}, {"codec": 3.0}, {"has_sound": 1.0}, {"width": True}, {"label": 0}],
)
def test_a_fact_of_another_kind_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="d/swap/0"):
        facts(**change)
