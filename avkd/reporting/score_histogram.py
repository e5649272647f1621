"""Histograms of the files' scores: each method's fakes over the reals of its dataset.

Knows logits and names. Every file is counted: what lies outside the drawn range is in the outermost
bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avkd.metrics.bootstrap import FloatArray, IntArray
from avkd.reporting.figure import LONGEST_NAME, METHOD_COLOUR, shortened
from avkd.reporting.svg_picture import to_svg

NUM_BINS = 32
_OUTSIDE = 0.005  # share of the files beyond either end of the drawn range
_LARGEST = 1e6  # of a logit that is told apart; any finite one may come
_WIDTH_INCHES, _PANEL_INCHES, _MARGIN_INCHES = 4.4, 0.72, 0.75
_REAL_COLOUR, _FAKE_COLOUR = "#C8CCD1", METHOD_COLOUR


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreHistogram:
    """Files in bins of equal width."""

    edges: FloatArray
    """(B + 1,) of the bins, ascending logits."""
    reals: IntArray
    """(B,) real files."""
    fakes: Mapping[str, IntArray]
    """(B,) fake files of each method, in the order of the table."""


def count_scores(reals: FloatArray, fakes: Mapping[str, FloatArray]) -> ScoreHistogram:
    """Count files in `NUM_BINS` bins between the outermost half per cent of all scores.

    Args:
        reals: (N,) logits of the real files, possibly none.
        fakes: (N,) logits of the files of each method.
    """
    every = np.clip(np.concatenate([reals, *fakes.values()]), -_LARGEST, _LARGEST)
    assert every.size, "no scored file"
    ends = np.quantile(every, [_OUTSIDE, 1.0 - _OUTSIDE])
    if ends[0] == ends[1]:
        ends += (-0.5, 0.5)
    edges = np.linspace(ends[0], ends[1], NUM_BINS + 1)

    def counts(logits: FloatArray) -> IntArray:
        return np.histogram(np.clip(logits, *ends), edges)[0].astype(np.int64)

    return ScoreHistogram(
        edges=edges,
        reals=counts(reals),
        fakes={method: counts(logits) for method, logits in fakes.items()},
    )


def histogram_svg(
    histogram: ScoreHistogram, methods: Sequence[str], threshold: float | None
) -> str:
    """One panel a method, one over the other on the same axis, as SVG text.

    Each panel shows shares of its own files, so that a few fakes can be seen beside many reals.

    Args:
        histogram: of the dataset.
        methods: those of it to draw, at least one.
        threshold: logit from which a file is called fake; None = not drawn.
    """
    assert methods
    height = _MARGIN_INCHES + _PANEL_INCHES * len(methods)
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    panels = figure.subplots(len(methods), 1, sharex=True, sharey=True, squeeze=False).flat
    for axes, method in zip(panels, methods, strict=True):
        _draw_panel(axes, histogram, method, threshold)
    tallest = max(_shares(counts).max() for counts in (histogram.reals, *histogram.fakes.values()))
    axes.set_ylim(0, 1.08 * tallest)  # of all methods, also those of another picture
    axes.tick_params(axis="x", bottom=True, labelsize=9)
    axes.set_xlabel("score of the file (logit)", fontsize=9)
    figure.supylabel("share of the files", fontsize=9)
    return to_svg(figure)


def _draw_panel(
    axes: Axes, histogram: ScoreHistogram, method: str, threshold: float | None
) -> None:
    counts = histogram.fakes[method]
    axes.stairs(_shares(histogram.reals), histogram.edges, fill=True, color=_REAL_COLOUR)
    axes.stairs(_shares(counts), histogram.edges, color=_FAKE_COLOUR, linewidth=1.4)
    if threshold is not None and histogram.edges[0] <= threshold <= histogram.edges[-1]:
        axes.axvline(threshold, color="black", linewidth=1.0, linestyle="--")
    title = f"{shortened(method, LONGEST_NAME)}   ({counts.sum()} files)"
    axes.set_title(title, fontsize=8.5, loc="left", pad=2)
    axes.set_yticks([])
    axes.tick_params(axis="x", bottom=False)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _shares(counts: IntArray) -> FloatArray:
    return np.asarray(counts / max(1, int(counts.sum())), dtype=np.float64)
