"""ROC and DET curves with their bootstrap band, and histograms of scores, of one dataset.

A DET curve has the points of the ROC curve on axes of normal deviates, where two normal
distributions give a straight line: Martin et al., Eurospeech 1997.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri

from avkd.metrics.bootstrap import FloatArray, IntArray, Resampling, missing_class
from avkd.metrics.ranking import checked, roc_curve
from avkd.reporting.figures.canvas import (
    BLUE,
    CHANCE_COLOUR,
    GREEN,
    GRID_COLOUR,
    LONGEST_NAME,
    ORANGE,
    PINK,
    SKY,
    YELLOW,
    batched,
    open_axes,
    picture,
    shortened,
)
from avkd.reporting.page import Picture
from avkd.reporting.score_frame import (
    against_reals,
    forgeries,
    groups_of,
    labels_and_logits,
)
from avkd.reporting.scores import REAL_METHOD
from avkd.reporting.summary import SummaryRow, Threshold

Curve = tuple[FloatArray, FloatArray]
"""(P,) share of the real files called fake, ascending from 0 to 1, and (P,) of the fake ones."""

MOST_POINTS = 500
DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
NUM_BINS = 32
_MOST_DEVIATES = 4.5  # a rate of 3 in a million
# Fine where the curve is steep on either kind of axes: evenly spaced rates, and normal deviates.
GRID = np.unique(np.concatenate([np.linspace(0, 1, 81), ndtr(np.linspace(-3.5, 3.5, 71))]))

_COLOURS, _DASHES = (ORANGE, GREEN, PINK, YELLOW, SKY, "#666666"), ("-", "--", ":", "-.")
MOST_NAMED = len(_COLOURS) * len(_DASHES)
"""Methods beyond it share one thin grey line style and no name."""
_PANELS_PER_PICTURE = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """What both pictures of a dataset show."""

    pooled: Curve
    """Of all its forgeries."""
    pooled_name: str
    """Their name."""
    band: tuple[FloatArray, FloatArray, FloatArray] | None
    """As `roc_band` of ``pooled``; None where nothing can be drawn again."""
    methods: Mapping[str, Curve]
    """Curves of the methods by name; none where there is one only."""
    operating_point: tuple[float, float] | None
    """False-positive and true-positive rate at the validation threshold; None without one."""


def thin_roc(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """The ROC curve of (N,) labels and logits with at most `MOST_POINTS` of its own corners."""
    false_positive, true_positive = roc_curve(labels, scores)
    kept = _corners(false_positive, true_positive)
    return false_positive[kept], true_positive[kept]


def roc_band(
    labels: ArrayLike, scores: ArrayLike, plan: Resampling
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where the curve lies in 95 % of the draws, at each false-positive rate for itself.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        scores: (N,) raw logits.
        plan: of the same files; draws of the same kind as those of the AUC's interval.

    Returns:
        `GRID` of false-positive rates, and both ends of the true-positive rate there.
    """
    assert not plan.reason, plan.reason
    labels, scores = checked(labels, scores)
    kept = _corners(*roc_curve(labels, scores))
    # Corner k calls fake what is among the k highest distinct scores.
    place = np.unique(-scores, return_inverse=True)[1].reshape(-1)
    level = np.searchsorted(kept, place, side="right") - 1
    cell = labels * (kept.size - 1) + level  # real files at each level, then fake files
    rates = []
    for counts in _drawn_counts(plan, cell, 2 * (kept.size - 1)):
        sums = np.cumsum(counts.reshape(len(counts), 2, -1), axis=2)
        curves = np.pad(sums / sums[:, :, -1:], ((0, 0), (0, 0), (1, 0)))
        rates += [np.interp(GRID, *curve) for curve in curves]
    low, high = np.quantile(np.stack(rates), [0.025, 0.975], axis=0)
    return GRID, low, high


def _corners(false_positive: FloatArray, true_positive: FloatArray) -> IntArray:
    """Numbers of the corners to draw: evenly along the curve on both kinds of axes together."""
    rates = np.stack([false_positive, true_positive])
    steps = np.abs(np.diff(rates)).sum(axis=0) + np.abs(np.diff(deviates(rates))).sum(axis=0) / 10
    along = np.append(0.0, np.cumsum(steps))
    if along.size <= MOST_POINTS:
        return np.arange(along.size)
    return np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS)))


def deviates(rate: FloatArray) -> FloatArray:
    """Normal deviates of rates in [0, 1], kept finite."""
    return np.asarray(np.clip(ndtri(rate), -_MOST_DEVIATES, _MOST_DEVIATES))


def _drawn_counts(plan: Resampling, cell: IntArray, num_cells: int) -> list[IntArray]:
    """(D, C) files in each cell, of D draws at a time."""
    if plan.unit == "files":
        # Files of one cell are all alike: so many of them are drawn, whichever they are.
        random = np.random.default_rng(plan.seed)
        shares = [np.bincount(cell[s], minlength=num_cells) / s.size for s in plan.strata]
        sizes = [files.size for files in plan.strata]
        drawn = [
            random.multinomial(n, p, plan.resamples) for n, p in zip(sizes, shares, strict=True)
        ]
        return [np.sum(drawn, axis=0)]
    shape = int(plan.group_of_file.max()) + 1, num_cells
    of_group = csr_array((np.ones(cell.size, np.int64), (plan.group_of_file, cell)), shape=shape)
    return [np.asarray(weights @ of_group) for weights in plan.group_weights()]


