"""P(fake) of each face of a file over time, and the faces themselves at telling moments."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avkd.reporting.figures import canvas
from avkd.reporting.figures.canvas import open_axes, panels, shortened

_COLOURS = (canvas.ORANGE, canvas.BLUE, canvas.GREEN, canvas.PINK, canvas.SKY)

Line = Sequence[tuple[float, float]]
"""(seconds, value) of one face, in order of time."""


def timeline_figure(
    faces: Mapping[str, Line],
    threshold: float,
    uncertain: tuple[float, float],
    further: Mapping[str, Mapping[str, Line]] | None = None,
) -> Figure:
    """A line for each face, the threshold, and the band about it in which nothing is said.

    Args:
        faces: P(fake) of the windows of each face, by its name.
        threshold: P(fake) from which on a file counts as fake.
        uncertain: P(fake) between which files are called uncertain.
        further: By what they show, lines of the same faces on a scale of their own, drawn below.
    """
    further = further or {}
    figure = Figure(figsize=(8.5, 2.6 + 1.3 * len(further)), layout="constrained")
    heights = [2.0, *[1.0] * len(further)]
    rows = figure.subplots(
        len(heights), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    rows[0].axhspan(*uncertain, color=canvas.GRID_COLOUR, zorder=0)
    rows[0].axhline(threshold, color=canvas.CHANCE_COLOUR, linestyle="--", linewidth=1.2, zorder=1)
    rows[0].set_ylim(-0.03, 1.03)
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(faces)}
    for axes, (title, lines) in zip(rows, {"P(fake)": faces, **further}.items(), strict=True):
        for name, line in lines.items():
            _draw_line(axes, shortened(name, 20), line, colours[name], marked=lines is faces)
        axes.set_ylabel(title)
        open_axes(axes, grid="y")
    rows[-1].set_xlabel("seconds")
    return figure


def _draw_line(axes: Axes, name: str, line: Line, colour: str, *, marked: bool) -> None:
    seconds, values = zip(*line, strict=True)
    axes.plot(seconds, values, color=colour, linewidth=1.4, marker="o" if marked else "", ms=3.5)
    axes.annotate(
        name,
        (seconds[-1], values[-1]),
        textcoords="offset points",
        xytext=(6, 0),
        va="center",
        fontsize=9,
        color=colour,
    )


def moments_figure(moments: Sequence[tuple[np.ndarray, np.ndarray | None, str]]) -> Figure:
    """Pictures side by side, a caption under each; with heat maps laid over a second row.

    Of at least one (s, s, 3) uint8 RGB, its (s, s) heat map in [0, 1] or None, and its caption.
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
