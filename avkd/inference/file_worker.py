"""What a process of `avkd predict` does: it holds the detector and judges one file after another.

`predict` itself imports none of this, and so neither torch nor a decoder: whatever a file or a
model file does, it does it here.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

from avkd import runtime
from avkd.config.evaluation_config import PredictConfig
from avkd.data import sandbox
from avkd.data.faces.track_extraction import load_detector as load_face_detector
from avkd.data.stopwatch import Stopwatch, step
from avkd.inference.evidence import Evidence, JudgedFile
from avkd.inference.file_predictor import FilePredictor
from avkd.inference.judging import ModelFacts
from avkd.models import onnx_file, starter


def facts(config: PredictConfig, _: None) -> ModelFacts:
    """Try whether the model, the device and the face detector can be had.

    Raises:
        ValueError: the model file is refused, or there is no such device; `ModelRefused`,
            `ResourceError`, `ModuleNotFoundError` likewise.
    """
    predictor = _predictor(config)
    if (config.detector or predictor.face_detector) == "mtcnn":
        load_face_detector("mtcnn")
    return ModelFacts(predictor.fingerprint, predictor.rule)


def judged(config: PredictConfig, file: Path) -> JudgedFile:
    """The verdict on a file; whatever is wrong with it is said in there."""
    evidence = Evidence()
    with Stopwatch() as watch:
        with step("import"):
            predictor = _predictor(config)
        verdict = predictor.predict(
            file,
            face_detector=config.detector,
            detect_every_frames=config.detect_every_frames,
            min_face=config.min_face,
            max_seconds=config.max_seconds,
            max_minutes=config.max_minutes,
            batch_size=config.batch_size,
            evidence=None if config.page is None else evidence,
        )
    moments = evidence.moments(partial(predictor.show, method=config.explain))
    return JudgedFile(verdict, moments, watch.seconds)


@lru_cache(maxsize=1)
def _predictor(config: PredictConfig) -> FilePredictor:
    machine = runtime.start(device=config.device, threads=config.threads)
    model = config.model or starter.DEFAULT
    is_onnx = model.suffix == onnx_file.SUFFIX
    if is_onnx:  # its engine takes whatever memory the file asks for
        sandbox.limit_memory(config.max_gigabytes)
    predictor = FilePredictor.load(model, machine, config.engine)
    if not is_onnx:
        sandbox.limit_memory(config.max_gigabytes)
    sandbox.confine()  # now that everything is loaded
    return predictor
