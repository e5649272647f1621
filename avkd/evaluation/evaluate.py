"""Scores prepared corpora with a detector, file by file, and writes the cross-dataset table.

Every expected file is a row: scored, or unscored with its reason. All numbers come from the score
files; nothing is chosen on the data that are judged here.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from avkd import runtime
from avkd.config.evaluation_config import EvaluateConfig
from avkd.config.load import command_of
from avkd.config.protocol_config import ProtocolConfig
from avkd.data.clip_items import ClipItem
from avkd.data.crops.prepared_corpus import CropProvenance
from avkd.data.datasets import Corpus, WindowClips
from avkd.data.manifest import Sample
from avkd.data.model_input import ModelInput
from avkd.data.windows import WindowRule
from avkd.evaluation import av_agreement
from avkd.evaluation.protocol import (
    check_datasets,
    fingerprint_of,
    protocol_notes,
    protocol_of,
    wants,
    window_rule,
)
from avkd.evaluation.score_rows import (
    scored_row,
    scores_head,
    unscored_row,
    write_file_facts,
)
from avkd.models.cross_modal_network import CrossModalNetwork
from avkd.models.decision import DecisionRule
from avkd.models.model_file import (
    LoadedModel,
    ModelFileError,
    ModelHeader,
    load_detector,
    read_header,
)
from avkd.outcome import ExitCode, Outcome
from avkd.reporting import scores
from avkd.reporting.model_scores import ModelScores, read_score_files
from avkd.reporting.report import write_report
from avkd.reporting.scores import SCORES, ClipScore, ScoresHead, check_heads
from avkd.reporting.shortcut_audit import audit_folder
from avkd.reporting.summary import Provenance, SetLimits, SummaryRow, Threshold, summarise
from avkd.runtime import Runtime

_NOT_PREPARED = ("not_prepared", "the preparation did not get to it; run `avkd prepare` again")
UNCALIBRATED = DecisionRule(threshold_logit=0.0, source="not calibrated")


@torch.no_grad()
def score_items(
    model: nn.Module,
    items: Sequence[ClipItem],
    *,
    model_input: ModelInput,
    rule: DecisionRule,
    machine: Runtime,
    batch_size: int,
    window_rule: WindowRule | None = None,
    show_progress: bool = False,
) -> Iterator[ClipScore]:
    """Score every window of every item, in order.

    Args:
        model: A detector in eval mode on the device.
        items: Tracks of any length.
        model_input: What the detector looks at.
        rule: Calibration of the probabilities; `UNCALIBRATED` before there is one.
        machine: Device; scoring always runs in fp32, because half precision makes ties.
        batch_size: Windows at once.
        window_rule: Which windows; None = the detector's own.
        show_progress: A bar over the windows.
    """
    clips = WindowClips(items, model_input, window_rule=window_rule)
    bar = tqdm(total=len(clips), desc="score", unit="window", disable=not show_progress)
    for batch, places in clips.batches(batch_size):
        bar.update(len(batch))
        batch = batch.to(machine.device)
        logits = model(*model_input.see(batch, batch.student)).logit.tolist()
        for (index, window), logit in zip(places, logits, strict=True):
            # A logit that is not a number has no probability, and no score.
            probability = rule.probability(logit) if math.isfinite(logit) else None
            yield scored_row(items[index].sample, window, logit, probability)


def evaluate(config: EvaluateConfig) -> Outcome:
    """`avkd evaluate`: score files and the report made of them.

    Rows go to their file as they come: a corpus of any size is scored in little memory.

    Raises:
        ModelFileError: the model file is not of the scorer's kind, or is damaged.
        ValueError: two corpora bear the same name or were made differently, a corpus has nothing on
            that split or other crops than the model knows, or ``out`` holds other scores.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    (model, header), model_input = _load(config)
    model.to(machine.device)
    protocol = protocol_of(config)
    if config.protocol is None and header.decision is not None:
        protocol = replace(protocol, pooling=header.decision.pooling)
    parts = [_part(folder, config, header, model_input, protocol) for folder in config.data]
    mixed = _check_parts(parts, config, protocol)
    _check_out(config.out, parts)
    statuses: Counter[str] = Counter()
    for part in parts:
        scored = _score(part, config, model, header, model_input, machine)
        rows = _counted(chain(scored, _unscored(part.wanted, part.corpus)), statuses)
        scores.write_scores(part.scores_path(config.out), part.head, rows)
        write_file_facts(config.out, part.wanted, part.corpus.folder)
    notes = [mixed, av_agreement.NOTE if config.scorer == "av_agreement" else ""]
    paths = [part.scores_path(config.out) for part in parts]
    text = _report(config, header, paths, protocol, notes=[note for note in notes if note])
    skipped = statuses.keys() - {scores.OK}
    return Outcome(text, ExitCode.SOME_SKIPPED if skipped else ExitCode.DONE)


