"""Knobs of `avkd matrix`: what is trained, on what each model is tested, what is left out.

Plain frozen dataclasses: nothing heavy is imported, and every check happens when one is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ALL_METHODS = "all"


@dataclass(frozen=True, kw_only=True)
class MatrixTraining:
    """One row of the matrix: a recipe that is trained at every seed, or a model that is there."""

    name: str
    """Name in the tables and folders."""
    finetune: Path | None = None
    """YAML of `avkd finetune` to train by; its run, seed and resume are set by the matrix."""
    distill: Path | None = None
    """YAML of `avkd distill` to train by; its run, seed and resume are set by the matrix."""
    model: Path | None = None
    """Model file that is only tested."""
    data: tuple[Path, ...] | None = None
    """Prepared corpora to train on instead of the recipe's; with `model`, those it was trained on:
    unset = whether it knows people of a test is not checked."""
    exclude_methods: tuple[str, ...] = ()
    """Forgery methods never trained or selected on, besides those the recipe excludes."""
    leave_out: tuple[str, ...] = ()
    """Train once more for each of these methods, without it; `all` = each it is trained on. Of
    fakes made online, the way of blending of that method is left out."""

    def __post_init__(self) -> None:
        given = [n for n in ("finetune", "distill", "model") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"training {self.name}: give one of finetune, distill and model"
                + (f", not {' and '.join(given)}" if given else "")
            )
        if self.data is not None and not self.data:
            raise ValueError(f"training {self.name}: data is empty; leave it out")
        for setting in ("exclude_methods", "leave_out"):
            names = getattr(self, setting)
            if names and self.model is not None:
                raise ValueError(f"training {self.name}: {setting} has no effect on a given model")
            if len(set(names)) < len(names):
                raise ValueError(f"training {self.name}: {setting} names a method twice")
        if ALL_METHODS in self.leave_out and len(self.leave_out) > 1:
            raise ValueError(f"training {self.name}: leave_out is `all` or a list of methods")
        if both := sorted(set(self.leave_out) & set(self.exclude_methods)):
            raise ValueError(
                f"training {self.name}: {both[0]} is in exclude_methods and never trained on; "
                "take it out of leave_out"
            )


@dataclass(frozen=True, kw_only=True)
class MatrixTest:
    """One column of the matrix: the test sides of prepared corpora, judged together."""

    name: str
    """Name in the tables and folders."""
    data: tuple[Path, ...]
    """Prepared corpora; only their test sides are looked at."""
    methods: tuple[str, ...] | None = None
    """Score only these forgery methods (and all the reals); unset = all."""
    protocol: Path | None = None
    """Protocol file (see configs/protocols) of a test side, which then says the methods; unset =
    the model's own windows, mean logits."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError(f"test {self.name}: data is empty")
        if len(set(self.data)) < len(self.data):
            raise ValueError(f"test {self.name}: data names a corpus twice")
        if self.methods is not None and self.protocol is not None:
            raise ValueError(f"test {self.name}: its protocol says the methods; leave them out")


@dataclass(frozen=True, kw_only=True)
class MatrixConfig:
    """Train and test every row of a list on every column of another; one table of all.

    Finished runs and scores are kept and stopped runs resumed: run the same command again.
    """

    trainings: tuple[MatrixTraining, ...]
    """The rows."""
    tests: tuple[MatrixTest, ...]
    """The columns."""
    out: Path
    """Folder for runs, scores, matrix.md, matrix.csv and matrix.png."""
    seeds: tuple[int, ...] = (0,)
    """One run of every recipe for each."""
    mixed_preprocessing: bool = False
    """Let corpora with differently made crops stand in one matrix, with a warning."""
    bootstrap_resamples: int = 2000
    """Resamples of the files behind each 95 % interval."""
    batch_size: int = 8
    """Clips scored at once."""
    device: str | None = None
    """Of every training and test: cpu, cuda, ...; unset = as the recipe says, auto for a model."""
    threads: int | None = None
    """Threads on a CPU; unset = as the recipe says, all cores for a model."""

    def __post_init__(self) -> None:
        _check_names("training", [training.name for training in self.trainings])
        _check_names("test", [test.name for test in self.tests])
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds {list(self.seeds)}: want one or more, each once, from 0")
        if self.bootstrap_resamples < 100:
            raise ValueError("bootstrap_resamples: fewer than 100 give no interval worth printing")
        if self.batch_size < 1:
            raise ValueError("batch_size must be at least 1")


def _check_names(what: str, names: Sequence[str]) -> None:
    if not names:
        raise ValueError(f"{what}s is empty")
    for name in names:
        if not name or "/" in name or name.startswith("."):
            raise ValueError(f"{what} name {name!r}: it names a folder; want it without a slash")
    if len({name.casefold() for name in names}) < len(names):
        raise ValueError(f"{what}s: two bear the same name")
