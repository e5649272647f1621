"""Knobs of the verbs of a trained detector: `avkd evaluate`, `report`, `calibrate`, `predict`.

Plain frozen dataclasses: nothing heavy is imported, and every check happens when one is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avkd.config.data_config import check_detection
from avkd.config.training_config import CalibrationKind


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Score prepared corpora with a detector and write the cross-dataset table."""

    model: Path
    """Model file of `avkd finetune` or `avkd distill`; for av_agreement that of `avkd pretrain`."""
    data: tuple[Path, ...]
    """Prepared corpora, one block of the table each."""
    out: Path
    """Folder for scores, report.md, report.csv and the figures."""
    scorer: Literal["detector", "av_agreement"] = "detector"
    """detector: a trained detector's logits; av_agreement: how far picture and sound disagree by
    stage one alone, without any fake seen (also writes frames/)."""
    protocol: Path | None = None
    """Protocol file (see configs/protocols): which files, windows and pooling; unset = those of
    split and methods, the model's own windows, mean logits."""
    split: Literal["train", "val", "test"] = "test"
    """Side of the split to score."""
    methods: tuple[str, ...] | None = None
    """Score only these forgery methods (and the reals); unset = all."""
    mixed_preprocessing: bool = False
    """Let corpora with differently made crops stand in one table, with a note."""
    tables_only: bool = False
    """Write report.md and report.csv, but no figures, no page and no shortcut audit."""
    bootstrap_resamples: int = 2000
    """Resamples of the files behind each 95 % interval."""
    batch_size: int = 8
    """Clips scored at once."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto = a GPU where there is one."""
    threads: int | None = None
    """Threads on a CPU; unset = all cores."""
    seed: int = 0
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("data is empty: give at least one prepared corpus (see avkd prepare)")
        if self.protocol is not None and (self.split != "test" or self.methods is not None):
            raise ValueError(
                f"split and methods are said by the protocol {self.protocol}; leave them out"
            )
        if self.bootstrap_resamples < 100:
            raise ValueError("bootstrap_resamples: fewer than 100 give no interval worth printing")
        if self.batch_size < 1 or self.seed < 0:
            raise ValueError("batch_size must be at least 1 and seed not negative")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Measure what stage one has learnt on held-out clips, beside a linear baseline."""

    model: Path
    """Model file of `avkd pretrain`."""
    data: tuple[Path, ...]
    """Prepared corpora; real clips with sound of their ``split`` side are looked at, those of their
    train side fit the linear baseline."""
    out: Path
    """Folder for probe.json and probe.md."""
    split: Literal["val", "test"] = "test"
    """Side of the split to measure on."""
    clips: int = 256
    """At most so many clips, evenly over the list; chance is 1 / clips."""
    starts: int = 8
    """Seeded random places in each of them at which the meters look."""
    batch_size: int = 32
    """Clips looked at once."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto = a GPU where there is one."""
    threads: int | None = None
    """Threads on a CPU; unset = all cores."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("data is empty: give at least one prepared corpus (see avkd prepare)")
        if self.clips < 8 or self.starts < 1 or self.batch_size < 1:
            raise ValueError("probe: want clips >= 8, starts >= 1, batch_size >= 1")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Make reports again from score files, without a model, and compare models file by file."""

    scores: tuple[Path, ...]
    """Folders that `avkd evaluate` wrote (--out), one model each, or CSV files of any detector with
    the columns file, label, score (and if known probability, method, dataset, split, identity,
    model); two models or more are compared too. The --out of `avkd robustness` joins the page."""
    out: Path
    """Folder for the report; with several models for a folder each, paired.md, paired.csv and one
    page of all of them."""
    mixed_preprocessing: bool = False
    """Let scores of differently made crops stand in one table or comparison, with a note."""
    bootstrap_resamples: int = 2000
    """Resamples of the files behind each 95 % interval."""
    seed: int = 0
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("scores is empty: give the --out folder of at least one avkd evaluate")
        if self.out in self.scores:
            raise ValueError(f"out {self.out} is one of the score folders: give another")
        if self.bootstrap_resamples < 100:
            raise ValueError("bootstrap_resamples: fewer than 100 give no interval worth printing")
        if self.seed < 0:
            raise ValueError("seed must not be negative")


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig:
    """Fit a detector's probabilities and threshold anew, e.g. to the footage it is to judge."""

    model: Path
    """Model file of `avkd finetune` or `avkd distill`; it stays as it is."""
    data: tuple[Path, ...]
    """Prepared corpora; their val sides choose, nothing else of them is looked at."""
    out: Path
    """Model file to write: the same weights with another decision rule."""
    calibration: CalibrationKind = "platt"
    """How logits become probabilities: platt (slope and offset), temperature (slope), isotonic (a
    free rising curve, for 100 files and more), none."""
    pooling: Literal["mean_logit", "mean_probability", "confident"] = "mean_logit"
    """How a file's score is made of its windows'; predict and evaluate then pool alike."""
    batch_size: int = 8
    """Clips scored at once."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto = a GPU where there is one."""
    threads: int | None = None
    """Threads on a CPU; unset = all cores."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("data is empty: give at least one prepared corpus (see avkd prepare)")
        if self.out.resolve() == self.model.resolve():
            raise ValueError(f"out {self.out} is the model itself: give another file")
        if self.out.suffix != ".safetensors":
            raise ValueError(f"out {self.out}: a model file ends in .safetensors")
        if self.batch_size < 1:
            raise ValueError("batch_size must be at least 1")


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Judge videos and pictures: faces, clips of frames, a probability of forgery for each."""

    files: tuple[Path, ...]
    """Videos and pictures to judge; a folder stands for all that lie in it."""
    model: Path | None = None
    """Model file of `avkd finetune` (videos) or `avkd distill` (videos and pictures); or `starter`
    (unset) or `starter-fast`, which ship with avkd."""
    out: Path | None = None
    """Also write the verdicts to this file: all of them as JSON lines, or a table if it ends in
    .csv (file, P(fake), label, status)."""
    json: bool = False
    """Print JSON lines instead of text."""
    detector: Literal["mtcnn", "boxes", "none"] | None = None
    """Where faces come from: detected, read from a .faces.json sidecar, or already cropped; unset =
    as the model was trained, detected or already cropped."""
    detect_every_frames: int | None = None
    """mtcnn: detect on every n-th frame and follow the face between; unset = 5."""
    max_seconds: float | None = None
    """Judge only so much of each file, and say so; unset = all of it."""
    batch_size: int = 8
    """Windows scored at once."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto = a GPU where there is one."""
    threads: int | None = None
    """Threads on a CPU; unset = all cores."""

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("no file to judge: avkd predict FILE...")
        check_detection(self.detector or "mtcnn", self.detect_every_frames, self.max_seconds)
        if self.batch_size < 1:
            raise ValueError("batch_size must be at least 1")
