"""What score and facts files say of prepared files: a row for each, and what made the scores."""

import datetime
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from avkd import __version__
from avkd.data import nuisance
from avkd.data.crops.prepared_corpus import CropProvenance, read_nuisance
from avkd.data.manifest import Sample
from avkd.data.windows import Window
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.models.calibration import Calibration
from avkd.reporting import scores
from avkd.reporting.nuisance_facts import FACTS, FileFacts, write_facts
from avkd.reporting.scores import ClipScore, Scorer, ScoresHead

DAMAGED = "damaged_crops"
"""Status of a prepared file whose stored crops cannot be read."""


def scored_row(
    sample: Sample, window: Window, logit: float, probability: float | None
) -> ClipScore:
    """The row of one window; a logit that is not finite is no score, and the row says so.

    ``probability`` is P(fake); None where the scorer states none.
    """
    finite = math.isfinite(logit)
    return ClipScore(
        **_identity(sample),
        window=window.index,
        start_frame=window.start_frame,
        num_frames=window.num_frames,
        logit=logit if finite else None,
        probability=probability if finite else None,
        status=scores.OK if finite else "logit_not_finite",
    )


def unscored_row(sample: Sample, status: str, message: str) -> ClipScore:
    """The one row of a file without any score; ``status`` is the reason's code."""
    return ClipScore(**_identity(sample), status=status, message=message)


def write_file_facts(out: Path, wanted: Iterable[Sample], corpus: Path) -> None:
    """Write ``facts/<dataset>.csv``: a row per file, empty where the corpus has no facts of it.

    Raises:
        ValueError: a fact of the corpus is not of its kind; names the file.
    """
    known = read_nuisance(corpus)
    rows = []
    for sample in wanted:
        found = known.get(sample.sample_id, {})
        facts = {n: value for n in nuisance.FACTS if (value := found.get(n)) is not None}
        source = sample.source_id or ""
        rows.append(FileFacts(**_identity(sample), source=source, facts=facts))
    write_facts(out / FACTS / f"{rows[0].dataset}.csv", rows)


def scores_head(
    *,
    model: Path,
    crops: CropProvenance,
    scorer: Scorer = "detector",
    pooling: Pooling = MEAN_LOGIT,
    calibration: Calibration | None = None,
    **others: str,
) -> ScoresHead:
    """The head of scores that are made now by ``model``; arguments as in `ScoresHead`."""
    return ScoresHead(
        model=str(model),
        scorer=scorer,
        preprocessing=crops.fingerprint,
        preprocessing_text=crops.text,
        perturbation=crops.perturbation,
        pooling=pooling,
        calibration=calibration,
        avkd_version=__version__,
        date=datetime.date.today().isoformat(),
        **others,
    )


def _identity(sample: Sample) -> dict[str, Any]:
    """Fields that all rows of a file share; its group is whose face it is, the target first."""
    return {
        "sample_id": sample.sample_id,
        "label": sample.label,
        "dataset": sample.dataset,
        "method": sample.method,
        "split": sample.split or "",
        "group": sample.identities[0] if sample.identities else "",
    }
