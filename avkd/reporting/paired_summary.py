"""From the scores of several models to the rows of their paired comparison.

Knows pooled files and tests, not how a row is printed. Each row sets two models against each other
over the files that both scored, cut into datasets and methods as in the table of one model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from avkd.metrics.paired import AucDifference, auc_difference, holm
from avkd.reporting.pooled_files import VideoScore, blocks, rows_of_dataset
from avkd.reporting.scores import REAL_METHOD

_Pair = tuple[VideoScore | None, VideoScore | None]


@dataclass(frozen=True, kw_only=True)
class PairedRow:
    """Two models on the forgeries of one method and all real files of the dataset."""

    dataset: str
    split: str
    method: str
    """Forgery method, or ``all``."""
    is_pooled: bool
    """Whether these are all forgeries of the dataset."""
    first: str
    """Name of the first model."""
    second: str
    """Name of the second model."""
    num_real: int
    """Real files that both scored."""
    num_fake: int
    """Fake files that both scored."""
    only_first: int
    """Files that the first scored and the second did not."""
    only_second: int
    """Files that the second scored and the first did not."""
    auc: AucDifference
    """AUCs over the files that both scored, their difference and whether it is one."""
    holm_p_value: float | None
    """``auc.p_value`` corrected for all rows of the table; None where it is not defined."""


def compare_models(
    models: Mapping[str, Sequence[VideoScore]],
    *,
    reals_from: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[PairedRow, ...]:
    """Rows of the table: every pair of models, each dataset and method of theirs.

    Args:
        models: pooled files of each model, by its name; at least two.
        reals_from: dataset whose reals every forgery is set against; empty = each dataset's own.
        resamples: bootstrap draws per row.
        seed: of the draws; within a row both models get the same draws.

    Raises:
        ValueError: two models disagree on what a file is: its label, method or side of the split;
            or ``reals_from`` has no reals there.
    """
    rows = []
    for first, second in combinations(models, 2):
        pairs_of_files = _pairs(first, models[first], second, models[second])
        for dataset, pairs in blocks(pairs_of_files, _either, reals_from):
            for method, is_pooled in rows_of_dataset(map(_either, pairs)):
                chosen = [
                    p for p in pairs if is_pooled or _either(p).method in (method, REAL_METHOD)
                ]
                row = _row(chosen, method, is_pooled, (first, second), resamples, seed)
                rows.append(dataclasses.replace(row, dataset=dataset))
    corrected = holm([row.auc.p_value.value for row in rows])
    return tuple(
        dataclasses.replace(row, holm_p_value=p) for row, p in zip(rows, corrected, strict=True)
    )


def _pairs(
    first: str, of_first: Iterable[VideoScore], second: str, of_second: Iterable[VideoScore]
) -> list[_Pair]:
    """Files of both models side by side."""
    left = {(video.dataset, video.sample_id): video for video in of_first}
    right = {(video.dataset, video.sample_id): video for video in of_second}
    pairs = [(left.get(key), right.get(key)) for key in dict.fromkeys((*left, *right))]
    for one, other in pairs:
        _check_same_file(first, one, second, other)
    return pairs


def _check_same_file(
    first: str, one: VideoScore | None, second: str, other: VideoScore | None
) -> None:
    if one is None or other is None:
        return
    for field in ("label", "method", "split"):
        if getattr(one, field) != getattr(other, field):
            raise ValueError(
                f"{one.sample_id} of {one.dataset}: {field} is {getattr(one, field)!r} for {first} "
                f"and {getattr(other, field)!r} for {second}; score both on one prepared corpus"
            )


def _row(
    pairs: Sequence[_Pair],
    method: str,
    is_pooled: bool,
    names: tuple[str, str],
    resamples: int,
    seed: int,
) -> PairedRow:
    scored = [tuple(v is not None and v.logit is not None for v in pair) for pair in pairs]
    both = [pair for pair, mark in zip(pairs, scored, strict=True) if all(mark)]
    videos = [_either(pair) for pair in both]
    labels = np.array([video.label for video in videos], dtype=np.int64)
    first, second = (
        np.array([pair[side].logit for pair in both], dtype=np.float64)  # type: ignore[union-attr]
        for side in (0, 1)
    )
    video = _either(pairs[0])
    return PairedRow(
        dataset=video.dataset,
        split=video.split,
        method=method,
        is_pooled=is_pooled,
        first=names[0],
        second=names[1],
        num_real=int(np.sum(labels == 0)),
        num_fake=int(np.sum(labels == 1)),
        only_first=scored.count((True, False)),
        only_second=scored.count((False, True)),
        auc=auc_difference(
            labels, first, second, groups=_groups(both), resamples=resamples, seed=seed
        ),
        holm_p_value=None,
    )


def _groups(pairs: Iterable[_Pair]) -> np.ndarray | None:
    """Groups of the files where both models' scores name the same one for every file."""
    groups = [{video.group for video in pair if video is not None} for pair in pairs]
    if not groups or any(len(names) > 1 or "" in names for names in groups):
        return None
    return np.array([names.pop() for names in groups])


def _either(pair: _Pair) -> VideoScore:
    video = pair[1] if pair[0] is None else pair[0]
    assert video is not None
    return video
