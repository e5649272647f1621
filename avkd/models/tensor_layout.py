"""What a safetensors file claims to hold, bounded before any weight is read.

The safetensors library validates the header (types, byte counts, no holes or overlaps); here are
the limits of our own: no pickle, no pipe, no size that a model of ours cannot have.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from avkd.outcome import ModelRefused

MAX_FILE_BYTES = 4 << 30
MAX_HEADER_BYTES = 4 << 20
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
MAX_NAME_CHARACTERS = 512
MAX_REASON_CHARACTERS = 300  # of the library's message, which repeats what the file says

_LENGTH_BYTES = 8  # the header's length, little-endian, opens the file
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class ModelFileError(ModelRefused):
    """A model file that is not used; the message names the file, what is wrong and the cure."""


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of a tensor that need not exist yet."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {list(self.shape)}"


@dataclass(frozen=True)
class TensorLayout:
    """The tensors a file holds, and its free text metadata."""

    tensors: Mapping[str, TensorSpec]
    metadata: Mapping[str, str]


def read_layout(path: Path) -> TensorLayout:
    """Read and check the header of a safetensors file.

    Raises:
        ModelFileError: not a regular file, too large, a pickle, not safetensors, or a header whose
            tensors do not exactly fill the file.
        OSError: the file cannot be read.
    """
    # Before opening: a named pipe would wait for a writer for ever.
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(f"{path}: not a regular file; give a model.safetensors")
    if status.st_size > MAX_FILE_BYTES:
        raise ModelFileError(
            f"{path}: {status.st_size} bytes, more than the {MAX_FILE_BYTES} a model may have; "
            "give a model.safetensors"
        )
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES)
    if start.startswith(_PICKLE_STARTS):
        raise ModelFileError(
            f"{path}: a pickle (.pt, .pth, .ckpt), which could run code and is never opened; give "
            "a model.safetensors written by avkd"
        )
    try:
        header_bytes = struct.unpack("<Q", start)[0] if len(start) == _LENGTH_BYTES else 0
        if not 2 <= header_bytes <= min(status.st_size - _LENGTH_BYTES, MAX_HEADER_BYTES):
            raise ValueError(f"a header of {header_bytes} bytes in a file of {status.st_size}")
        with safe_open(path, "pt") as opened:
            tensors = {name: _spec(opened, name) for name in opened.keys()}  # noqa: SIM118
            metadata = opened.metadata() or {}
        if len(tensors) > MAX_TENSORS:
            raise ValueError(f"{len(tensors)} tensors, more than {MAX_TENSORS}")
    except (ValueError, SafetensorError) as error:
        raise ModelFileError(
            f"{path}: damaged or not safetensors ({str(error)[:MAX_REASON_CHARACTERS]}); copy or "
            "download it again"
        ) from error
    return TensorLayout(tensors, metadata)


def _spec(opened: safe_open, name: str) -> TensorSpec:
    """Type and shape of a tensor, without reading it."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a tensor name of {len(name)} characters")
    found = opened.get_slice(name)
    dtype, shape = found.get_dtype(), found.get_shape()
    if dtype not in _DTYPES:
        raise ValueError(f"tensor {name} has type {dtype!r}, which no network here uses")
    if len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"tensor {name} has {len(shape)} dimensions")
    return TensorSpec(_DTYPES[dtype], tuple(shape))
