"""The model file: one safetensors file that rebuilds its own network, and nothing executable.

Kind, arguments, weights, preprocessing, provenance and decision rule travel together. A file is
untrusted: its header is bounded and compared with the network it names before any weight is read,
and nothing is ever unpickled.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from avkd.durable import replacing
from avkd.models import onnx_file, starter
from avkd.models.build import build_cross_modal_network, build_detector, build_image_detector
from avkd.models.decision import DecisionRule
from avkd.models.model_header import ModelHeader, parse_header
from avkd.models.onnx_file import Engine
from avkd.models.weights import (
    ModelFileError,
    compare,
    load_strict,
    read_layout,
    read_tensors,
    require_finite,
    specs_of,
)

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "cross_modal": build_cross_modal_network,
    "detector": build_detector,
    "image_detector": build_image_detector,
}
DETECTOR_KINDS = ("detector", "image_detector")
_METADATA_KEY = "avkd"
_TENSOR_BYTES_PER_HASH_STEP = 1 << 24


class LoadedModel(NamedTuple):
    """A network in eval mode on the CPU, and what its file says of it."""

    model: Any
    header: ModelHeader


def save_model(
    path: Path,
    model: nn.Module,
    *,
    kind: str,
    arguments: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    provenance: Mapping[str, Any],
    decision: DecisionRule | None = None,
    half_precision: bool = False,
) -> ModelHeader:
    """Write ``model`` to ``path``: the old file or the whole new one, never a part.

    Args:
        path: the file to write, usually ``model.safetensors``.
        model: a network built by ``BUILDERS[kind](**arguments)``; on any device, in any mode.
        kind: key of ``BUILDERS``.
        arguments: what the network was built from, plain JSON values.
        preprocessing: crop and input size, mean, std, frame rate, mel fingerprint; plain JSON.
        provenance: data, seed, versions, parents; plain JSON.
        decision: calibration and threshold of a detector.
        half_precision: store float32 weights as float16; they are widened again when loaded.

    Raises:
        ModelFileError: the arguments do not rebuild this very network, a weight is not finite, or
            a value is not plain JSON; nothing is written.
        OSError: the folder cannot be written.
    """
    values = ModelHeader(
        kind=kind,
        arguments=arguments,
        preprocessing=preprocessing,
        provenance=provenance,
        decision=decision,
    ).as_json()
    try:
        # Through JSON and back, so that the digest is of what a reader will see.
        values = json.loads(json.dumps(values, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: the header is not plain JSON: {error}") from error
    tensors = {
        # Copies: recurrent weights are views of one buffer, which safetensors does not store.
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    skeleton = _skeleton(path, _parse(path, values))
    compare(specs_of(skeleton.state_dict()), specs_of(tensors), source=str(path))
    require_finite(tensors, source=str(path))
    if half_precision:
        tensors = {n: t.half() if t.dtype == torch.float32 else t for n, t in tensors.items()}
        require_finite(tensors, source=str(path))
    values["sha256"] = _digest(values, tensors)
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={_METADATA_KEY: json.dumps(values)})
    return _parse(path, values)


def read_header(path: Path, *, kind: str | None = None) -> ModelHeader:
    """What ``path``, a file or a starter's name, says of itself; cheap: no weight is read.

    Raises:
        ModelFileError: not a model file of ours, damaged, or not of ``kind``.
        OSError: the file cannot be read.
    """
    path = starter.resolved(path)
    if path.suffix == onnx_file.SUFFIX:
        return _parse(path, onnx_file.read_header(path).as_json(), kind=kind)
    return _parse(path, _header_values(path), kind=kind)


def load_model(path: Path, *, kind: str) -> LoadedModel:
    """Rebuild the network in ``path``, in eval mode on the CPU.

    Raises:
        ModelFileError: not a model file of ours, damaged, of another kind or version, naming an
            unknown option, with tensors that are not the network's, or with weights that are not
            finite. Names the file, the first differing tensor and the cure.
        OSError: the file cannot be read.
    """
    path = starter.resolved(path)
    values = _header_values(path)
    header = _parse(path, values, kind=kind)
    model = _skeleton(path, header)
    stored = {
        # What was stored in half precision is made single.
        name: replace(spec, dtype=torch.float32) if spec.dtype == torch.float16 else spec
        for name, spec in read_layout(path).tensors.items()
    }
    compare(specs_of(model.state_dict()), stored, source=str(path))
    tensors = read_tensors(path)  # only now is memory taken, and no more than the file has bytes
    if _digest(values, tensors) != header.sha256:
        raise ModelFileError(
            f"{path}: the content does not match its own SHA-256, so it was damaged or altered "
            "after it was written; copy or download it again"
        )
    require_finite(tensors, source=str(path))
    model.to_empty(device="cpu")
    single = {n: t.float() if t.dtype == torch.float16 else t for n, t in tensors.items()}
    load_strict(model, single, source=str(path))
    return LoadedModel(model.eval(), header)


def load_detector(path: Path, engine: Engine = "auto") -> LoadedModel:
    """Rebuild whatever detector is in ``path``, of videos or of images; as ``load_model``.

    What computes it: ``auto`` = torch, and for a file of `avkd export` see `onnx_file.load`.

    Raises:
        ModelFileError: as ``load_model``; also when ``path`` holds no detector.
        ValueError: the engine does not run such files; says what to do.
    """
    is_onnx = starter.resolved(path).suffix == onnx_file.SUFFIX
    if not is_onnx and engine not in ("auto", "torch"):
        raise ValueError(
            f"{path}: {engine} runs ONNX files only; make one with `avkd export --model {path} "
            f"--out {path.with_suffix(onnx_file.SUFFIX)}`"
        )
    kind = read_header(path).kind
    kind = kind if kind in DETECTOR_KINDS else DETECTOR_KINDS[0]
    if not is_onnx:
        return load_model(path, kind=kind)
    read_header(path, kind=kind)
    return LoadedModel(*onnx_file.load(path, engine))


def _header_values(path: Path) -> dict[str, Any]:
    text = read_layout(path).metadata.get(_METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path}: a safetensors file, but not one of ours (no {_METADATA_KEY!r} metadata); "
            "give the model.safetensors of an avkd run"
        )
    try:
        values = json.loads(text)
        json.dumps(values)  # what cannot be written again has no digest: nested too deeply
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: damaged header ({error}); copy it again") from error
    if not isinstance(values, dict):
        raise ModelFileError(f"{path}: damaged header; copy it again")
    return values


def _parse(path: Path, values: Mapping[str, Any], *, kind: str | None = None) -> ModelHeader:
    """The header in ``values``, of a kind there is and of the kind that is needed."""
    header = parse_header(values, source=str(path))
    if header.kind not in BUILDERS:
        raise ModelFileError(f"{path}: unknown kind {header.kind!r}, not {', '.join(BUILDERS)}")
    if kind is not None and header.kind != kind:
        raise ModelFileError(
            f"{path}: holds a {header.kind!r} model where a {kind!r} model is needed; give the "
            f"file of the run that made the {kind!r} model"
        )
    return header


def _skeleton(path: Path, header: ModelHeader) -> nn.Module:
    """The network without memory, on the meta device: a hostile header cannot make it large."""
    build = BUILDERS[header.kind]
    try:
        with torch.device("meta"), _Undrawn():
            return build(**header.arguments)
    except (ValueError, RuntimeError) as error:  # RuntimeError: sizes whose product overflows
        raise ModelFileError(
            f"{path}: the header's arguments build no network: {error}; use the avkd version "
            "that wrote the file"
        ) from error


class _Undrawn(TorchFunctionMode):
    """Draws no normal weights: on the meta device that imports torch._dynamo, 2 s, for nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _digest(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the header (without its own digest) and every tensor in order of name."""
    content = {key: value for key, value in values.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8"))
    for name in sorted(tensors):
        tensor = tensors[name]
        title = json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode("utf-8")
        digest.update(struct.pack("<Q", len(title)) + title)
        data = tensor.contiguous().flatten().view(torch.uint8)
        for block in data.split(_TENSOR_BYTES_PER_HASH_STEP):
            digest.update(block.numpy())
    return digest.hexdigest()
