"""Scores prepared corpora with a detector, file by file, and writes the cross-dataset table.

Every expected file is a row: scored, or unscored with its reason. All numbers come from the score
files; nothing is chosen on the data that are judged here.
"""

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from operator import itemgetter
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
from avkd.data.windows import Window, WindowRule
from avkd.evaluation import av_agreement, score_rows
from avkd.evaluation import protocol as protocols
from avkd.models import model_file
from avkd.models.cross_modal_network import CrossModalNetwork
from avkd.models.decision import DecisionRule
from avkd.models.model_file import LoadedModel, ModelFileError, ModelHeader
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
    """Score every window of every item, in order; in fp32, because half precision makes ties.

    The detector is in eval mode on the device; tracks may have any length. ``rule`` calibrates the
    probabilities (`UNCALIBRATED` before there is one); without a window rule it is the detector's
    own. ``batch_size`` is in windows.

    An item of which a window cannot be read is not scored at all; its one row says so and comes
    after all others.
    """
    clips = WindowClips(items, model_input, window_rule=window_rule)
    bar = tqdm(total=len(clips), desc="score", unit="window", disable=not show_progress)
    damaged: dict[int, str] = {}

    def logits() -> Iterator[tuple[int, Window, float]]:
        for batch, places in clips.batches(batch_size, damaged):
            bar.update(len(batch))
            batch = batch.to(machine.device)
            found = model(*model_input.see(batch, batch.student)).logit.tolist()
            for (index, window), logit in zip(places, found, strict=True):
                yield index, window, logit

    for index, of_item in groupby(logits(), key=itemgetter(0)):
        windows = list(of_item)  # to the last one: then all of them were tried
        for _, window, logit in windows if index not in damaged else ():
            # A logit that is not a number has no probability, and no score.
            probability = rule.probability(logit) if math.isfinite(logit) else None
            yield score_rows.scored_row(items[index].sample, window, logit, probability)
    for index, message in sorted(damaged.items()):
        yield score_rows.unscored_row(items[index].sample, score_rows.DAMAGED, message)


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
    protocol = protocols.protocol_of(config)
    if config.protocol is None and header.decision is not None:
        protocol = replace(protocol, pooling=header.decision.pooling)
    window_rule = protocols.window_rule(protocol, model_input, config)
    corpora = [Corpus.open(folder) for folder in config.data]
    for corpus in corpora:
        corpus.require_faces(model_input, config.model)
    parts = [
        _Part(corpus, files, _head(corpus, config, header, window_rule, protocol))
        for corpus, files in zip(corpora, protocols.wanted_files(protocol, corpora), strict=True)
    ]
    heads = {str(part.corpus.folder): part.head for part in parts}
    mixed = check_heads(heads, mixed_preprocessing=config.mixed_preprocessing)
    paths = [config.out / SCORES / f"{part.dataset}.csv" for part in parts]
    # The page and the audit read all that lie there.
    for other in sorted({*(config.out / SCORES).glob("*.csv")} - {*paths}):
        raise ValueError(
            f"{other}: scores of another evaluation or training, which the report of this one "
            "would take in; give another --out"
        )
    statuses: Counter[str] = Counter()
    for path, part in zip(paths, parts, strict=True):
        scored = _score(part, config, model, header, model_input, window_rule, machine)
        rows = _counted(chain(scored, _unscored(part.wanted, part.corpus)), statuses)
        scores.write_scores(path, part.head, rows)
        score_rows.write_file_facts(config.out, part.wanted, part.corpus.folder)
    notes = [mixed, av_agreement.NOTE if config.scorer == "av_agreement" else ""]
    text = _report(config, header, paths, protocol, notes=[note for note in notes if note])
    skipped = statuses.keys() - {scores.OK}
    return Outcome(text, ExitCode.SOME_SKIPPED if skipped else ExitCode.DONE)


@dataclass(frozen=True)
class _Part:
    """What is scored of one corpus."""

    corpus: Corpus
    wanted: tuple[Sample, ...]
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


def _head(
    corpus: Corpus,
    config: EvaluateConfig,
    header: ModelHeader,
    window_rule: WindowRule,
    protocol: ProtocolConfig,
) -> ScoresHead:
    is_detector = config.scorer == "detector"
    return score_rows.scores_head(
        model=config.model,
        model_fingerprint=header.fingerprint,
        crops=CropProvenance.of([corpus.folder]),
        windows=window_rule.text if is_detector else av_agreement.WINDOWS_TEXT,
        scorer=config.scorer,
        pooling=protocol.pooling,
        calibration=(header.decision or UNCALIBRATED).calibration if is_detector else None,
        protocol=protocol.name if config.protocol else "",
        protocol_fingerprint=protocols.fingerprint_of(protocol) if config.protocol else "",
        reals_from=protocol.reals_from or "",
        command=command_of("evaluate", config),
    )


def _load(config: EvaluateConfig) -> tuple[LoadedModel, ModelInput]:
    """The model that scores, and what it looks at."""
    if config.scorer == "av_agreement":
        return av_agreement.load_stage_one(config.model)
    if model_file.read_header(config.model).kind == "cross_modal":
        raise ModelFileError(
            f"{config.model}: holds stage one alone, which is no detector; score with "
            "--scorer av_agreement, or give the model of `avkd finetune` or `avkd distill`"
        )
    loaded = model_file.load_detector(config.model)
    return loaded, loaded.header.input_of(ModelInput.read, config.model)


def _score(
    part: _Part,
    config: EvaluateConfig,
    model: nn.Module,
    header: ModelHeader,
    model_input: ModelInput,
    window_rule: WindowRule,
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
            window_rule=window_rule,
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
        if (found := rule.sets) is not None:
            sets = SetLimits(found.coverage, found.largest_real, found.least_fake)
        threshold = Threshold(logit=rule.threshold_logit, origin=rule.source, sets=sets)
    drawn = {"resamples": config.bootstrap_resamples, "seed": config.seed}
    files, heads = read_score_files(paths)
    reals_from = protocol.reals_from or ""
    summary = summarise(
        files, threshold=threshold, pooling=protocol.pooling, reals_from=reals_from, **drawn
    )
    if config.protocol is not None:
        pooling = rule.pooling if rule else None
        told = protocols.protocol_notes(protocol, summary, threshold_pooling=pooling)
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
        audits = audit_folder(config.out, read, **drawn)
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
            yield score_rows.unscored_row(sample, code, message)
