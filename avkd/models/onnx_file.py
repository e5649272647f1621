"""A detector as `avkd export` writes it: one ONNX file, run by onnxruntime or OpenVINO.

A file is untrusted: it is compared with its own digest before it is parsed, and refused where it
names another file, holds a network within the network, or operators that are not ONNX's own.
"""

import hashlib
import importlib.util
import json
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from avkd.models.detector import DetectorOutput
from avkd.models.model_header import ModelHeader, parse_header
from avkd.models.weights import ModelFileError

SUFFIX = ".onnx"
METADATA_KEY = "avkd"
INPUTS = ("clip", "landmarks")
OUTPUTS = ("logit", "features", "importance")

Engine = Literal["auto", "torch", "onnx", "openvino"]
Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]

_MAX_FILE_BYTES = 1 << 30
_MAX_PIXELS = 1 << 24  # at once: 53 clips of 25 frames of 112 pixels a side
# The digest of all before it, as one more entry of the message's metadata_props (protobuf: messages
# may be put together end to end), so that it is found and checked without parsing anything.
_DIGEST_ENTRY = b"\x72\x4f\x0a\x0bavkd_sha256\x12\x40"
_DIGEST_CHARACTERS = 64
_STANDARD_DOMAINS = ("", "ai.onnx")


class OnnxDetector(nn.Module):
    """A detector behind the interface of ours, computed by another engine; no gradients.

    ``run`` leads from the (n, ...) inputs to the outputs, as arrays; ``batch`` is n, where it is
    fixed.
    """

    def __init__(self, run: Run, *, batch: int | None = None) -> None:
        super().__init__()
        self._run = run
        self._batch = batch

    def forward(self, *views: Tensor) -> DetectorOutput:
        """Judge B clips: (B, 3, L, S, S), and (B, L, 5, 2) landmarks where they are looked at."""
        given = [view.detach().cpu().contiguous().numpy() for view in views]
        count, size = len(given[0]), self._batch or len(given[0])
        parts = [
            self._run([_filled(array[first : first + size], size) for array in given])
            for first in range(0, count, size)
        ]
        joined = (np.concatenate(arrays)[:count] for arrays in zip(*parts, strict=True))
        logit, features, *importance = (torch.from_numpy(array) for array in joined)
        return DetectorOutput(logit, features, importance[0] if importance else None)


def load(path: Path, engine: Engine = "auto") -> tuple[OnnxDetector, ModelHeader]:
    """Read a file and make it ready on the CPU, with as many threads as torch has.

    ``auto`` is onnxruntime, or OpenVINO where only that is installed.

    Raises:
        ModelFileError: damaged, hostile, not ours, or not what its header says.
        ModuleNotFoundError: the engine is not installed; the message says how to get it.
        OSError: the file cannot be read.
    """
    content, message, header = _read(path)
    batch = _batch(message)
    model = OnnxDetector(run_of(content, engine, source=str(path)), batch=batch)
    try:
        output = model(*made_up_views(header.preprocessing, batch or 1))
        if output.logit.shape != (batch or 1,) or output.features.ndim != 3:
            raise ValueError(f"outputs of shape {tuple(output.logit.shape)}")
    except Exception as error:  # each engine has errors of its own
        raise ModelFileError(
            f"{path}: the network does not fit its header ({_brief(error)}); export it again"
        ) from error
    return model.eval(), header


def read_header(path: Path) -> ModelHeader:
    """What the file says of itself; its digest is that of the file.

    Raises:
        ModelFileError: as `load`.
    """
    return _read(path)[2]


def run_of(content: bytes, engine: Engine = "auto", *, source: str = "the network") -> Run:
    """Make a network ready to run; arguments and errors as of `load`."""
    chosen = _chosen(engine)
    try:
        return _ENGINES[chosen](content)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # each engine has errors of its own
        raise ModelFileError(f"{source}: {chosen} cannot run it ({_brief(error)})") from error


def made_up_views(
    preprocessing: Mapping[str, Any], count: int, seed: int = 0
) -> tuple[Tensor, ...]:
    """Noise that a detector with this input may be called with, and points if it looks at them.

    Raises:
        ValueError: the preprocessing describes no input, or one beyond all reason.
    """
    frames, size = preprocessing.get("clip_frames"), preprocessing.get("image_size")
    if type(frames) is not int or type(size) is not int or min(frames, size) < 1:
        raise ValueError(f"clip_frames is {frames!r}, image_size {size!r}")
    if count * frames * size**2 > _MAX_PIXELS:
        raise ValueError(f"{count} clips at once of {frames} frames of {size} pixels a side")
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(count, 3, frames, size, size, generator=generator)
    if not preprocessing.get("landmarks"):
        return (clip,)
    return clip, torch.rand(count, frames, 5, 2, generator=generator)


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say what to install where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        cure = f"pip install 'avkd[{extra}]'"
        raise ModuleNotFoundError(f"ONNX files need {error.name}: {cure}") from None


