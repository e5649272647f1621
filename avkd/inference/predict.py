"""`avkd predict`: one verdict for each file, as text, JSON lines, a table or a page.

Files are judged in worker processes (`file_worker`); each verdict is printed and written as it
comes, so that what is done stays done whatever happens next.
"""

import logging
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from avkd.config.evaluation_config import PredictConfig
from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from avkd.data.media.media_file import kind_of
from avkd.inference import verdict_log
from avkd.inference.evidence import JudgedFile
from avkd.inference.judging import judged_files, judges, model_facts, overlay_path
from avkd.inference.verdict_log import VerdictLog
from avkd.outcome import ExitCode, Outcome, Stopped

_log = logging.getLogger(__name__)
_MOST_FILES_ON_A_PAGE = 200


def predict(config: PredictConfig) -> Outcome:
    """One verdict for each file.

    Raises:
        ValueError: a folder holds nothing that can be judged, a page would hold too many files, or
            --resume finds verdicts of another model; `ModelRefused` where the model is not used.
        Stopped: SIGTERM or Ctrl-C; the verdicts so far are written.
    """
    began = time.perf_counter() - time.process_time()  # what was imported before this counts, too
    paths = list(dict.fromkeys(path for named in config.files for path in _files_of(named)))
    if config.page is not None and len(paths) > _MOST_FILES_ON_A_PAGE:
        raise ValueError(
            f"{config.page}: a page holds {_MOST_FILES_ON_A_PAGE} files at most, these are "
            f"{len(paths)}; leave out --page and read the table of --out"
        )
    if config.overlay is not None:
        _check_overlays(config.overlay, paths)
    config = replace(config, threads=config.threads or _threads_each(config.workers))
    index, count = config.shard_numbers
    paths = [path for path in paths if inventory.part_of(str(path), count) == index]
    if config.out is not None:
        config = replace(config, out=verdict_log.of_part(config.out, index, count))
    judged: dict[Path, JudgedFile] = {}
    decisions: Counter[str] = Counter()
    with ExitStack() as stack:
        workers = stack.enter_context(judges(config, config.workers))
        model = model_facts(config, workers)
        seconds = defaultdict(float, {"import": time.perf_counter() - began})
        log = None
        if config.out is not None:
            opened = verdict_log.opened(
                config.out, resume=config.resume, fingerprint=model.fingerprint
            )
            log = stack.enter_context(opened)
            decisions += log.decisions
        todo = [path for path in paths if log is None or not log.holds(str(path))]
        stack.enter_context(_stopping(config.out, log))
        files = judged_files(config, workers, todo, model, some_worked=bool(decisions))
        progress = tqdm(
            files,
            desc="predict",
            unit="file",
            disable=len(paths) < 2 or None,  # None: on a terminal only, elsewhere verdicts tell
            initial=len(paths) - len(todo),
            total=len(paths),
        )
        for path, file in progress:
            if log is not None:
                log.add(file.verdict)
            decisions[file.verdict.decision] += 1
            for step, spent in file.seconds.items():
                seconds[step] += spent
            text = file.verdict.to_json() if config.json else file.verdict.to_text()
            tqdm.write(text, file=sys.stdout)
            if config.page is not None:
                judged[path] = file
    if config.page is not None:
        from avkd.inference.verdict_page import write_verdict_page  # heavy: matplotlib

        write_verdict_page(config.page, [judged[path] for path in paths], model.rule)
    if config.profile:
        _log.info("%s", _profile(seconds, time.perf_counter() - began))
    return _outcome(decisions)


def _check_overlays(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse to write one overlay over another, or over a file that is judged.

    Raises:
        ValueError: names the file and the cure.
    """
    taken = {path.resolve() for path in paths}
    for path in paths:
        target = overlay_path(folder, path).resolve()
        if target in taken:
            raise ValueError(
                f"{target}: two files want this overlay, or it is one of the files; give another "
                "--overlay, or one folder of files at a time"
            )
        taken.add(target)


def _profile(seconds: Mapping[str, float], whole: float) -> str:
    """The share of each step; ``rest`` is what they leave of the whole."""
    steps = {name: spent for name, spent in seconds.items() if name != "rest"}
    steps["rest"] = whole - sum(steps.values())
    shares = (f"{name} {spent:.2f} s ({spent / whole:.0%})" for name, spent in steps.items())
    return f"{whole:.2f} s in all: {', '.join(shares)}"


def _threads_each(workers: int) -> int | None:
    return None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)


@contextmanager
def _stopping(out: Path | None, log: VerdictLog | None) -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into `Stopped`, which says where the verdicts are."""

    def terminate(number: int, frame: object) -> None:
        raise Stopped("terminated" + _kept(out, log), ExitCode.TERMINATED)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("interrupted" + _kept(out, log), ExitCode.INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _kept(out: Path | None, log: VerdictLog | None) -> str:
    if log is None:
        return ""
    return f"; {out} holds {log.decisions.total()} verdict(s); go on with --resume true"


def _outcome(decisions: Counter[str]) -> Outcome:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(decisions.items()))
    _log.info("%d file(s): %s", decisions.total(), counts.replace("_", " "))
    unjudged = decisions["cannot_tell"]
    if unjudged and unjudged == decisions.total():
        return Outcome("", ExitCode.NOTHING_USABLE)
    return Outcome("", ExitCode.SOME_SKIPPED if unjudged else ExitCode.DONE)


def _files_of(path: Path) -> list[Path]:
    """A file itself, or all videos and pictures below a folder; links are not followed.

    A file is passed over, with a remark, where neither its name nor its content is that of one.

    Raises:
        ValueError: the folder holds none.
    """
    try:
        is_folder = path.is_dir()
    except OSError:  # a name that is too long; its row says so
        is_folder = False
    if not is_folder:
        return [path]
    media = VIDEO_SUFFIXES | PICTURE_SUFFIXES
    listing = inventory.list_files(path, suffixes=media, also=_is_media)
    if not listing.files:
        raise ValueError(f"{path}: holds no video and no picture; {'; '.join(listing.notes())}")
    for note in listing.notes():
        _log.info("%s: %s", path, note)
    return [path / name for name in listing.files]


def _is_media(path: Path) -> bool:
    try:
        return kind_of(path) is not None
    except OSError:
        return True  # a row of its own says why it cannot be read
