"""A matplotlib figure as the text of an SVG drawing, the same bytes whenever it is drawn.

Knows figures, not what they show. Letters stay letters: the reader's browser sets them in its own
font, so that names in any script can be read, searched and copied, and a drawing stays small.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Without a fixed salt the ids of markers and clips are drawn anew in every process.
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "avkd", "svg.fonttype": "none"}
_NO_DATE = {"Date": None}


def to_svg(figure: Figure) -> str:
    """The whole drawing as SVG text, without a date."""
    FigureCanvasSVG(figure)
    text = io.StringIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # Only the measuring font lacks the letters of such a name; the reader's will draw them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(text, format="svg", metadata=_NO_DATE)
    # A control character of a name would make it no XML at all.
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text.getvalue())
