"""What a safetensors file claims to hold, checked before any of it is believed.

Reads the header only: limits, types and byte counts. Nothing is allocated that the file's own size
does not bound. Knows no network and loads no weight.
"""

from __future__ import annotations

import json
import math
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from avkd.outcome import ModelRefused

MAX_FILE_BYTES = 4 << 30
MAX_HEADER_BYTES = 4 << 20
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
MAX_NAME_CHARACTERS = 512

_LENGTH_BYTES = 8  # the header's length, little-endian, opens the file
_METADATA_NAME = "__metadata__"
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
        header, data_bytes = _read_header(path, file, file_bytes=status.st_size)
    try:
        return _check_header(header, data_bytes)
    except ValueError as error:
        raise ModelFileError(
            f"{path}: damaged or not safetensors ({error}); copy or download it again"
        ) from error


def _read_header(path: Path, file: BinaryIO, *, file_bytes: int) -> tuple[bytes, int]:
    """The header's bytes, and how many bytes of tensors follow it."""
    start = file.read(_LENGTH_BYTES)
    if start.startswith(_PICKLE_STARTS):
        raise ModelFileError(
            f"{path}: a pickle (.pt, .pth, .ckpt), which could run code and is never opened; give "
            "a model.safetensors written by avkd"
        )
    rest_bytes = file_bytes - _LENGTH_BYTES
    header_bytes = struct.unpack("<Q", start)[0] if len(start) == _LENGTH_BYTES else 0
    if not 2 <= header_bytes <= min(rest_bytes, MAX_HEADER_BYTES):
        raise ModelFileError(
            f"{path}: damaged or not safetensors (a header of {header_bytes} bytes in a file of "
            f"{file_bytes}); copy or download it again"
        )
    return file.read(header_bytes), rest_bytes - header_bytes


def _check_header(header: bytes, data_bytes: int) -> TensorLayout:
    try:
        entries = json.loads(header.decode("utf-8"))
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    if not isinstance(entries, dict):
        raise ValueError("the header is no mapping")
    metadata = entries.pop(_METADATA_NAME, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("the metadata is no mapping of text")
    if len(entries) > MAX_TENSORS:
        raise ValueError(f"{len(entries)} tensors, more than {MAX_TENSORS}")
    tensors: dict[str, TensorSpec] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in entries.items():
        spec, begin, end = _check_entry(name, entry)
        tensors[name] = spec
        spans.append((begin, end, name))
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            raise ValueError(f"tensor {name} begins at byte {begin}, not {position}")
        position = end
    if position != data_bytes:
        raise ValueError(f"the tensors need {position} bytes, the file has {data_bytes}")
    return TensorLayout(tensors, metadata)


def _check_entry(name: str, entry: Any) -> tuple[TensorSpec, int, int]:
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a tensor name of {len(name)} characters")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name} is not described by dtype, shape and data_offsets")
    dtype_name, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype_name, str) or dtype_name not in _DTYPES:
        raise ValueError(f"tensor {name} has type {dtype_name!r}, which no network here uses")
    if not _are_counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"tensor {name} has no valid shape")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name} has no valid data_offsets")
    dtype = _DTYPES[dtype_name]
    begin, end = offsets
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"tensor {name} claims shape {shape} in {end - begin} bytes")
    return TensorSpec(dtype, tuple(shape)), begin, end


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values
    )
