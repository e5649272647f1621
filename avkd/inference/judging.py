"""What `predict` and `serve` share: files judged in worker processes, and rows for what was not.

Imports neither torch nor a decoder; the workers do (`file_worker`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avkd.config.evaluation_config import PredictConfig
from avkd.data.worker_pool import Imported, Reply, Workers
from avkd.inference.evidence import JudgedFile
from avkd.inference.verdict import Note, Verdict
from avkd.models.decision import DecisionRule
from avkd.outcome import ModelRefused

WORK = "avkd.inference.file_worker:work"
"""What the workers do."""
_MODEL_SECONDS = 600.0
_MESSAGES = {
    "crashed": "reading it ended the process that did; the file is damaged or hostile",
    "out_of_memory": "it takes more memory than it may; raise --max_gigabytes",
    "timeout": "it was not judged in time; raise --max_minutes, or lower --max_seconds",
}


@dataclass(frozen=True)
class ModelFacts:
    """What the parent of the workers has to know of the model."""

    fingerprint: str
    rule: DecisionRule


def overlay_path(folder: Path, file: Path) -> Path:
    """Where the overlay of a file is written."""
    return folder / f"{file.name}.overlay.mp4"


Judges = Workers[Path | None, ModelFacts | JudgedFile]


def judges(config: PredictConfig, workers: int) -> Judges:
    """Processes that hold the model of ``config`` for `model_facts` and `judged_files`."""
    return Workers(Imported(WORK, (config,)), workers)


def model_facts(config: PredictConfig, judges: Judges) -> ModelFacts:
    """Try the model in a worker: a model file is no more trusted than a video.

    Raises:
        ValueError: `ModelRefused`, or there is no such device; `ResourceError` and
            `ModuleNotFoundError` likewise.
    """
    (outcome,) = judges.run([None], timeout_seconds=_MODEL_SECONDS, tries=1)
    if outcome.error is not None:
        raise outcome.error
    if not isinstance(outcome.result, ModelFacts):
        raise ModelRefused(f"{config.model}: the model could not be loaded ({outcome.message})")
    return outcome.result


def judged_files(
    config: PredictConfig,
    judges: Judges,
    files: Iterable[Path],
    facts: ModelFacts,
    *,
    some_worked: bool,
) -> Iterator[tuple[Path, JudgedFile]]:
    """Every file with its verdict, as they come; one that broke its worker has one too.

    Args:
        config: How to judge.
        judges: Who does.
        files: Taken as workers become free, so it may wait for files to come.
        facts: Of the model.
        some_worked: Whether files went well before these: a failure is then a file's own.

    Raises:
        Bug: every single file ended in a traceback; raised after the last of them was yielded.
    """
    seconds = 120 * config.max_minutes
    for outcome in judges.run(files, timeout_seconds=seconds, tries=1, some_worked=some_worked):
        assert outcome.item is not None, "a file"
        judged = outcome.result if isinstance(outcome.result, JudgedFile) else None
        yield outcome.item, judged or _unjudged(outcome, facts.fingerprint)


def _unjudged(outcome: Reply[Any, Any], fingerprint: str) -> JudgedFile:
    """The verdict on a file that its worker had no answer for."""
    code = outcome.status
    if code == "error":
        code = "io_error" if outcome.error is not None else "out_of_memory"
        code = "internal_error" if outcome.traceback else code
    note = Note(code=code, message=_MESSAGES.get(code) or outcome.message)
    return JudgedFile(
        Verdict(
            file=str(outcome.item),
            decision="cannot_tell",
            reason=note.message,
            skipped=(note,),
            model_fingerprint=fingerprint,
        )
    )
