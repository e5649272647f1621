"""What a process of `avkd predict` does: it holds the detector and judges one file after another.

`predict` itself imports none of this, and so neither torch nor a decoder: whatever a file or a
model file does, it does it here.
"""

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from avkd import runtime
from avkd.config.evaluation_config import PredictConfig
from avkd.data import sandbox
from avkd.data.faces import face_tracks
from avkd.data.faces.track_extraction import load_detector as load_face_detector
from avkd.data.stopwatch import Stopwatch, step
from avkd.inference.evidence import Evidence, JudgedFile
from avkd.inference.file_predictor import FilePredictor
from avkd.inference.judging import ModelFacts, overlay_path
from avkd.inference.overlay import MOST_BYTES, Overlay
from avkd.models import onnx_file, starter


def work(config: PredictConfig, file: Path | None) -> ModelFacts | JudgedFile:
    """The verdict on a file; without one, what is to be known of the model."""
    return facts(config) if file is None else judged(config, file)


def facts(config: PredictConfig) -> ModelFacts:
    """Try whether the model, the device and the face detector can be had.

    Raises:
        ValueError: the model file is refused, or there is no such device; `ModelRefused`,
            `ResourceError`, `ModuleNotFoundError` likewise.
    """
    predictor = _predictor(config)
    detector = config.detector or predictor.face_detector
    if detector in face_tracks.DETECTORS:
        load_face_detector(detector, file=config.detector_file)
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
            detector_file=config.detector_file,
            detect_every_frames=config.detect_every_frames,
            min_face=config.min_face,
            max_seconds=config.max_seconds,
            max_minutes=config.max_minutes,
            batch_size=config.batch_size,
            evidence=None if config.page is None else evidence,
            overlay=_overlay(config, predictor, file),
        )
    moments = evidence.moments(partial(predictor.show, method=config.explain))
    return JudgedFile(verdict, moments, watch.seconds)


def _overlay(config: PredictConfig, predictor: FilePredictor, file: Path) -> Overlay | None:
    if config.overlay is None:
        return None
    # What a network sees of the mouth alone is not the middle of the crop.
    has_heat = config.explain is not None and predictor.input.region == "face"
    show = partial(predictor.show, method=config.explain) if has_heat else None
    return Overlay(overlay_path(config.overlay, file), show, predictor.input.view_share)


@lru_cache(maxsize=1)
def _predictor(config: PredictConfig) -> FilePredictor:
    runtime.keep_freed_memory()
    machine = runtime.start(device=config.device, threads=config.threads)
    model = config.model or starter.DEFAULT
    is_onnx = model.suffix == onnx_file.SUFFIX
    if is_onnx:  # its engine takes whatever memory the file asks for
        sandbox.limit_memory(config.max_gigabytes)
    predictor = FilePredictor.load(model, machine, config.engine)
    if config.agreement is not None:
        from avkd.inference.agreement import StageOne  # late: it loads pandas

        stage_one = StageOne.load(config.agreement, machine, beside=predictor.input)
        predictor = replace(predictor, stage_one=stage_one)
    if not is_onnx:
        sandbox.limit_memory(config.max_gigabytes)
    # Now that everything is loaded.
    sandbox.confine(MOST_BYTES if config.overlay is not None else None)
    return predictor