@dataclass(frozen=True)
class _Part:
    """What is scored of one corpus."""

    corpus: Corpus
    wanted: tuple[Sample, ...]
    window_rule: WindowRule
    """Of a detector."""
    head: ScoresHead

    @property
    def dataset(self) -> str:
        return self.wanted[0].dataset

    @property
    def items(self) -> list[ClipItem]:
        """Those of the wanted files that have crops."""
        wanted = {sample.sample_id for sample in self.wanted}
        samples = self.corpus.manifest.samples
        return self.corpus.items(sample for sample in samples if sample.sample_id in wanted)

    def scores_path(self, out: Path) -> Path:
        return out / SCORES / f"{self.dataset}.csv"


def _part(
    folder: Path,
    config: EvaluateConfig,
    header: ModelHeader,
    model_input: ModelInput,
    protocol: ProtocolConfig,
) -> _Part:
    corpus = Corpus.open(folder)
    corpus.require_faces(model_input.faces, str(config.model), margin=model_input.crop_margin)
    wanted = tuple(sample for sample in corpus.expected if wants(protocol, sample))
    if not wanted:
        raise ValueError(f"{folder}: nothing to score in its {protocol.split} split")
    rule = window_rule(protocol, model_input, config)
    head = scores_head(
        model=config.model,
        model_fingerprint=header.fingerprint,
        crops=CropProvenance.of([folder]),
        windows=rule.text if config.scorer == "detector" else av_agreement.WINDOWS_TEXT,
        scorer=config.scorer,
        pooling=protocol.pooling,
        protocol=protocol.name if config.protocol else "",
        protocol_fingerprint=fingerprint_of(protocol) if config.protocol else "",
        reals_from=protocol.reals_from or "",
        command=command_of("evaluate", config),
    )
    return _Part(corpus, wanted, rule, head)


def _load(config: EvaluateConfig) -> tuple[LoadedModel, ModelInput]:
    """The model that scores, and what it looks at."""
    if config.scorer == "av_agreement":
        return av_agreement.load_stage_one(config.model)
    if read_header(config.model).kind == "cross_modal":
        raise ModelFileError(
            f"{config.model}: holds stage one alone, which is no detector; score with "
            "--scorer av_agreement, or give the model of `avkd finetune` or `avkd distill`"
        )
    loaded = load_detector(config.model)
    return loaded, loaded.header.input_of(ModelInput.read, config.model)


def _score(
    part: _Part,
    config: EvaluateConfig,
    model: nn.Module,
    header: ModelHeader,
    model_input: ModelInput,
    machine: Runtime,
) -> Iterator[ClipScore]:
    """Rows of all files of a part that have crops."""
    if config.scorer == "detector":
        return score_items(
            model,
            part.items,
            model_input=model_input,
            rule=header.decision or UNCALIBRATED,
            machine=machine,
            batch_size=config.batch_size,
            window_rule=part.window_rule,
            show_progress=True,
        )
    assert isinstance(model, CrossModalNetwork), "what load_stage_one gives"
    judged = av_agreement.judge(
        model,
        part.items,
        model_input=model_input,
        machine=machine,
        batch_size=config.batch_size,
        show_progress=True,
    )
    path = config.out / av_agreement.FRAMES / f"{part.dataset}.csv"
    return av_agreement.score_rows(av_agreement.writing_frames(path, judged))


