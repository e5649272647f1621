"""AUC with its interval, verdicts, stated probabilities of each dataset, and maps of numbers."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from avkd.metrics.bootstrap import FloatArray, Metric
from avkd.reporting.figures import canvas
from avkd.reporting.figures.canvas import (
    BLUE,
    CHANCE,
    CHANCE_COLOUR,
    LONGEST_NAME,
    ORANGE,
    open_axes,
    shortened,
    wrapped,
)
from avkd.reporting.summary import SummaryRow
from avkd.reporting.tables import ends_in_percent, percent

MATRICES_PER_FIGURE = 12
DIAGRAMS_PER_FIGURE = 6


def auc_figure(rows: Sequence[SummaryRow], title: str = "") -> Figure:
    """Dots with 95 % intervals, the chance line, and how many files each stands for.

    Of at least one row; those of a dataset stand together.
    """
    assert rows
    heights: list[float] = []
    for number, (_, group) in enumerate(groupby(rows, key=lambda row: (row.dataset, row.split))):
        heights += [len(heights) + place + 0.7 * number for place, _ in enumerate(group)]
    figure = Figure(figsize=(8.5, 1.6 + 0.36 * (heights[-1] + 1)), layout="constrained")
    axes = figure.add_subplot()
    for row, height in zip(rows, heights, strict=True):
        _draw_auc(axes, row, height)
    values = [v for row in rows for v in (row.auc.value, row.auc.interval.low) if v is not None]
    axes.set_xlim(min([CHANCE, *values]) - 0.02, 1.005)
    axes.set_ylim(heights[-1] + 0.7, -0.7)
    axes.axvline(CHANCE, color=CHANCE_COLOUR, linestyle="--", linewidth=1.6, zorder=1.5)
    axes.text(CHANCE, -0.75, "chance", ha="center", va="bottom", fontsize=9, color=CHANCE_COLOUR)
    names = [
        f"{shortened(row.dataset_title, LONGEST_NAME)} · {shortened(row.method, LONGEST_NAME)}"
        for row in rows
    ]
    axes.set_yticks(heights, names, fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("AUC over files with 95 % interval   (diamond: all forgeries of the dataset)")
    axes.set_title(shortened(title, 80), fontsize=12, pad=18)
    open_axes(axes, "left", grid="x")
    return figure


def _draw_auc(axes: Axes, row: SummaryRow, height: float) -> None:
    said = f"{row.num_scored}/{row.num_expected} scored"
    if row.auc.value is None:
        reason = f" {row.auc.reason}"
        axes.text(CHANCE, height, reason, va="center", fontsize=9, style="italic")
    else:
        said = f"{row.auc.value:.3f}   {said}"
        ink, mark = (ORANGE, "D") if row.is_pooled else (BLUE, "o")
        if (ends := row.auc.interval.ends) is not None:
            axes.plot(ends, [height] * 2, color=ink, linewidth=2.2, solid_capstyle="butt")
        axes.plot(row.auc.value, height, mark, color=ink, markersize=7, zorder=3)
    axes.annotate(
        said,
        (1.0, height),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        annotation_clip=False,
    )


def roc_image(false_positive_rate: FloatArray, true_positive_rate: FloatArray) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a ROC curve through (P,) rates that ascend from 0 to 1, for a log."""
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], linestyle="--", color=CHANCE_COLOUR, linewidth=1.0)
    axes.plot(false_positive_rate, true_positive_rate, color=BLUE, linewidth=2.0)
    axes.set(
        xlabel="real files called fake",
        ylabel="fake files called fake",
        xlim=(0, 1),
        ylim=(0, 1.01),
    )
    return canvas.pixels(figure)


def confusion_figures(rows: Sequence[SummaryRow], title: str = "") -> list[Figure]:
    """The confusion matrix of each dataset: truth by rows, verdict by columns.

    Each cell has its count and its share of the row; what is right is blue and what is wrong is
    orange, the deeper the larger the share. Only pooled rows with a threshold are drawn, at least
    one.
    """
    drawn = [row for row in rows if row.is_pooled and row.confusion is not None]
    assert drawn, "a confusion needs a threshold and a pooled row"
    figures = []
    for shown in canvas.batched(drawn, MATRICES_PER_FIGURE):
        figure, every = canvas.panels(len(shown), 4, 2.5, 2.95, header=0.8)
        for row, axes in zip(shown, every, strict=True):
            _draw_confusion(axes, row)
        figure.supxlabel("rows: truth, columns: verdict; % of the row", fontsize=9)
        figures.append(canvas.headed(figure, title))
    return figures


def _draw_confusion(axes: Axes, row: SummaryRow) -> None:
    c = row.confusion
    assert c is not None
    counts = np.array([[c.true_real, c.false_fake], [c.false_real, c.true_fake]])
    num_files = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(num_files, 1)
    hues = np.where(np.eye(2)[..., None] == 1, to_rgb(BLUE), to_rgb(ORANGE))
    grounds = 1.0 - shares[..., None] * (1.0 - hues)
    _draw_cells(
        axes,
        grounds,
        [[str(count) for count in line] for line in counts],
        [
            [f"{100 * share:.1f} %" if number else "none scored" for share in line]
            for line, (number,) in zip(shares, num_files, strict=True)
        ],
        sizes=(15, 9),
    )
    axes.set_xticks([0, 1], ["called real", "called fake"], fontsize=9)
    axes.set_yticks([0, 1], ["real", "fake"], fontsize=9, rotation=90, va="center")
    accuracy = row.values["accuracy"]
    said = accuracy.reason if accuracy.value is None else f"accuracy {100 * accuracy.value:.1f} %"
    axes.set_title(f"{_heading(row)}\n{said}", fontsize=10)


