"""The scores file is the ground of every number: nothing may be lost, bent or silently absent."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from avkd.reporting import scores
from avkd.reporting.scores import ClipScore, read_scores, unscored, write_scores

ODD_NAMES = [
    'quote " and , comma',
    "line\nbreak\r\nand lone\rreturn",
    "-x.mp4",
    "# not a comment",
    "=1+1",
    "\U0001f600 smile \u202e reversed",
    "undecodable \udcff byte",
    " spaces ",
    "nan",
    "1e5",
]


def make_score(sample_id: str = "a", **changes: object) -> ClipScore:
    fields: dict = {
        "sample_id": sample_id,
        "label": 1,
        "dataset": "d",
        "method": "swap",
        "split": "test",
        "window": 0,
        "start_frame": 0,
        "num_frames": 25,
        "logit": 1.5,
        "probability": 0.75,
    }
    return ClipScore(**{**fields, **changes})


def test_rows_come_back_equal_with_every_bit_of_every_float(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        make_score(str(k), logit=float(logit), probability=float(random.random()))
        for k, logit in enumerate(random.standard_normal(200) * 10.0 ** random.integers(-300, 9))
    ]
    rows.append(make_score("single", logit=float(np.float32(0.1)), probability=5e-324))
    rows.append(make_score("zero", logit=-0.0, probability=0.0))
    write_scores(tmp_path / "s.csv", rows)
    back = read_scores(tmp_path / "s.csv")
    assert [repr(row) for row in back] == [repr(row) for row in rows]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_and_messages_survive(tmp_path: Path, name: str) -> None:
    rows = [
        make_score(name, dataset=name, method=name, split=name, group=name),
        unscored(
            sample_id=name + "2",
            label=0,
            dataset=name,
            method="real",
            split="",
            status="no_face",
            message=name,
        ),
    ]
    write_scores(tmp_path / "s.csv", rows)
    assert read_scores(tmp_path / "s.csv") == tuple(rows)


def test_a_numpy_single_is_written_as_the_number_it_is(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.csv", [make_score(logit=np.float32(0.1), probability=0.5)])
    assert read_scores(tmp_path / "s.csv")[0].logit == float(np.float32(0.1))


def test_the_file_says_what_label_and_probability_mean(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.csv", [])
    first = (tmp_path / "s.csv").read_text().splitlines()[0]
    assert first.startswith("#")
    assert "label 1 = fake" in first
    assert "probability = P(fake)" in first
    assert read_scores(tmp_path / "s.csv") == ()


def test_an_unscored_file_is_a_row_with_its_reason(tmp_path: Path) -> None:
    row = unscored(
        sample_id="a",
        label=1,
        dataset="d",
        method="swap",
        split="test",
        status="no_face",
        message="no face in 250 frames",
    )
    assert (row.window, row.num_frames, row.logit, row.probability) == (-1, 0, None, None)
    assert not row.is_scored
    write_scores(tmp_path / "s.csv", [row])
    assert read_scores(tmp_path / "s.csv") == (row,)


@pytest.mark.parametrize(
    "changes",
    [
        {"logit": None},
        {"logit": float("nan")},
        {"logit": float("inf")},
        {"probability": None},
        {"probability": 1.1},
        {"probability": float("nan")},
        {"label": 2},
        {"label": 0},
        {"method": "real"},
        {"status": "no_face"},
        {"status": ""},
        {"window": -1},
        {"num_frames": 0},
    ],
)
def test_a_row_that_contradicts_itself_cannot_be_made(changes: dict) -> None:
    with pytest.raises(ValueError, match="a: "):
        make_score(**changes)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"ok"', '"no_face"', 5),
        (",1.5,", ",x,", 5),
        (",1.5,", ",nan,", 5),
        (",1.5,", ",1.5,1.5,", 5),
        ('"label"', '"class"', 2),
        ("avkd-scores-1", "avkd-scores-9", 1),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_line(
    tmp_path: Path, old: str, new: str, line: int
) -> None:
    path = tmp_path / "s.csv"
    write_scores(path, [make_score("two\nlines", logit=0.0), make_score("b")])
    start, found, rest = path.read_text().rpartition(old)  # the last row stands on line 5
    assert found
    path.write_text(start + new + rest)
    with pytest.raises(ValueError, match=rf"s\.csv, line {line}:"):
        read_scores(path)


def test_a_file_cut_between_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write_scores(path, [make_score("a"), make_score("b")])
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match="holds 1 rows but announces 2"):
        read_scores(path)


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write_scores(path, [make_score("a")])

    def rows():
        yield make_score("b")
        raise RuntimeError("model died")

    with pytest.raises(RuntimeError, match="model died"):
        write_scores(path, rows())
    assert [row.sample_id for row in read_scores(path)] == ["a"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.csv"]


def test_the_columns_are_the_fields() -> None:
    assert [field.name for field in dataclasses.fields(ClipScore)] == list(scores.COLUMNS)
