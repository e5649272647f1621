"""Runs and scores of a study that are there already: kept if they are the very ones wanted now.

A stopped study goes on where it was; what was made with other settings is never taken for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from avkd import durable
from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.image_config import DistillConfig
from avkd.config.load import to_yaml
from avkd.config.training_config import FinetuneConfig
from avkd.data.manifest import Manifest
from avkd.evaluation.evaluate import evaluate
from avkd.evaluation.protocol import fingerprint_of, protocol_of
from avkd.models.model_file import ModelHeader, read_header
from avkd.outcome import Outcome
from avkd.reporting.model_scores import read_report_folder
from avkd.reporting.summary import SummaryRow, summarise

Stage = TypeVar("Stage", FinetuneConfig, DistillConfig)

_RECORD = "made_from.json"
# Where and how fast it is computed, never what.
_MACHINE_SETTINGS = ("out", "batch_size", "device", "threads")


def model_of(run: Path) -> Path:
    """The model file of a run folder."""
    return run / "model.safetensors"


def corpora_of(header: ModelHeader) -> list[str]:
    """Fingerprints of the corpora a model says it was trained on; untrusted like all it says."""
    data = header.provenance.get("data")
    corpora = data if isinstance(data, list) else []
    return [str(corpus.get("fingerprint")) for corpus in corpora if isinstance(corpus, dict)]


def train_once(settings: Stage, train: Callable[[Stage], Outcome]) -> None:
    """Train, go on with a run that was stopped, or keep the finished one.

    Raises:
        ValueError: the folder holds a finished run with other settings, or of corpora that were
            prepared differently since.
    """
    if model_of(settings.run).exists():
        # A finished run counts only if it is the very run that is wanted now.
        wanted = to_yaml(replace(settings, resume=False))
        if (settings.run / "config.yaml").read_text(encoding="utf-8") != wanted:
            raise ValueError(
                f"{settings.run}: holds a finished run with other settings; remove it, or give "
                "the study another --out"
            )
        further: tuple[Path, ...] = ()
        if isinstance(settings, FinetuneConfig):
            further = settings.real_data
        if corpora_of(read_header(model_of(settings.run))) != [
            _fingerprint(folder) for folder in (*settings.data, *further)
        ]:
            raise ValueError(
                f"{settings.run}: holds a finished run on other content of its corpora; remove it, "
                "or give the study another --out"
            )
        return
    if (settings.run / "checkpoints" / "last.safetensors").exists():
        settings = replace(settings, resume=True)
    train(settings)


def score_once(settings: EvaluateConfig, *, name: str) -> tuple[SummaryRow, ...]:
    """Evaluate into ``settings.out``, or keep what was scored there.

    Args:
        settings: the evaluation; its corpora become one dataset.
        name: of that dataset in the rows.

    Returns:
        The rows of its table, with the threshold the model brought.

    Raises:
        ValueError: the folder holds scores of another model, other data or other settings.
    """
    path = settings.out / _RECORD
    wanted = _made_from(settings)
    if not path.exists():
        evaluate(settings)
        durable.write_json(path, wanted)
    elif _recorded(path) != wanted:
        raise ValueError(
            f"{settings.out}: holds scores of another model, other data or other settings; remove "
            "it, or give the study another --out"
        )
    scored = read_report_folder(settings.out, mixed_preprocessing=settings.mixed_preprocessing)
    return summarise(
        # Under one name, so that all forgeries meet all reals the protocol wants.
        scored.files.assign(dataset=name),
        threshold=scored.provenance.threshold,
        pooling=scored.head.pooling,
        resamples=settings.bootstrap_resamples,
        seed=settings.seed,
    )


def _made_from(settings: EvaluateConfig) -> dict[str, Any]:
    values = {name: v for name, v in asdict(settings).items() if name not in _MACHINE_SETTINGS}
    made_from = {
        "settings": values,
        "protocol": fingerprint_of(protocol_of(settings)),
        "model": read_header(settings.model).sha256,
        "data": [_fingerprint(folder) for folder in settings.data],
    }
    plain: dict[str, Any] = json.loads(json.dumps(made_from, default=str))
    return plain


def _recorded(path: Path) -> Any:
    record = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(record, dict) and isinstance(record.get("settings"), dict):
        record["settings"].pop("flat_memory", None)  # a setting of earlier versions; never used
    return record


def _fingerprint(folder: Path) -> str:
    return Manifest.load(folder / "manifest.jsonl").fingerprint