def finished(body: bytes, header: ModelHeader) -> bytes:
    """A network with all that belongs to it, as a file: header and digest are added."""
    message = _parsed(body)
    message.metadata_props.add(key=METADATA_KEY, value=json.dumps(header.as_json()))
    content: bytes = message.SerializeToString()
    return content + _DIGEST_ENTRY + hashlib.sha256(content).hexdigest().encode()


def _read(path: Path) -> tuple[bytes, Any, ModelHeader]:
    """Bytes, message and header of a file that is as it was written and closed in itself."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE_BYTES:
        raise ModelFileError(
            f"{path}: not a regular file of at most {_MAX_FILE_BYTES} bytes; give a file that "
            "avkd export wrote"
        )
    content = _undamaged(path)
    try:
        message = _parsed(content)
        problem = next(_problems(message), None)
        texts = [entry.value for entry in message.metadata_props if entry.key == METADATA_KEY]
        values: Any = json.loads(texts[0]) if texts else None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: damaged ({_brief(error)}); export it again") from error
    if problem is None and not isinstance(values, dict):
        problem = f"no {METADATA_KEY!r} metadata"
    if problem is not None:
        raise ModelFileError(f"{path}: {problem}; give a file that avkd export wrote")
    header = parse_header(values, source=str(path))
    return content, message, replace(header, sha256=content[-_DIGEST_CHARACTERS:].decode("ascii"))


def _undamaged(path: Path) -> bytes:
    """The content, if it ends in its own digest; what does not is not read as a whole."""
    length = len(_DIGEST_ENTRY) + _DIGEST_CHARACTERS
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - length))
        end = file.read()
        if not end.startswith(_DIGEST_ENTRY) or size < length:
            raise ModelFileError(
                f"{path}: not a file of avkd export, or cut off; other ONNX files cannot be used: "
                "they do not say what their scores mean"
            )
        file.seek(0)
        content = file.read()
    if hashlib.sha256(content[:-length]).hexdigest().encode() != end[len(_DIGEST_ENTRY) :]:
        raise ModelFileError(
            f"{path}: the content does not match its own SHA-256, so it was damaged or altered "
            "after it was written; copy or export it again"
        )
    return content


def _parsed(content: bytes) -> Any:
    """The ModelProto.

    Raises:
        ValueError: it is none.
        ModuleNotFoundError: onnx is not installed; the message says how to get it.
    """
    with needing("export"):
        import onnx
    message = onnx.ModelProto()
    try:
        message.ParseFromString(content)
    except Exception as error:  # protobuf's own class, wherever it lives
        raise ValueError(f"not ONNX: {_brief(error)}") from error
    return message


def _problems(message: Any) -> Iterator[str]:
    """What a file of ours never holds, at any depth."""
    if message.functions:
        yield "it holds functions of its own"
    for part in _parts(message):
        kind = part.DESCRIPTOR.name
        if kind == "TensorProto" and (part.external_data or part.data_location):
            yield "it keeps weights in another file, which is never opened"
        elif kind == "AttributeProto" and (part.HasField("g") or part.graphs):
            yield "it holds a network within the network"
        elif kind == "NodeProto" and part.domain not in _STANDARD_DOMAINS:
            yield f"operator {part.op_type[:100]!r} of {part.domain[:100]!r} is not ONNX's own"


def _parts(message: Any) -> Iterator[Any]:
    """The message and all messages in it."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def _batch(message: Any) -> int | None:
    """The number of clips that the file fixes."""
    sizes = [d.dim_value for i in message.graph.input for d in i.type.tensor_type.shape.dim]
    return sizes[0] or None if sizes else None


def _chosen(engine: Engine) -> Literal["onnx", "openvino"]:
    if engine == "torch":
        raise ValueError("an ONNX file is not run by torch: leave out --engine, or use onnx")
    if engine == "auto":
        return "onnx" if importlib.util.find_spec("onnxruntime") else "openvino"
    return engine


def _onnxruntime(content: bytes) -> Run:
    with needing("export"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(given: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        found: Sequence[np.ndarray] = session.run(None, dict(zip(names, given, strict=True)))
        return found

    return run


def _openvino(content: bytes) -> Run:
    with needing("openvino"):
        import openvino
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
    }
    network = core.compile_model(core.read_model(content), "CPU", settings)

    def run(given: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return list(network(list(given)).values())

    return run


_ENGINES: Mapping[str, Callable[[bytes], Run]] = {"onnx": _onnxruntime, "openvino": _openvino}


def _filled(part: np.ndarray, size: int) -> np.ndarray:
    """Up to ``size`` clips, the last one repeated."""
    missing = size - len(part)
    return part if missing == 0 else np.concatenate([part, part[-1:].repeat(missing, axis=0)])


def _brief(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