def curve_pictures(row: SummaryRow, files: pd.DataFrame) -> tuple[Picture, ...]:
    """The ROC and the DET picture of a dataset; none where a class is missing.

    Args:
        row: its pooled row.
        files: the scored files behind it.
    """
    labels, logits = labels_and_logits(files)
    if missing_class(labels):
        return ()
    resamples, seed = row.auc_interval.resamples, row.auc_interval.seed
    draws = Resampling.of(labels, groups=groups_of(files), resamples=resamples, seed=seed)
    methods = forgeries(files) if len(forgeries(files)) > 1 else []
    thinned = {m: thin_roc(*labels_and_logits(against_reals(files, m))) for m in methods}
    point, counts = None, row.confusion
    if counts is not None:
        real, fake = counts.true_real + counts.false_fake, counts.false_real + counts.true_fake
        point = counts.false_fake / real, counts.true_fake / fake
    curves = Curves(
        pooled=thin_roc(labels, logits),
        pooled_name="all forgeries" if methods else row.method,
        band=None if draws.reason else roc_band(labels, logits, draws),
        methods=thinned,
        operating_point=point,
    )
    note = "The band holds the curve of all forgeries in 95 % of the draws, at each FPR for itself."
    if draws.reason:
        note = f"No band: {draws.reason}."
    if point is not None:
        note += " The dot is the validation threshold."
    if len(methods) > MOST_NAMED:
        note += f" Grey: the methods after the first {MOST_NAMED}."
    title = row.dataset_title
    roc = f"ROC of {title}: higher and further left is better, dashed is chance. {note}"
    det = (
        f"DET of {title}, the same points on axes of normal deviates: lower and further left is "
        f"better, dashed is chance, dotted where both errors are equal. {note}"
    )
    return picture(roc_figure(curves), roc), picture(det_figure(curves), det)


def roc_figure(curves: Curves) -> Figure:
    """True-positive over false-positive rates: upper left is better."""
    figure, axes = _figure(curves)
    axes.plot([0, 1], [0, 1], linestyle="--", color=CHANCE_COLOUR, linewidth=0.9)
    _draw(axes, curves, np.asarray, np.asarray, (0.0, 1.0))
    ticks = np.linspace(0, 1, 6)
    names = [f"{100 * tick:.0f}" for tick in ticks]
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), ylabel="fake files called fake, TPR %")
    return _finished(figure, axes, ticks, names)


def det_figure(curves: Curves) -> Figure:
    """False-negative over false-positive rates as normal deviates: lower left is better."""
    figure, axes = _figure(curves)
    low, high = ndtri([0.0008, 0.97])
    axes.plot([-high, high], [high, -high], linestyle="--", color=CHANCE_COLOUR, linewidth=0.9)
    axes.plot([low, high], [low, high], linestyle=":", color=CHANCE_COLOUR, linewidth=0.9)
    _draw(axes, curves, deviates, lambda rate: deviates(1.0 - rate), (low, high))
    names = [f"{100 * tick:g}" for tick in DET_TICKS]
    axes.set(xlim=(low, high), ylim=(low, high), ylabel="fake files called real, FNR %")
    return _finished(figure, axes, ndtri(DET_TICKS), names)


_Scale = Callable[[FloatArray], FloatArray]


def _draw(
    axes: Axes, curves: Curves, across: _Scale, up: _Scale, limits: tuple[float, float]
) -> None:
    """Band, methods, all forgeries on top of them, and the operating point inside the frame."""
    if curves.band is not None:
        grid, low, high = curves.band
        axes.fill_between(across(grid), up(low), up(high), color=BLUE, alpha=0.2, linewidth=0)
    for place, (name, (false_positive, true_positive)) in enumerate(curves.methods.items()):
        style: dict[str, Any] = {"linewidth": 1.1, "color": "#AAAAAA"}
        if place < MOST_NAMED:
            dash, ink = divmod(place, len(_COLOURS))
            style |= {"color": _COLOURS[ink], "linestyle": _DASHES[dash]}
            style["label"] = shortened(name, 24)
        axes.plot(across(false_positive), up(true_positive), **style)
    false_positive, true_positive = curves.pooled
    name = shortened(curves.pooled_name, 24)
    axes.plot(
        across(false_positive), up(true_positive), color=BLUE, linewidth=2.2, zorder=3, label=name
    )
    if curves.operating_point is not None:
        rates = [np.array(rate) for rate in curves.operating_point]
        point = np.clip([across(rates[0]), up(rates[1])], *limits)
        style = {"markersize": 7, "markeredgecolor": "white", "color": "black", "zorder": 4}
        axes.plot(*point, "o", label="validation threshold", clip_on=False, **style)


