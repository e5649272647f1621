"""The scores file is the ground of every number: nothing may be lost, bent or silently absent."""

import dataclasses
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
from factories import make_head

from avkd.models.calibration import Calibration
from avkd.reporting import scores
from avkd.reporting.scores import (
    ClipScore,
    ScoresHead,
    read_head,
    read_scores,
    write_scores,
)

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


def vars_of(row: ClipScore) -> dict:
    return {name: getattr(row, name) for name in scores.COLUMNS}


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
    write_scores(tmp_path / "s.csv", make_head(), rows)
    back = read_scores(tmp_path / "s.csv")
    assert [repr(row) for row in back] == [repr(row) for row in rows]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_and_messages_survive(tmp_path: Path, name: str) -> None:
    rows = [
        make_score(name, dataset=name, method=name, split=name, group=name),
        ClipScore(
            sample_id=name + "2",
            label=0,
            dataset=name,
            method="real",
            split="",
            status="no_face",
            message=name,
        ),
    ]
    write_scores(tmp_path / "s.csv", make_head(), rows)
    assert read_scores(tmp_path / "s.csv") == tuple(rows)


def test_a_numpy_single_is_written_as_the_number_it_is(tmp_path: Path) -> None:
    write_scores(
        tmp_path / "s.csv", make_head(), [make_score(logit=np.float32(0.1), probability=0.5)]
    )
    assert read_scores(tmp_path / "s.csv")[0].logit == float(np.float32(0.1))


def test_the_file_says_what_label_and_probability_mean(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.csv", make_head(), [])
    first = (tmp_path / "s.csv").read_text().splitlines()[0]
    assert first.startswith("#")
    assert "label 1 = fake" in first
    assert "probability = P(fake)" in first
    assert read_scores(tmp_path / "s.csv") == ()


def test_an_unscored_file_is_a_row_with_its_reason(tmp_path: Path) -> None:
    row = ClipScore(
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
    write_scores(tmp_path / "s.csv", make_head(), [row])
    assert read_scores(tmp_path / "s.csv") == (row,)


@pytest.mark.parametrize(
    "changes",
    [
        {"logit": None},
        {"logit": float("nan")},
        {"logit": float("inf")},
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
        ('"ok"', '"no_face"', 6),
        (",1.5,", ",x,", 6),
        (",1.5,", ",nan,", 6),
        (",1.5,", ",1.5,1.5,", 6),
        ('"label"', '"class"', 3),
        ('"windows"', '"window"', 2),
        ('"detector"', '"magic"', 2),
        ('"mean_logit"', "[1]", 2),
        ('{"avkd_version"', '{"avkd', 2),
        ("avkd-scores-2", "avkd-scores-9", 1),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_line(
    tmp_path: Path, old: str, new: str, line: int
) -> None:
    path = tmp_path / "s.csv"
    write_scores(path, make_head(), [make_score("two\nlines", logit=0.0), make_score("b")])
    start, found, rest = path.read_text().rpartition(old)  # the last row stands on line 6
    assert found
    path.write_text(start + new + rest)
    with pytest.raises(ValueError, match=rf"s\.csv, line {line}:"):
        read_scores(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """A disk that filled up, a copy that broke off: fewer rows would be a better number."""
    path = tmp_path / "s.csv"
    write_scores(path, make_head(), [make_score("a"), make_score("two\nlines"), make_score("b")])
    whole = path.read_bytes()
    for length in range(len(whole) - 1):  # without its last line feed it is whole
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"s\.csv"):
            read_scores(path)


@pytest.mark.parametrize(
    ("lost", "added", "told"),
    [
        (slice(-2, -1), "", "holds 1 rows but announces 2"),
        (slice(-1, None), "", "cut short after 2 rows"),
        (slice(0), '"more",1\n', "something after its end"),
    ],
)
def test_the_last_line_counts_the_rows(tmp_path: Path, lost: slice, added: str, told: str) -> None:
    path = tmp_path / "s.csv"
    write_scores(path, make_head(), [make_score("a"), make_score("b")])
    lines = path.read_text().splitlines(keepends=True)
    assert lines[-1] == "# end; 2 rows\n"
    del lines[lost]
    path.write_text("".join(lines) + added)
    with pytest.raises(ValueError, match=told):
        read_scores(path)


def test_a_sample_called_like_the_last_line_is_a_row(tmp_path: Path) -> None:
    rows = [make_score("# end; 1 rows", message="# end; 1 rows"), make_score("b")]
    write_scores(tmp_path / "s.csv", make_head(), rows)
    assert read_scores(tmp_path / "s.csv") == tuple(rows)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_head_comes_back_equal(tmp_path: Path, name: str) -> None:
    head = make_head(model=name, command=name, preprocessing_text=name, protocol=name)
    write_scores(tmp_path / "s.csv", head, [make_score()])
    assert read_head(tmp_path / "s.csv") == head


def test_a_head_of_before_calibrations_were_told_knows_none() -> None:
    curve = Calibration(kind="isotonic", knots=((-1.0, 0.2), (1.0, 0.9)))
    text = make_head(calibration=curve).to_json()
    assert ScoresHead.from_json(text) == make_head(calibration=curve)
    assert make_head(calibration=curve).in_words["calibration"] == "isotonic"
    assert make_head().in_words["calibration"] == ""
    values = json.loads(text)
    del values["calibration"]
    assert ScoresHead.from_json(json.dumps(values)) == make_head()
    with pytest.raises(ValueError, match="calibration"):
        ScoresHead.from_json(json.dumps({**values, "calibration": {"kind": "none"}}))
    with pytest.raises(ValueError, match="calibration"):
        make_head(calibration="platt")


def test_what_editors_do_to_the_file_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    rows = (make_score("a"), make_score("b"))
    write_scores(path, make_head(), rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_scores(path) == rows
    assert read_head(path) == make_head()


def test_a_file_without_a_head_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("# avkd-scores-1; 1 rows; label 1 = fake\n")
    with pytest.raises(ValueError, match=r"s\.csv: avkd-scores-1 .* score the corpus again"):
        read_scores(tmp_path / "s.csv")


def test_rows_are_written_one_by_one(tmp_path: Path) -> None:
    """A test set of any size: the writer may not hold them all."""
    held: list[int] = []

    class Watched(ClipScore):  # counts how many of it are alive
        __slots__ = ("__weakref__",)

    alive: weakref.WeakSet = weakref.WeakSet()

    def rows():
        for number in range(200):
            row = Watched(**vars_of(make_score(str(number))))
            alive.add(row)
            held.append(len(alive))
            yield row

    write_scores(tmp_path / "s.csv", make_head(), rows())
    assert max(held) <= 3
    whole = (tmp_path / "s.csv").read_bytes()
    (tmp_path / "s.csv").write_bytes(whole[: whole.rindex(b'"150"')])
    with pytest.raises(ValueError, match="cut short after 150 rows"):
        read_scores(tmp_path / "s.csv")


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write_scores(path, make_head(), [make_score("a")])

    def rows():
        yield make_score("b")
        raise RuntimeError("model died")

    with pytest.raises(RuntimeError, match="model died"):
        write_scores(path, make_head(), rows())
    assert [row.sample_id for row in read_scores(path)] == ["a"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.csv"]


def test_the_columns_are_the_fields() -> None:
    assert [field.name for field in dataclasses.fields(ClipScore)] == list(scores.COLUMNS)
