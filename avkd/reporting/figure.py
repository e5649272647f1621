"""The figures of a report: AUC with its interval for each row, and the verdicts of each dataset.

It draws summary rows and computes nothing but shares.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avkd import durable
from avkd.metrics.bootstrap import FloatArray
from avkd.metrics.verdicts import Confusion
from avkd.reporting.summary import SummaryRow
from avkd.reporting.svg_picture import to_svg
from avkd.reporting.table_text import one_line

CHANCE = 0.5
Panel = TypeVar("Panel")

# Okabe and Ito's palette, told apart with any common colour blindness; shape and fill differ too.
METHOD_COLOUR, _POOLED_COLOUR, CHANCE_COLOUR = "#0072B2", "#D55E00", "#333333"
_ROW_INCHES, _MARGIN_INCHES, _WIDTH_INCHES = 0.36, 1.35, 8.5
_GAP_ROWS = 0.7  # between datasets
LONGEST_NAME = 28

MATRICES_PER_PAGE = 12
_MATRICES_PER_LINE = 4
_PANEL_WIDTH_INCHES, _PANEL_HEIGHT_INCHES, HEADER_INCHES = 2.5, 2.95, 0.8
NARROWEST_INCHES = 4.4  # one matrix alone still needs room for the heading
_RIGHT_COLOUR, _WRONG_COLOUR = np.array([0, 114, 178]) / 255, np.array([213, 94, 0]) / 255
_BRIGHTNESS = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue, Rec. 709
_DARK_BELOW = 0.42  # brightness below which white text has more contrast than black


def draw_auc(rows: Sequence[SummaryRow], path: Path, *, title: str) -> None:
    """Draw dots with 95 % intervals, the chance line, and how many files each stands for.

    Args:
        rows: of any number of datasets, each dataset's rows together; at least one.
        path: ``.png``, ``.svg`` or ``.pdf``; written atomically.
        title: heading of the figure.

    Raises:
        ValueError: another file ending.
    """
    figure = _auc_figure(rows, title)
    FigureCanvasAgg(figure)
    save(figure, path)


def auc_svg(rows: Sequence[SummaryRow]) -> str:
    """The drawing of `draw_auc` as SVG text, without a heading."""
    return to_svg(_auc_figure(rows, ""))


def _auc_figure(rows: Sequence[SummaryRow], title: str) -> Figure:
    assert rows
    positions = _positions(rows)
    height = _MARGIN_INCHES + _ROW_INCHES * (positions[-1] + 1)
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    for row, position in zip(rows, positions, strict=True):
        _draw_row(axes, row, position)
    _dress(axes, rows, positions, title)
    return figure


def draw_confusion(rows: Sequence[SummaryRow], path: Path, *, title: str) -> tuple[Path, ...]:
    """Draw the confusion matrix of each dataset: truth by rows, verdict by columns.

    Each cell has its count and its share of the row; what is right is blue and what is wrong is
    orange, the deeper the larger the share.

    Args:
        rows: as `summary.summarise` gives them with a threshold; only the pooled ones are drawn,
            at least one.
        path: ``.png``, ``.svg`` or ``.pdf``; written atomically. After `MATRICES_PER_PAGE` matrices
            comes a second file, ``NAME_2.png``, and so on.
        title: heading of the figure.

    Returns:
        The files that were written.

    Raises:
        ValueError: another file ending.
    """
    drawn = [(row, row.confusion) for row in rows if row.is_pooled and row.confusion is not None]
    assert drawn, "a confusion needs a threshold and a pooled row"
    return draw_pages(_draw_matrices, drawn, path, title, MATRICES_PER_PAGE)


def confusion_svg(row: SummaryRow) -> str:
    """The confusion matrix of one row as SVG text.

    Args:
        row: made with a threshold.
    """
    assert row.confusion is not None, "a confusion needs a threshold"
    return to_svg(_matrices_figure([(row, row.confusion)], ""))


def roc_image(false_positive_rate: FloatArray, true_positive_rate: FloatArray) -> np.ndarray:
    """A ROC curve as a picture for a training log.

    Args:
        false_positive_rate: (P,) ascending from 0 to 1.
        true_positive_rate: (P,) at the same thresholds.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    figure = Figure(figsize=(4, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], linestyle="--", color=CHANCE_COLOUR, linewidth=1.0)
    axes.plot(false_positive_rate, true_positive_rate, color=METHOD_COLOUR, linewidth=2.0)
    axes.set(xlabel="reals called fake", ylabel="fakes called fake", xlim=(0, 1), ylim=(0, 1.01))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _positions(rows: Sequence[SummaryRow]) -> list[float]:
    """Heights of the rows, with a gap between datasets."""
    positions, height = [], 0.0
    for _, group in groupby(rows, key=lambda row: (row.dataset, row.split)):
        for _ in group:
            positions.append(height)
            height += 1.0
        height += _GAP_ROWS
    return positions


