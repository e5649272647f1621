"""Settings of the verbs of a trained model: evaluate, probe, report, calibrate, predict."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avkd.config.data_config import check_detection, check_detector_file
from avkd.config.shared import (
    BootstrapConfig,
    ComputeConfig,
    ShardConfig,
    at_least,
    check_resamples,
    require,
    require_data,
)
from avkd.config.training_config import CalibrationKind


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(BootstrapConfig, ComputeConfig):
    """Score prepared corpora with a detector and write the cross-dataset table."""

    model: Path
    """Model file of `avkd finetune` or `avkd distill`; for av_agreement that of `avkd pretrain`."""
    data: tuple[Path, ...]
    """Prepared corpora, one block of the table each."""
    out: Path
    """Folder for scores, report.md, report.csv and the figures."""
    scorer: Literal["detector", "av_agreement"] = "detector"
    """detector: logits of a trained detector; av_agreement: how far video and sound disagree
    for stage one alone, trained without any forgery (also writes frames/)."""
    protocol: Path | None = None
    """Protocol file (see configs/protocols): which files, windows and pooling; unset = those of
    split and methods, the model's own windows, mean logits."""
    split: Literal["train", "val", "test"] = "test"
    """Split to score."""
    methods: tuple[str, ...] | None = None
    """Score only these forgery methods (and the real videos); unset = all."""
    mixed_preprocessing: bool = False
    """Let corpora with differently made crops stand in one table, with a note."""
    tables_only: bool = False
    """Write report.md and report.csv, but no figures, no page and no shortcut audit."""

    def __post_init__(self) -> None:
        require_data(self.data)
        if self.protocol is not None and (self.split != "test" or self.methods is not None):
            raise ValueError(f"the protocol {self.protocol} sets split and methods; leave them out")
        check_resamples(self.bootstrap_resamples)
        at_least(self, 1, "batch_size")
        at_least(self, 0, "seed")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(ComputeConfig):
    """Measure what stage one has learned on held-out clips, beside a linear baseline."""

    model: Path
    """Model file of `avkd pretrain`."""
    data: tuple[Path, ...]
    """Prepared corpora; the real clips with sound of `split` are measured, those of the training
    split fit the linear baseline."""
    out: Path
    """Folder for probe.json and probe.md."""
    split: Literal["val", "test"] = "test"
    """Split to measure on."""
    clips: int = 256
    """At most so many clips, evenly over the list; chance is 1 / clips."""
    starts: int = 8
    """Seeded random windows of each of them that are measured."""
    batch_size: int = 32
    """Clips measured at once."""

    def __post_init__(self) -> None:
        require_data(self.data)
        if self.clips < 8 or self.starts < 1 or self.batch_size < 1:
            raise ValueError("probe: want clips >= 8, starts >= 1, batch_size >= 1")


