"""A teacher's answers on disk: computed once, read by every run that would ask the same question.

A cache belongs to one description (teacher, data, views, seed). Another description is refused, and
so is a part that is damaged or of another length: a student must never learn from answers to other
questions. Parts are whole files, so a stopped computation goes on where it was.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from avkd import durable

_FORMAT = "avkd-teacher-outputs-1"


class TeacherOutputs(NamedTuple):
    """Answers to a list of questions."""

    logit: Tensor
    """(N,) float32 raw logits, higher = fake."""
    weight: Tensor
    """(N,) float32 how much each answer counts, mean about 1."""


class OutputCache:
    """The answers of one teacher to ``num_parts`` lists of ``num_outputs`` questions, in a folder.

    ``description`` is everything the answers depend on, plain JSON.

    Raises:
        ValueError: the folder holds answers to other questions; names the first difference.
    """

    def __init__(
        self, folder: Path, description: Mapping[str, Any], *, num_parts: int, num_outputs: int
    ) -> None:
        self.folder = folder
        self.num_parts = num_parts
        self.num_outputs = num_outputs
        wanted = json.loads(
            json.dumps({"format": _FORMAT, **description, "num_outputs": num_outputs})
        )
        path = folder / "outputs.json"
        if not path.exists():
            durable.write_json(path, wanted)
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = {}
        if not isinstance(found, dict):
            found = {"format": found}
        for name, value in wanted.items():
            if found.get(name) != value:
                raise ValueError(
                    f"{folder}: holds a teacher's answers for {name} = {found.get(name)!r}, this "
                    f"run asks for {value!r}; remove that folder, or give another --teacher_outputs"
                )

    def missing(self) -> list[int]:
        """Parts that were not computed yet."""
        return [part for part in range(self.num_parts) if not self._path(part).exists()]

    def write(self, part: int, outputs: TeacherOutputs) -> None:
        """Store a part, whole or not at all.

        Raises:
            FloatingPointError: an answer is not finite.
        """
        assert outputs.logit.shape == outputs.weight.shape == (self.num_outputs,)
        for name, values in outputs._asdict().items():
            if not bool(torch.isfinite(values).all()):
                raise FloatingPointError(f"the teacher's {name} is not finite; check its file")
        path = self._path(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable.replacing(path) as temporary:
            save_file(
                {name: values.float().cpu() for name, values in outputs._asdict().items()},
                temporary,
            )

    def read(self, part: int) -> TeacherOutputs:
        """Read a part.

        Raises:
            ValueError: it is missing, damaged, or not of the right length; names the file.
        """
        path = self._path(part)
        cure = "remove it and run the same command again"
        if not path.exists():
            raise ValueError(f"{path}: the teacher's answers are not complete; {cure}")
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: damaged ({error}); {cure}") from error
        for name in TeacherOutputs._fields:
            values = tensors.get(name)
            if values is None or values.shape != (self.num_outputs,):
                raise ValueError(f"{path}: not {self.num_outputs} answers; {cure}")
            if values.dtype != torch.float32 or not bool(torch.isfinite(values).all()):
                raise ValueError(f"{path}: outputs that are not finite float32 numbers; {cure}")
        return TeacherOutputs(tensors["logit"], tensors["weight"])

    def _path(self, part: int) -> Path:
        return self.folder / f"part-{part:04d}.safetensors"
