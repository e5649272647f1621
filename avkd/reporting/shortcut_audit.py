"""The shortcut audit: do facts that say nothing of a forgery tell fake files from real ones?

For each row of the table, probes that see such facts only (`shortcut_probe`) are set against the
labels; where one is a shortcut, the detector is tested once more on pairs of a real and a fake file
that agree on it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from avkd.metrics import ranking
from avkd.metrics.bootstrap import FloatArray, IntArray, Metric, Resampling
from avkd.metrics.paired import holm
from avkd.reporting import score_frame, shortcut_probe
from avkd.reporting.model_scores import ModelScores
from avkd.reporting.nuisance_facts import FileFacts, read_folder
from avkd.reporting.score_frame import TableRow
from avkd.reporting.shortcut_probe import BITS_PER_PIXEL, FactColumns

WORTH_A_WARNING = 0.6
"""A probe is a shortcut above this AUC, when chance does not explain it."""
FALSE_ALARM_LEVEL = 0.01
"""Of a whole row: each probe's p-value is corrected for all probes of its row."""
LEAST_FILES = 10
"""Of each class, to audit a row; and pairs, to test the detector on them."""
MOST_FILES = 2000
"""Of each class; of more, so many are drawn. The AUC of 4,000 files is known to 0.02."""
ALL_FACTS = "all facts together"
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
_NO_AUDIT = Metric(None, "no audit")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How well one fact, a family of facts, or all of them tell fake from real files."""

    name: str
    """The fact as `nuisance_facts` calls it, a name of `FAMILIES`, or `ALL_FACTS`."""
    facts: tuple[str, ...]
    """What the probe saw; one fact alone is tried on the files where it is known."""
    usual_real: str = ""
    usual_fake: str = ""
    """Median, or the commonest value with its share, of the real files and of the fake ones; empty
    for several facts."""
    auc: Metric = _NO_AUDIT
    """Of its cross-fitted log-odds; one half = chance. It has an interval only above
    `WORTH_A_WARNING`."""
    p_value: float | None = None
    """That so much is chance; None = not tried."""
    holm_p_value: float | None = None
    """The same, corrected for all probes of the row."""

    @property
    def is_shortcut(self) -> bool:
        """Above `WORTH_A_WARNING` by more than chance."""
        low = self.auc.interval.low
        if low is None or self.holm_p_value is None:  # too few files or groups to say anything
            return False
        return low > 0.5 and self.holm_p_value < FALSE_ALARM_LEVEL


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The detector on pairs of a real and a fake that agree on what was found."""

    on: tuple[str, ...]
    """Facts the pairs agree on."""
    num_pairs: int
    probe_auc: Metric
    """Of a probe made anew from the pairs; near or below one half = the shortcut is gone."""
    detector_auc: Metric
    """Of the detector on the files of the pairs."""

    @property
    def still_differ(self) -> bool:
        """Whether the pairs do not agree well enough: the probe made anew is a shortcut again."""
        if self.probe_auc.value is None or self.probe_auc.value <= WORTH_A_WARNING:
            return False
        return p_value(self.probe_auc.value, 0.0, self.num_pairs, self.num_pairs) < 0.05


@dataclass(frozen=True, kw_only=True)
class RowAudit(TableRow):
    """The audit of one row of the table."""

    num_real: int
    num_fake: int
    """Files of each class looked at: scored, with facts."""
    num_without_facts: int
    """Scored files of which no fact is known."""
    num_left_out: int
    """Files with facts beyond `MOST_FILES` of a class; drawn by seed."""
    reason: str = ""
    """Why there was no audit; empty if there was."""
    probes: tuple[Probe, ...] = ()
    """Each fact, each family, all together."""
    detector_auc: Metric = _NO_AUDIT
    """Of the detector on the files looked at."""
    follows: tuple[Metric, Metric] = (_NO_AUDIT, _NO_AUDIT)
    """Spearman's correlation, among real and among fake files, of the detector's score with the
    log-odds by the facts found (all facts, where none was)."""
    matched: Matched | None = None
    """None where no shortcut was found."""

    @property
    def found(self) -> tuple[Probe, ...]:
        """The shortcuts, strongest first."""
        found = [probe for probe in self.probes if probe.is_shortcut]
        return tuple(sorted(found, key=lambda probe: -(probe.auc.value or 0.0)))


def p_value(area: float, error: float, num_real: int, num_fake: int) -> float:
    """Chance of so large an area where there is nothing to find, one-sided.

    The larger of two standard errors counts: that of the bootstrap, which knows of groups but is 0
    where every pair is in order, and that of the rank sum when nothing separates (Mann and Whitney,
    1947), which does not.
    """
    chance = math.sqrt((num_real + num_fake + 1) / (12 * num_real * num_fake))
    return 0.5 * math.erfc((area - 0.5) / max(error, chance) / math.sqrt(2))


