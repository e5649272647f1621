"""Trainings x tests, as `avkd compare` and `avkd matrix` run them; what is finished is kept.

Every run is a run folder of `avkd finetune` or `avkd distill`, every number comes from a folder of
`avkd evaluate`. A stopped study goes on; what was made with other settings is never taken for it.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avkd import durable
from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.image_config import DistillConfig
from avkd.config.load import settings_of, stored_settings
from avkd.config.study_config import MatrixTest, StudyConfig
from avkd.config.training_config import FinetuneConfig, PretrainConfig
from avkd.data.datasets import Corpus
from avkd.data.manifest import REAL_METHOD, Manifest
from avkd.evaluation.evaluate import evaluate
from avkd.evaluation.protocol import fingerprint_of, protocol_of
from avkd.models.model_file import ModelHeader, read_header
from avkd.outcome import ExitCode
from avkd.reporting.matrix_table import Overlap, Result, Trained
from avkd.reporting.model_scores import read_report_folder
from avkd.reporting.summary import SummaryRow, summarise
from avkd.stages.distill import distill
from avkd.stages.finetune import finetune
from avkd.stages.pretrain import pretrain
from avkd.training.resume import Checkpoints

logger = logging.getLogger(__name__)

_RECORD = "made_from.json"
# Where and how fast it is computed, never what.
_MACHINE_SETTINGS = ("out", "batch_size", "device", "threads")

Recipe = FinetuneConfig | DistillConfig
Corpora = Mapping[Path, Corpus]


@dataclass(frozen=True, kw_only=True)
class GridRun(Trained):
    """One model of a grid: to be trained, or given."""

    recipe: Recipe | None
    """The command that trains it; None = the model is given."""
    before: tuple[PretrainConfig, ...] = ()
    """Stage one, where it comes of the grid: what it starts from, and its random control."""
    model: Path
    """Its file."""
    scores: Path
    """Folder for the scores, one for each test in it."""
    device: str
    threads: int | None
    """What it is scored with."""
    known_data: tuple[Path, ...]
    """Corpora it was trained on, as far as they are known."""
    not_tested_on: frozenset[str] = frozenset()
    """Tests by name."""


def run_grid(
    runs: Sequence[GridRun],
    tests: Sequence[MatrixTest],
    corpora: Corpora,
    config: StudyConfig,
    *,
    batch_size: int,
    mixed_preprocessing: bool = False,
) -> list[Result]:
    """Train every run in order, a teacher before its students, and score it on every test.

    ``corpora`` are all of trainings and tests; further settings as in `avkd matrix`.

    Raises:
        ValueError: a run or scores there were made with other settings, or on other content of
            the corpora.
    """
    for number, run in enumerate(runs, 1):
        logger.info("model %d of %d: %s", number, len(runs), run.model)
        for recipe in (*run.before, run.recipe):
            if recipe is not None:
                _train_once(recipe, config.resume_changed)
    results = []
    for run in runs:
        header = read_header(run.model)
        for test in (test for test in tests if test.name not in run.not_tested_on):
            settings = EvaluateConfig(
                model=run.model,
                data=test.data,
                out=run.scores / test.name,
                methods=test.methods,
                protocol=test.protocol,
                mixed_preprocessing=mixed_preprocessing,
                tables_only=True,
                bootstrap_resamples=config.bootstrap_resamples,
                batch_size=batch_size,
                device=run.device,
                threads=run.threads,
            )
            results += [
                Result(
                    **run.names,
                    model_fingerprint=header.fingerprint,
                    training_methods=_training_methods(header),
                    validation_auc=_validation_auc(header),
                    test=test.name,
                    overlap=_overlap(run, header, test, corpora),
                    row=row,
                )
                for row in _score_once(settings, name=test.name)
            ]
    return results


def _training_methods(header: ModelHeader) -> frozenset[str] | None:
    methods = header.provenance.get("training_methods")
    if not isinstance(methods, list):
        return None
    return frozenset(map(str, methods)) - {REAL_METHOD}


def _validation_auc(header: ModelHeader) -> float | None:
    validation = header.provenance.get("validation")
    value = validation.get("video_auc") if isinstance(validation, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _overlap(run: GridRun, header: ModelHeader, test: MatrixTest, corpora: Corpora) -> Overlap:
    """How many of the tested corpora are those trained on, by content or by dataset name."""
    contents = set(_corpora_of(header))
    datasets = {s.dataset for folder in run.known_data for s in corpora[folder].expected}
    known = [
        corpora[folder].manifest.fingerprint in contents
        or not datasets.isdisjoint(s.dataset for s in corpora[folder].expected)
        for folder in test.data
    ]
    if all(known):
        return "same"
    return "shared" if any(known) else "none"


def model_of(run: Path) -> Path:
    """The model file of a run folder."""
    return run / "model.safetensors"


def _corpora_of(header: ModelHeader) -> list[str]:
    """Fingerprints of the corpora a model says it was trained on; untrusted like all it says."""
    data = header.provenance.get("data")
    corpora = data if isinstance(data, list) else []
    return [str(corpus.get("fingerprint")) for corpus in corpora if isinstance(corpus, dict)]


def known_data(recipe: Recipe | PretrainConfig) -> tuple[Path, ...]:
    """The corpora a training uses, those of further real clips last."""
    return (*recipe.data, *(recipe.real_data if isinstance(recipe, FinetuneConfig) else ()))


def _train_once(settings: Recipe | PretrainConfig, resume_changed: bool = False) -> None:
    """Train, go on with a run that was stopped, or keep the finished one."""
    if model_of(settings.run).exists():
        # A finished run counts only if it is the very run that is wanted now.
        found = stored_settings(settings.run / "config.yaml", type(settings))
        if {**found, "resume": False} != settings_of(replace(settings, resume=False)):
            raise ValueError(
                f"{settings.run}: holds a finished run with other settings; remove it, or give "
                "the study another --out"
            )
        data = [_fingerprint(folder) for folder in known_data(settings)]
        header = read_header(model_of(settings.run))
        parent = settings.pretrained if isinstance(settings, FinetuneConfig) else None
        is_same_start = not parent or header.provenance["pretrained"] == read_header(parent).sha256
        if _corpora_of(header) != data or not is_same_start:
            raise ValueError(
                f"{settings.run}: holds a finished run on other content of its corpora, or of "
                "another stage one; remove it, or give the study another --out"
            )
        return
    if Checkpoints(settings.run / "checkpoints").exist:
        settings = replace(settings, resume=True, resume_changed=resume_changed)
    if isinstance(settings, FinetuneConfig):
        finetune(settings)
    elif isinstance(settings, DistillConfig):
        distill(settings)
    elif (outcome := pretrain(settings)).exit_code is ExitCode.NOTHING_USABLE:
        raise ValueError(f"{settings.run}: {outcome.text}, `force: true` in the file of pretrain")


def _score_once(settings: EvaluateConfig, *, name: str) -> tuple[SummaryRow, ...]:
    """Evaluate, or keep what was scored; the rows, its corpora taken as one dataset ``name``."""
    path = settings.out / _RECORD
    wanted = _made_from(settings)
    if not path.exists():
        evaluate(settings)
        durable.write_json(path, wanted)
    elif json.loads(path.read_text(encoding="utf-8")) != wanted:
        raise ValueError(
            f"{settings.out}: holds scores of another model, other data or other settings; remove "
            "it, or give the study another --out"
        )
    scored = read_report_folder(settings.out, mixed_preprocessing=settings.mixed_preprocessing)
    return summarise(
        # Under one name, so that all forgeries are compared with all real videos of the protocol.
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


def _fingerprint(folder: Path) -> str:
    return Manifest.load(folder / "manifest.jsonl").fingerprint
