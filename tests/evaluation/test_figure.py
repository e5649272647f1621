"""The figure: drawn for any rows, and its marks stand where the numbers say."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from test_report import make_rows

from avkd.evaluation import figure


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


def test_marks_counts_and_chance_line_say_what_the_rows_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
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
