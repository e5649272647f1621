"""What goes between the loop and a GPU without either waiting: batches ahead, readings behind."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from avkd.training.run_log import RunLog

_STEPS_BETWEEN_READINGS = {"cuda": 16}  # of other devices every step is read: it costs nothing


class Batch(Protocol):
    """All the loop needs of a batch."""

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """What is in it, for error messages."""

    @property
    def replaced(self) -> tuple[str, ...]:
        """What could not be read and is not in it."""

    def to(self, device: torch.device) -> Any:
        """The same batch on ``device``."""


def ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Any]:
    """The batches on ``device``; a GPU copies the next one while it computes with the last."""
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device)
        return
    computing, copying = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    ready: list[tuple[Any, Any]] = []
    for batch in batches:
        # The copy may be given memory that the step before the last one has just let go.
        copying.wait_stream(computing)
        with torch.cuda.stream(copying):
            ready.append((batch.to(device), copying.record_event()))
        if len(ready) == 2:
            yield _when_copied(computing, *ready.pop(0))
    for rest in ready:
        yield _when_copied(computing, *rest)


def _when_copied(computing: torch.cuda.Stream, batch: Any, copied: Any) -> Any:
    computing.wait_event(copied)
    return batch


@dataclass(frozen=True)
class _Reading:
    step: int
    terms: Sequence[Mapping[str, Tensor]]
    rate: float
    norm: Tensor
    clips: str
    num_replaced: int


class Readings:
    """Losses and norms on their way to the log.

    Reading a number from a GPU waits for everything before it, so there the numbers of several
    steps are read at once: one that is not finite is then found some steps late, but before
    anything is saved.
    """

    def __init__(self, log: RunLog, device: torch.device) -> None:
        self._log = log
        self._every = _STEPS_BETWEEN_READINGS.get(device.type, 1)
        self._waiting: list[_Reading] = []
        self.num_replaced = 0
        """Clips shown in the place of others that could not be read."""

    def add(
        self,
        step: int,
        terms: Sequence[Mapping[str, Tensor]],
        *,
        rate: float,
        norm: Tensor,
        batches: Sequence[Batch],
    ) -> None:
        """Note what a step said; raises as `read`.

        ``terms`` are of each part of its batch scalars by name, ``loss/total`` among them; the
        parts themselves are named if a number is not finite.
        """
        clips = ", ".join(name for batch in batches for name in batch.sample_ids)
        num_replaced = sum(len(batch.replaced) for batch in batches)
        self.num_replaced += num_replaced
        self._waiting.append(_Reading(step, terms, rate, norm, clips, num_replaced))
        if len(self._waiting) >= self._every:
            self.read()

    def read(self) -> None:
        """Read what is waiting, and log it.

        Raises:
            FloatingPointError: a loss or a gradient norm is not finite; names step and clips.
        """
        waiting, self._waiting = self._waiting, []
        for reading in waiting:
            named: dict[str, list[float]] = {}
            for part in reading.terms:
                for name, value in part.items():
                    named.setdefault(name, []).append(value.item())
            values = {name: sum(of_parts) / len(of_parts) for name, of_parts in named.items()}
            loss, norm = values["loss/total"], reading.norm.item()
            for what, number in (("loss", loss), ("gradient norm", norm)):
                if not math.isfinite(number):
                    raise FloatingPointError(
                        f"{what} is {number} at step {reading.step}; clips: {reading.clips}. "
                        "Nothing was saved after the last checkpoint; lower optim.lr or lengthen "
                        "the warm-up"
                    )
            more = {"optim/rate": reading.rate, "optim/gradient_norm": norm}
            if reading.num_replaced:
                more["data/replaced"] = reading.num_replaced
            self._log.scalars(reading.step, {**values, **more})
            self._log.advance(loss)
