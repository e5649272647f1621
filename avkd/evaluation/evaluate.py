"""Scores prepared corpora with a detector, file by file, and writes the cross-dataset table.

Every expected file is a row: scored, or unscored with its reason. All numbers come from the score
files; nothing is chosen on the data that are judged here.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from tqdm import tqdm

from avkd import runtime
from avkd.config.evaluation_config import EvaluateConfig
from avkd.data import transforms
from avkd.data.datasets import ClipItem, Corpus, WindowClips
from avkd.data.manifest import REAL, Sample
from avkd.evaluation import figure, report, scores
from avkd.evaluation.scores import ClipScore
from avkd.evaluation.summary import SummaryRow, Threshold, summarise
from avkd.models.decision import DecisionRule
from avkd.models.model_file import ModelFileError, ModelHeader, load_model
from avkd.runtime import ExitCode, Outcome, Runtime

logger = logging.getLogger(__name__)


@torch.no_grad()
def score_items(
    model: nn.Module,
    items: Sequence[ClipItem],
    *,
    image_size: int,
    rule: DecisionRule | None,
    machine: Runtime,
    batch_size: int,
    show_progress: bool = False,
) -> Iterator[ClipScore]:
    """Score every window of every item, in order.

    Args:
        model: A detector in eval mode on the device.
        items: Tracks of any length.
        image_size: Side of the detector's input in pixels.
        rule: Calibration of the probabilities; None = the plain sigmoid of the logit.
        machine: Device; scoring always runs in fp32, because half precision makes ties.
        batch_size: Windows at once.
        show_progress: A bar over the windows.
    """
    clips = WindowClips(items)
    batches = clips.batches(batch_size)
    if show_progress:
        total = -(-len(clips) // batch_size)
        batches = tqdm(batches, total=total, desc="score", unit="batch")
    for batch, places in batches:
        batch = batch.to(machine.device)
        view = transforms.apply_video(batch.frames, batch.student, image_size)
        for (index, window), logit in zip(places, model(view).logit.tolist(), strict=True):
            sample = items[index].sample
            yield ClipScore(
                sample_id=sample.sample_id,
                label=sample.label,
                dataset=sample.dataset,
                method=sample.method,
                split=sample.split or "",
                window=window.index,
                start_frame=window.start_frame,
                num_frames=window.num_frames,
                logit=logit,
                probability=_plain_rule.probability(logit)
                if rule is None
                else rule.probability(logit),
                group=_group(sample),
            )


def evaluate(config: EvaluateConfig) -> Outcome:
    """`avkd evaluate`: score files, report.md, report.csv and report.png.

    Raises:
        ModelFileError: the model file is not a detector, or is damaged.
        ValueError: two corpora bear the same name, or a corpus has nothing on that side.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    model, header = load_model(config.model, kind="detector")
    image_size = check_preprocessing(header, config)
    model.to(machine.device)
    rows: list[ClipScore] = []
    for folder in config.data:
        corpus = Corpus.open(folder)
        wanted = [s for s in corpus.expected if _is_wanted(s, config)]
        if not wanted:
            raise ValueError(f"{folder}: nothing to score on its {config.split} side")
        scored = score_items(
            model,
            corpus.items(s for s in wanted if s.sample_id in corpus.prepared),
            image_size=image_size,
            rule=header.decision,
            machine=machine,
            batch_size=config.batch_size,
            show_progress=True,
        )
        of_corpus = [
            *scored,
            *(_unscored(s, corpus) for s in wanted if s.sample_id in corpus.failed),
        ]
        path = config.out / "scores" / f"{wanted[0].dataset}.csv"
        if any(row.dataset == wanted[0].dataset for row in rows):
            raise ValueError(
                f"{folder}: a second corpus named {wanted[0].dataset!r}; prepare it with another "
                "--dataset so that the table can tell them apart"
            )
        scores.write_scores(path, of_corpus)
        rows += of_corpus
    return _report(config, header, rows)


def check_preprocessing(header: ModelHeader, config: EvaluateConfig) -> int:
    """Compare what the model was trained on with what we would feed it; returns its input side.

    Raises:
        ModelFileError: they differ; names the first difference.
    """
    image_size = header.preprocessing.get("image_size")
    if not isinstance(image_size, int):
        raise ModelFileError(f"{config.model}: does not say how large its input is")
    for name, value in transforms.preprocessing(image_size).items():
        if header.preprocessing.get(name) != value:
            raise ModelFileError(
                f"{config.model}: was trained with {name} = {header.preprocessing.get(name)!r}, "
                f"this avkd feeds {value!r}; use the avkd that made it"
            )
    return image_size


def _report(config: EvaluateConfig, header: ModelHeader, rows: list[ClipScore]) -> Outcome:
    rule = header.decision
    threshold = None
    if rule is not None:
        threshold = Threshold(logit=rule.logit(rule.threshold), origin=rule.source)
    summary = summarise(
        rows, threshold=threshold, resamples=config.bootstrap_resamples, seed=config.seed
    )
    provenance = report.Provenance(
        model=str(config.model),
        model_fingerprint=header.sha256[:16],
        date=datetime.date.today().isoformat(),
        threshold=threshold,
        notes=_notes(header, summary),
    )
    markdown, table = report.write_report(config.out, summary, provenance=provenance)
    picture = config.out / "report.png"
    figure.draw_auc(summary, picture, title=f"{config.model.parent.name}: video AUC, 95 % interval")
    skipped = sum(not row.is_scored for row in rows)
    return Outcome(
        f"{report.to_text(summary)}\nwrote {markdown}, {table}, {picture} and scores/",
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


def _unscored(sample: Sample, corpus: Corpus) -> ClipScore:
    failure = corpus.failed[sample.sample_id]
    return scores.unscored(
        sample_id=sample.sample_id,
        label=sample.label,
        dataset=sample.dataset,
        method=sample.method,
        split=sample.split or "",
        status=failure.status,
        message=failure.message,
        group=_group(sample),
    )


def _group(sample: Sample) -> str:
    """Whose face it is, the target first: what intervals resample together."""
    return sample.identities[0] if sample.identities else ""


_plain_rule = DecisionRule(
    calibration_scale=1.0, calibration_offset=0.0, threshold=0.5, source="not calibrated"
)
