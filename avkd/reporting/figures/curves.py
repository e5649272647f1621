"""ROC and DET curves with their bootstrap band, and histograms of scores, of one dataset.

A DET curve has the points of the ROC curve on axes of normal deviates, where two normal
distributions give a straight line: Martin et al., Eurospeech 1997.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import ndtr, ndtri

from avkd.metrics.bootstrap import FloatArray, IntArray, Resampling, missing_class
from avkd.metrics.ranking import checked, roc_curve
from avkd.reporting import score_frame
from avkd.reporting.figures import canvas
from avkd.reporting.figures.canvas import BLUE, CHANCE_COLOUR, open_axes, picture, shortened
from avkd.reporting.page import Picture
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

_COLOURS = (*(canvas.ORANGE, canvas.GREEN, canvas.PINK, canvas.YELLOW, canvas.SKY), "#666666")
_DASHES = ("-", "--", ":", "-.")
MOST_NAMED = len(_COLOURS) * len(_DASHES)
"""Methods beyond it share one thin grey line style and no name."""
_PANELS_PER_PICTURE = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """What both pictures of a dataset show."""

    pooled: Curve
    pooled_name: str
    """Of all its forgeries, and what to call them."""
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
    """Where the curve of (N,) labels and logits lies in 95 % of the draws, at each rate for itself.

    ``plan`` is of the same files; draws of the same kind as those of the AUC's interval.

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
        counts = [np.bincount(cell[files], minlength=num_cells) for files in plan.strata]
        drawn = [random.multinomial(n.sum(), n / n.sum(), plan.resamples) for n in counts]
        return [np.sum(drawn, axis=0)]
    shape = int(plan.group_of_file.max()) + 1, num_cells
    of_group = csr_array((np.ones(cell.size, np.int64), (plan.group_of_file, cell)), shape=shape)
    return [np.asarray(weights @ of_group) for weights in plan.group_weights()]


