"""The figures: drawn for any rows, and their marks stand where the numbers say."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from test_report import make_rows

from avkd.metrics.verdicts import Confusion
from avkd.reporting import figure
from avkd.reporting.summary import SummaryRow


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_figure_is_written_whole(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"auc.{ending}"
    figure.draw_auc(make_rows(method="$x_{ odd"), path, title="AUC $ of {all}")
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(heads[ending])
    assert list(tmp_path.iterdir()) == [path]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"auc\.docx.*\.png"):
        figure.draw_auc(make_rows(), tmp_path / "auc.docx", title="")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    return figures


def test_marks_counts_and_chance_line_say_what_the_rows_say(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    rows = make_rows()
    figure.draw_auc(rows, tmp_path / "auc.png", title="t")
    (axes,) = drawn[0].axes
    dots = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", "D")]
    assert dots == [row.auc.value for row in rows if row.auc.value is not None]
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2.2]
    assert bars == [(r.auc_interval.low, r.auc_interval.high) for r in rows if r.auc.value]
    assert any(list(line.get_xdata()) == [0.5, 0.5] for line in axes.lines)
    texts = " ".join(text.get_text() for text in axes.texts)
    assert "60/61 scored" in texts
    assert "no scored file" in texts
    assert len(axes.get_yticks()) == len(rows)


def confusion_row(dataset: str, confusion: Confusion) -> SummaryRow:
    row = make_rows()[2]
    return dataclasses.replace(row, dataset=dataset, split="", confusion=confusion)


def test_a_matrix_has_truth_by_rows_and_verdicts_by_columns(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    """Transposed, it would trade the accused reals for the missed fakes."""
    row = confusion_row("d", Confusion(true_real=70, false_fake=30, false_real=20, true_fake=180))
    figure.draw_confusion([row], tmp_path / "c.png", title="t")
    (axes,) = drawn[0].axes
    cells = {
        (round(x), round(y)): text.get_text()
        for text in axes.texts
        for x, y in [text.get_position()]
        if "%" not in text.get_text()
    }
    assert cells == {(0, 0): "70", (1, 0): "30", (0, 1): "20", (1, 1): "180"}
    shares = [text.get_text() for text in axes.texts if "%" in text.get_text()]
    assert shares == ["70.0 %", "30.0 %", "10.0 %", "90.0 %"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["called real", "called fake"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["real", "fake"]
    image = axes.images[0].get_array()
    (right, wrong), (missed, caught) = image
    assert right[2] > right[0] and caught[2] > caught[0]  # blue
    assert wrong[0] > wrong[2] and missed[0] > missed[2]  # orange
    assert caught.sum() < right.sum() < 3.0  # the larger share is the deeper


def test_each_pooled_row_is_one_matrix_and_the_rest_of_the_line_is_empty(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    rows = make_rows()
    figure.draw_confusion(rows, tmp_path / "c.png", title="t")
    titles = [axes.get_title() for axes in drawn[0].axes]
    accuracy = f"accuracy {100 * rows[2].values['accuracy'].value:.1f} %"
    assert titles == [f"celebdf (test)\n{accuracy}", "lonely\nno scored file"]
    lonely = [text.get_text() for text in drawn[0].axes[1].texts]
    assert lonely == ["0", "none scored"] * 4
    six = [confusion_row(f"d{k}", Confusion(1, 0, 0, 1)) for k in range(6)]
    figure.draw_confusion(six, tmp_path / "c.png", title="t")
    assert [axes.axison for axes in drawn[1].axes] == [True] * 6 + [False] * 2


def test_after_twelve_matrices_comes_a_second_page(tmp_path: Path) -> None:
    rows = [confusion_row(f"d{k}", Confusion(1, 0, 0, 1)) for k in range(13)]
    paths = figure.draw_confusion(rows, tmp_path / "confusion.png", title="t")
    assert [path.name for path in paths] == ["confusion.png", "confusion_2.png"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_long_and_odd_names_stay_inside_their_matrix(tmp_path: Path, drawn: list[Figure]) -> None:
    name = "deepfake_and_real_images_$x_{_of_a_very_long_folder_name_indeed"
    row = confusion_row(name, Confusion(1, 0, 0, 1))
    figure.draw_confusion([row] * 4, tmp_path / "c.png", title=name * 9)
    drawn[0].canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in drawn[0].axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    heading = drawn[0].get_suptitle().count("\n") + 1
    assert heading <= 3
    assert "deepfake_and_real_images_" in drawn[0].axes[0].get_title()
    assert "..." in drawn[0].axes[0].get_title()


def test_a_matrix_to_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"c\.docx.*\.png"):
        figure.draw_confusion(make_rows(), tmp_path / "c.docx", title="")
