"""Makers of made-up corpora, scores and facts that more than one test file uses."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from avkd.config.evaluation_config import EvaluateConfig
from avkd.data.crops.crop_store import CropStore
from avkd.data.faces import face_tracks
from avkd.data.faces.face_crop import TEMPLATE
from avkd.data.manifest import Manifest, Sample
from avkd.data.media.video import open_video
from avkd.data.media.writing import write_video
from avkd.data.model_input import ModelInput
from avkd.data.prepare import prepare
from avkd.data.prepare_file import PrepareSettings
from avkd.evaluation import evaluate
from avkd.evaluation.protocol import protocol_of
from avkd.metrics.pooling import MEAN_LOGIT, Pooling
from avkd.models.build import build_image_detector
from avkd.models.decision import DecisionRule
from avkd.models.model_file import save_model
from avkd.models.model_header import ModelHeader
from avkd.reporting import report, summary
from avkd.reporting.model_scores import ModelScores
from avkd.reporting.nuisance_facts import KINDS, FileFacts
from avkd.reporting.robustness_summary import CLEAN_CELL, Cell, Robustness, summarise_robustness
from avkd.reporting.score_frame import PooledFile, frame_of, pool
from avkd.reporting.scores import ClipScore, ScoresHead, write_scores
from avkd.reporting.shortcut_audit import RowAudit
from avkd.reporting.summary import Provenance, SummaryRow, Threshold


def read_waveform(path: Path, num_samples: int | None = None) -> np.ndarray | None:
    """Sound of a video from its first frame on, as `prepare` reads it."""
    with open_video(path, with_sound=True) as video:
        next(video.source_frames(Counter()))
        return video.waveform(num_samples, Counter())


def facts(sample_id: str = "d/swap/0", **changes: object) -> FileFacts:
    fields: dict = {
        "sample_id": sample_id,
        "label": 1,
        "dataset": "d",
        "method": "swap",
        "split": "test",
        "codec": "h264",
        "has_sound": True,
        "leading_silence_seconds": 0.1 + 0.2,
        "width": 640.0,
    }
    fields |= changes
    known = {name: fields.pop(name) for name in KINDS if name in fields}
    return FileFacts(**fields, facts={n: v for n, v in known.items() if v is not None})


PROVENANCE = Provenance(
    model="lgt-s, ssl 0.3",
    model_fingerprint="0123456789abcdef",
    date="2026-11-21",
    threshold=Threshold(logit=0.4, origin="best balanced accuracy on ff++ val"),
    notes=("Leading silence is trimmed.",),
)


def make_rows(method: str = "swap", dataset: str = "celebdf") -> tuple[SummaryRow, ...]:
    random = np.random.default_rng(0)
    scores = [
        ClipScore(
            sample_id=f"{name}/{k}",
            label=int(name != "real"),
            dataset=dataset,
            method=name,
            split="test",
            window=0,
            start_frame=0,
            num_frames=25,
            logit=float(random.standard_normal() + (name != "real")),
            probability=0.5,
        )
        for name in ("real", method, "reenact")
        for k in range(30)
    ]
    lost = ClipScore(
        sample_id="lost",
        label=1,
        dataset=dataset,
        method=method,
        split="test",
        status="no_face",
        message="",
    )
    lone = ClipScore(
        sample_id="lone",
        label=1,
        dataset="lonely",
        method=method,
        split="",
        status="too_large",
        message="",
    )
    return summary.summarise(
        pool([*scores, lost, lone]), threshold=PROVENANCE.threshold, resamples=200, seed=11
    )


def markdown(
    rows: Sequence[SummaryRow],
    provenance: Provenance = PROVENANCE,
    audits: Sequence[RowAudit] | None = None,
) -> str:
    """report.md of some rows."""
    scores = ModelScores(files=pd.DataFrame(), heads={}, provenance=provenance)
    return report.to_markdown(report.describe(scores, rows, audits=audits, tables_only=True))


def make_head(**changes: object) -> ScoresHead:
    fields: dict = {
        "model": "runs/one/model.safetensors",
        "model_fingerprint": "0123456789abcdef",
        "scorer": "detector",
        "preprocessing": "fedcba9876543210",
        "preprocessing_text": "detector mtcnn, crop_size 224",
        "windows": "windows of 25 frames",
        "pooling": "mean_logit",
        "avkd_version": "0.1.0",
        "command": "avkd evaluate --model m --data d --out o",
        "date": "2026-01-01",
    }
    return ScoresHead(**{**fields, **changes})


Plant = Callable[[dict, int, np.random.Generator], None]


def nothing(fields: dict, label: int, random: np.random.Generator) -> None:
    """Reals and fakes alike."""


def silence(fields: dict, label: int, random: np.random.Generator) -> None:
    longer = max(0.0, random.normal(0.12, 0.05)) if label else 0.0
    fields["leading_silence_seconds"] = round(float(random.exponential(0.1) + longer), 2)


def codec(fields: dict, label: int, random: np.random.Generator) -> None:
    fields["codec"] = str(random.choice(["h264", "vp9"], p=[0.2, 0.8] if label else [0.8, 0.2]))


def perfect_codec(fields: dict, label: int, random: np.random.Generator) -> None:
    fields["codec"] = "vp9" if label else "h264"


def made_up(
    plant: Plant, *, seed: int = 0, num_files: int = 200, grouped: bool = True
) -> tuple[pd.DataFrame, list[FileFacts]]:
    """Files of people with a camera, a codec and a room each; scores of an honest detector."""
    random = np.random.default_rng(seed)
    people = [
        {
            "width": float(random.choice([640, 1280, 1920])),
            "frames_per_second": float(random.choice([25, 29.97, 30])),
            "codec": str(random.choice(["h264", "hevc"])),
            "first_frame_brightness": random.normal(110, 30),
            "face_side_pixels": random.normal(200, 40),
            "face_center_x": random.normal(0.5, 0.1),
        }
        for _ in range(num_files // 4)
    ]
    videos, facts = [], []
    for number in range(num_files):
        label, person = number % 2, int(random.integers(len(people)))
        seconds, num_bytes = float(random.gamma(4, 2)), float(random.lognormal(15, 0.5))
        fields: dict = people[person] | {
            "height": people[person]["width"] * 9 / 16,
            "duration_seconds": seconds,
            "file_bytes": num_bytes,
            "bit_rate": 8 * num_bytes / seconds,
            "has_sound": True,
            "leading_silence_seconds": round(float(random.exponential(0.1)), 2),
            "sound_level_db": random.normal(-25, 5),
            "face_center_y": random.normal(0.45, 0.05),
        }
        plant(fields, label, random)
        named = {
            "sample_id": f"d/{number}",
            "label": label,
            "dataset": "d",
            "method": "swap" if label else "real",
            "split": "test",
            "group": f"person {person}" if grouped else "",
        }
        facts.append(FileFacts(**named, facts=fields))
        logit = float(random.normal(1.2 * label, 1))
        videos.append(
            PooledFile(**named, logit=logit, probability=0.5, reason="", windows=np.zeros((0, 3)))  # type: ignore[arg-type]
        )
    return frame_of(videos), facts


def records(files: pd.DataFrame) -> list[PooledFile]:
    """The rows of a scores frame one by one, with None where a number is not there."""
    numbers = files[["logit", "probability"]].astype(object)
    clear = files.assign(**numbers.where(numbers.notna(), None))
    return [PooledFile(*row) for row in clear.itertuples(index=False, name=None)]


def window_score(sample_id: str, method: str, logit: float, **changes: object) -> ClipScore:
    fields: dict = {
        "sample_id": sample_id,
        "label": int(method != "real"),
        "dataset": "d",
        "method": method,
        "split": "test",
        "window": 0,
        "start_frame": 0,
        "num_frames": 25,
        "logit": logit,
        "probability": float(1 / (1 + np.exp(-logit))),
    }
    return ClipScore(**{**fields, **changes})


def missing(sample_id: str, method: str, status: str = "no_face") -> ClipScore:
    return ClipScore(
        sample_id=sample_id,
        label=int(method != "real"),
        dataset="d",
        method=method,
        split="test",
        status=status,
        message="",
    )


def made_up_scores(seed: int = 0, num_videos: int = 12) -> list[ClipScore]:
    random = np.random.default_rng(seed)
    rows = []
    for method, shift in (("real", 0.0), ("swap", 1.0), ("reenact", 0.3)):
        for video in range(num_videos):
            centre = random.standard_normal() + shift
            rows += [
                window_score(
                    f"d/{method}/{video}",
                    method,
                    float(centre + random.standard_normal()),
                    window=window,
                    start_frame=25 * window,
                )
                for window in range(1 + video % 3)
            ]
    return rows


def summarise(
    rows: Iterable[ClipScore], *, pooling: Pooling = MEAN_LOGIT, **options: object
) -> tuple[SummaryRow, ...]:
    return summary.summarise(pool(rows, pooling), pooling=pooling, **options)  # type: ignore[arg-type]


RULE = DecisionRule(threshold_logit=0.4, source="val")


def write_folder(
    folder: Path,
    rows: list[ClipScore],
    *,
    rule: DecisionRule | None = RULE,
    pictures: bool = False,
    **changes: object,
) -> Path:
    """What `avkd evaluate` leaves, with a second dataset whose name sorts before the first.

    Without ``pictures``, which take seconds, it has neither a page nor a shortcut audit.
    """
    other = [dataclasses.replace(row, dataset="a") for row in rows]
    model = Path(f"runs/{folder.name}/model.safetensors")
    head = make_head(model=str(model), **changes)
    paths = [folder / "scores" / f"{name}.csv" for name in ("d", "a")]
    for path, of_dataset in zip(paths, (rows, other), strict=True):
        write_scores(path, head, of_dataset)
    config = EvaluateConfig(
        model=model,
        data=(Path("d"),),
        out=folder,
        bootstrap_resamples=100,
        tables_only=not pictures,
    )
    trained_on = {"training_methods": ["real", "swap"]}
    header = ModelHeader(
        kind="detector", arguments={}, preprocessing={}, provenance=trained_on, decision=rule
    )
    notes = ['A note with, "quotes" and | signs.']
    evaluate._report(config, header, paths, protocol_of(config), notes=notes)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


Cells = dict[Cell, list[ClipScore]]

SHIFT = {"real": 0.0, "swap": 1.5, "reenact": 0.8}

GRID = [Cell(name, severity) for name in ("blur", "jpeg") for severity in (1, 3)]


def made_up_cells(num_files: int = 14, lost: int = 0, group_size: int = 0) -> Cells:
    """Scores that a cell blurs the more the severer it is; blur 3 loses some files of each kind."""
    random = np.random.default_rng(1)
    names = [(method, number) for method in SHIFT for number in range(num_files)]
    clean = {key: float(random.standard_normal() + SHIFT[key[0]]) for key in names}
    cells: Cells = {}
    for place, cell in enumerate([CLEAN_CELL, *GRID]):
        rows = []
        for method, number in names:
            noise = 0.4 * place * random.standard_normal()
            sample_id = f"d/{method}/{number}"
            group = f"person{number // group_size}" if group_size else ""
            if cell == Cell("blur", 3) and number < lost:
                rows.append(missing(sample_id, method))
            else:
                rows.append(window_score(sample_id, method, clean[method, number] + noise))
            rows[-1] = dataclasses.replace(rows[-1], group=group)
        cells[cell] = rows
    return cells


def tables(lost: int = 0, models: tuple[str, ...] = ("m",)) -> list[Robustness]:
    """Tables of models that differ in their names alone."""
    return [dataclasses.replace(t, model=m) for m in models for t in kept_summary(lost)]


def summarised(lost: int = 0) -> list[Robustness]:
    frames = {cell: pool(rows) for cell, rows in made_up_cells(lost=lost).items()}
    return list(summarise_robustness(frames, model="m", resamples=100))


kept_summary = functools.cache(summarised)


def pooled(found: list[Robustness]) -> Robustness:
    return next(table for table in found if table.is_pooled)


SMALL_NETWORK: dict[str, Any] = {"name": "resnet8", "image_size": 32, "widths": [4, 4, 4]}


def write_image_model(
    path: Path,
    *,
    decision: DecisionRule | None = None,
    provenance: dict[str, Any] | None = None,
    seed: int = 0,
    windows_per_file: int = 1,
) -> Path:
    """An untrained image detector that looks at whole pictures of 36 pixels."""
    torch.manual_seed(seed)
    seen = ModelInput(
        clip_frames=1,
        crop_pixels=36,
        view_share=32 / 36,
        image_size=32,
        windows_per_file=windows_per_file,
        faces="whole",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(
        path,
        build_image_detector(**SMALL_NETWORK),
        kind="image_detector",
        arguments=SMALL_NETWORK,
        preprocessing=seen.describe(),
        provenance=provenance or {},
        decision=decision,
    )
    return path


GREY_SIDES = {"train": 4, "val": 12, "test": 4}  # files of each class


def write_grey_corpus(
    folder: Path,
    name: str,
    *,
    broken: int = 0,
    only_real: bool = False,
    without_side: str | None = None,
) -> Path:
    """Grey pictures, real ones dark and fake ones bright; a few of the val side cannot be read."""
    random = np.random.default_rng(len(name))
    samples = []
    for side, count in GREY_SIDES.items():
        for number in range(count):
            for label, method in ((0, "real"), (1, "swap"), (1, "secret")):
                path = folder / "source" / side / method / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                level = 60 + 90 * (label == 1) + random.integers(0, 60)
                Image.new("RGB", (40, 40), (level, level, level)).save(path)
                if side == "val" and method == "swap" and number < broken:
                    path.write_text("not a picture")
                if (label == 1 and only_real) or side == without_side:
                    continue
                samples.append(
                    Sample(
                        sample_id=f"{name}/{side}/{method}/{number}",
                        path=path.relative_to(folder / "source").as_posix(),
                        dataset=name,
                        label=label,
                        method=method,
                        split=side,
                        kind="image",
                    )
                )
    prepare(
        Manifest(folder / "source", tuple(samples)),
        folder / "prepared",
        PrepareSettings(detector="none", crop_size=36),
        workers=1,
    )
    return folder / "prepared"


def spoil(corpus: Path, path: str) -> None:
    """Zero the second half of the stored pictures of a track."""
    row = CropStore(corpus).row(path)
    with (corpus / "shards" / row.shard).open("r+b") as shard:
        shard.seek(row.offset + row.jpeg_bytes // 2)
        shard.write(bytes(row.jpeg_bytes - row.jpeg_bytes // 2))


def use_channels_last(module: nn.Module) -> None:
    """Lay out every convolution's weights channels-last, in place; give it such clips too.

    `module.to(memory_format=...)` cannot do this where 2D and 3D convolutions meet.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            part.to(memory_format=torch.channels_last_3d)
        elif isinstance(part, nn.Conv2d):
            part.to(memory_format=torch.channels_last)


