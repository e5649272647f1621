"""Checkpoints of a run: last, the one before it, and best; each one hashed file, old or new.

A training state (nested dicts, lists, numbers, tensors) is written as safetensors with the
structure as JSON in its metadata, so that resuming unpickles nothing either.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avkd import durable
from avkd.outcome import ModelRefused

logger = logging.getLogger(__name__)

_FORMAT = "avkd-checkpoint-1"


class CheckpointError(ModelRefused):
    """A checkpoint that cannot be continued from; the message names it and says what to do."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint folder of one run."""

    folder: Path
    made_of: Mapping[str, str] = field(default_factory=dict)
    """What the numbers depend on besides the settings (data, precision, code), kept in each."""

    @property
    def last(self) -> Path:
        """The newest state."""
        return self.folder / "last.safetensors"

    @property
    def previous(self) -> Path:
        """The state before the newest: what is left if that is damaged."""
        return self.folder / "previous.safetensors"

    @property
    def best(self) -> Path:
        """The state of the best validation."""
        return self.folder / "best.safetensors"

    @property
    def _coming(self) -> Path:
        return self.folder / "coming.safetensors"  # only while the others change places

    @property
    def exist(self) -> bool:
        """Whether there is anything to go on from."""
        return any(path.exists() for path in (self._coming, self.last, self.previous))

    def save_last(self, state: dict[str, Any]) -> None:
        """Make ``state`` the newest, and the newest the one before.

        A kill at any moment leaves one of them; as `save_state` otherwise.
        """
        save_state(self._coming, {**state, "made_of": dict(self.made_of)})
        self._change_places()

    def _change_places(self) -> None:
        if self.last.exists():
            self.last.replace(self.previous)
        self._coming.replace(self.last)

    def save_best(self, state: dict[str, Any]) -> None:
        """Make ``state`` that of the best validation."""
        save_state(self.best, {**state, "made_of": dict(self.made_of)})

    def load_latest(self) -> dict[str, Any]:
        """The newest state that can be read; a kill between renames is made good.

        Raises:
            FileNotFoundError: there is none.
            CheckpointError: there are some, all damaged.
        """
        candidates = [p for p in (self._coming, self.last, self.previous) if p.exists()]
        for path, other in zip_longest(candidates or [self.last], candidates[1:]):
            try:
                state = load_state(path)
            except CheckpointError as error:
                if other is None:
                    raise
                logger.warning("%s; going on from %s", error, other)
                continue
            if path == self._coming:
                self._change_places()
            return state
        raise AssertionError("the last of them is loaded or raises")

    def require_same(self, state: Mapping[str, Any]) -> None:
        """Refuse a state that came of something else; one that does not say of what is taken.

        Raises:
            ValueError: names what has changed.
        """
        for name, now in self.made_of.items():
            before = state.get("made_of", {}).get(name, now)
            if before != now:
                raise ValueError(
                    f"{self.folder.parent}: the {name} changed since ({before} before, {now} now), "
                    "so the run would not end as if it had not been stopped; undo that, start a "
                    "new --run, or go on all the same with --resume_changed true"
                )


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state atomically.

    It is nested dicts, lists and tuples of tensors, numbers, strings, booleans and None.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_encode(state, tensors))
    metadata = {"format": _FORMAT, "state": structure, "sha256": _digest(structure, tensors)}
    with durable.replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state back, on the CPU.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: cut short, changed, or not one of ours.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no checkpoint there to resume from")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise CheckpointError(f"{path}: not a checkpoint of this version of avkd")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: damaged ({error}); copy best.safetensors over it, or start the run again"
        ) from error
    structure = metadata.get("state", "")
    if _digest(structure, tensors) != metadata.get("sha256"):
        raise CheckpointError(
            f"{path}: its content has changed on disk; copy best.safetensors over it, or "
            "start the run again"
        )
    state = _decode(json.loads(structure), tensors)
    assert isinstance(state, dict)
    return state


def rng_state() -> dict[str, Any]:
    """State of the global generators that dropout draws from."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_rng(state: dict[str, Any]) -> None:
    """Undo `rng_state`; GPU generators only where as many GPUs are there."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Nested Python -> JSON; tensors move to ``tensors`` and leave their name."""
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        # A copy: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return {"list": [_encode(item, tensors) for item in value]}
    assert value is None or isinstance(value, (bool, int, float, str)), type(value)
    return {"value": value}


def _decode(node: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decode(item, tensors) for key, item in content}
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in content)
    if kind == "list":
        return [_decode(item, tensors) for item in content]
    return content


def _digest(structure: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(structure.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