def _check_parts(parts: Sequence[_Part], config: EvaluateConfig, protocol: ProtocolConfig) -> str:
    """Refuse what cannot stand in one table, before anything is scored; a note where it may."""
    for count, part in enumerate(parts):
        if any(part.dataset == other.dataset for other in parts[:count]):
            raise ValueError(
                f"{part.corpus.folder}: a second corpus named {part.dataset!r}; prepare it with "
                "another --dataset so that the table can tell them apart"
            )
    check_datasets(protocol, [part.dataset for part in parts])
    heads = {str(part.corpus.folder): part.head for part in parts}
    return check_heads(heads, mixed_preprocessing=config.mixed_preprocessing)


def _check_out(out: Path, parts: Sequence[_Part]) -> None:
    """Refuse a folder with scores of something else: page and audit read all that lie there."""
    ours = {part.scores_path(out) for part in parts}
    for path in sorted((out / SCORES).glob("*.csv")):
        if path not in ours:
            raise ValueError(
                f"{path}: scores of another evaluation or training, which the report of this one "
                "would take in; give another --out"
            )


def _report(
    config: EvaluateConfig,
    header: ModelHeader,
    paths: Sequence[Path],
    protocol: ProtocolConfig,
    *,
    notes: Sequence[str] = (),
) -> str:
    """Write the report of score files; its text for the terminal."""
    rule = header.decision
    threshold = None
    if rule is not None:
        sets = None
        if rule.sets is not None:
            limits = rule.sets.largest_real, rule.sets.least_fake
            sets = SetLimits(rule.sets.coverage, *limits)
        threshold = Threshold(logit=rule.threshold_logit, origin=rule.source, sets=sets)
    resamples, seed = config.bootstrap_resamples, config.seed
    files, heads = read_score_files(paths)
    summary = summarise(
        files,
        threshold=threshold,
        pooling=protocol.pooling,
        reals_from=protocol.reals_from or "",
        resamples=resamples,
        seed=seed,
    )
    if config.protocol is not None:
        told = protocol_notes(protocol, summary, threshold_pooling=rule.pooling if rule else None)
        notes = (*notes, *told)
    provenance = Provenance(
        model=str(config.model),
        model_fingerprint=header.fingerprint,
        date=datetime.date.today().isoformat(),
        threshold=threshold,
        notes=(*notes, *_notes(header, summary)),
    )
    read, audits = ModelScores(files=files, heads=heads, provenance=provenance), None
    if not config.tables_only:
        audits = audit_folder(config.out, read, resamples=resamples, seed=seed)
    written = write_report(config.out, read, summary, audits=audits, tables_only=config.tables_only)
    return f"{written.text}\nwrote {', '.join(map(str, written.paths))} and scores/"


def _counted(rows: Iterable[ClipScore], statuses: Counter[str]) -> Iterator[ClipScore]:
    for row in rows:
        statuses[row.status] += 1
        yield row


def _notes(header: ModelHeader, summary: Sequence[SummaryRow]) -> tuple[str, ...]:
    trained = header.provenance.get("training_methods")
    if not isinstance(trained, list):
        return ()
    unseen = sorted({r.method for r in summary if r.method not in (*trained, "all")})
    notes = [f"Methods the model was trained on: {', '.join(m for m in trained if m != 'real')}."]
    if unseen:
        notes.append(f"Methods it never saw: {', '.join(unseen)}.")
    return tuple(notes)


def _unscored(wanted: Iterable[Sample], corpus: Corpus) -> Iterator[ClipScore]:
    """A row with its reason for every expected file that has no crops; none is left out."""
    prepared = {sample.sample_id for sample in corpus.manifest.samples}
    for sample in wanted:
        if sample.sample_id not in prepared:
            code, message = corpus.failures.get(sample.sample_id, _NOT_PREPARED)
            yield unscored_row(sample, code, message)