CLIP_FRAMES = 30


def speech(
    silence_seconds: float, *, frames: int = CLIP_FRAMES, amplitude: float = 0.25
) -> np.ndarray:
    """A steady tone after some silence."""
    time = np.arange(frames * 640) / 16000
    tone = amplitude * np.sqrt(2) * np.sin(2 * np.pi * 440 * time)
    return np.where(time < silence_seconds, 0.0, tone).astype(np.float32)


def write_clip(path: Path, *, sound: np.ndarray | None = None, left: int = 20) -> None:
    """Grey frames, the first one darker, with one known face."""
    images = (np.full((160, 200, 3), 50 if n == 0 else 120, np.uint8) for n in range(CLIP_FRAMES))
    write_video(path, images, waveform=sound)
    boxes = np.tile([30.0, 10, 150, 150], (CLIP_FRAMES, 1))
    landmarks = np.repeat((TEMPLATE + np.array([left, 5]))[None], CLIP_FRAMES, axis=0)
    face_tracks.write_face_sidecar(path, boxes, landmarks, (200, 160))


LENGTHS = {"long": 60, "twin": 60, "second": 25, "short": 12}
VIDEO = ModelInput(image_size=112)


def write_counting_video(path: Path, frames: int) -> None:
    """Frame n is grey of level 40 + 3 n; the sound is a ramp."""
    images = (np.full((160, 200, 3), 40 + 3 * n, np.uint8) for n in range(frames))
    waveform = None if path.stem == "short" else np.linspace(-0.5, 0.5, frames * 640)
    write_video(path, images, waveform=None if waveform is None else waveform.astype(np.float32))
    boxes = np.tile([30.0, 10, 150, 150], (frames, 1))
    landmarks = np.repeat((TEMPLATE + np.array([20, 5]))[None], frames, axis=0)
    face_tracks.write_face_sidecar(path, boxes, landmarks, (200, 160))
