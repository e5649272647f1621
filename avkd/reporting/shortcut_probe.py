"""A tiny probe that tells fakes from reals by facts which say nothing of a forgery.

Additive logistic regression on ranks, bins and categories, cross-fitted: each file is judged by a
probe that saw neither it nor any file of its group. Knows facts and labels, no detector's scores.

Letters: N files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from avkd.metrics.bootstrap import FloatArray, IntArray
from avkd.reporting.nuisance_facts import NAMES, FileFacts

BITS_PER_PIXEL = "bits_per_pixel"
"""A fact made of others: bit rate over width, height and frame rate."""
NUM_FOLDS = 5

_MOST_BINS = 8
_FILES_PER_BIN = 10  # fewer files get fewer bins
_LEAST_OF_A_CATEGORY = 2  # what is seen once in training is not learned by heart
_INVERSE_PENALTY = 0.3  # of the squared weights; sets of 60 files would be learned by heart at 10

TextArray = NDArray[np.str_]
FactColumns = Mapping[str, FloatArray | TextArray]
"""(N,) values by fact: numbers with NaN, or texts with an empty one, where it is not known."""


def fact_columns(facts: Sequence[FileFacts]) -> FactColumns:
    """Facts that are known of some file and not the same for all of them."""
    columns: dict[str, FloatArray | TextArray] = {}
    for name in (*NAMES, BITS_PER_PIXEL):
        values = [_bits_per_pixel(f) if name == BITS_PER_PIXEL else getattr(f, name) for f in facts]
        known = {value for value in values if value is not None}
        if len(known) < 2 and not (known and None in values):
            continue
        if any(isinstance(value, (str, bool)) for value in known):
            columns[name] = np.array([_word(value) for value in values])
        else:
            columns[name] = np.array([np.nan if value is None else value for value in values])
    return columns


def is_known(column: FloatArray | TextArray) -> NDArray[np.bool_]:
    """(N,) where a fact is known."""
    return np.asarray(column != "" if _is_text(column) else ~np.isnan(column))


def linked_groups(facts: Sequence[FileFacts]) -> IntArray:
    """(N,) numbers of what must stay on one side: files of a group, and a forgery with its source.

    A forgery made from a real file has its length, its codec and its room: were they on two sides,
    one would be judged by what the other taught.
    """
    names: dict[tuple[str, str], int] = {}
    for row in facts:
        for name in _ties(row):
            names.setdefault(name, len(names))
    links = [(names[_ties(row)[0]], names[other]) for row in facts for other in _ties(row)]
    first, second = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(links)), (first, second)), shape=(len(names), len(names)))
    component = connected_components(graph, directed=False)[1]
    return np.array([component[names[_ties(row)[0]]] for row in facts], dtype=np.int64)


def folds_of(labels: IntArray, groups: IntArray, *, seed: int) -> IntArray | None:
    """(N,) the fold of each file: whole groups, both classes spread evenly; None = too few groups.

    Args:
        labels: (N,) 1 = fake, 0 = real.
        groups: (N,) numbers of what must not be divided.
        seed: of the order of the groups.
    """
    num_folds = min(NUM_FOLDS, *(len(np.unique(groups[labels == label])) for label in (0, 1)))
    if num_folds < 2:
        return None
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    fold_of_file = np.zeros(len(labels), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(labels[:, None], labels, groups)):
        fold_of_file[held_out] = fold
    return fold_of_file


def out_of_fold(columns: FactColumns, labels: IntArray, fold_of_file: IntArray) -> FloatArray:
    """(N,) log-odds of being fake by the facts alone, each by a probe of the other folds.

    Both classes weigh the same, so that a fold with more fakes does not look more real: with
    little to learn from, cross-fitted areas lie a little below one half, never above.

    Args:
        columns: the facts the probe may see.
        labels: (N,) 1 = fake, 0 = real.
        fold_of_file: (N,) as `folds_of` gives them.
    """
    logits = np.zeros(len(labels))
    for fold in np.unique(fold_of_file):
        seen = fold_of_file != fold
        if len(np.unique(labels[seen])) < 2:
            continue  # nothing to learn: these files keep log-odds of 0
        table = np.column_stack(
            [part for column in columns.values() for part in _encoded(column, seen)]
        )
        probe = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=1000)
        probe.fit(table[seen], labels[seen])
        logits[~seen] = probe.decision_function(table[~seen])
    # Sums in another order differ in the last digits; ties must stay ties.
    return np.round(logits, 9)


def _bits_per_pixel(facts: FileFacts) -> float | None:
    parts = facts.bit_rate, facts.width, facts.height, facts.frames_per_second
    rate, *sizes = (part or 0.0 for part in parts)
    return rate / float(np.prod(sizes)) if rate and all(sizes) else None


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _ties(row: FileFacts) -> list[tuple[str, str]]:
    """What a file is one with: itself, its group, the file it was made from."""
    ties = [("file", row.sample_id)]
    ties += [("group", row.group)] if row.group else []
    ties += [("file", row.source)] if row.source else []
    return ties


def _is_text(column: FloatArray | TextArray) -> bool:
    return column.dtype.kind == "U"


def _encoded(column: FloatArray | TextArray, seen: NDArray[np.bool_]) -> Iterator[FloatArray]:
    """(N,) columns a linear probe can use, made by what the ``seen`` files look like."""
    known = is_known(column)
    yield (~known).astype(np.float64)
    if _is_text(column):
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
