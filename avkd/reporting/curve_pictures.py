"""ROC, DET and histogram pictures of one dataset: from its scores to drawings with captions.

The place where scores meet drawings; what is computed is `roc_band`'s and `score_histogram`'s.
"""

from __future__ import annotations

from avkd.metrics.bootstrap import missing_class
from avkd.reporting.page_parts import Picture
from avkd.reporting.report_words import dataset_title
from avkd.reporting.roc_band import drawn_roc, roc_band
from avkd.reporting.roc_figure import MOST_NAMED, DrawnCurves, det_svg, roc_svg
from avkd.reporting.score_frame import ScoreBlock
from avkd.reporting.score_histogram import count_scores, histogram_svg
from avkd.reporting.summary import SummaryRow, Threshold

_PANELS_PER_PICTURE = 8
_BAND = "The band holds the curve of all forgeries in 95 % of the draws, at each FPR for itself."
_POINT = "The dot is the validation threshold."


def curve_pictures(row: SummaryRow, block: ScoreBlock) -> tuple[Picture, ...]:
    """The ROC and the DET picture of a dataset; none where a class is missing.

    Args:
        row: its pooled row.
        block: the scores behind it.
    """
    if missing_class(block.labels):
        return ()
    interval = row.auc_interval
    draws = block.plan(resamples=interval.resamples, seed=interval.seed)
    methods = block.forgeries if len(block.forgeries) > 1 else ()
    curves = DrawnCurves(
        pooled=drawn_roc(block.labels, block.logits),
        pooled_name="all forgeries" if methods else row.method,
        band=None if draws.reason else roc_band(block.labels, block.logits, draws),
        methods=tuple((name, drawn_roc(*block.against_reals(name))) for name in methods),
        operating_point=_operating_point(row),
    )
    notes = [f"No band: {draws.reason}." if draws.reason else _BAND]
    if curves.operating_point is not None:
        notes.append(_POINT)
    if len(methods) > MOST_NAMED:
        notes.append(f"Grey: the methods after the first {MOST_NAMED}.")
    title, note = dataset_title(row), " ".join(notes)
    roc = f"ROC of {title}: higher and further left is better, dashed is chance. {note}"
    det = (
        f"DET of {title}, the same points on axes of normal deviates: lower and further left is "
        f"better, dashed is chance, dotted where both errors are equal. {note}"
    )
    return (
        Picture(svg=roc_svg(curves), caption=roc),
        Picture(svg=det_svg(curves), caption=det),
    )


def histogram_pictures(
    row: SummaryRow, block: ScoreBlock, threshold: Threshold | None
) -> tuple[Picture, ...]:
    """Histograms of the scores of each method's fakes over those of the reals.

    Args:
        row: the pooled row of the dataset.
        block: the scores behind it.
        threshold: is drawn where it lies within the histograms.
    """
    if not block.forgeries:
        return ()
    histogram = count_scores(
        block.logits[block.labels == 0],
        {name: block.logits[block.methods == name] for name in block.forgeries},
    )
    caption = (
        f"Scores of {dataset_title(row)}. Grey: the {histogram.reals.sum()} reals, the same in "
        "each panel; blue: the fakes of one method; each as shares of its own files. The outermost "
        "bins hold what lies beyond them."
    )
    if threshold is not None:
        caption += " Dashed: the validation threshold."
    logit = None if threshold is None else threshold.logit
    names = block.forgeries
    parts = [names[k : k + _PANELS_PER_PICTURE] for k in range(0, len(names), _PANELS_PER_PICTURE)]
    return tuple(
        Picture(svg=histogram_svg(histogram, part, logit), caption=caption) for part in parts
    )


def _operating_point(row: SummaryRow) -> tuple[float, float] | None:
    """False-positive and true-positive rate of the verdicts, where there are any."""
    counts = row.confusion
    if counts is None:
        return None
    reals, fakes = counts.true_real + counts.false_fake, counts.false_real + counts.true_fake
    return counts.false_fake / reals, counts.true_fake / fakes
