"""Settings of the two training stages: `avkd pretrain` and `avkd finetune`."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from avkd.config.online_config import Fakes, OnlineConfig, check_online
from avkd.config.shared import ComputeConfig, at_least, require, require_data, shares
from avkd.models.registry import NETWORKS, canonical_name

Region = Literal["face", "mouth", "mixed"]
TargetCenter = Literal["none", "per_step", "double", "whitened"]
Compilation = Literal["none", "default", "cuda_graphs"]
CalibrationKind = Literal["platt", "temperature", "isotonic", "none"]

# Stage one of RealForensics: 150 epochs of 488,763 clips in batches of 256 at 7e-4 (method 3.6).
# A short run has fewer steps for the same ground: at the published rate 400 steps learn next to
# nothing, and the fourth root of the ratio meets the rates that did (shared/method.md, section 12).
_PUBLISHED_RATE = 7e-4
_PUBLISHED_STEPS = 286_000
_WARMUP_SHARE = 0.1
# Of the run, in steps: how far back the teachers' moving average reaches, first and last.
_FIRST_MEMORY_SHARE = 0.1
_LAST_MEMORY_SHARE = 0.5
_LEAST_MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class VideoModelConfig:
    """The video backbone; unset options take the backbone's published or measured default."""

    name: str = "cnn3d_gru"
    """cnn3d_gru: 3D-CNN + GRU + attention; published_gru: the published layers; csn101, cnn_lstm:
    baselines; see `avkd.list_models("video")`."""
    image_size: int = 112
    """Side of the square input in pixels, a multiple of 16, at most 1024."""
    width: int | None = None
    """Channels of the first convolution; the others follow."""
    reduced: int | None = None
    """cnn3d_gru: channels kept per cell before flattening; unset = 64."""
    hidden: int | None = None
    """cnn_lstm, and per direction cnn3d_gru, published_gru: recurrent units."""
    heads: int | None = None
    """cnn3d_gru: attention heads; unset = 4."""
    dropout: float | None = None
    """cnn3d_gru: dropout before the recurrent layer; unset = 0.1."""
    time_axis: Literal["permuted", "published"] | None = None
    """published_gru: `published` mixes channels and frames as the released code does; unset =
    permuted."""

    def __post_init__(self) -> None:
        if self.image_size % 16 or not 32 <= self.image_size <= 1024:
            raise ValueError(f"image_size {self.image_size}: want a multiple of 16 in 32..1024")
        try:
            object.__setattr__(self, "name", canonical_name(self.name, "video"))
        except ValueError as error:
            raise ValueError(f"video.name: {error}") from None
        given = [name for name in self.arguments() if name not in ("name", "image_size")]
        allowed = NETWORKS[self.name].options() if given else []
        for option in given:
            if option not in allowed:
                raise ValueError(
                    f"video.{option} has no effect on video.name={self.name}; remove it "
                    f"(its options: {', '.join(allowed)})"
                )

    def arguments(self) -> dict[str, Any]:
        """Plain keyword arguments of `models.build.build_network`."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """What the student sees; the teacher's view is only cropped and flipped, on its own draw."""

    grayscale: float = 0.5
    """Probability that a whole clip loses its colour."""
    erasing: float = 0.5
    """Probability of one erased rectangle, the same in all frames."""
    time_mask: float = 1.0
    """Probability of a time mask: one run of 0..11 frames, the same instants in sound."""
    frequency_mask_max: int = 26
    """Widest masked band of the mel spectrogram, of 80; pretraining only."""

    def __post_init__(self) -> None:
        shares(self, "grayscale", "erasing", "time_mask", group="views.")
        if not 0 <= self.frequency_mask_max <= 80:
            raise ValueError("views.frequency_mask_max: want 0..80 mel bins")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamP with linear warm-up per step; the schedule's length is the loader's."""

    lr: float | None = None
    """Base rate at batch 256, scaled by sqrt(batch / 256); unset = 7e-4 (286,000 / steps)^(1/4):
    stage one's published rate for a run of its published length, more for shorter ones; one rule
    for both stages (at stage two's published length it is twice the published, constant rate)."""
    weight_decay: float = 1e-2
    """Decoupled; norms, biases and position biases are excluded."""
    warmup_epochs: float | None = None
    """Epochs of linear warm-up from lr / steps; unset = a tenth of the run."""
    decay: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: cosine to 1 % of the base, or constant."""
    clip_norm: float = 1.0
    """Largest gradient norm."""

    def __post_init__(self) -> None:
        lr_is_wrong = self.lr is not None and self.lr <= 0
        warmup_is_wrong = self.warmup_epochs is not None and self.warmup_epochs < 0
        if lr_is_wrong or warmup_is_wrong or self.weight_decay < 0 or self.clip_norm <= 0:
            raise ValueError(
                "optim: want lr > 0, weight_decay >= 0, warmup_epochs >= 0, clip_norm > 0"
            )

    @property
    def is_open_ended(self) -> bool:
        """Whether the rate of a step does not depend on the length of the run."""
        return self.decay == "constant" and None not in (self.lr, self.warmup_epochs)

    def base_rate(self, num_steps: int) -> float:
        """Rate at batch 256 for a run of ``num_steps``."""
        if self.lr is not None:
            return self.lr
        return _PUBLISHED_RATE * (_PUBLISHED_STEPS / num_steps) ** 0.25

    def warmup_steps(self, num_steps: int, steps_per_epoch: int) -> int:
        """Steps of warm-up in a run of ``num_steps``."""
        if self.warmup_epochs is None:
            return round(_WARMUP_SHARE * num_steps)
        return round(self.warmup_epochs * steps_per_epoch)


@dataclass(frozen=True, kw_only=True)
class LoopConfig(ComputeConfig):
    """How long, on what, and with which randomness."""

    epochs: int | None = 150
    """Passes over the training clips; one random clip of every video in each."""
    steps: int | None = None
    """Length in steps instead, rounded up to whole epochs, so that small corpora of any size train
    equally long; then epochs and validate_every_epochs are null."""
    batch_size: int = 64
    """Clips a step; in finetuning the clips of the forgery corpora."""
    accumulate: int = 1
    """Parts a step's batch is computed in, one after another, to need less memory; batch norms and
    targets see a part each time. Processes of torchrun share a part, and see all of it."""
    workers: int = 0
    """Loader processes; any number gives the same stream of batches."""
    cache_gigabytes: float = 0.0
    """Decoded crops kept in memory, at most; for small corpora on few cores, with workers 0."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto = bf16 where a start-up probe finds it fast and right."""
    compile: Compilation = "none"
    """default: the networks run as torch.compile makes them, which takes minutes first;
    cuda_graphs: as CUDA graphs too, on a GPU."""
    seed: int = 0
    """Of weights, sampling and augmentation."""
    validate_every_epochs: int | None = 1
    """Epochs between validations."""
    validate_every_steps: int | None = None
    """Steps between validations, rounded up to whole epochs, where the length is given in steps."""

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                "give the length in epochs or in steps, null for the other: --loop.steps and "
                "--loop.validate_every_steps with --loop.epochs null --loop.validate_every_epochs "
                "null, or the reverse"
            )
        for unit in ("epochs", "steps"):
            every = getattr(self, f"validate_every_{unit}")
            if (getattr(self, unit) is None) != (every is None):
                raise ValueError(
                    f"loop.{unit} {getattr(self, unit)} and loop.validate_every_{unit} {every} do "
                    "not go together: give both or neither"
                )
        every = ("validate_every_epochs", "validate_every_steps")
        at_least(self, 1, "epochs", "steps", "batch_size", "accumulate", *every, group="loop.")
        at_least(self, 0, "workers", "cache_gigabytes", "seed", group="loop.")

    def num_epochs(self, steps_per_epoch: int) -> int:
        """Length of the run in epochs of so many steps."""
        if self.steps is not None:
            return -(-self.steps // steps_per_epoch)
        assert self.epochs is not None
        return self.epochs

    def epochs_between_validations(self, steps_per_epoch: int) -> int:
        """Epochs of so many steps from one validation to the next."""
        if self.validate_every_steps is not None:
            return -(-self.validate_every_steps // steps_per_epoch)
        assert self.validate_every_epochs is not None
        return self.validate_every_epochs


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Data and run folder."""

    data: tuple[Path, ...]
    """Prepared corpora; the training split trains, the validation split selects (in pretrain it is
    only measured)."""
    run: Path
    """Run folder: config, logs, checkpoints (last, previous, best), validation scores, model."""
    resume: bool = False
    """Continue the run in this folder."""
    resume_changed: bool = False
    """Continue it although data, precision or code are no longer the same."""

    def check_training(self) -> None:
        """Refuse no data, and to pass over changes where nothing is resumed."""
        require_data(self.data)
        alone = self.resume_changed and not self.resume
        require(not alone, "resume_changed has no effect without resume; leave it out")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """Stage one: cross-modal students and teachers on real talking faces with sound; no labels."""

    region: Region = "mouth"
    """mouth: half of the face's window around the mouth, enlarged; face: all of the window; mixed:
    any scale between them in training, the mouth when measured. What stage two's teacher sees."""
    target_center: TargetCenter = "whitened"
    """Subtracted from the targets: per_step, the batch mean of each frame index; double, the clip's
    mean too (the speaker); whitened, as double, then all directions get equal variance."""
    training_clips: int | None = None
    """Train on so many clips, evenly over the list; unset = all."""
    video: VideoModelConfig = field(default_factory=VideoModelConfig)
    """Video backbone."""
    audio_width: int = 64
    """Channels of the first stage of the audio ResNet18."""
    projection_dim: int = 256
    """Size of a target per frame."""
    predictor_dim: int = 512
    """Inner width of the students' predictors."""
    motion_only: bool = False
    """Subtract each clip's mean frame: a control of what the static face gives away."""
    momentum_start: float | None = None
    """Teacher momentum at the start; unset = 1 - 10 / steps of the run, at least 0.9."""
    momentum_end: float | None = None
    """Teacher momentum at the end, reached on a cosine, never below the start; unset =
    1 - 2 / steps of the run."""
    views: ViewConfig = field(default_factory=ViewConfig)
    """Augmentation of the students' views."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and schedule."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, batch, device, seed."""
    validation_clips: int = 256
    """At most so many held-out clips are measured."""
    validation_starts: int = 8
    """Seeded random windows of each of them that are measured."""
    force: bool = False
    """Write the model file even if held-out retrieval is at chance."""

    def __post_init__(self) -> None:
        self.check_training()
        for momentum in (self.momentum_start, self.momentum_end):
            if momentum is not None and not 0.0 <= momentum <= 1.0:
                raise ValueError(f"teacher momentum {momentum}: want 0..1")
        if self.loop.batch_size < 2:
            raise ValueError("loop.batch_size: batch normalisation of the targets needs 2 or more")
        if self.validation_clips < 8:
            raise ValueError("validation_clips: retrieval over fewer than 8 clips says nothing")
        at_least(self, 1, "training_clips", "validation_starts")

    @property
    def is_open_ended(self) -> bool:
        """Whether no step depends on the length of the run, so that it may be made longer."""
        is_constant = self.momentum_start is not None and self.momentum_start == self.momentum_end
        return self.optim.is_open_ended and is_constant

    def momentum(self, progress: float, num_steps: int) -> float:
        """Teacher momentum when ``progress``, 0..1, of a run of ``num_steps`` is done."""
        start, end = self.momentum_start, self.momentum_end
        if start is None:
            start = max(_LEAST_MOMENTUM, 1.0 - 1.0 / (_FIRST_MEMORY_SHARE * num_steps))
        if end is None:
            end = 1.0 - 1.0 / (_LAST_MEMORY_SHARE * num_steps)
        end = max(start, end)
        return end - (end - start) * 0.5 * (1.0 + math.cos(math.pi * progress))


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Fakes and decision rule."""

    fakes: Fakes = "stored"
    """stored: those of the corpora; online: made from real clips while training, new ones every
    time; both: see online.stored_share. Validation uses made ones too, always the same."""
    online: OnlineConfig = field(default_factory=OnlineConfig)
    """Fakes made while training."""
    degradation: float = 0.0
    """Probability that a clip, real or fake alike, is dimmed, blurred, resized, re-encoded..."""
    calibration: CalibrationKind = "platt"
    """How logits become probabilities, fitted on the validation split: platt (slope and
    offset), temperature (slope), isotonic (any increasing curve, for 100 files or more), none."""
    max_false_alarms: float | None = None
    """Choose the threshold so that at most this share of the real validation videos of each dataset
    is called fake, e.g. 0.03; unset = best balanced accuracy."""

    def check_detector(self) -> None:
        """Refuse what is out of range or without effect."""
        check_online(self.fakes, self.online, self.degradation)
        share = self.max_false_alarms
        if share is not None and not 0.0 < share < 0.5:
            raise ValueError("max_false_alarms: want a share of real videos above 0 and below 0.5")


@dataclass(frozen=True, kw_only=True)
class SoftTargetConfig:
    """Distillation loss."""

    alpha: float | None = None
    """Weight of the distillation loss, 0..1; that of the labels is 1 - alpha; unset = 0.4 if there
    is a teacher (finetune: frame_teacher)."""
    soft: Literal["kl", "mse"] | None = None
    """kl: divergence of softened probabilities; mse: of raw logits; unset = kl with a teacher."""

    _TEACHER = "teacher"  # the setting that names it

    def check_soft(self, *names: str) -> None:
        """Refuse an alpha out of range, and these and further settings without a teacher."""
        for name in ("alpha", "soft", *names) if getattr(self, self._TEACHER) is None else ():
            unset = getattr(self, name) is None
            require(unset, f"{name} has no effect without a {self._TEACHER}; leave it out")
        is_share = self.alpha is None or 0.0 < self.alpha <= 1.0
        require(is_share, f"alpha {self.alpha}: want 0..1, not 0: then leave out {self._TEACHER}")

    @property
    def soft_weight(self) -> float:
        """alpha, with its default; 0 without a teacher."""
        if getattr(self, self._TEACHER) is None:
            return 0.0
        return 0.4 if self.alpha is None else self.alpha


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(DetectorConfig, SoftTargetConfig, TrainingConfig):
    """Stage two: real/fake classification + ssl_weight x agreement with the stage-one teacher."""

    _TEACHER = "frame_teacher"

    pretrained: Path | None = None
    """Stage-one model file: starts the backbone (see start) and is the teacher (see teacher)."""
    teacher: Path | None = None
    """Stage-one model file whose teacher gives the targets of the auxiliary task; unset = that of
    pretrained. Another one is a control, e.g. a network with random weights."""
    start: Literal["pretrained", "fitting", "scratch"] = "pretrained"
    """What the backbone starts from: pretrained, stage one's, of the very same layers; fitting,
    those of its weights that fit (the convolutions at another image_size); scratch, random."""
    ssl_weight: float = 0.3
    """Weight of the auxiliary agreement with the teacher on real clips; 0 = no teacher."""
    frame_teacher: Path | None = None
    """Model file of an image detector (`distill`), trained on the same crops and view_share: its
    mean logit over the frames of a clip is a target, too; kl at temperature 4."""
    real_data: tuple[Path, ...] = ()
    """Further prepared corpora of real clips (LRW) that join the real class and the agreement."""
    real_ratio: int = 1
    """Clips of real_data for each clip of data in a batch."""
    exclude_methods: tuple[str, ...] = ()
    """Forgery methods never trained or selected on, to be tested as unseen."""
    class_balance: Literal["paired", "balanced", "natural"] = "paired"
    """paired: each fake with the real it was made from, same window and augmentation; balanced:
    half of the clips real; natural: as many as there are files."""
    video: VideoModelConfig = field(default_factory=VideoModelConfig)
    """Backbone; with start = pretrained the file brings its own, and anything but the default must
    equal it."""
    pool: Literal["mean", "attn"] = "mean"
    """How frames become a clip feature."""
    classifier_scale: float = 64.0
    """Largest logit of the cosine classifier; smaller ones saturate later."""
    views: ViewConfig = field(
        default_factory=lambda: ViewConfig(time_mask=0.5, frequency_mask_max=0)
    )
    """Augmentation of the detector's view."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and schedule; the batch counted is that of the forgery clips."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=60, batch_size=32))
    """Length, batch, device, seed."""

    def __post_init__(self) -> None:
        self.check_training()
        self.check_detector()
        self.check_soft()
        if self.fakes != "stored" and self.class_balance != "paired":
            raise ValueError(f"fakes {self.fakes}: they come in pairs; want class_balance paired")
        at_least(self, 0, "ssl_weight")
        if self.teacher is not None and self.ssl_weight == 0:
            raise ValueError("teacher has no effect with ssl_weight 0; leave it out")
        if self.ssl_weight > 0 and self.teacher_file is None:
            raise ValueError(
                f"ssl_weight {self.ssl_weight} needs the teacher of stage one: give "
                "--pretrained RUN/model.safetensors, or --ssl_weight 0 to train without it"
            )
        if self.start == "fitting" and self.pretrained is None:
            raise ValueError("start=fitting has no effect without --pretrained; leave it out")
        if self.start == "pretrained" and self.pretrained is None and self.teacher is not None:
            raise ValueError(
                "a teacher but nothing to start from: give --pretrained, or say --start scratch"
            )
        if self.start == "scratch" and self.pretrained not in (None, self.teacher_file):
            raise ValueError(
                "pretrained has no effect: the backbone starts from scratch, and there is another "
                "teacher or none (ssl_weight 0); leave it out"
            )
        if self.classifier_scale <= 0:
            raise ValueError("classifier_scale must be positive")
        if self.views.frequency_mask_max:
            raise ValueError("views.frequency_mask_max has no effect in finetune: it is video-only")
        if self.real_ratio < 1:
            raise ValueError("real_ratio must be at least 1; leave real_data empty to use none")
        if self.real_ratio != 1 and not self.real_data:
            raise ValueError("real_ratio has no effect without real_data; remove it")

    @property
    def is_open_ended(self) -> bool:
        """Whether no step depends on the length of the run, so that it may be made longer."""
        return self.optim.is_open_ended

    @property
    def teacher_file(self) -> Path | None:
        """The stage-one file whose teacher gives targets; None where they have no weight."""
        return (self.teacher or self.pretrained) if self.ssl_weight > 0 else None
