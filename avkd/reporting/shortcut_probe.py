"""A small probe that tells fake from real files by facts which say nothing of a forgery.

Additive logistic regression on ranks, bins and categories, cross-fitted: each file is judged by a
probe that saw neither it nor any file of its group. Letters: N files.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from avkd.metrics.bootstrap import FloatArray, IntArray
from avkd.reporting.nuisance_facts import KINDS, FileFacts

BITS_PER_PIXEL = "bits_per_pixel"
"""A fact made of others: bit rate over width, height and frame rate."""
CALIPER = 0.2
"""Widest gap within a pair, in standard deviations of the log-odds within a class: Austin,
Pharmaceutical Statistics 10 (2011)."""

_NUM_FOLDS = 5
_MOST_BINS = 8
_FILES_PER_BIN = 10  # fewer files get fewer bins
_LEAST_OF_A_CATEGORY = 2  # what is seen once in training is not learned by heart
_INVERSE_PENALTY = 0.3  # of the squared weights; sets of 60 files would be learned by heart at 10
_NO_PAIR = 1e-6  # log-odds; what no pair costs more than the widest one

TextArray = NDArray[np.str_]
FactColumns = Mapping[str, FloatArray | TextArray]
"""(N,) values by fact: numbers with NaN, or texts with an empty one, where it is not known."""


def fact_columns(facts: Sequence[FileFacts]) -> FactColumns:
    """Facts that are known of some file and not the same for all of them."""
    columns: dict[str, FloatArray | TextArray] = {}
    for name in (*KINDS, BITS_PER_PIXEL):
        values = [
            _bits_per_pixel(f) if name == BITS_PER_PIXEL else f.facts.get(name) for f in facts
        ]
        known = {value for value in values if value is not None}
        if not known or len({*values}) < 2:
            continue
        if any(isinstance(value, (str, bool)) for value in known):
            words: dict[object, str] = {None: "", True: "yes", False: "no"}
            columns[name] = np.array([words.get(value, value) for value in values])
        else:
            columns[name] = np.array([np.nan if value is None else value for value in values])
    return columns


def is_known(column: FloatArray | TextArray) -> NDArray[np.bool_]:
    """(N,) where a fact is known."""
    return np.asarray(column != "" if column.dtype.kind == "U" else ~np.isnan(column))


def linked_groups(facts: Sequence[FileFacts]) -> IntArray:
    """(N,) numbers of what must stay together: files of a group, and a forgery with its source.

    A forgery made from a real file has its length, its codec and its room: were they in two folds,
    one would be judged by what the other taught.
    """
    names: dict[tuple[str, str], int] = {}
    links = []
    for row in facts:
        ties = [("file", row.sample_id), ("group", row.group), ("file", row.source)]
        own, *others = [names.setdefault(tie, len(names)) for tie in ties if tie[1]]
        links += [(own, other) for other in (own, *others)]
    first, second = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(links)), (first, second)), shape=(len(names), len(names)))
    component = connected_components(graph, directed=False)[1]
    files = [names["file", row.sample_id] for row in facts]
    return np.asarray(component[files], dtype=np.int64)


def folds_of(labels: IntArray, groups: IntArray, *, seed: int) -> IntArray | None:
    """(N,) the fold of each file: both classes spread evenly; None = too few groups.

    ``labels`` (N,) are 1 = fake, 0 = real; ``groups`` (N,) number what must not be divided.
    """
    num_folds = min(_NUM_FOLDS, *(len(np.unique(groups[labels == label])) for label in (0, 1)))
    if num_folds < 2:
        return None
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    fold_of_file = np.zeros(len(labels), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(labels[:, None], labels, groups)):
        fold_of_file[held_out] = fold
    return fold_of_file


def out_of_fold(columns: FactColumns, labels: IntArray, fold_of_file: IntArray) -> FloatArray:
    """(N,) log-odds of being fake by the facts alone, each by a probe of the other folds.

    Both classes weigh the same, so that a fold with more fake files does not look more real: with
    little to learn from, cross-fitted areas lie a little below one half, never above. Labels (N,)
    and folds (N,) are those of `folds_of`.
    """
    logits = np.zeros(len(labels))
    for fold in np.unique(fold_of_file):
        seen = fold_of_file != fold
        if len(np.unique(labels[seen])) < 2:
            continue  # nothing to learn: these files keep log-odds of 0
        table = np.column_stack([part for c in columns.values() for part in _encoded(c, seen)])
        probe = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=1000)
        probe.fit(table[seen], labels[seen])
        logits[~seen] = probe.decision_function(table[~seen])
    # Sums in another order differ in the last digits; ties must stay ties.
    return np.round(logits, 9)


def matched_pairs(labels: IntArray, log_odds: FloatArray, strata: IntArray) -> IntArray:
    """Pairs of a real and a fake that look alike to a probe, of the least total gap.

    Propensity-score matching (Rosenbaum and Rubin, The American Statistician 39, 1985). No pair is
    wider than the caliper, and a file is in one pair at most. A file without a partner costs as
    much as a pair as wide as the caliper, so that no pair is made just to have one more. Of (N,)
    labels, log-odds of being fake by the facts alone, and strata that no pair may leave.

    Returns:
        (P, 2) index of the real and of the fake of each pair, in the order of the real files.
    """
    # Both classes weigh the same.
    caliper = CALIPER * np.sqrt(np.mean([np.var(log_odds[labels == k]) for k in (0, 1)]))
    pairs: list[tuple[int, int]] = []
    for stratum in np.unique(strata):
        reals, fakes = (np.flatnonzero((strata == stratum) & (labels == k)) for k in (0, 1))
        gaps = np.abs(log_odds[reals][:, None] - log_odds[fakes][None, :])
        alike = gaps <= caliper
        rows, columns = linear_sum_assignment(np.where(alike, gaps, caliper + _NO_PAIR))
        close = alike[rows, columns]
        pairs += zip(reals[rows[close]].tolist(), fakes[columns[close]].tolist(), strict=True)
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _bits_per_pixel(facts: FileFacts) -> float | None:
    names = ("bit_rate", "width", "height", "frames_per_second")
    rate, *sizes = (float(facts.facts.get(name, 0.0)) for name in names)
    return rate / float(np.prod(sizes)) if rate and all(sizes) else None


def _encoded(column: FloatArray | TextArray, seen: NDArray[np.bool_]) -> Iterator[FloatArray]:
    """(N,) columns a linear probe can use, made by what the ``seen`` files look like."""
    known = is_known(column)
    yield (~known).astype(np.float64)
    if column.dtype.kind == "U":
        counts = Counter(column[known & seen].tolist())
        for name in sorted(n for n, count in counts.items() if count >= _LEAST_OF_A_CATEGORY):
            yield (column == name).astype(np.float64)
        return
    numbers: FloatArray = np.asarray(column, dtype=np.float64)
    learned = np.sort(numbers[known & seen])
    if not learned.size:
        return
    values = np.where(known, numbers, learned[0])
    # The place among the seen values, ties in the middle: -1 = least, 1 = most.
    place = np.searchsorted(learned, values, "left") + np.searchsorted(learned, values, "right")
    yield np.where(known, place / learned.size - 1.0, 0.0)
    bin_of_file = np.searchsorted(_inner_edges(learned), values, side="right")
    for number in np.unique(bin_of_file):
        yield (known & (bin_of_file == number)).astype(np.float64)


def _inner_edges(learned: FloatArray) -> FloatArray:
    """Where one bin ends and the next begins: single values if there are few, else quantiles."""
    num_bins = int(np.clip(learned.size // _FILES_PER_BIN, 2, _MOST_BINS))
    distinct = np.unique(learned)
    if distinct.size <= num_bins:
        return np.asarray((distinct[1:] + distinct[:-1]) / 2)
    return np.unique(np.quantile(learned, np.arange(1, num_bins) / num_bins))
