"""The curves of the robustness table: AUC from clean to the strongest severity, a panel for each.

Draws entries of the table and computes nothing. One panel for each perturbation, all on one scale,
so that any number of them stays readable; a line for each model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from avkd.reporting.figure import CHANCE, CHANCE_COLOUR, NARROWEST_INCHES, save, wrapped
from avkd.reporting.page_parts import Picture
from avkd.reporting.robustness_summary import CLEAN, MEAN, Entry, Robustness
from avkd.reporting.svg_picture import to_svg

# Okabe and Ito's palette, told apart with any common colour blindness; dashes and marks differ too.
_STYLES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "D"),
    ("#CC79A7", ":", "^"),
    ("#56B4E9", "-", "v"),
    ("#000000", "--", "P"),
    ("#E69F00", "-.", "X"),
)
MODELS_PER_FIGURE = len(_STYLES)
_MOST_BANDS = 2  # lines whose bands can still be told apart
_PER_LINE = 4
_PER_LONG_LINE, _LONG = 6, 12
_PANEL_WIDTH_INCHES, _PANEL_HEIGHT_INCHES, _MARGIN_INCHES = 2.15, 1.95, 0.95
_LONGEST_TITLE, _LONGEST_MODEL, _KEY_INCHES = 22, 36, 2.8


def draw_curves(tables: Sequence[Robustness], path: Path) -> tuple[Path, ...]:
    """Draw the curves of all forgeries of each dataset.

    Args:
        tables: of one or more models; those of single methods are left out.
        path: ``.png``, ``.svg`` or ``.pdf``; written atomically. Further datasets, and models
            beyond `MODELS_PER_FIGURE`, go to ``NAME_2.png`` and so on.

    Returns:
        The files that were written.

    Raises:
        ValueError: another file ending.
    """
    paths = []
    for number, shown in enumerate(_figures(tables), 1):
        paths.append(path if number == 1 else path.with_stem(f"{path.stem}_{number}"))
        figure = _figure(shown)
        FigureCanvasAgg(figure)
        save(figure, paths[-1])
    return tuple(paths)


def pictures(tables: Sequence[Robustness]) -> tuple[Picture, ...]:
    """The same drawings for the report page."""
    return tuple(
        Picture(svg=to_svg(_figure(shown)), caption=_caption(shown)) for shown in _figures(tables)
    )


def _figures(tables: Sequence[Robustness]) -> list[list[Robustness]]:
    """The tables of each figure: of one dataset, so many models."""
    of_dataset: dict[tuple[str, str], list[Robustness]] = {}
    for table in tables:
        if table.is_pooled:
            of_dataset.setdefault((table.dataset, table.split), []).append(table)
    return [
        group[first : first + MODELS_PER_FIGURE]
        for group in of_dataset.values()
        for first in range(0, len(group), MODELS_PER_FIGURE)
    ]


def _caption(tables: Sequence[Robustness]) -> str:
    bands = "Bands: 95 % intervals. " if len(tables) <= _MOST_BANDS else "Band: 95 % interval. "
    return (
        f"{_dataset(tables[0])}: AUC of {', '.join(table.model for table in tables)} from clean "
        f"files to the strongest severity; first the mean over the perturbations. {bands}"
        "Hollow marks: cells that lost more than 5 % of the files."
    )


def _dataset(table: Robustness) -> str:
    return f"{table.dataset} ({table.split})" if table.split else table.dataset


def _figure(tables: Sequence[Robustness]) -> Figure:
    names = (MEAN, *tables[0].perturbations)
    num_columns = min(len(names), _PER_LONG_LINE if len(names) > _LONG else _PER_LINE)
    num_lines = -(-len(names) // num_columns)
    width = max(num_columns * _PANEL_WIDTH_INCHES, NARROWEST_INCHES)
    height = _MARGIN_INCHES + num_lines * _PANEL_HEIGHT_INCHES
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(num_lines, num_columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(panels.flat):
        if place < len(names):
            _draw_panel(axes, tables, names[place])
            axes.tick_params(labelbottom=place + num_columns >= len(names))
        else:
            axes.set_axis_off()
    panels[0, 0].set_ylim(_lowest(tables), 101.0)
    figure.supylabel("AUC %", fontsize=9)
    figure.supxlabel("severity", fontsize=9)
    title = f"AUC under perturbation, {_dataset(tables[0])}"
    if len(tables) == 1:
        title = f"{tables[0].model}: {title}"
    title = wrapped(title, int(9 * width), lines=2)
    if len(tables) == 1:
        figure.suptitle(title, fontsize=11)
    else:
        figure.legend(
            handles=_key(tables),
            loc="outside upper center",
            ncols=min(len(tables), int(width / _KEY_INCHES)),
            title=title,
            title_fontsize=11,
            fontsize=9,
            frameon=False,
        )
    return figure


def _key(tables: Sequence[Robustness]) -> list[Line2D]:
    key = []
    for table, (colour, dash, mark) in zip(tables, _STYLES, strict=False):
        label = wrapped(table.model, _LONGEST_MODEL, lines=1)
        key.append(Line2D([], []))
        key[-1].set(color=colour, linestyle=dash, marker=mark, label=label)
    return key


def _lowest(tables: Sequence[Robustness]) -> float:
    """The lower end of the scale: below every line, and chance where it is near."""
    values = [CHANCE]
    for table in tables:
        for entry in table.entries:
            values += [v for v in (entry.auc.value, entry.interval.low) if v is not None]
    return 100.0 * math.floor(20.0 * min(values)) / 20.0 - 1.0


def _draw_panel(axes: Axes, tables: Sequence[Robustness], name: str) -> None:
    axes.axhline(100 * CHANCE, color=CHANCE_COLOUR, linestyle=(0, (1, 2)), linewidth=1.0)
    for table, style in zip(tables, _STYLES, strict=False):
        entries = [table.clean, *(table.at(name, severity) for severity in table.severities)]
        has_band = name == MEAN or len(tables) <= _MOST_BANDS
        _draw_line(axes, entries, [table.lost_many(e) for e in entries], style, has_band)
    if len(tables) == 1:
        _name_ends(axes, tables[0], name)
    is_mean = name == MEAN
    axes.set_title(
        wrapped("mean of all" if is_mean else name, _LONGEST_TITLE, lines=1),
        fontsize=9,
        fontweight="bold" if is_mean else "normal",
        pad=4,
    )
    severities = tables[0].severities
    axes.set_xticks([0, *severities], [CLEAN, *map(str, severities)], fontsize=8)
    axes.set_xlim(-0.4, severities[-1] + 0.4)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
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
    colour, dash, mark = style
    places = [entry.severity or 0 for entry in entries]
    # What is not defined is not a number, so that no line runs across it.
    values = [_percent(entry.auc.value) for entry in entries]
    axes.plot(places, values, color=colour, linestyle=dash, linewidth=1.6)
    if has_band:
        low = [_percent(entry.interval.low) for entry in entries]
        high = [_percent(entry.interval.high) for entry in entries]
        axes.fill_between(places, low, high, color=colour, alpha=0.16, linewidth=0)
    for place, value, hollow in zip(places, values, is_hollow, strict=True):
        face = "white" if hollow else colour
        axes.plot(place, value, mark, color=colour, markerfacecolor=face, markersize=4.5)


def _name_ends(axes: Axes, table: Robustness, name: str) -> None:
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
        color=_STYLES[0][0],
        path_effects=[withStroke(linewidth=2.0, foreground="white")],
    )


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value
