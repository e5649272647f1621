"""All scores of one model, read once: the scores frame, and what made it.

They come from the folder of an evaluation, or, of any detector, from a plain CSV table. Needed
columns: ``file``, ``label`` (0 or real, 1 or fake) and ``score`` (any number, higher = fake; empty
= the file could not be scored). Optional:
``probability`` (P(fake)), ``method`` (of forgery), ``dataset``, ``split``, ``identity`` (resampled
together) and ``model`` (several in one table).
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from avkd import __version__, durable
from avkd.metrics.pooling import MEAN_LOGIT
from avkd.reporting import score_frame, summary
from avkd.reporting import scores as score_files
from avkd.reporting.scores import OK, REAL_METHOD, SCORES, ClipScore, ScoresHead
from avkd.reporting.summary import Provenance

_REPORT = "report.csv"
NEEDED = ("file", "label", "score")
OPTIONAL = ("probability", "method", "dataset", "split", "identity", "model")
NOT_SCORED = "no_score"
_LABELS = {"0": 0, "0.0": 0, "real": 0, "1": 1, "1.0": 1, "fake": 1}
_DATASET, _METHOD = "all files", "fake"  # where the table names none
_IN_WORDS = f"{', '.join(NEEDED)} and, as far as known, {', '.join(OPTIONAL)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelScores:
    """The scores of one model on any number of datasets."""

    files: pd.DataFrame
    """Its scores frame, datasets in the order of the report they were made for."""
    heads: Mapping[str, ScoresHead]
    """What made each dataset's scores; at least one."""
    provenance: Provenance
    """What made them all; without a ``report.csv`` there is no threshold."""

    @property
    def head(self) -> ScoresHead:
        """The head of one dataset, for what is the same in all: model, windows, pooling ..."""
        return next(iter(self.heads.values()))


def read_score_files(paths: Sequence[Path]) -> tuple[pd.DataFrame, dict[str, ScoresHead]]:
    """The scores frame of score files that may stand in one table, and the head of each dataset.

    Raises:
        ValueError: a file is broken.
    """
    heads: dict[str, ScoresHead] = {}
    rows: list[ClipScore] = []
    for path in paths:
        head, of_file = score_files.read_head(path), score_files.read_scores(path)
        heads |= dict.fromkeys((row.dataset for row in of_file), head)
        rows += of_file
    head = score_files.read_head(paths[0])
    curve = None if head.calibration is None else head.calibration.probability
    return score_frame.pool(rows, head.pooling, curve), heads


def read_report_folder(folder: Path, *, mixed_preprocessing: bool = False) -> ModelScores:
    """The scores in the ``--out`` folder of an evaluation, with what a ``report.csv`` there says.

    ``mixed_preprocessing`` takes score files of differently made crops, too, and notes it.

    Raises:
        FileNotFoundError: there are no score files.
        ValueError: a score file or the ``report.csv`` is broken, two score files cannot stand in
            one table (`scores.check_heads`), or no file was expected at all.
    """
    paths = sorted((folder / SCORES).glob("*.csv"))
    if not paths:
        raise FileNotFoundError(
            f"{folder}: no {SCORES}/*.csv in it; give the --out folder of avkd evaluate, or a CSV "
            "file with the columns file, label and score"
        )
    heads = {str(path): score_files.read_head(path) for path in paths}
    note = score_files.check_heads(heads, mixed_preprocessing=mixed_preprocessing)
    order: tuple[str, ...] = ()
    provenance = _provenance(heads[str(paths[0])])
    if (folder / _REPORT).exists():
        provenance, order = summary.read_report(folder / _REPORT)
    paths.sort(key=lambda path: (*order, path.stem).index(path.stem))  # stable; <dataset>.csv
    # What the evaluation noted of its mixing is the same sentence.
    notes = tuple(dict.fromkeys(filter(None, (note, *provenance.notes))))
    files, head_of = read_score_files(paths)
    if not len(files):
        raise ValueError(f"{folder / SCORES}: the score files have no row")
    return ModelScores(files=files, heads=head_of, provenance=replace(provenance, notes=notes))


def _provenance(head: ScoresHead, notes: tuple[str, ...] = ()) -> Provenance:
    """Where there is no ``report.csv``, and so no threshold."""
    return Provenance(
        model=head.model,
        model_fingerprint=head.model_fingerprint,
        date=head.date,
        threshold=None,
        notes=notes,
    )