def _figure(curves: Curves) -> tuple[Figure, Axes]:
    named = 1 + min(len(curves.methods), MOST_NAMED) + (curves.operating_point is not None)
    figure = Figure(figsize=(4.4, 4.3 + 0.19 * -(-named // 2)), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=GRID_COLOUR, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    open_axes(axes)
    return figure, axes


def _finished(figure: Figure, axes: Axes, ticks: ArrayLike, names: Sequence[str]) -> Figure:
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(aspect="equal", xlabel="real files called fake, FPR %")
    handles, labels = axes.get_legend_handles_labels()
    place: dict[str, Any] = {"loc": "outside lower left", "ncols": 2, "handlelength": 2}
    figure.legend(handles, labels, fontsize=8, frameon=False, **place)
    return figure


def histogram_pictures(
    row: SummaryRow, files: pd.DataFrame, threshold: Threshold | None
) -> tuple[Picture, ...]:
    """Histograms of the scores of each method's fake files over those of the real files.

    Args:
        row: the pooled row of the dataset.
        files: the scored files behind it.
        threshold: is drawn where it lies within the histograms.
    """
    names = forgeries(files)
    if not names:
        return ()
    logits = {n: files["logit"][files["method"] == n].to_numpy() for n in (REAL_METHOD, *names)}
    edges, real, fakes = count_scores(logits.pop(REAL_METHOD), logits)
    caption = (
        f"Scores of {row.dataset_title}. Grey: the {real.sum()} real files, the same in each "
        "panel; blue: the fakes of one method; each as shares of its own files. The outermost "
        "bins hold what lies beyond them."
    )
    if threshold is not None:
        caption += " Dashed: the validation threshold."
    logit = None if threshold is None else threshold.logit
    tallest = max(_shares(counts).max() for counts in (real, *fakes.values()))
    drawn = []
    for part in batched(names, _PANELS_PER_PICTURE):
        shown = {name: fakes[name] for name in part}
        figure = histogram_figure(edges, real, shown, threshold=logit, tallest=tallest)
        drawn.append(picture(figure, caption))
    return tuple(drawn)


def count_scores(
    reals: FloatArray, fakes: Mapping[str, FloatArray]
) -> tuple[FloatArray, IntArray, dict[str, IntArray]]:
    """Count every file in `NUM_BINS` bins between the outermost half per cent of all scores.

    Args:
        reals: (N,) logits of the real files, possibly none.
        fakes: (N,) logits of the files of each method.

    Returns:
        (B + 1,) edges, (B,) real files, (B,) fake files of each method; what lies outside is in the
        outermost bins.
    """
    every = np.clip(np.concatenate([reals, *fakes.values()]), -1e6, 1e6)
    assert every.size, "no scored file"
    ends = np.quantile(every, [0.005, 0.995])
    if ends[0] == ends[1]:
        ends += (-0.5, 0.5)
    edges = np.linspace(ends[0], ends[1], NUM_BINS + 1)

    def counts(logits: FloatArray) -> IntArray:
        return np.histogram(np.clip(logits, *ends), edges)[0].astype(np.int64)

    return edges, counts(reals), {name: counts(logits) for name, logits in fakes.items()}


def histogram_figure(
    edges: FloatArray,
    reals: IntArray,
    fakes: Mapping[str, IntArray],
    *,
    threshold: float | None = None,
    tallest: float,
) -> Figure:
    """One panel a method, one over the other on the same axes; each shows shares of its own files.

    Args:
        edges: as `count_scores`.
        reals: as `count_scores`.
        fakes: of the methods to draw, at least one.
        threshold: logit from which a file is called fake; None = not drawn.
        tallest: share at the top of a panel.
    """
    figure = Figure(figsize=(4.4, 0.75 + 0.72 * len(fakes)), layout="constrained")
    panels = figure.subplots(len(fakes), 1, sharex=True, sharey=True, squeeze=False).flat
    for axes, (method, counts) in zip(panels, fakes.items(), strict=True):
        axes.stairs(_shares(reals), edges, fill=True, color="#C8CCD1")
        axes.stairs(_shares(counts), edges, color=BLUE, linewidth=1.4)
        if threshold is not None and edges[0] <= threshold <= edges[-1]:
            axes.axvline(threshold, color="black", linewidth=1.0, linestyle="--")
        title = f"{shortened(method, LONGEST_NAME)}   ({counts.sum()} files)"
        axes.set_title(title, fontsize=8.5, loc="left", pad=2)
        axes.set_yticks([])
        axes.tick_params(axis="x", bottom=False)
        open_axes(axes, "left")
    axes.set_ylim(0, 1.08 * tallest)
    axes.tick_params(axis="x", bottom=True, labelsize=9)
    axes.set_xlabel("score of the file (logit)", fontsize=9)
    figure.supylabel("share of the files", fontsize=9)
    return figure


def _shares(counts: IntArray) -> FloatArray:
    return np.asarray(counts / max(1, int(counts.sum())), dtype=np.float64)
