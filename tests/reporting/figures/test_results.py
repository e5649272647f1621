"""AUCs, verdicts, stated probabilities and heat maps: marks stand where the numbers say."""

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_rows
from matplotlib.figure import Figure

from avkd.metrics.bootstrap import Interval, Metric
from avkd.metrics.probability import reliability
from avkd.metrics.verdicts import Confusion
from avkd.reporting.figures.canvas import pixels, save
from avkd.reporting.figures.results import (
    DIAGRAMS_PER_FIGURE,
    auc_figure,
    cell_colour,
    confusion_figures,
    heat_map,
    reliability_figures,
)
from avkd.reporting.summary import SummaryRow


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_figure_is_written_whole(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"auc.{ending}"
    assert save(auc_figure(make_rows(method="$x_{ odd"), "AUC $ of {all}"), path) == (path,)
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(heads[ending])
    assert list(tmp_path.iterdir()) == [path]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"auc\.docx.*\.png"):
        save(auc_figure(make_rows()), tmp_path / "auc.docx")


def test_marks_counts_and_chance_line_say_what_the_rows_say() -> None:
    rows = make_rows()
    (axes,) = auc_figure(rows, "t").axes
    dots = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", "D")]
    assert dots == [row.auc.value for row in rows if row.auc.value is not None]
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 2.2]
    assert bars == [(r.auc.interval.low, r.auc.interval.high) for r in rows if r.auc.value]
    assert any(list(line.get_xdata()) == [0.5, 0.5] for line in axes.lines)
    texts = " ".join(text.get_text() for text in axes.texts)
    assert "60/61 scored" in texts
    assert "no scored file" in texts
    assert len(axes.get_yticks()) == len(rows)


def confusion_row(dataset: str, confusion: Confusion) -> SummaryRow:
    row = make_rows()[2]
    return dataclasses.replace(row, dataset=dataset, split="", confusion=confusion)


def test_a_matrix_has_truth_by_rows_and_verdicts_by_columns() -> None:
    """Transposed, it would trade the accused reals for the missed fakes."""
    row = confusion_row("d", Confusion(true_real=70, false_fake=30, false_real=20, true_fake=180))
    (axes,) = confusion_figures([row], "t")[0].axes
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


def test_each_pooled_row_is_one_matrix_and_the_rest_of_the_line_is_empty() -> None:
    rows = make_rows()
    (figure,) = confusion_figures(rows, "t")
    titles = [axes.get_title() for axes in figure.axes]
    accuracy = f"accuracy {100 * rows[2].values['accuracy'].value:.1f} %"
    assert titles == [f"celebdf (test)\n{accuracy}", "lonely\nno scored file"]
    lonely = [text.get_text() for text in figure.axes[1].texts]
    assert lonely == ["0", "none scored"] * 4
    six = [confusion_row(f"d{k}", Confusion(1, 0, 0, 1)) for k in range(6)]
    (figure,) = confusion_figures(six, "t")
    assert [axes.axison for axes in figure.axes] == [True] * 6 + [False] * 2


def test_after_twelve_matrices_comes_a_second_page(tmp_path: Path) -> None:
    rows = [confusion_row(f"d{k}", Confusion(1, 0, 0, 1)) for k in range(13)]
    paths = save(confusion_figures(rows, "t"), tmp_path / "confusion.png")
    assert [path.name for path in paths] == ["confusion.png", "confusion_2.png"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_long_and_odd_names_stay_inside_their_matrix() -> None:
    name = "deepfake_and_real_images_$x_{_of_a_very_long_folder_name_indeed"
    row = confusion_row(name, Confusion(1, 0, 0, 1))
    (figure,) = confusion_figures([row] * 4, name * 9)
    pixels(figure)
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    heading = figure.get_suptitle().count("\n") + 1
    assert heading <= 3
    assert "deepfake_and_real_images_" in figure.axes[0].get_title()
    assert "..." in figure.axes[0].get_title()


def test_points_bars_and_counts_are_those_of_the_bins() -> None:
    bins = reliability([0, 0, 1, 1, 1], [0.01, 0.03, 0.02, 0.5, 1.0])
    row = dataclasses.replace(make_rows()[2], reliability=bins)
    upper, lower = reliability_figures([row], "t")[0].axes
    (points,) = (line for line in upper.lines if line.get_marker() == "o")
    places = np.array(points.get_data()).T
    assert places[np.isfinite(places[:, 1])] == pytest.approx(
        np.array([[0.02, 1 / 3], [0.5, 1.0], [1.0, 1.0]])
    )
    assert len(places) == 15, "a line must not run across an empty bin"
    assert [bar.get_height() for bar in lower.patches] == list(bins.num_files)
    assert [int(text.get_text()) for text in lower.texts] == list(bins.num_files)


def test_each_pooled_row_has_a_diagram_and_what_was_not_scored_has_none(tmp_path: Path) -> None:
    rows = make_rows()  # of three methods and two datasets, one without a score
    many = [
        dataclasses.replace(rows[2], dataset=f"$d_{k}$", split="")
        for k in range(DIAGRAMS_PER_FIGURE + 1)
    ]
    assert reliability_figures(rows[3:]) == []
    found = save(reliability_figures([*rows, *many[1:]], "$"), tmp_path / "r.png")
    assert [file.name for file in found] == ["r.png", "r_2.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in found)


def made_up_map() -> Figure:
    return heat_map(
        ["one", "two"],
        ["x", "y", "z"],
        [
            [Metric(0.9, interval=Interval(0.8, 0.95)), Metric(0.5), Metric(None)],
            [Metric(0.2), Metric(1.0, interval=Interval(0.99, 1.0)), Metric(0.7)],
        ],
        marked=[(1, 2)],
        titles=("trained on", "tested on"),
        title="t",
    )


def test_a_cell_has_its_number_its_interval_and_the_colour_of_its_side_of_chance() -> None:
    (axes,) = made_up_map().axes
    texts = [(t.get_position(), t.get_text()) for t in axes.texts if t.get_text()]
    places = {(round(x), y): text for (x, y), text in texts}
    numbers = {place: text for place, text in places.items() if not text.startswith("[")}
    assert {(x, round(y)): text for (x, y), text in numbers.items()} == {
        **{(0, 0): "90.0", (1, 0): "50.0", (2, 0): "none"},
        **{(0, 1): "20.0", (1, 1): "100.0", (2, 1): "70.0"},
    }
    assert sorted(t for t in places.values() if t.startswith("[")) == ["[80, 95]", "[99, 100]"]
    assert cell_colour(0.5).tolist() == [1.0, 1.0, 1.0]
    better, worse = cell_colour(0.8), cell_colour(0.2)
    assert better[2] > better[0] and worse[0] > worse[2]
    image = axes.images[0].get_array()
    assert np.allclose(image[1, 0], worse) and np.allclose(image[0, 1], 1.0)
    assert cell_colour(0.95).sum() < better.sum()
    frames = [patch.get_xy() for patch in axes.patches if not patch.get_fill()]
    assert np.allclose(frames, [(1.54, 0.54)])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("tested on", "trained on")


def test_a_heat_map_is_written_as_a_picture_too(tmp_path: Any) -> None:
    save(made_up_map(), tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"map\.docx"):
        save(made_up_map(), tmp_path / "map.docx")
