"""A table of numbers as a picture: one coloured cell each, with its number and its interval.

Draws shares between 0 and 1 around the chance level of an AUC; knows no model and no dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from avkd.metrics.bootstrap import FloatArray
from avkd.reporting.figure import CHANCE, LONGEST_NAME, readable_on, save, wrapped
from avkd.reporting.svg_picture import to_svg

_CELL_WIDTH_INCHES, _CELL_HEIGHT_INCHES = 0.92, 0.56
_NAMES_INCHES, _HEADER_INCHES = 1.6, 1.5
_BETTER_COLOUR, _WORSE_COLOUR = np.array([0, 114, 178]) / 255, np.array([213, 94, 0]) / 255


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """What is drawn: R rows, C columns, and a number or nothing in each cell."""

    title: str
    """Heading of the picture; empty = none."""
    rows: tuple[str, ...]
    """Names of the rows, e.g. of what a model was trained on; at least one."""
    columns: tuple[str, ...]
    """Names of the columns, e.g. of what it was tested on; at least one."""
    values: tuple[tuple[float | None, ...], ...]
    """R x C shares in [0, 1], e.g. AUCs; None where there is no number."""
    intervals: tuple[tuple[tuple[float, float] | None, ...], ...] = ()
    """R x C (low, high) of the values; empty = none is shown."""
    marked: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) with a frame, e.g. where a model meets its own training methods."""
    row_title: str = ""
    """What the rows are."""
    column_title: str = ""
    """What the columns are."""

    def __post_init__(self) -> None:
        assert self.rows and self.columns
        for table in filter(None, (self.values, self.intervals)):
            assert [len(line) for line in table] == [len(self.columns)] * len(self.rows), self.title


def heat_map(table: HeatMap) -> str:
    """The picture as SVG text for `page_parts.Picture`.

    Cells at chance (0.5) are white, better ones blue, worse ones orange, the deeper the further
    from chance; numbers are in percent.
    """
    return to_svg(_figure(table))


def draw_heat_map(table: HeatMap, path: Path) -> None:
    """Write the picture of `heat_map` to a file, atomically.

    Raises:
        ValueError: the ending is not ``.png``, ``.svg`` or ``.pdf``.
    """
    figure = _figure(table)
    FigureCanvasAgg(figure)
    save(figure, path)


def cell_colour(value: float) -> FloatArray:
    """(3,) red, green, blue in [0, 1] of a cell: white at chance, never fully dark."""
    hue = _BETTER_COLOUR if value >= CHANCE else _WORSE_COLOUR
    return np.asarray(1.0 - min(1.0, abs(value - CHANCE) / CHANCE) * (1.0 - hue))


def _figure(table: HeatMap) -> Figure:
    width = _NAMES_INCHES + _CELL_WIDTH_INCHES * len(table.columns)
    height = _HEADER_INCHES + _CELL_HEIGHT_INCHES * len(table.rows)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for row, values in enumerate(table.values):
        for column, value in enumerate(values):
            interval = table.intervals[row][column] if table.intervals else None
            _draw_cell(axes, row, column, value, interval)
    for row, column in sorted(table.marked):
        frame = Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, linewidth=1.6)
        axes.add_patch(frame)
    axes.set(xlim=(-0.5, len(table.columns) - 0.5), ylim=(len(table.rows) - 0.5, -0.5))
    names = [wrapped(name, 14, lines=3) for name in table.columns]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    names = [wrapped(name, LONGEST_NAME * 3 // 4, lines=2) for name in table.rows]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(wrapped(table.column_title, int(11 * width), lines=2), fontsize=9)
    axes.set_ylabel(wrapped(table.row_title, 30, lines=2), fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if table.title:
        figure.suptitle(wrapped(table.title, int(9 * width), lines=3), fontsize=11)
    return figure


def _draw_cell(
    axes: Axes, row: int, column: int, value: float | None, interval: tuple[float, float] | None
) -> None:
    colour = np.full(3, 0.93) if value is None else cell_colour(value)
    corner = column - 0.5, row - 0.5
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=tuple(colour), edgecolor="white", linewidth=2))
    ink = readable_on(colour)
    text = "none" if value is None else f"{100 * value:.1f}"
    place = row if interval is None or value is None else row - 0.13
    axes.text(column, place, text, ha="center", va="center", fontsize=11, color=ink)
    if interval is not None and value is not None:
        low, high = (f"{100 * end:.0f}" for end in interval)
        small = f"[{low}, {high}]"
        axes.text(column, row + 0.25, small, ha="center", va="center", fontsize=7.5, color=ink)
