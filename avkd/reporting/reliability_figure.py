"""The figure of stated probabilities: are the files called 0.8 fake in four cases of five?

Draws summary rows and computes nothing but shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from avkd.reporting.figure import (
    CHANCE_COLOUR,
    HEADER_INCHES,
    METHOD_COLOUR,
    NARROWEST_INCHES,
    draw_pages,
    heading,
    save,
    wrapped,
)
from avkd.reporting.summary import SummaryRow
from avkd.reporting.svg_picture import to_svg

DIAGRAMS_PER_PAGE = 6
_PER_LINE = 3
_WIDTH_INCHES, _HEIGHT_INCHES = 3.6, 4.4


def draw_reliability(rows: Sequence[SummaryRow], path: Path, *, title: str) -> tuple[Path, ...]:
    """Draw, for each dataset, the share of fakes among files of like P(fake), and their numbers.

    Args:
        rows: as `summary.summarise` gives them; only pooled ones with a scored file are drawn.
        path: as in `figure.draw_confusion`, with `DIAGRAMS_PER_PAGE` diagrams to a file.
        title: heading of the figure.

    Returns:
        The files that were written; none where nothing was scored.

    Raises:
        ValueError: another file ending.
    """
    drawn = [row for row in rows if row.is_pooled and any(row.reliability.num_files)]
    return draw_pages(_draw_diagrams, drawn, path, title, DIAGRAMS_PER_PAGE)


def reliability_svg(row: SummaryRow) -> str:
    """The diagram of one row with a scored file as SVG text."""
    assert any(row.reliability.num_files), row.dataset
    return to_svg(_diagrams_figure([row], ""))


def _draw_diagrams(drawn: Sequence[SummaryRow], path: Path, title: str) -> None:
    figure = _diagrams_figure(drawn, title)
    FigureCanvasAgg(figure)
    save(figure, path)


def _diagrams_figure(drawn: Sequence[SummaryRow], title: str) -> Figure:
    num_columns = min(len(drawn), _PER_LINE)
    num_lines = -(-len(drawn) // num_columns)
    width = max(num_columns * _WIDTH_INCHES, NARROWEST_INCHES)
    height = HEADER_INCHES + num_lines * _HEIGHT_INCHES
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(
        2 * num_lines, num_columns, squeeze=False, height_ratios=[3, 1.4] * num_lines
    )
    for place in range(num_lines * num_columns):
        line, column = divmod(place, num_columns)
        upper, lower = panels[2 * line, column], panels[2 * line + 1, column]
        if place < len(drawn):
            _draw_reliability(upper, lower, drawn[place])
        else:
            upper.set_axis_off()
            lower.set_axis_off()
    if title:
        figure.suptitle(wrapped(title, int(9 * width), lines=3), fontsize=12)
    return figure


def _draw_reliability(upper: Axes, lower: Axes, row: SummaryRow) -> None:
    counts = np.array(row.reliability.num_files)
    # An empty bin is not a number, so that no line runs across it.
    stated = np.array(row.reliability.mean_probability, dtype=np.float64)
    shares = np.where(counts, np.array(row.reliability.num_fake) / np.maximum(counts, 1), np.nan)
    upper.plot([0, 1], [0, 1], linestyle="--", color=CHANCE_COLOUR, linewidth=1.0)
    upper.plot(stated, shares, "o-", color=METHOD_COLOUR, markersize=5, clip_on=False)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of fakes")
    error = row.values["expected_calibration_error"].value
    upper.set_title(f"{heading(row)}\nECE {100 * (error or 0.0):.1f} %", fontsize=10)
    edges = np.linspace(0, 1, counts.size + 1)
    lower.bar(edges[:-1], counts, 1 / counts.size, align="edge", color="#BBBBBB", edgecolor="white")
    for left, count in zip(edges, counts, strict=False):
        middle = left + 0.5 / counts.size
        lower.text(middle, count, f" {count}", ha="center", va="bottom", rotation=90, fontsize=7)
    lower.set(xlim=(0, 1), ylim=(0, 1.6 * counts.max()), xlabel="stated P(fake)", ylabel="files")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