def read_plain_scores(path: Path) -> dict[str, ModelScores]:
    """The scores of each model of a table, by its name; one without a name is named by the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a cell is wrong, or a file stands in two rows of one model;
            names the file, the row (1 = the first under the names) and the column.
    """
    rows: dict[str, list[ClipScore]] = {}
    place_of: dict[tuple[str, str, str], int] = {}
    names, lines = _lines(path)
    for number, line in lines.items():
        where = f"{path}, row {number}"
        row = _score(where, line)
        model = line.get("model", "") or path.stem
        key = (model, row.dataset, row.sample_id)
        if key in place_of:
            raise ValueError(
                f"{where}, column file: {row.sample_id!r} is in row {place_of[key]} already; give "
                "each file one row for each model and dataset (pool clips, or write whole paths)"
            )
        place_of[key] = number
        rows.setdefault(model, []).append(row)
    if not rows:
        raise ValueError(f"{path}: no row under the names of the columns")
    unread = [name for name in names if name and name not in (*NEEDED, *OPTIONAL)]
    notes = (f"Columns of {path.name} that were not read: {', '.join(unread)}.",) if unread else ()
    fingerprint = durable.sha256_of_file(path)[:16]
    return {
        model: _model_scores(path, model, fingerprint, of_model, notes)
        for model, of_model in rows.items()
    }


def _lines(path: Path) -> tuple[list[str], dict[int, dict[str, str]]]:
    """The names of the columns, and each row by its number; empty rows are left out."""
    content = path.read_bytes()
    if content.startswith(b"# avkd-scores-"):
        raise ValueError(f"{path}: a scores file of avkd; give the --out folder of avkd evaluate")
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV table in UTF-8: {error}") from error
    if not rows or not any(rows[0]):
        raise ValueError(f"{path}: is empty; the first line names the columns {_IN_WORDS}")
    names = [name.strip().lower() for name in rows[0]]
    if missing := [name for name in NEEDED if name not in names]:
        raise ValueError(
            f"{path}: no column {' and no column '.join(missing)} among {', '.join(rows[0])}; "
            f"wanted are {_IN_WORDS}"
        )
    for name in (*NEEDED, *OPTIONAL):
        if names.count(name) > 1:
            raise ValueError(f"{path}: two columns are named {name}")

    lines = {}
    for number, cells in enumerate(rows[1:], start=1):
        if any(cells) and len(cells) != len(names):
            raise ValueError(f"{path}, row {number}: {len(cells)} cells under {len(names)} columns")
        if any(cells):
            lines[number] = dict(zip(names, map(str.strip, cells), strict=True))
    return names, lines


def _score(where: str, line: dict[str, str]) -> ClipScore:
    """One row of the table."""
    label = _LABELS.get(line["label"].lower())
    if label is None:
        raise ValueError(f"{where}, column label: {line['label']!r} is none of 0, 1, real, fake")
    if not line["file"]:
        raise ValueError(f"{where}, column file: is empty")
    method = line.get("method", "") or (_METHOD if label else REAL_METHOD)
    if (method == REAL_METHOD) != (label == 0):
        raise ValueError(
            f"{where}, column method: {method!r} of a file whose label is {line['label']!r}; leave "
            f"it empty for real files, or write {REAL_METHOD}"
        )
    logit = _number(where, line, "score")
    probability = _number(where, line, "probability")
    if probability is not None and not 0.0 <= probability <= 1.0:
        raise ValueError(f"{where}, column probability: {probability} is not in [0, 1]")
    return ClipScore(
        sample_id=line["file"],
        label=label,
        dataset=line.get("dataset", "") or _DATASET,
        method=method,
        split=line.get("split", ""),
        window=0,
        num_frames=1,
        logit=logit,
        probability=None if logit is None else probability,
        status=NOT_SCORED if logit is None else OK,
        group=line.get("identity", ""),
    )


def _number(where: str, line: dict[str, str], column: str) -> float | None:
    text = line.get(column, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"{where}, column {column}: {text!r} is not a finite number; leave the cell empty "
            "where a file has none"
        )
    return number


def _model_scores(
    path: Path, model: str, fingerprint: str, rows: Sequence[ClipScore], notes: tuple[str, ...]
) -> ModelScores:
    files = score_frame.pool(rows)
    head = ScoresHead(
        model=model,
        model_fingerprint="",
        preprocessing="",
        command="",
        date="",
        scorer="table",
        preprocessing_text=f"table {path.name}, SHA-256 {fingerprint}...",
        windows="one score for each file",
        pooling=MEAN_LOGIT,
        avkd_version=__version__,
    )
    heads = dict.fromkeys(files["dataset"], head)
    return ModelScores(files=files, heads=heads, provenance=_provenance(head, notes))
