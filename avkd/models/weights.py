"""Named tensors: what a safetensors file holds, bounded before it is read, and into a network.

The safetensors library validates the header (types, byte counts, no holes or overlaps); here are
the limits of our own: no pickle, no pipe, no size that a model of ours cannot have, and no tensor
too few, too many, of another shape or not finite.
"""

import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from avkd.models.encoders import flatten_recurrent_parameters
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
        reason = str(error)[:MAX_REASON_CHARACTERS]
        raise ModelFileError(
            f"{path}: damaged or not safetensors ({reason}); copy or download it again"
        ) from error
    return TensorLayout(tensors, metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file whose layout was found good; raises as `read_layout`."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelFileError(f"{path}: damaged ({error}); copy or download it again") from error


def specs_of(tensors: Mapping[str, Tensor]) -> dict[str, TensorSpec]:
    """Type and shape of each of ``tensors``, which may lie on the meta device."""
    return {name: TensorSpec(tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


def compare(
    expected: Mapping[str, TensorSpec], found: Mapping[str, TensorSpec], *, source: str
) -> None:
    """Refuse any difference in names, shapes or dtypes.

    Raises:
        ModelFileError: names ``source`` and the first difference of each sort.
    """
    shared = [name for name in expected if name in found]
    different = [
        f"{name} is {found[name]}, the network needs {expected[name]}"
        for name in shared
        if expected[name] != found[name]
    ]
    problems = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape or type": different,
    }
    said = [f"{len(names)} {what} (first: {names[0]})" for what, names in problems.items() if names]
    if said:
        raise ModelFileError(
            f"{source}: these are not the tensors of the network: {'; '.join(said)}; check that "
            "the file and the chosen network and sizes belong together"
        )


def require_finite(tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        ModelFileError: names ``source`` and the first such tensor.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(
                f"{source}: tensor {name} holds NaN or infinity; the training that made it broke "
                "down, use an earlier checkpoint"
            )


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy ``tensors`` into ``module`` (not on the meta device), all of its state or none.

    Raises:
        ModelFileError: names their source and the first missing, unexpected or mis-shaped tensor.
    """
    compare(specs_of(module.state_dict()), specs_of(tensors), source=source)
    module.load_state_dict(dict(tensors))
    flatten_recurrent_parameters(module)


def load_fitting(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> list[str]:
    """Copy those of ``tensors`` into ``module`` that it has, by name and shape.

    Returns:
        Names of the module's tensors that nothing fitted; they keep their values.

    Raises:
        ModelFileError: no convolution fits, so that nothing worth the name would be carried over.
    """
    own = module.state_dict()
    fitting = {n: t for n, t in tensors.items() if n in own and own[n].shape == t.shape}
    if not any(tensor.ndim > 3 for tensor in fitting.values()):
        raise ModelFileError(
            f"{source}: none of its convolutions fits this backbone; give it the same width, or "
            "start from scratch"
        )
    module.load_state_dict({**own, **fitting})
    flatten_recurrent_parameters(module)
    return [name for name in own if name not in fitting]


def round_to_half(model: nn.Module) -> None:
    """Give ``model`` the weights that a file in half precision will give back."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.dtype == torch.float32:
                tensor.copy_(tensor.half().float())


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
