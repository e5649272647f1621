"""The diagram of stated probabilities: its marks stand where the numbers say."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_report import make_rows

from avkd.metrics.probability import reliability
from avkd.reporting import reliability_figure


def test_points_bars_and_counts_are_those_of_the_bins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    bins = reliability([0, 0, 1, 1, 1], [0.01, 0.03, 0.02, 0.5, 1.0])
    row = dataclasses.replace(make_rows()[2], reliability=bins)
    reliability_figure.draw_reliability([row], tmp_path / "r.png", title="t")
    upper, lower = drawn[0].axes
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
        for k in range(reliability_figure.DIAGRAMS_PER_PAGE + 1)
    ]
    path = tmp_path / "r.png"
    assert reliability_figure.draw_reliability(rows[3:], path, title="") == ()
    found = reliability_figure.draw_reliability([*rows, *many[1:]], path, title="$")
    assert [file.name for file in found] == ["r.png", "r_2.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in found)