@dataclass(frozen=True, kw_only=True)
class ReportConfig(BootstrapConfig):
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

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("scores is empty: give the --out folder of at least one avkd evaluate")
        if self.out in self.scores:
            raise ValueError(f"out {self.out} is one of the score folders: give another")
        check_resamples(self.bootstrap_resamples)
        at_least(self, 0, "seed")


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig(ComputeConfig):
    """Fit a detector's probabilities and threshold again, e.g. to the videos it is used on."""

    model: Path
    """Model file of `avkd finetune` or `avkd distill`; it is not changed."""
    data: tuple[Path, ...]
    """Prepared corpora; only their validation splits are used."""
    out: Path
    """Model file to write: the same weights with another decision rule."""
    calibration: CalibrationKind = "platt"
    """How logits become probabilities: platt (slope and offset), temperature (slope), isotonic (any
    increasing curve, for 100 files and more), none."""
    pooling: Literal["mean_logit", "mean_probability", "confident"] = "mean_logit"
    """How a file's score is made of its windows'; predict and evaluate then pool alike."""
    coverage: float | None = None
    """Least share of real files, and of fake ones, whose prediction set holds the right answer;
    where it holds both or none a file is `uncertain`. 0.9 needs 9 identities of each, 0.95 needs
    19. Without it a file is `uncertain` near the threshold."""

    def __post_init__(self) -> None:
        require_data(self.data)
        if self.out.resolve() == self.model.resolve():
            raise ValueError(f"out {self.out} is the model itself: give another file")
        if self.out.suffix != ".safetensors":
            raise ValueError(f"out {self.out}: a model file ends in .safetensors")
        if self.coverage is not None:
            require(0.5 <= self.coverage < 1.0, "coverage: want a share from 0.5, below 1")
        _require_weights(self.model)
        at_least(self, 1, "batch_size")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write a detector as an ONNX file for predict, evaluate and bench; the model file stays.

    Needs `pip install 'avkd[export]'`. The file holds weights, input and decision rule.
    """

    model: Path
    """Model file of `avkd finetune` or `avkd distill`, or `starter`, `starter-fast`."""
    out: Path
    """ONNX file to write."""
    precision: Literal["fp32", "int8"] = "fp32"
    """fp32: logits as torch's within 0.001, else nothing is written; int8: smaller and faster, and
    less exact: what it costs is measured on the validation files of --data."""
    batch: int | None = None
    """Fix the number of clips judged at once; unset = any."""
    data: tuple[Path, ...] = ()
    """Prepared corpora, whose validation files are compared; int8 also takes its ranges there."""
    max_auc_loss: float = 0.003
    """int8: write nothing if the AUC falls by more than this."""
    batch_size: int = 8
    """Clips scored at once while int8 is measured."""
    threads: int | None = None
    """Threads; unset = all cores."""

    def __post_init__(self) -> None:
        _require_weights(self.model)
        at_least(self, 1, "batch", "batch_size")
        require(self.out.suffix == ".onnx", f"out {self.out}: an ONNX file ends in .onnx")
        require(self.max_auc_loss >= 0, "max_auc_loss must not be negative")
        if self.precision == "int8":
            require_data(self.data)


@dataclass(frozen=True, kw_only=True)
class PredictConfig(ComputeConfig, ShardConfig):
    """Predict whether videos and pictures are forged: faces, windows, one probability each.

    Files are judged in worker processes, so one that crashes or hangs a decoder is one row and
    costs no other.
    """

    files: tuple[Path, ...]
    """Videos and pictures; a folder stands for all files in it."""
    model: Path | None = None
    """Model file of `avkd finetune` (videos) or `avkd distill` (videos and pictures), or what
    `avkd export` made of it; or `starter` (unset) or `starter-fast`, which ship with avkd."""
    out: Path | None = None
    """Also write each verdict to this file as it comes, as JSON lines, or as a table (file,
    P(fake), label, status) if its name ends in .csv."""
    resume: bool = False
    """Go on with --out: files that have a verdict there, or in the --out of any shard, are left
    out."""
    engine: Literal["auto", "torch", "onnx", "openvino"] = "auto"
    """What computes the network: torch for .safetensors, onnx (onnxruntime) or openvino for .onnx;
    auto = the one that fits, for .onnx OpenVINO only where onnxruntime is not installed."""
    page: Path | None = None
    """Also write one HTML page: decisions, P(fake) over time, the frames that told most."""
    explain: Literal["grad_cam", "integrated_gradients"] | None = None
    """Lay heat maps over the frames of --page and --overlay: which pixels the score comes from.
    Needs `pip install 'avkd[explain]'`."""
    overlay: Path | None = None
    """Folder for an overlay of each video (NAME.overlay.mp4, its first ten minutes, no sound):
    faces with P(fake), the scores over time, and with --explain a heat map for each window."""
    agreement: Path | None = None
    """Model file of `avkd pretrain` as a second opinion on videos with sound: for each face and
    second, how far picture and sound disagree. It takes no part in the decision."""
    json: bool = False
    """Print JSON lines instead of text."""
    detector: Literal["mtcnn", "yunet", "boxes", "none"] | None = None
    """Where faces come from: detected by MTCNN or YuNet, read from a .faces.json sidecar, or
    already cropped; unset = as the model was trained, mtcnn or none."""
    detector_file: Path | None = None
    """yunet: face_detection_yunet_2023mar.onnx of OpenCV Zoo; needs `pip install 'avkd[yunet]'`."""
    detect_every_frames: int | None = None
    """mtcnn, yunet: detect on every n-th frame; unset = 5, but with mtcnn, which can follow faces,
    every 125th, and sooner where a face is lost or something changes beside the faces."""
    min_face: float | None = None
    """mtcnn, yunet: smallest face searched for, as a share of the picture's shorter side; unset =
    0.1, and where that finds none 0.03. MTCNN's cost grows with its inverse square."""
    max_seconds: float = 3600.0
    """Read only so much of each video, and say so."""
    max_minutes: float = 30.0
    """Time for each file: looking for faces ends at half of it, and what was reached is judged; a
    file that has no verdict at twice this time is given up."""
    max_gigabytes: float = 8.0
    """Memory that one file may take (Linux)."""
    workers: int = 1
    """Files judged at once; each worker holds the model."""
    profile: bool = False
    """Say at the end where the time went; needs workers 1."""

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("no file given: avkd predict FILE...")
        check_detection(self.detector or "mtcnn", self.detect_every_frames, self.max_seconds)
        check_detector_file(self.detector, self.detector_file)
        at_least(self, 1, "batch_size", "workers")
        self.check_shard()
        require(self.max_minutes > 0, "max_minutes must be above 0")
        require(self.max_gigabytes > 0, "max_gigabytes must be above 0")
        require(
            self.min_face is None or 0.0 < self.min_face <= 1.0,
            "min_face: want a share of the picture's shorter side, above 0 and at most 1",
        )
        require(
            self.explain is None or self.page is not None or self.overlay is not None,
            "explain draws on --page or --overlay; name one",
        )
        if self.explain is not None and self.model is not None:
            _require_weights(self.model)  # no gradients without
        require(not self.profile or self.workers == 1, "profile: steps of several workers overlap")
        if self.resume:
            require(self.out is not None, "resume goes on with --out; name it")
            require(self.page is None, "a page shows the files of one run; leave out --page")


