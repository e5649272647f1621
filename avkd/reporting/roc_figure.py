"""ROC and DET curves of one dataset: all forgeries with their band, each method as a thin line.

Draws curves and computes nothing but the axes. A DET curve has the same points as the ROC curve on
axes of normal deviates, where two normal distributions give a straight line: Martin et al.,
Eurospeech 1997.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avkd.reporting.figure import CHANCE_COLOUR, METHOD_COLOUR, shortened
from avkd.reporting.roc_band import RocBand, RocCurve, deviates
from avkd.reporting.svg_picture import to_svg

DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
_DET_ENDS = 0.0008, 0.97
_WIDTH_INCHES, _AXES_INCHES, _LEGEND_LINE_INCHES = 4.4, 4.3, 0.19
_COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
_DASHES = ("-", "--", ":", "-.")
MOST_NAMED = len(_COLOURS) * len(_DASHES)
"""Methods beyond it share one thin grey line style and no name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnCurves:
    """What both pictures of a dataset show."""

    pooled: RocCurve
    """Of all its forgeries."""
    pooled_name: str
    """Their name."""
    band: RocBand | None
    """Of ``pooled``; None where nothing can be drawn again."""
    methods: tuple[tuple[str, RocCurve], ...]
    """Names and curves of the methods; none where there is one only."""
    operating_point: tuple[float, float] | None
    """False-positive and true-positive rate at the validation threshold; None without one."""


def roc_svg(curves: DrawnCurves) -> str:
    """The ROC curves as SVG text."""
    figure, axes = _figure(curves)
    axes.plot([0, 1], [0, 1], linestyle="--", color=CHANCE_COLOUR, linewidth=0.9)
    if curves.band is not None:
        band = curves.band
        _fill(axes, band.false_positive, band.low, band.high)
    for curve, style in _styled(curves):
        axes.plot(curve.false_positive, curve.true_positive, **style)
    if curves.operating_point is not None:
        _mark(axes, *curves.operating_point)
    ticks = np.linspace(0, 1, 6)
    names = [f"{100 * tick:.0f}" for tick in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="reals called fake, FPR %", ylabel="fakes called fake, TPR %")
    return _finished(figure, axes)


def det_svg(curves: DrawnCurves) -> str:
    """The DET curves as SVG text: missed fakes over accused reals, lower left is better."""
    figure, axes = _figure(curves)
    low, high = deviates(np.array(_DET_ENDS))
    axes.plot([-high, high], [high, -high], linestyle="--", color=CHANCE_COLOUR, linewidth=0.9)
    axes.plot([low, high], [low, high], linestyle=":", color=CHANCE_COLOUR, linewidth=0.9)
    if curves.band is not None:
        band = curves.band
        missed = [deviates(1.0 - rate) for rate in (band.low, band.high)]
        _fill(axes, deviates(band.false_positive), *missed)
    for curve, style in _styled(curves):
        axes.plot(deviates(curve.false_positive), deviates(1.0 - curve.true_positive), **style)
    if curves.operating_point is not None:
        false_positive, true_positive = curves.operating_point
        point = np.clip(deviates(np.array([false_positive, 1.0 - true_positive])), low, high)
        _mark(axes, *point)
    ticks = deviates(np.array(DET_TICKS))
    names = [f"{100 * tick:g}" for tick in DET_TICKS]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(xlabel="reals called fake, FPR %", ylabel="fakes called real, FNR %")
    return _finished(figure, axes)


def _figure(curves: DrawnCurves) -> tuple[Figure, Axes]:
    named = 1 + min(len(curves.methods), MOST_NAMED) + (curves.operating_point is not None)
    height = _AXES_INCHES + _LEGEND_LINE_INCHES * -(-named // 2)
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _styled(curves: DrawnCurves) -> list[tuple[RocCurve, dict[str, Any]]]:
    """Curves in the order of drawing, the pooled one last and on top, named first."""
    styled: list[tuple[RocCurve, dict[str, Any]]] = []
    for place, (name, curve) in enumerate(curves.methods):
        style: dict[str, Any] = {"linewidth": 1.1, "color": "#AAAAAA"}
        if place < MOST_NAMED:
            dash, colour = divmod(place, len(_COLOURS))
            style |= {"color": _COLOURS[colour], "linestyle": _DASHES[dash]}
            style["label"] = shortened(name, 24)
        styled.append((curve, style))
    pooled = {"linewidth": 2.2, "color": METHOD_COLOUR, "zorder": 3}
    styled.append((curves.pooled, pooled | {"label": shortened(curves.pooled_name, 24)}))
    return styled


def _fill(axes: Axes, across: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    axes.fill_between(across, low, high, color=METHOD_COLOUR, alpha=0.2, linewidth=0)


def _mark(axes: Axes, across: float, up: float) -> None:
    style: dict[str, Any] = {"markersize": 7, "markeredgecolor": "white", "color": "black"}
    axes.plot(across, up, "o", label="validation threshold", clip_on=False, zorder=4, **style)


def _finished(figure: Figure, axes: Axes) -> str:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower left", ncols=2, fontsize=8, frameon=False, handlelength=2
    )
    return to_svg(figure)
