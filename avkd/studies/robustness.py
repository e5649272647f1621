"""Scores models on clean and on perturbed files, cell by cell, and puts them in one table.

Every cell is made by the preparation and the evaluation that everything else is made by. Finished
cells are kept and the crops of the others resumed, so a stopped study goes on where it was.
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from avkd import __version__, durable
from avkd.config.data_config import SEARCHING
from avkd.config.load import to_yaml
from avkd.config.study_config import RobustnessConfig
from avkd.data.build import prepare_files, read_layout
from avkd.data.manifest import REAL_METHOD, Manifest
from avkd.data.splits import seeded_rank
from avkd.evaluation.evaluate import evaluate
from avkd.models.model_file import read_header
from avkd.outcome import ExitCode, Outcome
from avkd.reporting import robustness_table
from avkd.reporting.recompute import short_names
from avkd.reporting.robustness_summary import Cell
from avkd.reporting.robustness_table import RECORD, Record, scores_folder, write_study

if TYPE_CHECKING:
    from avkd.config.data_config import PerturbationName

logger = logging.getLogger(__name__)

_COMMAND = "config.yaml"
_CORPORA = "corpora"
_REMOVED = ".removed"
# What decides the scores of a cell. Where and how fast it is computed does not, nor does what the
# table is made of: longer lists and more resamples may be asked for later.
_SETTINGS = (
    *("source", "layout", "dataset", "options", "split", "methods"),
    *("files_per_method", "seed"),
    "scorer",
    *("detector", "detect_every_frames", "crop_pixels", "crop_margin", "faces", "max_seconds"),
)


def robustness(config: RobustnessConfig) -> Outcome:
    """`avkd robustness`: scores of every cell, robustness.md, robustness.csv, robustness.png.

    Raises:
        ValueError: there is no file in that split, the folder holds another study or is in use, or
            a cell's preparation or evaluation refuses it.
        ModelFileError: a model file is not a detector, or is damaged.
    """
    manifest = _files(config)
    models = _names(config.models)
    config.out.mkdir(parents=True, exist_ok=True)
    busy = f"{config.out}: another avkd robustness is at work here; wait for it"
    with durable.locked(config.out / ".lock", busy):
        record = _begun(config, manifest, models)
        for number, cell in enumerate(record.cells, 1):
            _score(config, manifest, models, cell, f"cell {number} of {len(record.cells)}")
        tables, paths = write_study(config.out)
    complete = all(entry.coverage == 1.0 for table in tables for entry in table.entries)
    text = f"{robustness_table.to_text(tables)}\n\nwrote {', '.join(map(str, paths))}"
    return Outcome(text, ExitCode.DONE if complete else ExitCode.SOME_SKIPPED)


def _files(config: RobustnessConfig) -> Manifest:
    """The files of every cell: all of the split, or as many of each method as were asked for."""
    manifest = read_layout(config.prepare_config(None, None, config.out)).of_split(config.split)
    methods = {sample.method for sample in manifest.samples}
    if unknown := sorted({*(config.methods or ())} - methods):
        raise ValueError(
            f"methods: {unknown[0]!r} is not in the {config.split} split of {config.source}; there "
            f"are {', '.join(sorted(methods)) or 'no files'}"
        )
    if config.methods is not None:
        wanted = {REAL_METHOD, *config.methods}
        manifest = manifest.where(lambda sample: sample.method in wanted)
    if not manifest.samples:
        raise ValueError(f"{config.source}: no file in its {config.split} split")
    room = Counter(sample.method for sample in manifest.samples)
    if config.files_per_method is not None:
        room = Counter(dict.fromkeys(room, config.files_per_method))
    kept = set()
    for sample in sorted(manifest.samples, key=lambda s: seeded_rank(s.sample_id, config.seed)):
        if room[sample.method]:
            room[sample.method] -= 1
            kept.add(sample.sample_id)
    return manifest.where(lambda sample: sample.sample_id in kept)


def _names(models: Sequence[Path]) -> dict[str, Path]:
    """A short name for each model file: the last parts of its path that tell all of them apart."""
    whole = [model.resolve().with_suffix("").parts[1:] for model in models]
    if len({parts[-1] for parts in whole}) == 1:  # every run calls its file alike
        whole = [parts[:-1] or parts for parts in whole]
    return dict(zip(short_names(whole, "models"), models, strict=True))


def _begun(config: RobustnessConfig, manifest: Manifest, models: Mapping[str, Path]) -> Record:
    """Note what is asked for, unless the folder holds something else.

    Raises:
        ValueError: names what differs.
    """
    fingerprints = {name: read_header(path).fingerprint for name, path in models.items()}
    values = {name: getattr(config, name) for name in _SETTINGS}
    values |= {"source": config.source.resolve(), "options": config.options.given()}
    settings: dict[str, Any] = json.loads(json.dumps(values, default=str))
    settings["files"] = manifest.fingerprint
    if (config.out / RECORD).exists():
        earlier = Record.load(config.out)
        _check_same({**earlier.settings}, settings, config.out)
        known = {
            name: earlier.fingerprints.get(name, digest) for name, digest in fingerprints.items()
        }
        _check_same(known, fingerprints, config.out)
        fingerprints = {**earlier.fingerprints, **fingerprints}
    record = Record(
        settings=settings,
        fingerprints=fingerprints,
        models=tuple(models),
        perturbations=config.perturbations,
        severities=config.severities,
        bootstrap_resamples=config.bootstrap_resamples,
        seed=config.seed,
        notes=_notes(config, manifest, models, fingerprints),
    )
    record.save(config.out)
    durable.write_text(config.out / _COMMAND, to_yaml(config))
    for rest in (config.out / _CORPORA).glob(f".*{_REMOVED}"):
        shutil.rmtree(rest)
    return record


def _check_same(earlier: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    changed = [
        f"{name} was {earlier.get(name)!r}, is {now.get(name)!r}"
        for name in sorted({*earlier, *now})
        if earlier.get(name) != now.get(name)
    ]
    if changed:
        raise ValueError(
            f"{out}: holds a study of something else ({'; '.join(changed)}); give another --out"
        )


def _notes(
    config: RobustnessConfig,
    manifest: Manifest,
    models: Mapping[str, Path],
    fingerprints: Mapping[str, str],
) -> tuple[str, ...]:
    counts = Counter(sample.method for sample in manifest.samples)
    files = ", ".join(f"{count} {method}" for method, count in sorted(counts.items()))
    drawn = "all there are"
    if config.files_per_method is not None:
        drawn = f"up to {config.files_per_method} of each, drawn with seed {config.seed}"
    notes = [f"Files of every cell, {config.split} split of {config.layout}: {files} ({drawn})."]
    if config.detector in SEARCHING:
        notes.append(f"Faces are searched on the {config.faces or 'perturbed'} frames.")
    notes += [f"{name}: {path}, model file {fingerprints[name]}." for name, path in models.items()]
    made = f"Made by avkd {__version__}: avkd robustness --config {config.out / _COMMAND}"
    return (*notes, made)


def _score(
    config: RobustnessConfig,
    manifest: Manifest,
    models: Mapping[str, Path],
    cell: Cell,
    progress: str,
) -> None:
    """Score one cell with every model that has not done it yet."""
    corpus = config.out / _CORPORA / cell.name
    waiting = {
        name: path
        for name, path in models.items()
        if not scores_folder(config.out, name, cell).is_dir()
    }
    logger.info("%s: %s%s", progress, cell.title, "" if waiting else ", done before")
    if waiting:
        perturbation = cast("PerturbationName", cell.perturbation) if cell.severity else None
        prepare_files(config.prepare_config(perturbation, cell.severity or None, corpus), manifest)
    for name, path in waiting.items():
        finished = scores_folder(config.out, name, cell)
        draft = finished.with_name(f".{cell.name}.unfinished")
        if draft.exists():
            shutil.rmtree(draft)
        evaluate(config.evaluate_config(path, corpus, draft))
        draft.rename(finished)  # a folder is there whole or not at all
    if corpus.exists() and not config.keep_corpora:
        # Half a corpus must not be taken for one: first it goes, then its files.
        removed = corpus.rename(corpus.with_name(f".{cell.name}{_REMOVED}"))
        shutil.rmtree(removed)
