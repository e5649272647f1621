"""Split conformal prediction for each class on its own (Mondrian): limits with a stated coverage.

The score of a label is how far a file leans away from it: its logit for real, minus its logit for
fake. A file that is no other's duplicate has a score of at most the limit with at least the stated
probability, if it is exchangeable with those of the fit (Vovk, Gammerman, Shafer, 2005). Files of
one identity are not ten facts: each identity weighs the same, shared among its files, and the
guarantee is for a file of a new identity (Lee, Barber, Willett, "Distribution-free inference with
hierarchical data", 2023); with one file each it is the usual rule.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from avkd.metrics.bootstrap import FloatArray, IntArray
from avkd.metrics.verdicts import share

_ROUNDING = 1e-9  # nineteen twentieths of weights are a little less than 0.95


def fewest_groups(coverage: float) -> int:
    """Groups (identities, or files) below which no finite limit keeps the coverage."""
    return math.ceil(coverage / (1.0 - coverage) - _ROUNDING)


def score_limit(scores: ArrayLike, coverage: float, groups: ArrayLike | None = None) -> float:
    """The lowest limit that the score of a new file keeps with the probability ``coverage``.

    Of (N,) scores of the files of one class, at least one; without (N,) names of groups each is its
    own.

    Returns:
        One of the scores; infinity where there are fewer groups than `fewest_groups`.
    """
    values = np.asarray(scores, dtype=np.float64)
    names = np.arange(values.size) if groups is None else np.asarray(groups)
    _, group_of_file, sizes = np.unique(names, return_inverse=True, return_counts=True)
    weights = 1.0 / sizes[group_of_file.reshape(-1)] / (sizes.size + 1)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= coverage - _ROUNDING
    return float(values[order][reached.argmax()]) if reached.any() else math.inf


def cells(
    labels: IntArray, scores: FloatArray, threshold: float, largest_real: float, least_fake: float
) -> IntArray:
    """(N, 6) indicators of each file: a real one, its set holds real, a fake one, its set holds
    fake, it is decided (its set is one label, which the threshold gives it too), decided right."""
    is_fake, holds_real, holds_fake = labels == 1, scores <= largest_real, scores >= least_fake
    word = scores >= threshold
    decided = np.where(word, holds_fake & ~holds_real, holds_real & ~holds_fake)
    columns = (
        *(~is_fake, ~is_fake & holds_real, is_fake, is_fake & holds_fake),
        *(decided, decided & (word == is_fake)),
    )
    return np.stack(columns, axis=1).astype(np.int64)


def coverage_of_reals(counts: IntArray) -> FloatArray:
    """Share of the real files whose set holds real."""
    return share(counts[:, 1], counts[:, 0])


def coverage_of_fakes(counts: IntArray) -> FloatArray:
    """Share of the fake files whose set holds fake."""
    return share(counts[:, 3], counts[:, 2])


def abstention(counts: IntArray) -> FloatArray:
    """Share of the files called uncertain."""
    return 1.0 - share(counts[:, 4], counts[:, 0] + counts[:, 2])


def accuracy_when_decided(counts: IntArray) -> FloatArray:
    """Share called right of the files that are not called uncertain."""
    return share(counts[:, 5], counts[:, 4])