def audit_folder(
    folder: Path, scores: ModelScores, *, resamples: int, seed: int
) -> tuple[RowAudit, ...]:
    """`audit` the ``scores`` of the ``--out`` of an evaluation; nothing where it has no facts.

    Raises:
        ValueError: a file is broken, or scores and facts disagree.
    """
    facts = read_folder(folder)
    reals_from = scores.head.reals_from
    options = {"resamples": resamples, "seed": seed}
    return audit(scores.files, facts, reals_from=reals_from, **options) if facts else ()


def audit(
    files: pd.DataFrame,
    facts: Iterable[FileFacts],
    *,
    reals_from: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[RowAudit, ...]:
    """Audit the rows that `summary.summarise` makes of the same files, in the same order.

    Files without facts are counted and left out. The seed is also that of the folds, and of which
    files are looked at where there are too many.

    Raises:
        ValueError: scores and facts disagree on what a file is; or as `score_frame.row_files`.
    """
    known = {(row.dataset, row.sample_id): row for row in facts if row.facts}
    for file in files.itertuples():
        told = known.get((file.dataset, file.sample_id))
        for field in ("label", "method", "split") if told is not None else ():
            if getattr(file, field) != getattr(told, field):
                raise ValueError(
                    f"{file.sample_id} of {file.dataset}: {field} is {getattr(file, field)!r} in "
                    f"its scores and {getattr(told, field)!r} in its facts; evaluate again"
                )
    return tuple(
        _audit_row(row, of_row, known, resamples, seed)
        for row, of_row in score_frame.row_files(files, reals_from)
    )


def _audit_row(
    row: TableRow,
    files: pd.DataFrame,
    known: Mapping[tuple[str, str], FileFacts],
    resamples: int,
    seed: int,
) -> RowAudit:
    scored = score_frame.scored(files)
    keys = zip(scored["dataset"], scored["sample_id"], strict=True)
    with_facts = scored.assign(facts=[known.get(key) for key in keys]).dropna(subset="facts")
    labels = with_facts["label"].to_numpy()
    random = np.random.default_rng(seed)
    drawn = [random.permutation(np.flatnonzero(labels == k))[:MOST_FILES] for k in (0, 1)]
    chosen = with_facts.iloc[np.sort(np.concatenate(drawn))]
    num_real, num_fake = map(len, drawn)
    audited = RowAudit(
        **vars(row),
        num_real=num_real,
        num_fake=num_fake,
        num_without_facts=len(scored) - len(with_facts),
        num_left_out=len(with_facts) - len(chosen),
    )
    if not len(with_facts):
        return replace(audited, reason="nothing is known of its files but their scores")
    if min(num_real, num_fake) < LEAST_FILES:
        few = (
            f"{num_real} real and {num_fake} fake files with facts; it takes {LEAST_FILES} of each"
        )
        return replace(audited, reason=few)
    labels, logits = score_frame.labels_and_logits(chosen)
    facts = chosen["facts"].tolist()
    linked = shortcut_probe.linked_groups(facts)
    folds = shortcut_probe.folds_of(labels, linked, seed=seed)
    if folds is None:
        few = "its files all belong together: there is no other group to try a probe on"
        return replace(audited, reason=few)
    looked_at = _Files(
        labels=labels,
        logits=logits,
        groups=score_frame.groups_of(chosen),
        linked=linked,
        folds=folds,
        columns=shortcut_probe.fact_columns(facts),
        resamples=resamples,
        seed=seed,
    )
    return _with_findings(audited, looked_at)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Files:
    """N files of a row with their facts, and how to draw them again."""

    labels: IntArray
    logits: FloatArray
    groups: np.ndarray | None
    """Names of the groups that intervals draw; None = files."""
    linked: IntArray
    """Numbers of what no fold may divide."""
    folds: IntArray
    columns: FactColumns
    resamples: int
    seed: int

    def take(self, chosen: np.ndarray) -> "_Files":
        """Some of them, by number or truth value."""
        return replace(
            self,
            labels=self.labels[chosen],
            logits=self.logits[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            linked=self.linked[chosen],
            folds=self.folds[chosen],
            columns={name: column[chosen] for name, column in self.columns.items()},
        )

    def log_odds(self, facts: Iterable[str]) -> FloatArray:
        """(N,) of a probe that sees some facts."""
        seen = {fact: self.columns[fact] for fact in facts}
        return shortcut_probe.out_of_fold(seen, self.labels, self.folds)

    def auc(self, scores: FloatArray) -> tuple[Metric, float]:
        """Of (N,) scores, with its interval, and the standard error of that AUC."""
        area = ranking.auc(self.labels, scores)
        options = {"resamples": self.resamples, "seed": self.seed}
        plan = Resampling.of(self.labels, groups=self.groups, **options)
        if plan.reason:
            return replace(area, interval=plan.no_interval(plan.reason)), math.inf
        draws = ranking.resampled_aucs(self.labels, scores, plan)
        return replace(area, interval=plan.interval(draws)), float(np.std(draws))


def _with_findings(row: RowAudit, files: _Files) -> RowAudit:
    # Every fact alone, then what families have two facts or more to tell, then all.
    sets: dict[str, tuple[str, ...]] = {name: (name,) for name in files.columns}
    for family, names in {**FAMILIES, ALL_FACTS: tuple(files.columns)}.items():
        present = tuple(name for name in names if name in files.columns)
        sets |= {family: present} if len(present) > 1 else {}
    probes = [_probe(name, facts, files) for name, facts in sets.items()]
    corrected = holm([probe.p_value for probe in probes])
    probes = [replace(probe, holm_p_value=p) for probe, p in zip(probes, corrected, strict=True)]
    suspects = _suspects(probes, files.columns)
    log_odds = files.log_odds(suspects or files.columns)
    return replace(
        row,
        probes=tuple(probes),
        detector_auc=ranking.auc(files.labels, files.logits),
        follows=(_follows(files, log_odds, 0), _follows(files, log_odds, 1)),
        matched=_matched(files, suspects, log_odds) if suspects else None,
    )


def _probe(name: str, facts: tuple[str, ...], files: _Files) -> Probe:
    probe = Probe(name=name, facts=facts)
    if len(facts) == 1:
        column = files.columns[name]
        usual = [_usual(column[files.labels == label]) for label in (0, 1)]
        probe = replace(probe, usual_real=usual[0], usual_fake=usual[1])
        files = files.take(shortcut_probe.is_known(column))
    num_fake = int(files.labels.sum())
    num_real = files.labels.size - num_fake
    if min(num_real, num_fake) < LEAST_FILES:
        few = Metric(None, f"known of fewer than {LEAST_FILES} real or fake files")
        return replace(probe, auc=few)
    log_odds = files.log_odds(facts)
    area = ranking.auc(files.labels, log_odds)
    assert area.value is not None
    if area.value <= WORTH_A_WARNING:
        return replace(probe, auc=area, p_value=1.0)
    area, error = files.auc(log_odds)
    assert area.value is not None
    return replace(probe, auc=area, p_value=p_value(area.value, error, num_real, num_fake))


def _suspects(probes: Sequence[Probe], columns: Iterable[str]) -> tuple[str, ...]:
    """The facts to match on: those found alone; else those of the families found; else all.

    A fact that is guilty only in company is matched on with its company.
    """
    found = [probe for probe in probes if probe.is_shortcut]
    alone = {probe.name for probe in found if len(probe.facts) == 1}
    families = [probe for probe in found if probe.name in FAMILIES]
    together = {fact for p in families if not alone & {*p.facts} for fact in p.facts}
    chosen = alone | together or {fact for probe in found for fact in probe.facts}
    return tuple(name for name in columns if name in chosen)


def _follows(files: _Files, log_odds: FloatArray, label: int) -> Metric:
    of_class = files.labels == label
    first, second = files.logits[of_class], log_odds[of_class]
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Metric(None, "one of the two is the same for all files")
    return Metric(float(spearmanr(first, second).statistic))


def _matched(files: _Files, facts: tuple[str, ...], log_odds: FloatArray) -> Matched:
    words = [files.columns[fact] for fact in facts if files.columns[fact].dtype.kind == "U"]
    strata = np.zeros(files.labels.size, dtype=np.int64)
    for column in words:  # pairs agree on words exactly
        codes = np.stack([strata, np.unique(column, return_inverse=True)[1]])
        strata = np.unique(codes, axis=1, return_inverse=True)[1].reshape(-1)
    pairs = shortcut_probe.matched_pairs(files.labels, log_odds, strata)
    detector_auc = probe_auc = Metric(
        None, f"{len(pairs)} pairs of a real and a fake file agree, and it takes {LEAST_FILES}"
    )
    if len(pairs) >= LEAST_FILES:
        paired = files.take(np.sort(pairs.reshape(-1)))
        detector_auc, _ = paired.auc(paired.logits)
        folds = shortcut_probe.folds_of(paired.labels, paired.linked, seed=files.seed)
        probe_auc = Metric(None, "the pairs all belong together: no other group to try it on")
        if folds is not None:
            anew = replace(paired, folds=folds).log_odds(facts)
            probe_auc = ranking.auc(paired.labels, anew)
    return Matched(on=facts, num_pairs=len(pairs), probe_auc=probe_auc, detector_auc=detector_auc)


def _usual(column: np.ndarray) -> str:
    """The commonest value with its share, or the median; of the files where it is known."""
    values = column[shortcut_probe.is_known(column)]
    if not values.size:
        return "not known"
    if values.dtype.kind == "f":
        return f"{np.median(values):.4g}"
    value, count = max(Counter(values.tolist()).items(), key=lambda item: (item[1], item[0]))
    return f"{value} {math.floor(100 * count / values.size)} %"
