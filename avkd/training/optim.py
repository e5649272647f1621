"""Optimisers and learning-rate schedules.

A schedule is a pure function of the step and of the validations so far, and is set before the step,
so step 0 is already warm-up and a resumed run needs no state of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from avkd.training.adamp import AdamP

_FLOOR_SHARE = 0.01  # of the base rate, where the cosine ends


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are treated alike."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    decayed: bool
    """Weight decay applies: never to norms, biases, position biases and cosine weights."""
    scheduled: bool = True
    """False keeps the base rate throughout (predictors of stage one)."""


@dataclass(frozen=True, kw_only=True)
class WarmupSchedule:
    """Linear warm-up to ``base_rate``, then cosine to 1 % of it, or constant."""

    base_rate: float
    warmup_steps: int
    total_steps: int
    decay: Literal["cosine", "constant"]

    def rate(self, step: int, validations: Sequence[float] = ()) -> float:
        """Learning rate of step 0 .. total_steps - 1; validations play no part."""
        if step < self.warmup_steps:
            return self.base_rate * (step + 1) / self.warmup_steps
        if self.decay == "constant":
            return self.base_rate
        span = max(1, self.total_steps - 1 - self.warmup_steps)
        progress = min(1.0, (step - self.warmup_steps) / span)
        share = _FLOOR_SHARE + (1 - _FLOOR_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.base_rate * share


@dataclass(frozen=True, kw_only=True)
class PlateauSchedule:
    """Multiplied by ``factor`` after more than ``patience`` validations without a new best.

    The rule of torch's ReduceLROnPlateau (mode max, absolute threshold 0, no cooldown), computed
    from the history instead of kept as state.
    """

    base_rate: float
    factor: float
    patience: int

    def rate(self, step: int, validations: Sequence[float]) -> float:
        """Learning rate after ``validations``."""
        best, waited, rate = -math.inf, 0, self.base_rate
        for value in validations:
            if value > best:
                best, waited = value, 0
            else:
                waited += 1
            if waited > self.patience:
                rate, waited = rate * self.factor, 0
        return rate


Schedule = WarmupSchedule | PlateauSchedule
"""Learning rate of every step after validations of the selection value (higher is better), and the
base rate, which is that of parameters that do not follow it."""


def scaled_rate(rate: float, batch_size: int) -> float:
    """Square-root scaling from the reference batch of 256 clips."""
    return rate * math.sqrt(batch_size / 256)


def groups_of(
    module: nn.Module, name: str, *, scheduled: bool = True, undecayed: tuple[str, ...] = ()
) -> list[ParameterGroup]:
    """Split a module's trainable parameters into a decayed and an undecayed group.

    Their names begin with ``name``. Vectors, biases and what begins with ``undecayed`` are not
    decayed; ``scheduled`` says whether the learning rate follows the schedule.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter_name, parameter in module.named_parameters():
        if parameter.requires_grad:
            spared = (
                parameter.ndim < 2
                or parameter_name.endswith("bias")
                or parameter_name.startswith(undecayed)
            )
            (plain if spared else decayed).append(parameter)
    return [
        ParameterGroup(f"{name}_decayed", tuple(decayed), decayed=True, scheduled=scheduled),
        ParameterGroup(f"{name}_plain", tuple(plain), decayed=False, scheduled=scheduled),
    ]


def make_optimizer(
    groups: list[ParameterGroup],
    *,
    rate: float,
    weight_decay: float,
    algorithm: Literal["adamp", "adam"] = "adamp",
) -> torch.optim.Optimizer:
    """The optimiser over the groups; empty groups are left out.

    ``adamp`` decays weights apart from the gradient; ``adam`` (Kingma and Ba 2015) adds the decay
    to the gradient, as its authors wrote it.
    """
    described = [
        {
            "params": list(group.parameters),
            "weight_decay": weight_decay if group.decayed else 0.0,
            "name": group.name,
            "scheduled": group.scheduled,
        }
        for group in groups
        if group.parameters
    ]
    if algorithm == "adam":
        return torch.optim.Adam(described, lr=rate, betas=(0.9, 0.999), eps=1e-8)
    return AdamP(described, lr=rate, betas=(0.9, 0.999), eps=1e-8, delta=0.1, wd_ratio=0.1)


def set_rate(
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    step: int,
    validations: Sequence[float] = (),
) -> float:
    """Set every group's learning rate for ``step``; returns the scheduled one."""
    rate = schedule.rate(step, validations)
    for group in optimizer.param_groups:
        group["lr"] = rate if group["scheduled"] else schedule.base_rate
    return rate
