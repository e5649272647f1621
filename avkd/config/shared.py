"""Groups of settings that several verbs have, and checks that all groups use.

A verb inherits a group, so its flags and YAML keys stay flat: ``--device``, not ``--x.device``.
"""

import dataclasses
import os
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """Device, threads and batch."""

    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto = a GPU where there is one."""
    threads: int | None = None
    """Threads on a CPU; unset = all cores."""
    batch_size: int = 8
    """Clips scored at once."""


@dataclass(frozen=True, kw_only=True)
class WorkersConfig:
    """Processes."""

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes that work at once."""


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """One part of the work, as a machine or a task of an array does it."""

    shard: str = "0/1"
    """`i/n`: do only the i-th of n parts, counted from 0; run one per machine or array task."""

    @property
    def shard_numbers(self) -> tuple[int, int]:
        """(i, n) of `shard`."""
        index, _, count = self.shard.partition("/")
        return int(index), int(count)

    def check_shard(self) -> None:
        """Refuse what names no part."""
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", self.shard)
        is_part = found is not None and int(found[1]) < int(found[2])
        require(is_part, f"shard {self.shard!r}: want i/n with 0 <= i < n, e.g. 0/4")


@dataclass(frozen=True, kw_only=True)
class BootstrapConfig:
    """Confidence intervals."""

    bootstrap_resamples: int = 2000
    """Resamples of the files behind each 95 % interval."""
    seed: int = 0
    """Of the bootstrap."""


def require(condition: bool, message: str) -> None:
    """Refuse a setting.

    Raises:
        ValueError: ``message``, which names the setting and the cure.
    """
    if not condition:
        raise ValueError(message)


def at_least(config: object, minimum: int, *names: str, group: str = "") -> None:
    """Refuse settings below ``minimum``; what is unset passes."""
    for name in names:
        value = getattr(config, name)
        negative = "must not be negative" if minimum == 0 else f"must be at least {minimum}"
        require(value is None or value >= minimum, f"{group}{name} {negative}")


def shares(config: object, *names: str, group: str) -> None:
    """Refuse probabilities and shares outside 0..1."""
    for name in names:
        require(0.0 <= getattr(config, name) <= 1.0, f"{group}{name}: want 0..1")


def require_data(data: object) -> None:
    """Refuse an empty list of corpora."""
    require(bool(data), "data is empty: give at least one prepared corpus (see avkd prepare)")


def check_resamples(resamples: int) -> None:
    """Refuse too few resamples for a 95 % interval."""
    require(resamples >= 100, "bootstrap_resamples: fewer than 100 give no interval worth printing")


def narrowed(config: object, target: type[Config], **more: Any) -> Config:
    """A ``target`` with those settings of ``config`` that it has too, and with ``more``."""
    names = [f.name for f in dataclasses.fields(target) if hasattr(config, f.name)]  # type: ignore[arg-type]
    return target(**{**{name: getattr(config, name) for name in names}, **more})