def reliability_figures(rows: Sequence[SummaryRow], title: str = "") -> list[Figure]:
    """The share of fake files among files of like P(fake), and how many they are, for each dataset.

    Only pooled rows with a scored file are drawn, possibly none.
    """
    drawn = [row for row in rows if row.is_pooled and any(row.reliability.num_files)]
    figures = []
    for shown in canvas.batched(drawn, DIAGRAMS_PER_FIGURE):
        figure, every = canvas.panels(len(shown), 3, 3.6, 4.4, header=0.8)
        for row, axes in zip(shown, every, strict=True):
            place = axes.get_subplotspec()
            assert place is not None
            halves = place.subgridspec(2, 1, height_ratios=[3, 1.4])
            axes.remove()
            _draw_reliability(figure.add_subplot(halves[0]), figure.add_subplot(halves[1]), row)
        figures.append(canvas.headed(figure, title))
    return figures


def _draw_reliability(upper: Axes, lower: Axes, row: SummaryRow) -> None:
    counts = np.array(row.reliability.num_files)
    # An empty bin is not a number, so that no line runs across it.
    stated = np.array(row.reliability.mean_probability, dtype=np.float64)
    shares = np.where(counts, np.array(row.reliability.num_fake) / np.maximum(counts, 1), np.nan)
    upper.plot([0, 1], [0, 1], linestyle="--", color=CHANCE_COLOUR, linewidth=1.0)
    upper.plot(stated, shares, "o-", color=BLUE, markersize=5, clip_on=False)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of fake files")
    error = row.values["expected_calibration_error"].value
    upper.set_title(f"{_heading(row)}\nECE {100 * (error or 0.0):.1f} %", fontsize=10)
    edges = np.linspace(0, 1, counts.size + 1)
    lower.bar(edges[:-1], counts, 1 / counts.size, align="edge", color="#BBBBBB", edgecolor="white")
    for left, count in zip(edges, counts, strict=False):
        middle = left + 0.5 / counts.size
        lower.text(middle, count, f" {count}", ha="center", va="bottom", rotation=90, fontsize=7)
    lower.set(xlim=(0, 1), ylim=(0, 1.6 * counts.max()), xlabel="stated P(fake)", ylabel="files")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    for axes in (upper, lower):
        open_axes(axes)


def _heading(row: SummaryRow) -> str:
    return wrapped(row.dataset_title, LONGEST_NAME, lines=2)


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[Metric]],
    *,
    marked: Sequence[tuple[int, int]] = (),
    titles: tuple[str, str],
    title: str = "",
) -> Figure:
    """A table of shares as a picture: numbers in percent, a colour for the distance from chance.

    Cells at chance (0.5) are white, better ones blue, worse ones orange.

    ``rows`` (R) and ``columns`` (C) name what a model was trained and tested on, ``titles`` what
    they are; ``shares`` are R x C numbers in [0, 1]; cells (row, column) that are ``marked`` get a
    frame.
    """
    width = 1.6 + 0.92 * len(columns)
    figure = Figure(figsize=(width, 1.5 + 0.56 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    _draw_cells(
        axes,
        np.array([[cell_colour(share.value) for share in line] for line in shares]),
        [["none" if s.value is None else percent(s) for s in line] for line in shares],
        [
            ["" if s.interval.ends is None else ends_in_percent(s.interval.ends, 0) for s in line]
            for line in shares
        ],
        sizes=(11, 7.5),
    )
    axes.set_aspect("auto")
    for row, column in marked:
        corner = column - 0.46, row - 0.46
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, linewidth=1.6))
    names = [wrapped(name, 14, lines=3) for name in columns]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    names = [wrapped(name, LONGEST_NAME * 3 // 4, lines=2) for name in rows]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(wrapped(titles[1], int(11 * width), lines=2), fontsize=9)
    axes.set_ylabel(wrapped(titles[0], 30, lines=2), fontsize=9)
    return canvas.headed(figure, title)


def cell_colour(value: float | None) -> FloatArray:
    """(3,) red, green, blue in [0, 1] of a cell: white at chance, grey for no number."""
    if value is None:
        return np.full(3, 0.93)
    hue = np.array(to_rgb(BLUE if value >= CHANCE else ORANGE))
    return np.asarray(1.0 - min(1.0, abs(value - CHANCE) / CHANCE) * (1.0 - hue))


def _draw_cells(
    axes: Axes,
    grounds: FloatArray,
    large: Sequence[Sequence[str]],
    small: Sequence[Sequence[str]],
    *,
    sizes: tuple[float, float],
) -> None:
    """Cells of (R, C, 3) colours, each with a number and, if not empty, a smaller line below."""
    axes.imshow(grounds)
    for row, column in np.ndindex(grounds.shape[:2]):
        ink = canvas.readable_on(grounds[row, column])
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
        up = 0.13 if small[row][column] else 0.0
        axes.text(column, row - up, large[row][column], fontsize=sizes[0], **style)
        axes.text(column, row + 0.25, small[row][column], fontsize=sizes[1], **style)
    for place in range(1, grounds.shape[0]):
        axes.axhline(place - 0.5, color="white", linewidth=3)
    for place in range(1, grounds.shape[1]):
        axes.axvline(place - 0.5, color="white", linewidth=3)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