@dataclass(frozen=True, kw_only=True)
class ServeConfig(ComputeConfig):
    """Judge files that are sent over HTTP, by hand on a page or by programs.

    Needs `pip install 'avkd[serve]'`. Where AVKD_TOKEN is set, every request must carry it.
    """

    model: Path | None = None
    """As of avkd predict; unset = the one that ships with avkd."""
    host: str = "127.0.0.1"
    """Address to listen on; one that others can reach needs a token."""
    port: int = 8765
    """Port to listen on."""
    hosts: tuple[str, ...] = ()
    """Further names by which the server may be called, e.g. avkd.example.org."""
    max_waiting: int = 32
    """Files in the queue; further ones are refused with HTTP status 503."""
    max_megabytes: int = 500
    """Size of one file; larger ones are refused with HTTP status 413."""
    keep_minutes: float = 60.0
    """How long a verdict can be read; the file itself goes when it is judged."""
    explain: Literal["grad_cam", "integrated_gradients"] | None = None
    """Heat maps on the reports, as of avkd predict."""
    detector: Literal["mtcnn", "yunet", "none"] | None = None
    """As of avkd predict."""
    detector_file: Path | None = None
    """As of avkd predict."""
    max_seconds: float = 600.0
    """Read only so much of each video, and say so."""
    max_minutes: float = 5.0
    """Time for each file, as of avkd predict."""
    max_gigabytes: float = 4.0
    """Memory that one file may take (Linux)."""
    workers: int = 1
    """Files judged at once; each worker holds the model."""

    def __post_init__(self) -> None:
        at_least(self, 1, "batch_size", "workers", "max_waiting", "max_megabytes", "port")
        for name in ("keep_minutes", "max_seconds", "max_minutes", "max_gigabytes"):
            require(getattr(self, name) > 0, f"{name} must be above 0")
        require(self.port < 65536, "port must be below 65536")
        check_detector_file(self.detector, self.detector_file)


def _require_weights(model: Path) -> None:
    """Refuse an exported file, whose weights are fixed."""
    cure = "give the model.safetensors that it was made from"
    require(model.suffix != ".onnx", f"model {model} is an ONNX file: {cure}")
