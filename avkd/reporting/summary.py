"""From the scores frame to the rows of the table, and ``report.csv``, which holds them.

Each row sets the forgeries of one method, or all of them, against the dataset's real files.
"""

import csv
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from avkd.metrics import probability, ranking
from avkd.metrics.bootstrap import Metric, Resampling
from avkd.metrics.pooling import MEAN_LOGIT, RULES, Pooling
from avkd.metrics.probability import Reliability
from avkd.metrics.table import METRICS, OF_A_RULE, at_threshold
from avkd.metrics.verdicts import Confusion, confusion
from avkd.reporting import score_frame
from avkd.reporting.score_frame import TableRow
from avkd.reporting.tables import Cell, Table, from_csv_cell, with_ends

_PROVENANCE = ("model", "model_fingerprint", "date", "threshold_logit", "threshold_origin")


class SetLimits(NamedTuple):
    """Prediction sets: what they promise, and the logits that decide what they hold."""

    coverage: float
    """Least share of the real files, and of the fake ones, whose set holds their label."""
    largest_real: float
    least_fake: float
    """A set holds real up to the one logit, and fake from the other on."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The operating point to judge with, chosen elsewhere, never on the scores being judged."""

    logit: float
    """A file is called fake when its pooled logit is at or above this."""
    origin: str
    """Where it was chosen, e.g. ``best balanced accuracy on faceforensics val``."""
    sets: SetLimits | None = None
    """Of the model's prediction sets; None = it has none."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the numbers; printed beside them."""

    model: str
    """Name of the model, for the reader."""
    model_fingerprint: str
    """Digest of the model file; empty = not known."""
    date: str
    """Day of the evaluation, ISO 8601; empty = not known."""
    threshold: Threshold | None
    """The threshold `summarise` was given."""
    notes: tuple[str, ...] = ()
    """Anything else a reader must know, one sentence each."""

    @property
    def origin(self) -> str:
        """The model file and the day, as far as they are known."""
        file = self.model_fingerprint and f"model file {self.model_fingerprint}"
        return ", ".join(filter(None, (file, self.date and f"evaluated {self.date}")))


@dataclass(frozen=True, kw_only=True)
class SummaryRow(TableRow):
    """One line of the table: the forgeries of one method against all real files of the dataset."""

    num_real: int
    num_fake: int
    """Scored files of each class."""
    expected_real: int
    expected_fake: int
    """Files of each class in the scores file, scored or not."""
    num_windows: int
    """Scored windows."""
    values: Mapping[str, Metric]
    """The number of every metric of `metrics.table.METRICS`, by its name; of prediction sets only
    where the model has them. The AUC, and all that need a threshold, have an interval."""
    reliability: Reliability
    confusion: Confusion | None
    """Verdicts over files at the threshold; None when no threshold was given."""
    unscored: tuple[tuple[str, int], ...]
    """Reason codes of the unscored files and their numbers, most frequent first."""
    pooling: Pooling = MEAN_LOGIT
    """Rule that makes a file's score of its windows' (`pooling.RULES` has it in words)."""
    reals_from: str = ""
    """Dataset of the real files, where they are of another one; empty = its own."""

    @property
    def auc(self) -> Metric:
        """AUC over files."""
        return self.values["video_auc"]

    @property
    def num_scored(self) -> int:
        """Scored files."""
        return self.num_real + self.num_fake

    @property
    def num_expected(self) -> int:
        """Files in the scores file."""
        return self.expected_real + self.expected_fake

    @property
    def coverage(self) -> float:
        """Share of the expected files that could be scored."""
        return self.num_scored / self.num_expected


