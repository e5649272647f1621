"""Scores prepared corpora with a detector, file by file, and writes the cross-dataset table.

Every expected file is a row: scored, or unscored with its reason. All numbers come from the score
files; nothing is chosen on the data that are judged here.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import nn
from tqdm import tqdm

from avkd import runtime
from avkd.config.evaluation_config import EvaluateConfig
from avkd.data.datasets import ClipItem, Corpus, WindowClips
from avkd.data.manifest import REAL, Sample
from avkd.data.model_input import ModelInput
from avkd.data.windows import Window
from avkd.models.decision import DecisionRule
from avkd.models.model_file import ModelHeader, load_detector
from avkd.outcome import ExitCode, Outcome
from avkd.reporting import report, scores
from avkd.reporting.report_csv import Provenance
from avkd.reporting.report_folder import SCORES, write_report_folder
from avkd.reporting.scores import ClipScore
from avkd.reporting.summary import SummaryRow, Threshold, summarise
from avkd.runtime import Runtime

_NOT_PREPARED = ("not_prepared", "the preparation did not get to it; run `avkd prepare` again")
UNCALIBRATED = DecisionRule(
    calibration_scale=1.0, calibration_offset=0.0, threshold=0.5, source="not calibrated"
)


@torch.no_grad()
def score_items(
    model: nn.Module,
    items: Sequence[ClipItem],
    *,
    model_input: ModelInput,
    rule: DecisionRule,
    machine: Runtime,
    batch_size: int,
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
        show_progress: A bar over the windows.
    """
    clips = WindowClips(items, model_input)
    bar = tqdm(total=len(clips), desc="score", unit="window", disable=not show_progress)
    for batch, places in clips.batches(batch_size):
        bar.update(len(batch))
        batch = batch.to(machine.device)
        logits = model(*model_input.see(batch, batch.student)).logit.tolist()
        for (index, window), logit in zip(places, logits, strict=True):
            yield _scored(items[index].sample, window, logit, rule)


def evaluate(config: EvaluateConfig) -> Outcome:
    """`avkd evaluate`: score files and the report made of them.

    Raises:
        ModelFileError: the model file is not a detector, or is damaged.
        ValueError: two corpora bear the same name, or a corpus has nothing on that side or other
            crops than the model knows.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    model, header = load_detector(config.model)
    model_input = header.input_of(ModelInput.read, config.model)
    model.to(machine.device)
    rows: list[ClipScore] = []
    for folder in config.data:
        corpus = Corpus.open(folder)
        corpus.require_faces(model_input.faces, str(config.model))
        wanted = [s for s in corpus.expected if _is_wanted(s, config)]
        if not wanted:
            raise ValueError(f"{folder}: nothing to score on its {config.split} side")
        if any(row.dataset == wanted[0].dataset for row in rows):
            raise ValueError(
                f"{folder}: a second corpus named {wanted[0].dataset!r}; prepare it with another "
                "--dataset so that the table can tell them apart"
            )
        scored = score_items(
            model,
            corpus.items(s for s in corpus.manifest.samples if _is_wanted(s, config)),
            model_input=model_input,
            rule=header.decision or UNCALIBRATED,
            machine=machine,
            batch_size=config.batch_size,
            show_progress=True,
        )
        of_corpus = [*scored, *_unscored(wanted, corpus)]
        scores.write_scores(config.out / SCORES / f"{wanted[0].dataset}.csv", of_corpus)
        rows += of_corpus
    return _report(config, header, rows)


def _scored(sample: Sample, window: Window, logit: float, rule: DecisionRule) -> ClipScore:
    finite = math.isfinite(logit)
    return ClipScore(
        sample_id=sample.sample_id,
        label=sample.label,
        dataset=sample.dataset,
        method=sample.method,
        split=sample.split or "",
        window=window.index,
        start_frame=window.start_frame,
        num_frames=window.num_frames,
        logit=logit if finite else None,
        probability=rule.probability(logit) if finite else None,
        status=scores.OK if finite else "logit_not_finite",
        group=_group(sample),
    )


def _report(config: EvaluateConfig, header: ModelHeader, rows: list[ClipScore]) -> Outcome:
    rule = header.decision
    threshold = None
    if rule is not None:
        threshold = Threshold(logit=rule.threshold_logit, origin=rule.source)
    summary = summarise(
        rows, threshold=threshold, resamples=config.bootstrap_resamples, seed=config.seed
    )
    provenance = Provenance(
        model=str(config.model),
        model_fingerprint=header.sha256[:16],
        date=datetime.date.today().isoformat(),
        threshold=threshold,
        notes=_notes(header, summary),
    )
    written = ", ".join(map(str, write_report_folder(config.out, summary, provenance=provenance)))
    skipped = sum(not row.is_scored for row in rows)
    return Outcome(
        f"{report.to_text(summary)}\nwrote {written} and scores/",
        ExitCode.SOME_SKIPPED if skipped else ExitCode.DONE,
    )


def _notes(header: ModelHeader, summary: Sequence[SummaryRow]) -> tuple[str, ...]:
    trained = header.provenance.get("training_methods")
    if not isinstance(trained, list):
        return ()
    unseen = sorted({r.method for r in summary if r.method not in (*trained, "all")})
    notes = [f"Methods the model was trained on: {', '.join(m for m in trained if m != 'real')}."]
    if unseen:
        notes.append(f"Methods it never saw: {', '.join(unseen)}.")
    return tuple(notes)


def _is_wanted(sample: Sample, config: EvaluateConfig) -> bool:
    if sample.split != config.split:
        return False
    return sample.label == REAL or config.methods is None or sample.method in config.methods


def _unscored(wanted: Iterable[Sample], corpus: Corpus) -> Iterator[ClipScore]:
    """A row with its reason for every expected file that has no crops; none is left out."""
    prepared = {sample.sample_id for sample in corpus.manifest.samples}
    for sample in wanted:
        if sample.sample_id not in prepared:
            code, message = corpus.failures.get(sample.sample_id, _NOT_PREPARED)
            yield scores.unscored(
                sample_id=sample.sample_id,
                label=sample.label,
                dataset=sample.dataset,
                method=sample.method,
                split=sample.split or "",
                status=code,
                message=message,
                group=_group(sample),
            )


def _group(sample: Sample) -> str:
    """Whose face it is, the target first: what intervals resample together."""
    return sample.identities[0] if sample.identities else ""
