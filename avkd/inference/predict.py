"""`avkd predict`: one verdict for each file, as text, JSON lines or a table."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from avkd import durable, runtime
from avkd.config.evaluation_config import PredictConfig
from avkd.data import inventory
from avkd.data.faces.track_extraction import load_detector as load_face_detector
from avkd.data.inventory import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from avkd.inference.evidence import Evidence
from avkd.inference.file_predictor import FilePredictor
from avkd.inference.verdict import to_csv
from avkd.models import starter
from avkd.outcome import ExitCode, Outcome

_MOST_FILES_ON_A_PAGE = 200


def predict(config: PredictConfig) -> Outcome:
    """One verdict for each file, in order.

    Raises:
        ValueError: a folder holds no video and no picture, or a page would hold too many files.
    """
    machine = runtime.start(device=config.device, threads=config.threads)
    predictor = FilePredictor.load(config.model or starter.DEFAULT, machine)
    face_detector = config.detector or predictor.face_detector
    if face_detector == "mtcnn":
        load_face_detector(face_detector)  # fails here, once, if its weights are missing
    paths = [path for named in config.files for path in _files_of(named)]
    if config.page is not None and len(paths) > _MOST_FILES_ON_A_PAGE:
        raise ValueError(
            f"{config.page}: a page holds {_MOST_FILES_ON_A_PAGE} files at most, these are "
            f"{len(paths)}; leave out --page and read the table of --out"
        )
    verdicts, evidence = [], []
    for path in tqdm(paths, desc="predict", unit="file", disable=len(paths) < 2):
        evidence.append(Evidence())
        verdicts.append(
            predictor.predict(
                path,
                face_detector=face_detector,
                detect_every_frames=config.detect_every_frames,
                max_seconds=config.max_seconds,
                batch_size=config.batch_size,
                evidence=None if config.page is None else evidence[-1],
            )
        )
    lines = [verdict.to_json() for verdict in verdicts]
    if config.out is not None:
        is_table = config.out.suffix.lower() == ".csv"
        text = to_csv(verdicts) if is_table else "".join(line + "\n" for line in lines)
        durable.write_text(config.out, text)
    if config.page is not None:
        from avkd.inference.verdict_page import JudgedFile, write_verdict_page  # heavy: matplotlib

        judged = [JudgedFile(*pair) for pair in zip(verdicts, evidence, strict=True)]
        write_verdict_page(config.page, judged, predictor.rule)
    text = "\n".join(lines if config.json else [verdict.to_text() for verdict in verdicts])
    unjudged = sum(verdict.decision == "cannot_tell" for verdict in verdicts)
    if unjudged == len(verdicts):
        return Outcome(text, ExitCode.NOTHING_USABLE)
    return Outcome(text, ExitCode.SOME_SKIPPED if unjudged else ExitCode.DONE)


def _files_of(path: Path) -> list[Path]:
    """A file itself, or all videos and pictures below a folder, by name; links are not followed.

    Raises:
        ValueError: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    listing = inventory.list_files(path, suffixes=VIDEO_SUFFIXES | PICTURE_SUFFIXES)
    if not listing.files:
        raise ValueError(f"{path}: holds no video and no picture; {'; '.join(listing.notes())}")
    return [path / name for name in listing.files]
