"""Knobs of the studies: `avkd bench` and `avkd compare`, which run many models side by side.

Plain frozen dataclasses: nothing heavy is imported, and every check happens when one is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avkd.config.image_config import (
    ImageModelConfig,
    ImageOptimConfig,
    ImageViewConfig,
    SelectionConfig,
)
from avkd.config.training_config import LoopConfig

AS_IS = "as_is"


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Frames per second of image models, each against the first, in turn within one run."""

    models: tuple[str, ...]
    """Model files of `avkd distill`, or names of networks (speed needs no training)."""
    image_size: int = 224
    """Side of the input of networks given by name, in pixels."""
    batch_size: int = 32
    """Pictures at once."""
    rounds: int = 10
    """How often all models take their turn."""
    data: Path | None = None
    """Prepared corpus: also measure end to end, reading and decoding its pictures."""
    out: Path | None = None
    """Also write the table as Markdown to this file."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto = a GPU where there is one."""
    threads: int | None = None
    """Threads on a CPU; unset = all cores."""

    def __post_init__(self) -> None:
        if len(self.models) < 2:
            raise ValueError(
                "models: give two or more; a speed alone means little on a busy machine"
            )
        if self.batch_size < 1 or self.rounds < 3:
            raise ValueError("want batch_size >= 1 and rounds >= 3")
        if not 16 <= self.image_size <= 1024:
            raise ValueError(f"image_size {self.image_size}: want 16..1024")


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """One set of a comparison: its train and val sides train, its test side tests."""

    name: str
    """Name in the tables."""
    data: tuple[Path, ...]
    """Prepared corpora."""
    train: bool = True
    """false: only tested on."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError(f"set {self.name}: data is empty")


@dataclass(frozen=True, kw_only=True)
class ArmConfig:
    """One way to train a model; fields as in `avkd distill`."""

    name: str
    """Name in the tables."""
    teacher: str | None = None
    """An earlier arm (the model of the same set, ratio and seed), or a model file."""
    alpha: float | None = None
    """Weight of the soft loss; unset = 0.4 with a teacher."""
    soft: Literal["kl", "mse"] | None = None
    """Soft loss; unset = kl with a teacher."""
    temperature: float | None = None
    """kl: unset = 4."""
    cached_views: int | None = None
    """As in `avkd distill`."""
    model: ImageModelConfig = field(default_factory=ImageModelConfig)
    """The network."""
    views: ImageViewConfig = field(default_factory=ImageViewConfig)
    """Augmentation."""
    optim: ImageOptimConfig = field(default_factory=ImageOptimConfig)
    """Optimiser and schedule."""
    epochs: int = 20
    """Passes over the training samples."""
    batch_size: int = 32
    """Samples a step."""
    seeds: tuple[int, ...] | None = None
    """Only these seeds (a teacher trained once); unset = those of the comparison."""


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Train and test a list of models on a list of sets and ratios; one table of all.

    Finished runs are kept and stopped ones resumed: run the same command again.
    """

    sets: tuple[SetConfig, ...]
    """What to train and test on."""
    arms: tuple[ArmConfig, ...]
    """What to train."""
    out: Path
    """Folder for runs, scores, compare.md, compare.csv and confusion matrices."""
    ratios: tuple[str, ...] = (AS_IS,)
    """real:fake of the training samples, e.g. 1:1; as_is = all."""
    seeds: tuple[int, ...] = (0,)
    """One run for each."""
    select: SelectionConfig = field(default_factory=SelectionConfig)
    """Further under-sampling; its ratio is that of `ratios`."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=1))
    """Device, threads, workers, cache; length, batch and seed are those of arms and `seeds`."""
    frames_per_file: int = 32
    """Frames spread over a video."""
    bootstrap_resamples: int = 2000
    """Resamples behind each 95 % interval."""
    bench_rounds: int = 5
    """Rounds of the paired speed measurement; 0 = none."""

    def __post_init__(self) -> None:
        for what, names in (("set", [s.name for s in self.sets]), ("arm", self.arm_names)):
            if not names:
                raise ValueError(f"{what}s is empty")
            for name in names:
                if names.count(name) > 1 or not name or "/" in name or name.startswith("."):
                    raise ValueError(f"{what} name {name!r}: want each once, without a slash")
        if not any(one.train for one in self.sets):
            raise ValueError("sets: none is trained on")
        if self.select.ratio is not None:
            raise ValueError("select.ratio has no effect here; list it in ratios")
        if self.loop.steps is not None:
            raise ValueError("loop.steps has no effect here; arms are given in epochs")
        if self.loop != LoopConfig(
            epochs=1,
            **{n: v for n, v in vars(self.loop).items() if n in _MACHINE_SETTINGS},
        ):
            raise ValueError(
                f"loop: only {', '.join(sorted(_MACHINE_SETTINGS))} have an effect here; "
                "epochs and batch_size belong to the arms, seeds to seeds"
            )
        if not self.seeds or not self.ratios or self.bench_rounds < 0:
            raise ValueError("want at least one seed and one ratio, and bench_rounds >= 0")
        for ratio in self.ratios:
            if ratio != AS_IS:
                SelectionConfig(ratio=ratio)
        for position, arm in enumerate(self.arms):
            for seed in arm.seeds or ():
                if seed not in self.seeds:
                    raise ValueError(f"arm {arm.name}: seed {seed} is not one of {self.seeds}")
            if arm.teacher in self.arm_names[position:]:
                raise ValueError(f"arm {arm.name}: its teacher {arm.teacher} must come before it")

    @property
    def arm_names(self) -> list[str]:
        """Names of the arms, in order."""
        return [arm.name for arm in self.arms]


_MACHINE_SETTINGS = frozenset(
    {"workers", "cache_gigabytes", "device", "precision", "threads", "validate_every_epochs"}
)
