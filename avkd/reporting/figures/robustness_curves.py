"""AUC from clean files to the strongest severity: a panel for each perturbation, all on one scale.

One line for each model.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from avkd.reporting.figures import canvas
from avkd.reporting.figures.canvas import BLUE, CHANCE, CHANCE_COLOUR, wrapped
from avkd.reporting.robustness_summary import CLEAN, MEAN, Entry, Robustness

_STYLES = (
    *((BLUE, "-", "o"), (canvas.ORANGE, "--", "s"), (canvas.GREEN, "-.", "D")),
    *((canvas.PINK, ":", "^"), (canvas.SKY, "-", "v"), ("#000000", "--", "P")),
    (canvas.YELLOW, "-.", "X"),
)
MODELS_PER_FIGURE = len(_STYLES)
_MOST_BANDS = 2  # lines whose bands can still be told apart


def robustness_figures(tables: Sequence[Robustness]) -> list[tuple[Figure, str]]:
    """Figures of all forgeries of each dataset, `MODELS_PER_FIGURE` models each, with captions."""
    of_dataset: dict[str, list[Robustness]] = {}
    for table in tables:
        if table.is_pooled:
            of_dataset.setdefault(table.dataset_title, []).append(table)
    return [
        (_figure(group), _caption(group))
        for tables in of_dataset.values()
        for group in canvas.batched(tables, MODELS_PER_FIGURE)
    ]


def _caption(tables: Sequence[Robustness]) -> str:
    bands = "Bands: 95 % intervals. " if len(tables) <= _MOST_BANDS else "Band: 95 % interval. "
    return (
        f"{tables[0].dataset_title}: AUC of {', '.join(table.model for table in tables)} from "
        f"clean files to the strongest severity; first the mean over the perturbations. {bands}"
        "Hollow marks: cells that lost more than 5 % of the files."
    )


def _figure(tables: Sequence[Robustness]) -> Figure:
    names = (MEAN, *tables[0].perturbations)
    per_line = 6 if len(names) > 12 else 4
    shared = {"sharex": True, "sharey": True}
    figure, every = canvas.panels(len(names), per_line, 2.15, 1.95, header=0.95, **shared)
    for place, (axes, name) in enumerate(zip(every, names, strict=True)):
        _draw_panel(axes, tables, name)
        axes.tick_params(labelbottom=place + min(len(names), per_line) >= len(names))
    every[0].set_ylim(_lowest(tables), 101.0)
    figure.supylabel("AUC %", fontsize=9)
    figure.supxlabel("severity", fontsize=9)
    title = f"AUC under perturbation, {tables[0].dataset_title}"
    if len(tables) == 1:
        return canvas.headed(figure, f"{tables[0].model}: {title}")
    width, key = figure.get_figwidth(), []
    for table, (ink, dash, mark) in zip(tables, _STYLES, strict=False):
        line: dict[str, Any] = {"color": ink, "linestyle": dash, "marker": mark}
        key.append(Line2D([], [], label=wrapped(table.model, 36, lines=1), **line))
    figure.legend(
        handles=key,
        loc="outside upper center",
        ncols=min(len(tables), int(width / 2.8)),
        title=wrapped(title, int(9 * width), lines=2),
        title_fontsize=11,
        fontsize=9,
        frameon=False,
    )
    return figure


def _lowest(tables: Sequence[Robustness]) -> float:
    """The lower end of the scale: below every line, and chance where it is near."""
    entries = [entry for table in tables for entry in table.entries]
    values = [v for e in entries for v in (e.auc.value, e.auc.interval.low) if v is not None]
    return 100.0 * math.floor(20.0 * min([CHANCE, *values])) / 20.0 - 1.0


def _draw_panel(axes: Axes, tables: Sequence[Robustness], name: str) -> None:
    axes.axhline(100 * CHANCE, color=CHANCE_COLOUR, linestyle=(0, (1, 2)), linewidth=1.0)
    for table, style in zip(tables, _STYLES, strict=False):
        entries = [table.clean, *(table.at(name, severity) for severity in table.severities)]
        has_band = name == MEAN or len(tables) <= _MOST_BANDS
        _draw_line(axes, entries, [table.lost_many(e) for e in entries], style, has_band)
    if len(tables) == 1:
        _name_end(axes, tables[0], name)
    is_mean = name == MEAN
    title = wrapped("mean of all" if is_mean else name, 22, lines=1)
    axes.set_title(title, fontsize=9, fontweight="bold" if is_mean else "normal", pad=4)
    severities = tables[0].severities
    axes.set_xticks([0, *severities], [CLEAN, *map(str, severities)], fontsize=8)
    axes.set_xlim(-0.4, severities[-1] + 0.4)
    axes.tick_params(axis="y", labelsize=8)
    canvas.open_axes(axes, grid="y")
    if is_mean:
        axes.set_facecolor("#F5F5F5")
        axes.text(0, 100 * CHANCE, "chance", va="bottom", fontsize=7, color=CHANCE_COLOUR)


def _draw_line(
    axes: Axes,
    entries: Sequence[Entry],
    is_hollow: Sequence[bool],
    style: tuple[str, str, str],
    has_band: bool,
) -> None:
    ink, dash, mark = style
    places = [entry.severity or 0 for entry in entries]
    aucs = [(e.auc.value, e.auc.interval.low, e.auc.interval.high) for e in entries]
    # What is not defined is not a number, so that no line runs across it.
    values, low, high = 100 * np.array(aucs, dtype=np.float64).T
    axes.plot(places, values, color=ink, linestyle=dash, linewidth=1.6)
    if has_band:
        axes.fill_between(places, low, high, color=ink, alpha=0.16, linewidth=0)
    for place, value, hollow in zip(places, values, is_hollow, strict=True):
        face = "white" if hollow else ink
        axes.plot(place, value, mark, color=ink, markerfacecolor=face, markersize=4.5)


def _name_end(axes: Axes, table: Robustness, name: str) -> None:
    """The number at the strongest severity, where there is one line to name."""
    end = table.at(name, table.severities[-1])
    if end.auc.value is None or end.severity is None:
        return
    axes.annotate(
        f"{100 * end.auc.value:.1f}",
        (end.severity, 100 * end.auc.value),
        xytext=(0, -5),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=8,
        color=BLUE,
        path_effects=[withStroke(linewidth=2.0, foreground="white")],
    )
