"""P(fake) of each face of a file over time, and the faces themselves at telling moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from avkd.reporting.figures import canvas
from avkd.reporting.figures.canvas import open_axes, panels, shortened

_COLOURS = (canvas.ORANGE, canvas.BLUE, canvas.GREEN, canvas.PINK, canvas.SKY)


def timeline_figure(
    faces: Mapping[str, Sequence[tuple[float, float, float]]],
    threshold: float,
    half_width: float,
) -> Figure:
    """A line for each face, the threshold, and the band about it in which nothing is said.

    Args:
        faces: by name, the windows of a face in order: (start, end) in seconds and P(fake).
        threshold: P(fake) from which on a file counts as fake.
        half_width: of the band of uncertain verdicts.
    """
    figure = Figure(figsize=(8.5, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.axhspan(threshold - half_width, threshold + half_width, color=canvas.GRID_COLOUR, zorder=0)
    axes.axhline(threshold, color=canvas.CHANCE_COLOUR, linestyle="--", linewidth=1.2, zorder=1)
    for number, (name, windows) in enumerate(faces.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        middles = [(start + end) / 2 for start, end, _ in windows]
        values = [value for _, _, value in windows]
        axes.plot(middles, values, color=colour, linewidth=1.4, marker="o", markersize=3.5)
        axes.annotate(
            shortened(name, 20),
            (middles[-1], values[-1]),
            textcoords="offset points",
            xytext=(6, 0),
            va="center",
            fontsize=9,
            color=colour,
        )
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("seconds")
    axes.set_ylabel("P(fake)")
    axes.grid(axis="y", color=canvas.GRID_COLOUR)
    axes.set_axisbelow(True)
    open_axes(axes)
    return figure


def moments_figure(moments: Sequence[tuple[np.ndarray, np.ndarray | None, str]]) -> Figure:
    """Pictures side by side, a caption under each; with heat maps laid over a second row.

    Args:
        moments: (s, s, 3) uint8 RGB, its (s, s) heat map in [0, 1] or None, and its caption; at
            least one.
    """
    assert moments
    plain = [(picture, None, caption) for picture, _, caption in moments]
    shown = (*plain, *(moment for moment in moments if moment[1] is not None))
    per_line = min(6, len(moments))
    figure, every = panels(len(shown), per_line, 1.6, 1.95, header=0.1)
    for axes, (picture, heat, caption) in zip(every, shown, strict=True):
        axes.imshow(picture, interpolation="nearest")
        if heat is not None:
            axes.imshow(heat, cmap="inferno", vmin=0.0, vmax=1.0, alpha=0.65 * heat)
        axes.set_title(caption, fontsize=9, y=-0.2)
        axes.set_axis_off()
    return figure