def summarise(
    files: pd.DataFrame,
    *,
    threshold: Threshold | None = None,
    pooling: Pooling = MEAN_LOGIT,
    reals_from: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[SummaryRow, ...]:
    """Rows of the table, in the order of `score_frame.row_files`.

    Intervals resample the groups of the scores when every file of the row has one, else files
    (``auc.interval.unit`` says which).

    ``files`` are a scores frame of any number of datasets, all of them expected. Without a
    threshold the numbers of verdicts have a reason instead. ``reals_from`` names the dataset whose
    real files forgeries are set against; empty = each its own.

    Raises:
        ValueError: ``reals_from`` has no real files there.
    """
    return tuple(
        dataclasses.replace(
            _summary_row(row, of_row, threshold, resamples, seed),
            pooling=pooling,
            reals_from=reals_from if reals_from != row.dataset else "",
        )
        for row, of_row in score_frame.row_files(files, reals_from)
    )


def _summary_row(
    row: TableRow, files: pd.DataFrame, threshold: Threshold | None, resamples: int, seed: int
) -> SummaryRow:
    scored = score_frame.scored(files)
    labels, logits = ranking.checked(*score_frame.labels_and_logits(scored))
    groups = score_frame.groups_of(scored)
    plan = Resampling.of(labels, groups=groups, resamples=resamples, seed=seed)
    probabilities = scored["probability"].to_numpy()
    given = {
        "files": (labels, logits),
        "expected files": score_frame.labels_and_logits(files),
        "windows": score_frame.window_labels_and_logits(scored),
        "frames": score_frame.frame_labels_and_logits(scored),
        "probabilities": (labels, probabilities),
    }
    logit = None if threshold is None else threshold.logit
    limits = threshold.sets[1:] if threshold and threshold.sets else None
    stated = ~np.isnan(probabilities)
    expected = Counter(files["label"].tolist())
    return SummaryRow(
        **vars(row),
        num_real=int(np.sum(labels == 0)),
        num_fake=int(np.sum(labels == 1)),
        expected_real=expected[0],
        expected_fake=expected[1],
        num_windows=sum(map(len, scored["windows"])),
        values={
            **{m.name: m.function(*given[m.over]) for m in METRICS if m.over not in OF_A_RULE},
            "video_auc": ranking.auc_with_interval(labels, logits, plan),
            **at_threshold(labels, logits, logit, plan, limits),
        },
        reliability=probability.reliability(labels[stated], probabilities[stated]),
        confusion=None if logit is None else confusion(labels, logits, logit),
        unscored=tuple(Counter(files["reason"][files["logit"].isna()]).most_common()),
    )


def to_csv(rows: Sequence[SummaryRow], *, provenance: Provenance) -> str:
    """One line per row, each with its provenance; a number that is not defined is empty."""
    return Table.of(_csv_line(row, provenance) for row in rows).to_csv()


def _csv_line(row: SummaryRow, provenance: Provenance) -> dict[str, Cell]:
    auc, threshold = row.auc.interval, provenance.threshold
    sets = threshold.sets if threshold else None
    counts = {f.name: getattr(row.confusion, f.name, None) for f in dataclasses.fields(Confusion)}
    return {
        **row.cells,
        **coverage_cells(row),
        "scored_windows": row.num_windows,
        "video_auc_low": auc.low,
        "video_auc_high": auc.high,
        **metric_cells(row),
        **counts,
        **{f"sets_{name}": sets and getattr(sets, name) for name in SetLimits._fields},
        "threshold_logit": threshold.logit if threshold else None,
        "threshold_origin": threshold.origin if threshold else None,
        "interval_unit": auc.unit,
        "resamples": auc.resamples,
        "seed": auc.seed,
        "pooling": RULES[row.pooling],
        "reals_from": row.reals_from or None,
        "model": provenance.model,
        "model_fingerprint": provenance.model_fingerprint,
        "date": provenance.date,
        "notes": json.dumps(provenance.notes) if provenance.notes else None,
    }


def coverage_cells(row: SummaryRow) -> dict[str, Cell]:
    """CSV cells of how many files were scored."""
    return {
        "scored_real": row.num_real,
        "expected_real": row.expected_real,
        "scored_fake": row.num_fake,
        "expected_fake": row.expected_fake,
        "coverage": row.coverage,
    }


def metric_cells(row: SummaryRow) -> dict[str, Cell]:
    """CSV cells of all metrics, those of a decision rule with the ends of their intervals.

    Those of prediction sets are empty where the model has none.
    """
    cells: dict[str, Cell] = {}
    for measure in METRICS:
        number = row.values.get(measure.name, Metric(None))
        ends = with_ends(measure.name, number)
        cells |= ends if measure.over in OF_A_RULE else {measure.name: number.value}
    return cells


def read_report(path: Path) -> tuple[Provenance, tuple[str, ...]]:
    """What a ``report.csv`` says made its numbers, and its datasets in order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a ``report.csv``, or its rows are of different models or thresholds.
    """
    lines = read_lines(path)
    found = {tuple(line[name] for name in _PROVENANCE) for line in lines}
    if len(found) != 1:
        raise ValueError(f"{path}: its rows name {len(found)} models or thresholds, not one")
    model, fingerprint, date, logit, origin = found.pop()
    threshold = None
    if logit:
        names = [f"sets_{name}" for name in SetLimits._fields]
        limits = [_number(path, name, lines[0][name]) for name in names if lines[0].get(name)]
        threshold = Threshold(
            logit=_number(path, "threshold_logit", logit),
            origin=origin,
            sets=SetLimits(*limits) if len(limits) == len(names) else None,
        )
    try:
        notes = json.loads(lines[0].get("notes") or "[]")  # an older one has none
    except ValueError as error:
        raise ValueError(f"{path}: notes are not JSON: {error}") from error
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ValueError(f"{path}: notes are not a list of texts")
    provenance = Provenance(
        model=model,
        model_fingerprint=fingerprint,
        date=date,
        threshold=threshold,
        notes=tuple(notes),
    )
    return provenance, tuple(dict.fromkeys(line["dataset"] for line in lines))


def _number(path: Path, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError(f"{path}: {name} {text!r} is not a number") from error
    if not math.isfinite(number):
        raise ValueError(f"{path}: {name} {text!r} is not a finite number")
    return number


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of a ``report.csv`` as text, by column; of older files too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a ``report.csv``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", restkey="")
            lines = [{name: from_csv_cell(text) for name, text in line.items()} for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a report.csv: {error}") from error
    needed = {"dataset", *_PROVENANCE}
    if lost := needed - set(reader.fieldnames or ()):
        raise ValueError(f"{path}: not a report.csv: no column {', '.join(sorted(lost))}")
    return lines
