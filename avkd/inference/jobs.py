"""Files that wait to be judged, are judged, and are gone: the queue behind `avkd serve`.

Each file lies alone in a folder that nobody else may read, is judged by a worker of `avkd predict`,
and is deleted as soon as it is; its verdict and page stay for a while.
"""

import logging
import queue
import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from avkd.config.evaluation_config import PredictConfig
from avkd.inference.evidence import JudgedFile
from avkd.inference.judging import ModelFacts, judged_files, judges
from avkd.inference.verdict import Verdict
from avkd.inference.verdict_page import write_verdict_page

_log = logging.getLogger(__name__)

State = Literal["receiving", "waiting", "running", "done"]
MEDIA, PAGE = "media", "page.html"
_LONGEST_NAME = 200


class QueueFull(Exception):
    """No more files are taken for now."""


@dataclass
class Job:
    """One file."""

    job_id: str
    """128 random bits: who knows it may read the verdict."""
    name: str
    """What its sender calls it; shown, never used as a path."""
    folder: Path
    """Its own, with the file while it waits and the page afterwards."""
    state: State = "receiving"
    created: float = 0.0
    """`time.monotonic` when it came."""
    started: float = 0.0
    """`time.monotonic` when a worker took it."""
    finished: float = 0.0
    """`time.monotonic` when it had its verdict."""
    verdict: Verdict | None = None

    @property
    def page(self) -> Path:
        """The report, once it is done."""
        return self.folder / PAGE

    def seconds(self) -> float:
        """How long it has been, or was, judged."""
        return 0.0 if not self.started else (self.finished or time.monotonic()) - self.started


class Jobs:
    """All jobs of a server, and the threads that have them judged.

    Args:
        config: How to judge; of its files, outputs and workers only ``workers`` counts.
        facts: Of the model.
        max_waiting: Files received or waiting at once; more are refused.
        keep_seconds: How long a verdict stays.
    """

    def __init__(
        self, config: PredictConfig, facts: ModelFacts, *, max_waiting: int, keep_seconds: float
    ) -> None:
        self._config, self._facts = config, facts
        self._max_waiting, self._keep_seconds = max_waiting, keep_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="avkd-serve-"))  # of this user alone
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self.decisions: Counter[str] = Counter()
        self.seconds_judging = 0.0
        self._threads = [
            threading.Thread(target=self._judge, name=f"judge {number}", daemon=True)
            for number in range(config.workers)
        ]
        for thread in self._threads:
            thread.start()

    def counts(self) -> Counter[str]:
        """How many jobs are in which state."""
        with self._lock:
            return Counter(job.state for job in self._jobs.values())

    def receive(self, name: str) -> Job:
        """A place for a file that is about to come.

        Raises:
            QueueFull: there is none.
        """
        with self._lock:
            occupied = sum(job.state in ("receiving", "waiting") for job in self._jobs.values())
            if occupied >= self._max_waiting:
                raise QueueFull
            job_id = secrets.token_hex(16)
            folder = self._folder / job_id
            folder.mkdir(mode=0o700)
            job = Job(job_id, name[:_LONGEST_NAME], folder, created=time.monotonic())
            self._jobs[job_id] = job
            return job

    def received(self, job: Job) -> None:
        """The file lies in its folder: have it judged."""
        job.state = "waiting"
        self._waiting.put(job.folder / MEDIA)

    def find(self, job_id: str) -> Job | None:
        """The job with this id."""
        with self._lock:
            return self._jobs.get(job_id)

    def place(self, job: Job) -> int:
        """How many jobs are before it."""
        with self._lock:
            waiting = [j.created for j in self._jobs.values() if j.state == "waiting"]
        return sum(created < job.created for created in waiting)

    def remove(self, job: Job) -> None:
        """Forget a job and all its files; one that is being judged leaves nothing behind."""
        with self._lock:
            self._jobs.pop(job.job_id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what is done for long enough, and what has been received for as long."""
        now = time.monotonic()
        with self._lock:
            old = [
                job
                for job in self._jobs.values()
                if (job.state == "done" and now - job.finished > self._keep_seconds)
                or (job.state == "receiving" and now - job.created > self._keep_seconds)
            ]
        for job in old:
            self.remove(job)

    def close(self) -> None:
        """Take no more; leave no file behind."""
        with self._lock:
            self._jobs.clear()  # what is being judged finds no job, and writes nothing
        for _ in self._threads:
            self._waiting.put(None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _judge(self) -> None:
        """One thread: one worker process, one file after the other."""
        with judges(self._config, 1) as worker:
            files = self._next_files()
            for path, file in judged_files(
                self._config, worker, files, self._facts, some_worked=True
            ):
                job = self.find(path.parent.name)
                if job is not None:
                    self._finish(job, file)

    def _next_files(self) -> Iterator[Path]:
        while (path := self._waiting.get()) is not None:
            job = self.find(path.parent.name)
            if job is not None:
                job.started, job.state = time.monotonic(), "running"
                yield path

    def _finish(self, job: Job, file: JudgedFile) -> None:
        verdict = replace(file.verdict, file=job.name)
        try:
            (job.folder / MEDIA).unlink(missing_ok=True)
            write_verdict_page(job.page, [replace(file, verdict=verdict)], self._facts.rule)
        except Exception:  # whatever a page fails on, this thread has other files to judge
            _log.exception("%s: no page", job.job_id)
        job.verdict, job.finished, job.state = verdict, time.monotonic(), "done"
        with self._lock:
            self.decisions[verdict.decision] += 1
            self.seconds_judging += job.seconds()
            is_gone = job.job_id not in self._jobs
        if is_gone:
            shutil.rmtree(job.folder, ignore_errors=True)
