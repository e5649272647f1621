"""What a scores file says of its making: model, crops, windows, pooling, command, version, day.

The one place that reads a clock and the version for it.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from avkd import __version__
from avkd.data.crops.prepared_corpus import CropProvenance
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.reporting.scores_head import Scorer, ScoresHead


def scores_head(
    *,
    model: Path,
    model_fingerprint: str,
    crops: CropProvenance,
    windows: str,
    command: str,
    scorer: Scorer = "detector",
    pooling: Pooling = MEAN_LOGIT,
    protocol: str = "",
    protocol_fingerprint: str = "",
    reals_from: str = "",
) -> ScoresHead:
    """The head of scores that are made now; arguments as in `ScoresHead`."""
    return ScoresHead(
        model=str(model),
        model_fingerprint=model_fingerprint,
        scorer=scorer,
        preprocessing=crops.fingerprint,
        preprocessing_text=crops.text,
        perturbation=crops.perturbation,
        windows=windows,
        pooling=pooling,
        protocol=protocol,
        protocol_fingerprint=protocol_fingerprint,
        reals_from=reals_from,
        avkd_version=__version__,
        command=command,
        date=datetime.date.today().isoformat(),
    )
