"""Where and how we compute: device, precision, threads, seeds.

Precision is probed once at start: bf16 is chosen only where
a 3D convolution in it is both clearly faster and right on this very machine (cuDNN 9.8-9.10 gave
wrong bf16 conv3d results, pytorch issue 163539; CPUs without AVX512_BF16 are slower in it).
"""

import ctypes
import logging
import os
import random
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from avkd.outcome import ResourceError

logger = logging.getLogger(__name__)

# Of mallopt(3): no maps of their own for large blocks, never trim the heap, grow it by 256 MB.
_KEEP_FREED_MEMORY = {-4: 0, -1: 2**31 - 1, -2: 2**28}

_PROBE_SHAPE = (2, 16, 8, 28, 28)
_PROBE_REPEATS = 5
_PROBE_SPEEDUP = 1.2
_PROBE_RELATIVE_ERROR = 0.05


@dataclass(frozen=True)
class Runtime:
    """A device and the precision of the forward passes on it."""

    device: torch.device
    precision: Literal["fp32", "bf16"]

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which forward passes run; a no-op in fp32."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def describe(self) -> dict[str, Any]:
        """What `environment.json` says about the machine."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return {
            "device": str(self.device),
            "device_name": name,
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def start(
    *, device: str, precision: Literal["auto", "fp32", "bf16"] = "fp32", threads: int | None = None
) -> Runtime:
    """Choose the device and the precision.

    Raises:
        ValueError: the device name is not one torch knows.
        ResourceError: a GPU was asked for by name and there is none.
    """
    if threads is not None:
        if threads < 1:
            raise ValueError("threads must be at least 1")
        torch.set_num_threads(threads)
    chosen = _choose_device(device)
    if precision == "auto":
        precision = "bf16" if _bf16_is_fast_and_right(chosen) else "fp32"
    logger.info("computing on %s in %s", chosen, precision)
    return Runtime(device=chosen, precision=precision)


def compile_networks(
    networks: Iterable[nn.Module],
    how: Literal["none", "default", "cuda_graphs"],
    device: torch.device,
) -> None:
    """Have torch compile each network, in place, when it is first called with inputs of a shape.

    Weights keep their names. What a network gives is equal but for rounding.

    Raises:
        ResourceError: torch cannot compile on this machine, or CUDA graphs are asked of a CPU.
    """
    if how == "none":
        return
    if how == "cuda_graphs" and device.type != "cuda":
        raise ResourceError("loop.compile cuda_graphs needs a GPU; use --loop.compile default")
    import torch._inductor.config as inductor  # two seconds that few runs need

    mode = {"default": "default", "cuda_graphs": "reduce-overhead"}[how]
    try:
        torch.compile(torch.square, mode=mode)(torch.ones(2, device=device))
    except RuntimeError as error:  # as all of torch's compiler are
        reason = str(error).strip().splitlines()[0]
        raise ResourceError(
            f"loop.compile {how}: torch cannot compile here ({reason}); it needs a C++ compiler, "
            "and Triton for a GPU; or use --loop.compile none"
        ) from error
    inductor.fallback_random = True  # dropout draws as it does uncompiled
    for network in networks:
        network.compile(mode=mode)


def keep_freed_memory() -> None:
    """Have the C library keep what a training step frees, for the next step to use.

    By default glibc returns large tensors to the system, which then has to clear every page again:
    time that every training step on a CPU would pay. Elsewhere nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        for option, value in _KEEP_FREED_MEMORY.items():
            mallopt(option, value)


def seed_everything(seed: int) -> None:
    """Seed the global generators that libraries draw weights and dropout from.

    Sampling and augmentation never use them: they are functions of (seed, epoch, index, view).
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r}: want auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r}: want auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ResourceError(f"device {name!r}: no usable GPU here; use --device cpu or auto")
    return device


def _bf16_is_fast_and_right(device: torch.device) -> bool:
    """Compare one 3D convolution in fp32 and bf16 on random input, by time and by result."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return False
    generator = torch.Generator().manual_seed(0)
    clip = torch.randn(_PROBE_SHAPE, generator=generator).to(device)
    kernel = torch.randn(32, _PROBE_SHAPE[1], 3, 3, 3, generator=generator).to(device)

    def timed(enabled: bool) -> tuple[float, torch.Tensor]:
        seconds = []
        for _ in range(_PROBE_REPEATS):
            begin = time.perf_counter()
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=enabled):
                result = torch.nn.functional.conv3d(clip, kernel, padding=1)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - begin)
        return min(seconds), result.float()

    fp32_seconds, expected = timed(False)
    bf16_seconds, got = timed(True)
    error = ((got - expected).norm() / expected.norm()).item()
    return bf16_seconds * _PROBE_SPEEDUP < fp32_seconds and error < _PROBE_RELATIVE_ERROR
