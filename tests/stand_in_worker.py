"""A worker of `avkd predict` without a network: what it does with a file is written in the file."""

import os
import signal
import time
from pathlib import Path

from avkd.config.evaluation_config import PredictConfig
from avkd.inference.evidence import JudgedFile
from avkd.inference.judging import ModelFacts
from avkd.inference.verdict import Note, Verdict, WindowScore, judge
from avkd.models.decision import DecisionRule
from avkd.outcome import ModelRefused

RULE = DecisionRule(threshold_logit=0.0, source="made up")


def work(config: PredictConfig, file: Path | None) -> ModelFacts | JudgedFile:
    return facts(config) if file is None else judged(config, file)


def facts(config: PredictConfig) -> ModelFacts:
    if config.model == Path("refused"):
        raise ModelRefused("refused: not a model; give another")
    return ModelFacts(str(config.model), RULE)


def judged(config: PredictConfig, file: Path) -> JudgedFile:
    order = file.read_text(errors="replace")
    if order == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if order.startswith("hang"):
        seconds = float(order.partition(" ")[2] or 60)
        time.sleep(seconds)
        verdict = verdict_of(str(file), 1.0, str(config.model))
        return JudgedFile(verdict, seconds={"decoding": seconds})
    if order == "bug":
        raise TypeError("no such argument")
    if order == "memory":
        raise MemoryError
    if order == "unreadable":
        raise OSError("input/output error")
    if order in ("", "empty"):
        note = Note(code="empty_file", message="is empty")
        verdict = Verdict(
            file=str(file),
            decision="cannot_tell",
            reason="is empty",
            skipped=(note,),
            model_fingerprint=str(config.model),
        )
        return JudgedFile(verdict)
    return JudgedFile(verdict_of(str(file), float(order), str(config.model)))


def verdict_of(file: str, logit: float, model: str = "m") -> Verdict:
    window = WindowScore(
        track=0,
        start_frame=0,
        num_frames=1,
        start_seconds=0.0,
        end_seconds=0.04,
        logit=logit,
        probability=RULE.probability(logit),
    )
    return judge(
        file,
        [window],
        RULE,
        num_frames=1,
        face_frames=1,
        model_fingerprint=model,
    )
