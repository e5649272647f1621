"""The shortcut audit of training: do clips as the loader yields them tell their label by the edges?

A forgery changes the face; the corners of the crop show what is around it. Where a small
cross-fitted probe tells fake from real clips by the corners alone, a detector learns that first.
"""

import logging
import time
from collections.abc import Callable, Iterable

import numpy as np

from avkd.data.nuisance import LUMA
from avkd.data.sampling import ClipBatch
from avkd.metrics import ranking
from avkd.reporting import shortcut_probe

logger = logging.getLogger(__name__)

_CLIPS = 400
_CORNER_SHARE = 0.12  # of the side; no mask of a face reaches there
WORTH_A_WARNING = 0.6


def audit(rest_of_epoch: Callable[[int, int], Iterable[ClipBatch]]) -> float | None:
    """Look at the first clips of epoch 0 and say what was found in the log.

    ``rest_of_epoch`` gives batches by epoch and first batch, as `datasets.training_loader` does.

    Returns:
        The AUC of the corners; None where there are too few clips of different items to tell.
    """
    started = time.perf_counter()
    rows: list[tuple[int, int, list[float]]] = []
    for batch in rest_of_epoch(0, 0):
        for frames, label, draw in zip(batch.frames, batch.labels, batch.draws, strict=True):
            rows.append((int(label), int(draw[1]), _corner_facts(frames.numpy())))
        if len(rows) >= _CLIPS:
            break
    seconds = (time.perf_counter() - started) / max(1, len(rows))
    rows = rows[:_CLIPS]
    if len({label for label, _, _ in rows}) < 2:
        return None
    labels, items, facts = map(np.array, zip(*rows, strict=True))
    folds = shortcut_probe.folds_of(labels, items, seed=0)
    if folds is None:
        return None
    columns = {str(index): facts[:, index] for index in range(facts.shape[1])}
    told = shortcut_probe.out_of_fold(columns, labels, folds)
    area = ranking.auc(labels, told).value
    ends = ranking.auc_interval(labels, told, groups=items).ends
    if area is None or ends is None:
        return None
    logger.info(
        "%d clips drawn, %.1f ms each; fake and real ones are told apart by their corners "
        "alone with AUC %.1f [%.1f, %.1f]",
        *(len(rows), 1000 * seconds, 100 * area, 100 * ends[0], 100 * ends[1]),
    )
    # Beyond chance, and by enough to matter.
    if area > WORTH_A_WARNING and ends[0] > 0.5:
        logger.warning(
            "the corners of the crops, where no face is, tell fake from real clips: they come "
            "from different sources. Take --fakes online, more --degradation, or fakes made of the "
            "same real clips"
        )
    return area


def _corner_facts(frames: np.ndarray) -> list[float]:
    """Brightness, contrast, colour, sharpness and grain of the corners of (T, S, S, 3) uint8."""
    side = max(4, round(frames.shape[1] * _CORNER_SHARE))
    middle = frames[len(frames) // 2].astype(np.float64)
    corners = [
        middle[rows, columns]
        for rows in (slice(None, side), slice(-side, None))
        for columns in (slice(None, side), slice(-side, None))
    ]
    grey = [corner @ np.array(LUMA) for corner in corners]
    steps = [np.abs(np.diff(corner, axis=1)) for corner in grey]
    second = [np.abs(np.diff(corner, n=2, axis=1)) for corner in grey]
    colour = [corner.mean((0, 1)) for corner in corners]
    return [
        float(np.mean(grey)),
        float(np.mean([corner.std() for corner in grey])),
        float(np.mean([value[0] - value[2] for value in colour])),
        float(np.mean([np.ptp(value) for value in colour])),
        float(np.log1p(np.mean(steps))),
        float(np.log1p(np.mean(second))),
        float(np.log1p(np.median(second))),
    ]