def _draw_row(axes: Axes, row: SummaryRow, position: float) -> None:
    colour = _POOLED_COLOUR if row.is_pooled else METHOD_COLOUR
    if row.auc.value is None:
        axes.text(CHANCE, position, f" {row.auc.reason}", va="center", fontsize=9, style="italic")
        return
    low, high = row.auc_interval.low, row.auc_interval.high
    if low is not None and high is not None:
        axes.plot([low, high], [position] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
    marker = "D" if row.is_pooled else "o"
    axes.plot(row.auc.value, position, marker, color=colour, markersize=7, zorder=3)


def _dress(axes: Axes, rows: Sequence[SummaryRow], positions: list[float], title: str) -> None:
    values = [v for row in rows for v in (row.auc.value, row.auc_interval.low) if v is not None]
    axes.set_xlim(min([CHANCE, *values]) - 0.02, 1.005)
    axes.set_ylim(positions[-1] + 0.7, -0.7)
    axes.axvline(CHANCE, color=CHANCE_COLOUR, linestyle="--", linewidth=1.6, zorder=1.5)
    axes.text(CHANCE, -0.75, "chance", ha="center", va="bottom", fontsize=9, color=CHANCE_COLOUR)
    axes.set_yticks(positions, [_name(row) for row in rows], fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("AUC over files with 95 % interval   (diamond: all forgeries of the dataset)")
    axes.set_title(shortened(title, 80), fontsize=12, pad=18)
    axes.grid(axis="x", color="#D9D9D9", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for row, position in zip(rows, positions, strict=True):
        axes.annotate(
            _counts(row),
            (1.0, position),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            annotation_clip=False,
        )


def _counts(row: SummaryRow) -> str:
    value = "" if row.auc.value is None else f"{row.auc.value:.3f}   "
    expected = row.expected_real + row.expected_fake
    return f"{value}{row.num_real + row.num_fake}/{expected} scored"


def _name(row: SummaryRow) -> str:
    dataset = f"{row.dataset} ({row.split})" if row.split else row.dataset
    return f"{shortened(dataset, LONGEST_NAME)} · {shortened(row.method, LONGEST_NAME)}"


def shortened(text: str, longest: int) -> str:
    """``text`` on one line, bounded, and without matplotlib's formula sign."""
    text = one_line(text).replace("$", r"\$")
    return text if len(text) <= longest else text[: longest - 3] + "..."


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically.

    Raises:
        ValueError: the ending is not ``.png``, ``.svg`` or ``.pdf``.
    """
    file_format = path.suffix.lower().lstrip(".")
    if file_format not in ("png", "svg", "pdf"):
        raise ValueError(f"{path}: a figure must end in .png, .svg or .pdf")
    with durable.replacing(path) as temporary:
        figure.savefig(temporary, format=file_format, dpi=150)


def draw_pages(
    draw: Callable[[Sequence[Panel], Path, str], None],
    drawn: Sequence[Panel],
    path: Path,
    title: str,
    per_page: int,
) -> tuple[Path, ...]:
    """Draw ``per_page`` panels to a file: ``path``, then ``NAME_2`` and so on."""
    paths = []
    for first in range(0, len(drawn), per_page):
        page = first // per_page + 1
        paths.append(path if page == 1 else path.with_stem(f"{path.stem}_{page}"))
        draw(drawn[first : first + per_page], paths[-1], title)
    return tuple(paths)


def _draw_matrices(drawn: Sequence[tuple[SummaryRow, Confusion]], path: Path, title: str) -> None:
    figure = _matrices_figure(drawn, title)
    FigureCanvasAgg(figure)
    save(figure, path)


def _matrices_figure(drawn: Sequence[tuple[SummaryRow, Confusion]], title: str) -> Figure:
    num_columns = min(len(drawn), _MATRICES_PER_LINE)
    num_lines = -(-len(drawn) // num_columns)
    width = max(num_columns * _PANEL_WIDTH_INCHES, NARROWEST_INCHES)
    height = HEADER_INCHES + num_lines * _PANEL_HEIGHT_INCHES
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(num_lines, num_columns, squeeze=False).flat
    for (row, confusion), axes in zip(drawn, panels, strict=False):
        _draw_matrix(axes, row, confusion)
    for axes in list(panels):  # what is left of the last line
        axes.set_axis_off()
    if title:
        figure.suptitle(wrapped(title, int(9 * width), lines=3), fontsize=12)
    figure.supxlabel("rows: truth, columns: verdict; % of the row", fontsize=9)
    return figure


def _draw_matrix(axes: Axes, row: SummaryRow, confusion: Confusion) -> None:
    counts = np.array(
        [
            [confusion.true_real, confusion.false_fake],
            [confusion.false_real, confusion.true_fake],
        ]
    )
    num_files = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(num_files, 1)
    hues = np.where(np.eye(2)[..., None] == 1, _RIGHT_COLOUR, _WRONG_COLOUR)
    colours = 1.0 - shares[..., None] * (1.0 - hues)
    axes.imshow(colours)
    for (truth, verdict), count in np.ndenumerate(counts):
        share = f"{100 * shares[truth, verdict]:.1f} %" if num_files[truth, 0] else "none scored"
        colour = readable_on(colours[truth, verdict])
        axes.text(verdict, truth - 0.1, f"{count}", ha="center", fontsize=15, color=colour)
        axes.text(verdict, truth + 0.22, share, ha="center", fontsize=9, color=colour)
    axes.set_xticks([0, 1], ["called real", "called fake"], fontsize=9)
    axes.set_yticks([0, 1], ["real", "fake"], fontsize=9, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.axhline(0.5, color="white", linewidth=3)
    axes.axvline(0.5, color="white", linewidth=3)
    accuracy = row.values["accuracy"].reason
    if row.values["accuracy"].value is not None:
        accuracy = f"accuracy {100 * row.values['accuracy'].value:.1f} %"
    axes.set_title(f"{heading(row)}\n{accuracy}", fontsize=10)


def readable_on(colour: FloatArray) -> str:
    """The colour of writing on a ground of (3,) red, green and blue in [0, 1]."""
    return "white" if colour @ _BRIGHTNESS < _DARK_BELOW else "black"


def heading(row: SummaryRow) -> str:
    """Name of the row's dataset over a panel."""
    dataset = f"{row.dataset} ({row.split})" if row.split else row.dataset
    return wrapped(dataset, LONGEST_NAME, lines=2)


def wrapped(text: str, longest: int, *, lines: int) -> str:
    """``text`` on so many lines at most, each bounded; names break after an underscore too."""
    text = one_line(text).replace("_", "_ ")
    parts = textwrap.wrap(text, longest, max_lines=lines, placeholder="...")
    return "\n".join(part.replace("_ ", "_").replace("$", r"\$") for part in parts)
