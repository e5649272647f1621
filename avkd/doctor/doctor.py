"""`avkd doctor`: what a dataset tree is, and whether training on it is sound.

Finds the layout, has every file looked at in isolated workers, and tells what the checks found.
Changes nothing below the tree.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from avkd import durable
from avkd.config.data_config import DoctorConfig
from avkd.data import inventory, worker_pool
from avkd.data.layouts import LAYOUTS, options_of, read_tree
from avkd.data.manifest import Manifest
from avkd.doctor.file_facts import FileJob, MediaFacts, digest, examine
from avkd.doctor.report import Report
from avkd.doctor.soundness import Examined, check
from avkd.outcome import ExitCode, Outcome

logger = logging.getLogger(__name__)

_FAULTS_SHOWN = 3
# Trees that a later group reads too are taken for the earlier one: what reads almost any tree of
# files must not hide what knows the very dataset. Layouts that are not named come second.
_MANIFEST = ("manifest",)
_GENERAL = (("real_fake", "real_fake_images"), ("redface",), ("talking_faces",))
_VERDICTS = {
    ExitCode.DONE: "sound",
    ExitCode.SOME_SKIPPED: "sound, with warnings",
    ExitCode.NOTHING_USABLE: "not sound to train on",
}


def run_doctor(config: DoctorConfig) -> Outcome:
    """Examine a tree and tell what was found.

    Returns:
        The table, with exit code `ExitCode.DONE` if training on the tree is sound, `SOME_SKIPPED`
        if it is with warnings, and `NOTHING_USABLE` if an error makes it unsound.

    Raises:
        ValueError: no layout or several recognise the tree, or an option has no effect on it.
        OSError: the tree cannot be read, or the JSON file not written.
    """
    layout, manifest = recognise(config.source, config.layout, config.options.given())
    # Crops lie in a store of their own format, whose records carry their checksums.
    jobs = [
        FileJob(
            sample_id=sample.sample_id,
            path=manifest.absolute_path(sample),
            kind=sample.kind,
            read=config.read,
        )
        for sample in manifest.samples
        if config.read != "names" and sample.kind != "crops"
    ]
    facts = {
        outcome.item.sample_id: outcome.result
        or MediaFacts(problem=worker_pool.CODES_OF_FILES.get(outcome.status, outcome.status))
        for outcome in _isolated(examine, jobs, config, "look at")
    }
    # Only files that may have an equal are read whole; of a terabyte those are few.
    counts = Counter(found.signature for found in facts.values() if not found.problem)
    alike = [job for job in jobs if counts[facts[job.sample_id].signature] > 1]
    digests = {}
    for outcome in _isolated(digest, alike, config, "compare"):
        if outcome.result is None:
            logger.warning("%s: not compared (%s)", outcome.item.path, outcome.status)
        else:
            digests[outcome.item.sample_id] = outcome.result
    corpus = Examined(layout, manifest, facts, digests)
    findings = check(corpus)
    levels = {finding.level for finding in findings}
    code = ExitCode.SOME_SKIPPED if "warning" in levels else ExitCode.DONE
    code = ExitCode.NOTHING_USABLE if "error" in levels else code
    verdict = _VERDICTS[code] + (" as far as names tell" if config.read == "names" else "")
    report = Report(str(config.source), config.read, corpus, findings, verdict)
    text = report.as_text()
    if config.json is not None:
        durable.write_json(config.json, report.as_json())
        text += f"\n{config.json}: everything found, with all names"
    return Outcome(text, code)


def recognise(source: Path, layout: str | None, options: Mapping[str, Any]) -> tuple[str, Manifest]:
    """Read a tree, or a manifest file; the name of its layout, and what it found.

    Without a layout all are tried that know every one of ``options``.

    Raises:
        ValueError: none or several recognise the tree, or an option has no effect on it.
        FileNotFoundError: ``source`` does not exist.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist; give the folder of the dataset")
    if source.is_file():
        if layout not in (None, "manifest"):
            raise ValueError(f"{source} is a file, layout {layout} reads a folder; give that")
        return "manifest", Manifest.load(source)
    if layout is not None:
        return layout, read_tree(layout, source, options)
    candidates = [name for name in LAYOUTS if set(options) <= options_of(name)]
    if not candidates:
        raise ValueError(f"no layout has all of the options {', '.join(sorted(options))}")
    return _recognised(source, candidates, options)


def _recognised(
    source: Path, candidates: Sequence[str], options: Mapping[str, Any]
) -> tuple[str, Manifest]:
    found: dict[str, Manifest] = {}
    refusals: dict[str, Exception] = {}
    for name in candidates:
        try:
            found[name] = LAYOUTS[name](source, **options)
        except (ValueError, FileNotFoundError, NotADirectoryError) as error:
            refusals[name] = error
    found = {name: manifest for name, manifest in found.items() if len(manifest)}
    general = {name for group in (_MANIFEST, *_GENERAL) for name in group}
    specific = tuple(name for name in LAYOUTS if name not in general)
    # Who knows the tree and finds fault with it is right before who would read any tree of files.
    faults = {n: e for n, e in refusals.items() if not isinstance(e, inventory.WrongRoot)}
    told = [f"{name}: {faults[name]}" for name in specific if name in faults]
    if told and not any(name in found for name in (*_MANIFEST, *specific)):
        raise ValueError(
            f"{source}: recognised, but invalid; correct it, or name a layout (--layout). "
            + "; ".join(told[:_FAULTS_SHOWN])
        )
    if not found:
        near = [f"{n}: {e}" for n, e in refusals.items() if "Did you mean" in str(e)]
        told = [*near, *(f"{name}: {error}" for name, error in faults.items())]
        said = "; ".join(told[:_FAULTS_SHOWN]) or refusals[candidates[0]]
        raise ValueError(f"{source}: no layout recognises this tree; name one (--layout). {said}")
    for group in (_MANIFEST, specific, *_GENERAL):
        names = [name for name in group if name in found]
        if len(names) == 1:
            return names[0], found[names[0]]
        if names:
            raise ValueError(
                f"{source}: several layouts recognise this tree: {', '.join(found)}; "
                f"say which it is, e.g. --layout {names[0]}"
            )
    raise AssertionError("every layout is in a group")


def _isolated(
    function: Callable[[FileJob], Any], jobs: Sequence[FileJob], config: DoctorConfig, what: str
) -> Iterator[worker_pool.Reply[FileJob, Any]]:
    """The outcome of every job, as they come."""
    with worker_pool.Workers(function, config.workers) as children:
        outcomes = children.run(
            jobs,
            timeout_seconds=config.timeout_seconds,
            some_worked=len(jobs) == 1,  # one file alone cannot tell its own fault from ours
        )
        yield from tqdm(outcomes, total=len(jobs), desc=what, unit="file", disable=not jobs)
