"""The shortcut audit: do facts that say nothing of a forgery tell fakes from reals all the same?

For each row of the table, probes that see such facts only (`shortcut_probe`) are set against the
labels; where one is a shortcut, the detector is judged once more on pairs of a real and a fake that
agree on it. Knows pooled files and their facts, not how an audit is printed.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from avkd.metrics import ranking
from avkd.metrics.bootstrap import FloatArray, IntArray, Interval, Resampling
from avkd.metrics.paired import holm
from avkd.metrics.ranking import Metric
from avkd.reporting import score_frame, shortcut_probe
from avkd.reporting.nuisance_facts import FileFacts
from avkd.reporting.score_frame import PooledFile
from avkd.reporting.shortcut_findings import (
    ALL_FACTS,
    LEAST_FILES,
    MOST_FILES,
    WORTH_A_WARNING,
    Matched,
    Probe,
    RowAudit,
    p_value,
)
from avkd.reporting.shortcut_matching import matched_pairs
from avkd.reporting.shortcut_probe import BITS_PER_PIXEL, FactColumns

FAMILIES: dict[str, tuple[str, ...]] = {
    "all of the sound": (
        *("has_sound", "sound_codec", "leading_silence_seconds", "trailing_silence_seconds"),
        "sound_level_db",
    ),
    "all of the timing": ("duration_seconds", "frames_per_second"),
    "all of the encoding": ("codec", "bit_rate", "file_bytes", BITS_PER_PIXEL),
    "all of the geometry": (
        *("width", "height", "face_side_pixels", "face_area_share"),
        *("face_center_x", "face_center_y"),
    ),
}
"""Facts tried together; the brightness of the first frame is a family of its own."""


@dataclass(frozen=True, eq=False)
class _Files:
    """The files of a row that are looked at."""

    labels: IntArray
    logits: FloatArray
    groups: NDArray[np.str_] | None
    """Names of the groups that intervals draw; None = files."""
    linked: IntArray
    """Numbers of what no fold may divide."""
    columns: FactColumns

    @classmethod
    def of(cls, videos: Sequence[PooledFile], facts: Sequence[FileFacts]) -> _Files:
        named = all(video.group for video in videos)
        return cls(
            labels=np.array([video.label for video in videos], dtype=np.int64),
            logits=np.array([video.logit for video in videos], dtype=np.float64),
            groups=np.array([video.group for video in videos]) if named else None,
            linked=shortcut_probe.linked_groups(facts),
            columns=shortcut_probe.fact_columns(facts),
        )

    def interval(
        self, scores: FloatArray, chosen: IntArray, resamples: int, seed: int
    ) -> tuple[Interval, float]:
        """Of the AUC of (C,) scores of the chosen files, and the standard error of that AUC."""
        labels = self.labels[chosen]
        groups = None if self.groups is None else self.groups[chosen]
        plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
        if plan.reason:
            return plan.no_interval(plan.reason), math.inf
        draws = ranking.resampled_aucs(labels, scores, plan)
        return plan.interval(draws), float(np.std(draws))


def audit(
    files: pd.DataFrame,
    facts: Iterable[FileFacts],
    *,
    reals_from: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[RowAudit, ...]:
    """Audit the rows that `summary.summarise` makes of the same files, in the same order.

    Args:
        files: scores frame of any number of datasets.
        facts: what is known of them; files without facts are counted and left out.
        reals_from: dataset whose reals every forgery is set against; empty = each dataset's own.
        resamples: bootstrap draws behind each interval.
        seed: of the folds, the draws, and which files are looked at where there are too many.

    Raises:
        ValueError: scores and facts disagree on what a file is; or as `score_frame.row_files`.
    """
    known = {(row.dataset, row.sample_id): row for row in facts if row.is_known}
    for video in score_frame.records(files):
        _check_same_file(video, known.get((video.dataset, video.sample_id)))
    return tuple(
        _audit_row(score_frame.records(row.files), row[:3], known, resamples, seed)
        for row in score_frame.row_files(files, reals_from)
    )


def _check_same_file(video: PooledFile, facts: FileFacts | None) -> None:
    for field in ("label", "method", "split") if facts is not None else ():
        if getattr(video, field) != getattr(facts, field):
            raise ValueError(
                f"{video.sample_id} of {video.dataset}: {field} is {getattr(video, field)!r} in "
                f"its scores and {getattr(facts, field)!r} in its facts; evaluate again"
            )


def _audit_row(
    videos: Sequence[PooledFile],
    row: tuple[str, str, bool],
    known: dict[tuple[str, str], FileFacts],
    resamples: int,
    seed: int,
) -> RowAudit:
    scored = [video for video in videos if video.logit is not None]
    with_facts = [video for video in scored if (video.dataset, video.sample_id) in known]
    chosen = _drawn(with_facts, seed)
    counts = Counter(video.label for video in chosen)
    audited = RowAudit(
        dataset=row[0],
        split=videos[0].split,
        method=row[1],
        is_pooled=row[2],
        num_real=counts[0],
        num_fake=counts[1],
        num_without_facts=len(scored) - len(with_facts),
        num_left_out=len(with_facts) - len(chosen),
    )
    if not with_facts:
        return dataclasses.replace(audited, reason="nothing is known of its files but their scores")
    if min(counts[0], counts[1]) < LEAST_FILES:
        few = f"{counts[0]} reals and {counts[1]} fakes with facts; it takes {LEAST_FILES} of each"
        return dataclasses.replace(audited, reason=few)
    files = _Files.of(chosen, [known[video.dataset, video.sample_id] for video in chosen])
    folds = shortcut_probe.folds_of(files.labels, files.linked, seed=seed)
    if folds is None:
        few = "its files all belong together: there is no other group to try a probe on"
        return dataclasses.replace(audited, reason=few)
    probes = _probes(files, folds, resamples, seed)
    suspects = _suspects(files, probes)
    log_odds = shortcut_probe.out_of_fold(
        {name: files.columns[name] for name in suspects or files.columns}, files.labels, folds
    )
    return dataclasses.replace(
        audited,
        probes=probes,
        detector_auc=ranking.auc(files.labels, files.logits),
        follows=(_follows(files, log_odds, 0), _follows(files, log_odds, 1)),
        matched=_matched(files, suspects, log_odds, resamples, seed) if suspects else None,
    )


def _drawn(videos: Sequence[PooledFile], seed: int) -> list[PooledFile]:
    """At most `MOST_FILES` of each class, in their old order."""
    random = np.random.default_rng(seed)
    kept: set[int] = set()
    for label in (0, 1):
        places = [place for place, video in enumerate(videos) if video.label == label]
        kept.update(random.permutation(places)[:MOST_FILES].tolist())
    return [videos[place] for place in sorted(kept)]


def _probes(files: _Files, folds: IntArray, resamples: int, seed: int) -> tuple[Probe, ...]:
    """Every fact alone, then what families have two facts or more to tell, then all."""
    sets: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in files.columns]
    for family, names in FAMILIES.items():
        present = tuple(name for name in names if name in files.columns)
        sets += [(family, present)] if len(present) > 1 else []
    sets += [(ALL_FACTS, tuple(files.columns))] if len(files.columns) > 1 else []
    tried = [_probe(files, folds, name, facts, resamples, seed) for name, facts in sets]
    corrected = holm([p for _, p in tried])
    return tuple(
        dataclasses.replace(probe, holm_p_value=p)
        for (probe, _), p in zip(tried, corrected, strict=True)
    )


def _probe(
    files: _Files, folds: IntArray, name: str, facts: tuple[str, ...], resamples: int, seed: int
) -> tuple[Probe, float | None]:
    """A probe, and its p-value before correction."""
    columns = {fact: files.columns[fact] for fact in facts}
    chosen = np.arange(len(files.labels))
    usual = "", ""
    if len(facts) == 1:
        chosen = np.flatnonzero(shortcut_probe.is_known(columns[name]))
        usual = _usual(files, name, 0), _usual(files, name, 1)
    said: dict[str, Any] = {"name": name, "facts": facts, "holm_p_value": None}
    said |= {"usual_real": usual[0], "usual_fake": usual[1]}
    labels = files.labels[chosen]
    num_real, num_fake = int(np.sum(labels == 0)), int(np.sum(labels == 1))
    if min(num_real, num_fake) < LEAST_FILES:
        few = Metric(None, f"known of fewer than {LEAST_FILES} reals or fakes")
        return Probe(auc=few, interval=None, **said), None
    known = {fact: column[chosen] for fact, column in columns.items()}
    scores = shortcut_probe.out_of_fold(known, labels, folds[chosen])
    area = ranking.auc(labels, scores)
    assert area.value is not None
    if area.value <= WORTH_A_WARNING:
        return Probe(auc=area, interval=None, **said), 1.0
    interval, error = files.interval(scores, chosen, resamples, seed)
    chance = p_value(area.value, error, num_real, num_fake)
    return Probe(auc=area, interval=interval, **said), chance


def _usual(files: _Files, name: str, label: int) -> str:
    """The commonest value with its share, or the median; of the files where it is known."""
    column = files.columns[name]
    values = column[shortcut_probe.is_known(column) & (files.labels == label)]
    if not values.size:
        return "not known"
    if values.dtype.kind == "f":
        return f"{np.median(values):.4g}"
    value, count = max(Counter(values.tolist()).items(), key=lambda item: (item[1], item[0]))
    return f"{value} {math.floor(100 * count / values.size)} %"


def _suspects(files: _Files, probes: Sequence[Probe]) -> tuple[str, ...]:
    """The facts to match on: those found alone; else those of the families found; else all.

    A fact that is guilty only in company is matched on with its company.
    """
    found = [probe for probe in probes if probe.is_shortcut]
    alone = {probe.name for probe in found if len(probe.facts) == 1}
    families = [probe for probe in found if probe.name in FAMILIES]
    together = {fact for p in families if not alone & {*p.facts} for fact in p.facts}
    chosen = alone | together or {fact for probe in found for fact in probe.facts}
    return tuple(name for name in files.columns if name in chosen)


def _follows(files: _Files, log_odds: FloatArray, label: int) -> Metric:
    of_class = files.labels == label
    first, second = files.logits[of_class], log_odds[of_class]
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Metric(None, "one of the two is the same for all files")
    return Metric(float(spearmanr(first, second).statistic))


def _matched(
    files: _Files, suspects: tuple[str, ...], log_odds: FloatArray, resamples: int, seed: int
) -> Matched:
    columns = {name: files.columns[name] for name in suspects}
    exact = [np.unique(c, return_inverse=True)[1] for c in columns.values() if c.dtype.kind == "U"]
    codes = np.column_stack([np.zeros(len(log_odds), dtype=np.int64), *exact])
    strata = np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
    pairs = matched_pairs(files.labels, log_odds, strata)
    if len(pairs) < LEAST_FILES:
        few = f"of the pairs of a real and a fake {len(pairs)} agree, and it takes {LEAST_FILES}"
        return Matched(
            on=suspects,
            num_pairs=len(pairs),
            probe_auc=Metric(None, few),
            detector_auc=Metric(None, few),
            detector_interval=None,
        )
    chosen = np.sort(pairs.reshape(-1))
    logits = files.logits[chosen]
    interval, _ = files.interval(logits, chosen, resamples, seed)
    return Matched(
        on=suspects,
        num_pairs=len(pairs),
        probe_auc=_probe_of_pairs(files, columns, chosen, seed),
        detector_auc=ranking.auc(files.labels[chosen], logits),
        detector_interval=interval,
    )


def _probe_of_pairs(files: _Files, columns: FactColumns, chosen: IntArray, seed: int) -> Metric:
    """Whether a probe made of the pairs alone still finds something in what they agree on."""
    labels = files.labels[chosen]
    folds = shortcut_probe.folds_of(labels, files.linked[chosen], seed=seed)
    if folds is None:
        return Metric(None, "the pairs all belong together: there is no other group to try it on")
    left = {name: column[chosen] for name, column in columns.items()}
    return ranking.auc(labels, shortcut_probe.out_of_fold(left, labels, folds))
