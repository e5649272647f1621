"""The published weights of MTCNN as plain arrays, out of the PyPI wheel `mtcnn` 1.0.0 (MIT).

That package is never imported and nothing is unpickled.
"""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np

_WEIGHTS_SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
_CURE = "pip install 'avkd[face]' (mtcnn==1.0.0 and lz4)"


def read_weights(name: str, sizes: list[int]) -> list[np.ndarray]:
    """The float32 arrays, of known ``sizes``, of ``pnet``, ``rnet`` or ``onet``.

    A weights file is a pickle stream with the raw array bytes between its opcodes: each array
    follows a fixed marker, one length byte and that many bytes of padding. The digest is checked
    first, so a marker can only be where it was when this was written.

    Raises:
        ModuleNotFoundError: the weights or lz4 are not installed; the message says how to get them.
        ValueError: the file is not the published one.
    """
    try:
        import lz4.frame
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"lz4 is needed to read the face detector: {_CURE}") from error
    path = _weights_file(name)
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: missing from the package; reinstall: {_CURE}") from None
    if hashlib.sha256(packed).hexdigest() != _WEIGHTS_SHA256[name]:
        raise ValueError(f"{path}: not the published weights of mtcnn 1.0.0; reinstall: {_CURE}")
    content = lz4.frame.decompress(packed)
    marker = b"K\x10ub"  # "alignment 16", then the end of the array's description
    position = 0
    arrays = []
    for size in sizes:
        after_marker = content.index(marker, position) + len(marker)
        start = after_marker + 1 + content[after_marker]
        arrays.append(np.frombuffer(content, "<f4", count=size, offset=start))
        position = start + 4 * size
    assert content[position:] == b"e.", "arrays left over"
    return arrays


def _weights_file(name: str) -> Path:
    spec = importlib.util.find_spec("mtcnn")  # locates, does not import
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the face detector's weights are not installed: {_CURE}")
    return Path(spec.submodule_search_locations[0]) / "assets" / "weights" / f"{name}.lz4"