def curve_pictures(row: SummaryRow, files: pd.DataFrame) -> tuple[Picture, ...]:
    """The ROC and the DET picture of a pooled row and the scored files behind it.

    None where a class is missing.
    """
    labels, logits = score_frame.labels_and_logits(files)
    if missing_class(labels):
        return ()
    interval, groups = row.auc.interval, score_frame.groups_of(files)
    draws = Resampling.of(labels, groups=groups, resamples=interval.resamples, seed=interval.seed)
    of_method = {m: score_frame.against_reals(files, m) for m in score_frame.forgeries(files)}
    methods = of_method if len(of_method) > 1 else {}
    point, counts = None, row.confusion
    if counts is not None:
        point = counts.false_fake / row.num_real, counts.true_fake / row.num_fake
    curves = Curves(
        pooled=thin_roc(labels, logits),
        pooled_name="all forgeries" if methods else row.method,
        band=None if draws.reason else roc_band(labels, logits, draws),
        methods={m: thin_roc(*score_frame.labels_and_logits(f)) for m, f in methods.items()},
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


class _Scale(NamedTuple):
    """How rates are laid out: across the false-positive one, up the true-positive one."""

    across: Callable[[FloatArray], FloatArray]
    up: Callable[[FloatArray], FloatArray]
    limits: tuple[float, float]
    """Ends of both axes."""
    ticks: Sequence[float]
    """Rates, in the words of the axes."""
    up_title: str


_ROC = _Scale(
    across=np.asarray,
    up=np.asarray,
    limits=(-0.01, 1.01),
    ticks=np.linspace(0, 1, 6).tolist(),
    up_title="fake files called fake, TPR %",
)
_DET = _Scale(
    across=deviates,
    up=lambda rate: deviates(1.0 - rate),
    limits=tuple(ndtri([0.0008, 0.97])),
    ticks=DET_TICKS,
    up_title="fake files called real, FNR %",
)


def _figure(curves: Curves, scale: _Scale) -> Figure:
    """Chance, band, methods, all forgeries on top of them, and the operating point."""
    named = 1 + min(len(curves.methods), MOST_NAMED) + (curves.operating_point is not None)
    figure = Figure(figsize=(4.4, 4.3 + 0.19 * -(-named // 2)), layout="constrained")
    axes = figure.add_subplot()

    def plot(curve: Curve, mark: str = "-", **style: Any) -> None:
        axes.plot(scale.across(curve[0]), scale.up(curve[1]), mark, **style)

    ends = np.array([0.0, 1.0])
    plot((ends, ends), "--", color=CHANCE_COLOUR, linewidth=0.9)
    if scale is _DET:
        plot((ends, ends[::-1]), ":", color=CHANCE_COLOUR, linewidth=0.9)
    if curves.band is not None:
        grid, *edges = curves.band
        low, high = map(scale.up, edges)
        axes.fill_between(scale.across(grid), low, high, color=BLUE, alpha=0.2, linewidth=0)
    for place, (name, curve) in enumerate(curves.methods.items()):
        dash, ink = divmod(place, len(_COLOURS))
        if place < MOST_NAMED:
            named_style = {"color": _COLOURS[ink], "label": shortened(name, 24)}
            plot(curve, _DASHES[dash], linewidth=1.1, **named_style)
        else:
            plot(curve, linewidth=1.1, color="#AAAAAA")
    name = shortened(curves.pooled_name, 24)
    plot(curves.pooled, color=BLUE, linewidth=2.2, zorder=3, label=name)
    if curves.operating_point is not None:
        across, up = (np.array(rate) for rate in curves.operating_point)
        point = np.clip([scale.across(across), scale.up(up)], *scale.limits)
        mark: dict[str, Any] = {"markersize": 7, "markeredgecolor": "white", "color": "black"}
        axes.plot(*point, "o", label="validation threshold", clip_on=False, zorder=4, **mark)
    names = [f"{100 * tick:g}" for tick in scale.ticks]
    axes.set_xticks(scale.across(np.array(scale.ticks)), names)
    axes.set_yticks(scale.across(np.array(scale.ticks)), names)
    axes.set(xlim=scale.limits, ylim=scale.limits, aspect="equal", ylabel=scale.up_title)
    axes.set_xlabel("real files called fake, FPR %")
    axes.tick_params(labelsize=9)
    open_axes(axes, grid="both")
    place_of_key: dict[str, Any] = {"loc": "outside lower left", "ncols": 2, "handlelength": 2}
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, **place_of_key)
    return figure


roc_figure = partial(_figure, scale=_ROC)
"""True-positive over false-positive rates: upper left is better."""
det_figure = partial(_figure, scale=_DET)
"""False-negative over false-positive rates as normal deviates: lower left is better."""


def histogram_pictures(
    row: SummaryRow, files: pd.DataFrame, threshold: Threshold | None
) -> tuple[Picture, ...]:
    """Histograms of the scores of each method's fake files over those of the real files.

    Of a pooled row and the scored files behind it; the threshold is drawn where it lies within.
    """
    names = score_frame.forgeries(files)
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
    for part in canvas.batched(names, _PANELS_PER_PICTURE):
        shown = {name: fakes[name] for name in part}
        figure = histogram_figure(edges, real, shown, threshold=logit, tallest=tallest)
        drawn.append(picture(figure, caption))
    return tuple(drawn)


def count_scores(
    reals: FloatArray, fakes: Mapping[str, FloatArray]
) -> tuple[FloatArray, IntArray, dict[str, IntArray]]:
    """Count the (N,) logits in `NUM_BINS` bins between the outermost half per cent of all scores.

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

    Counts as of `count_scores`; ``tallest`` is the share at the top of a panel.
    """
    figure = Figure(figsize=(4.4, 0.75 + 0.72 * len(fakes)), layout="constrained")
    panels = figure.subplots(len(fakes), 1, sharex=True, sharey=True, squeeze=False).flat
    for axes, (method, counts) in zip(panels, fakes.items(), strict=True):
        axes.stairs(_shares(reals), edges, fill=True, color="#C8CCD1")
        axes.stairs(_shares(counts), edges, color=BLUE, linewidth=1.4)
        if threshold is not None and edges[0] <= threshold <= edges[-1]:
            axes.axvline(threshold, color="black", linewidth=1.0, linestyle="--")
        title = f"{shortened(method, canvas.LONGEST_NAME)}   ({counts.sum()} files)"
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
