"""Figures to files and pages: the same bytes every time; names and colours as all figures have."""

import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avkd import durable
from avkd.reporting.page import Picture
from avkd.reporting.tables import masked, one_line

Item = TypeVar("Item")
CHANCE = 0.5
# Okabe and Ito's palette, told apart with any common colour blindness; shape and fill differ too.
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"),
)
CHANCE_COLOUR, GRID_COLOUR = "#333333", "#E3E3E3"
LONGEST_NAME = 28
NARROWEST_INCHES = 4.4  # one panel alone still needs room for the heading

# Letters stay letters, so that names in any script are drawn by the reader's own font. Without a
# fixed salt the ids of markers and clips are drawn anew in every process.
_SVG_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "avkd", "svg.fonttype": "none"}
_BRIGHTNESS = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue, Rec. 709
_DARK_BELOW = 0.42  # brightness below which white text has more contrast than black


def picture(figure: Figure, caption: str) -> Picture:
    """A figure for the page."""
    FigureCanvasSVG(figure)
    text = io.StringIO()
    with matplotlib.rc_context(_SVG_SETTINGS), warnings.catch_warnings():
        # Only the measuring font lacks the letters of such a name; the reader's will draw them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(text, format="svg", metadata={"Date": None})
    # A control character of a name would make it no XML at all.
    svg = "\n".join(map(masked, text.getvalue().split("\n")))
    return Picture(svg=svg, caption=caption)


def save(figures: Figure | Sequence[Figure], path: Path) -> tuple[Path, ...]:
    """Write figures atomically: to ``path``, then ``NAME_2`` and so on.

    Returns:
        The files that were written.

    Raises:
        ValueError: the ending is not ``.png``, ``.svg`` or ``.pdf``.
    """
    file_format = path.suffix.lower().lstrip(".")
    if file_format not in ("png", "svg", "pdf"):
        raise ValueError(f"{path}: a figure must end in .png, .svg or .pdf")
    paths = []
    for number, figure in enumerate([figures] if isinstance(figures, Figure) else figures, 1):
        paths.append(path if number == 1 else path.with_stem(f"{path.stem}_{number}"))
        FigureCanvasAgg(figure)
        with durable.replacing(paths[-1]) as temporary:
            figure.savefig(temporary, format=file_format, dpi=150)
    return tuple(paths)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def panels(
    number: int, per_line: int, width: float, height: float, *, header: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels of (width, height) inches, and its axes line by line."""
    columns = min(number, per_line)
    lines = -(-number // columns)
    size = max(columns * width, NARROWEST_INCHES), header + lines * height
    figure = Figure(figsize=size, layout="constrained")
    every = list(figure.subplots(lines, columns, squeeze=False, **options).flat)
    for axes in every[number:]:
        axes.set_axis_off()
    return figure, every[:number]


def batched(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """The items in parts of at most so many, for a figure each."""
    return [items[first : first + most] for first in range(0, len(items), most)]


def open_axes(axes: Axes, *sides: str, grid: Literal["x", "y", "both"] | None = None) -> None:
    """Take away the frame at the top, at the right, and at further ``sides``.

    ``grid`` draws lines behind everything at the ticks of one axis or ``both``.
    """
    axes.spines[["top", "right", *sides]].set_visible(False)
    if grid is not None:
        axes.grid(axis=grid, color=GRID_COLOUR, linewidth=0.7)
        axes.set_axisbelow(True)


def headed(figure: Figure, title: str) -> Figure:
    """The figure with its heading, if any, wrapped to its width."""
    if title:
        width = int(9 * figure.get_figwidth())
        figure.suptitle(wrapped(title, width, lines=3), fontsize=12)
    return figure


def readable_on(ground: NDArray[np.float64]) -> str:
    """The colour of writing on a ground of (3,) red, green and blue in [0, 1]."""
    return "white" if ground @ _BRIGHTNESS < _DARK_BELOW else "black"


def shortened(text: str, longest: int) -> str:
    """``text`` on one line, bounded, and without matplotlib's formula sign."""
    text = one_line(text).replace("$", r"\$")
    return text if len(text) <= longest else text[: longest - 3] + "..."


def wrapped(text: str, longest: int, *, lines: int) -> str:
    """``text`` on so many lines at most, each bounded; names break after an underscore too."""
    text = one_line(text).replace("_", "_ ")
    parts = textwrap.wrap(text, longest, max_lines=lines, placeholder="...")
    return "\n".join(part.replace("_ ", "_").replace("$", r"\$") for part in parts)
