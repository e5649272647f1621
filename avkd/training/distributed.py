"""Several processes for one training, as `torchrun` starts them; alone, nothing here has an effect.

Each process takes its share of every batch. What clips say together (batch norms, the statistics of
targets, losses) is computed of the clips of all, so that N processes do what one would do with the
whole batch; only the draws of dropout differ. The first process writes, all hold the same.
"""

import atexit
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def start(device: str) -> str:
    """Join the processes that torchrun started, if it did.

    Returns:
        The device of this process: a GPU of its own where there are GPUs.

    Raises:
        ValueError: all processes are told to use the same GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if on_gpu:
        if ":" in device:
            raise ValueError(f"device {device}: torchrun gives every process its own; say cuda")
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        if int(os.environ["LOCAL_RANK"]) < torch.cuda.device_count():  # else `runtime` says so
            torch.cuda.set_device(device)  # or each would take memory of the first as well
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
        atexit.register(dist.destroy_process_group)
    if not is_first():
        logging.disable(logging.INFO)  # said once
    return device


def num_processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if num_processes() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


# Shares


def chunk_of(items: Sequence[T]) -> Sequence[T]:
    """The consecutive items that are this process's to do; see `joined`."""
    ends = [len(items) * n // num_processes() for n in range(num_processes() + 1)]
    return items[ends[rank()] : ends[rank() + 1]]


class Stream(Protocol):
    """Lists of keys, one for every batch of an epoch."""

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[Any]]:
        """Batches ``first`` .. last of an epoch."""


class SharedBatches:
    """This process's share of every batch of a stream, in ``accumulate`` parts one after another.

    The stream itself does not depend on the number of processes.
    """

    def __init__(self, batches: Stream, accumulate: int = 1) -> None:
        self._batches = batches
        self._accumulate = accumulate

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[Any]]:
        """``accumulate`` lists of keys for each of the batches ``first`` .. last of an epoch."""
        for keys in self._batches.epoch(epoch, first):
            for part in _dealt(keys, self._accumulate):
                yield _dealt(part, num_processes())[rank()]


def _dealt(keys: list[T], count: int) -> list[list[T]]:
    """``keys`` dealt out in pairs, so that a fake stays with its real.

    Raises:
        ValueError: someone would get nothing.
    """
    if count > 1 and len(keys) < 2 * count:
        raise ValueError(
            f"{len(keys)} clips cannot be shared out in {count} parts of two or more; raise "
            "loop.batch_size, or lower loop.accumulate or the number of processes"
        )
    return [[k for i, k in enumerate(keys) if i // 2 % count == part] for part in range(count)]


# Together


class _Summed(torch.autograd.Function):
    """The sum over all processes, of the gradients too."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Summed.apply(*gradients)


def gathered(tensor: Tensor) -> Tensor:
    """What all processes hold, (B of all, ...) float, in the order of their ranks; B is 0 or more.

    Gradients flow back to the process that gave the row, summed over all who used it; as every
    process computes the same loss of it, `parallel` takes their mean.
    """
    if num_processes() == 1:
        return tensor
    counts = torch.zeros(num_processes(), dtype=torch.long)
    counts[rank()] = len(tensor)
    dist.all_reduce(counts)
    tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
    before, after = int(counts[: rank()].sum()), int(counts[rank() + 1 :].sum())
    around = (tensor.new_zeros(n, *tensor.shape[1:]) for n in (before, after))
    return _Summed.apply(torch.cat([next(around), tensor, next(around)]))


def joined(items: Sequence[T]) -> list[T]:
    """The items of all processes, those of the first first."""
    if num_processes() == 1:
        return list(items)
    parts: list[Any] = [None] * num_processes()
    dist.all_gather_object(parts, list(items))
    return list(chain.from_iterable(parts))


def told_by_first(function: Callable[[], T]) -> T:
    """What ``function`` returns in the first process, which alone calls it; the others wait."""
    told: list[Any] = [function() if is_first() else None]
    if num_processes() > 1:
        dist.broadcast_object_list(told, src=0)
    return told[0]


def after_first(function: Callable[[], T]) -> T:
    """Call ``function`` here when the first process has: it finds what that one has written."""
    if is_first():
        made = function()
    told_by_first(lambda: None)
    return made if is_first() else function()


def agreed(signal: int) -> int:
    """The largest ``signal`` of any process, so that all stop at the same step."""
    if num_processes() == 1:
        return signal
    largest = torch.tensor(signal)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def seed_step(seed: int, step: int) -> None:
    """Give every process dropout of its own, as a function of its numbers and of nothing before."""
    if num_processes() > 1:
        torch.manual_seed(np.random.SeedSequence([seed, step, rank()]).generate_state(1).item())


# The network


def parallel(step: Any, *, some_unused: bool = False) -> Any:
    """What to call instead of ``step``: its gradients are then those of the whole batch.

    Changes the batch norms of ``step`` to ones that see it. ``some_unused``: in some batches some
    parameters have no gradient, in all processes alike.
    """
    if num_processes() == 1:
        return step
    device = next(step.parameters()).device
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(step)  # knows GPUs only
    else:
        _synchronise_batch_norms(step)
    devices = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(step, device_ids=devices, find_unused_parameters=some_unused)


def without_exchange(forward: Any) -> AbstractContextManager[Any]:
    """Context of all backward passes of a step but the last, which exchanges the gradients."""
    return forward.no_sync() if num_processes() > 1 else nullcontext()


class _SynchronisedBatchNorm(_BatchNorm):
    """A batch norm over the clips of all processes, on any device."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any: the norm it replaces was built for its place."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, ...), B of this process."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        values = input.float() if input.dtype != torch.float64 else input
        count = _Summed.apply(values.new_tensor(values.numel() // values.shape[1]))
        mean = _Summed.apply(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance = _Summed.apply(centred.square().sum(axes)) / count
        self._note(mean, variance * count / (count - 1))
        centred = centred * (variance + self.eps).rsqrt().view(shape)
        return (centred * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _note(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), self.momentum)


def _synchronise_batch_norms(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, _BatchNorm):
                shared = _SynchronisedBatchNorm.__new__(_SynchronisedBatchNorm)
                shared.__dict__ = norm.__dict__  # the very same weights, buffers and mode
                setattr(parent, name, shared)
