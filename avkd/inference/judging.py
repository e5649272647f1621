"""What `predict` and `serve` share: files judged in worker processes, and rows for what was not.

Imports neither torch nor a decoder; the workers do (`file_worker`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from avkd.config.evaluation_config import PredictConfig
from avkd.data.worker_pool import Imported, Outcome, run_isolated
from avkd.inference.evidence import JudgedFile
from avkd.inference.verdict import Note, cannot_tell
from avkd.models.decision import DecisionRule
from avkd.outcome import ModelRefused

FACTS, JUDGED = (f"avkd.inference.file_worker:{name}" for name in ("facts", "judged"))
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


def model_facts(config: PredictConfig) -> ModelFacts:
    """Try the model in a worker: a model file is no more trusted than a video.

    Raises:
        ValueError: `ModelRefused`, or there is no such device; `ResourceError` and
            `ModuleNotFoundError` likewise.
    """
    work = Imported(FACTS, (config,))
    (outcome,) = run_isolated(work, [None], workers=1, timeout_seconds=_MODEL_SECONDS, tries=1)
    if outcome.error is not None:
        raise outcome.error
    if outcome.result is None:
        raise ModelRefused(f"{config.model}: the model could not be loaded ({outcome.message})")
    facts: ModelFacts = outcome.result
    return facts


def judged_files(
    config: PredictConfig,
    files: Iterable[Path],
    facts: ModelFacts,
    *,
    workers: int,
    some_worked: bool,
) -> Iterator[tuple[Path, JudgedFile]]:
    """Every file with its verdict, as they come; one that broke its worker has one too.

    Args:
        config: How to judge.
        files: Taken as workers become free, so it may wait for files to come.
        facts: Of the model.
        workers: Processes.
        some_worked: Whether files went well before these: a failure is then a file's own.

    Raises:
        Bug: every single file ended in a traceback; raised after the last of them was yielded.
    """
    outcomes = run_isolated(
        Imported(JUDGED, (config,)),
        files,
        workers=workers,
        timeout_seconds=120 * config.max_minutes,
        tries=1,
        some_worked=some_worked,
    )
    for outcome in outcomes:
        yield outcome.item, outcome.result or _unjudged(outcome, facts.fingerprint)


def _unjudged(outcome: Outcome[Path, JudgedFile], fingerprint: str) -> JudgedFile:
    """The verdict on a file that its worker had no answer for."""
    code = outcome.status
    if code == "error":
        code = "io_error" if outcome.error is not None else "out_of_memory"
        code = "internal_error" if outcome.traceback else code
    note = Note(code=code, message=_MESSAGES.get(code) or outcome.message)
    return JudgedFile(
        cannot_tell(
            str(outcome.item), reason=note.message, skipped=(note,), model_fingerprint=fingerprint
        )
    )
