"""What a run tells: console progress with ETA, JSON lines, TensorBoard.

The only file that imports TensorBoard.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from avkd import durable


class RunLog:
    """Writes ``log.jsonl`` and ``tensorboard/`` of a run folder, and a progress bar.

    What was logged at ``first_step``, where the run starts or resumes, or after it is dropped;
    ``total_steps`` are those of the whole run, for the ETA. ``charts`` are validation values that
    TensorBoard draws together (under CUSTOM SCALARS), by title.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first_step: int,
        total_steps: int,
        label: str,
        charts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._path = folder / "log.jsonl"
        _drop_rows_from(self._path, first_step)
        self._file = self._path.open("a", encoding="utf-8")
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)
        if charts:
            layout = {
                title: ["Multiline", [f"validation/{name}" for name in names]]
                for title, names in charts.items()
            }
            self._writer.add_custom_scalars({"validation": layout})
        self._bar = tqdm(
            total=total_steps, initial=first_step, desc=label, unit="step", mininterval=1.0
        )
        self._start = time.monotonic()
        self._seconds_waited = 0.0

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._file.close()
        self._writer.close()

    def waited(self, seconds: float) -> None:
        """The loop has waited for a batch; rows and bar tell the share of the time so far."""
        self._seconds_waited += seconds

    def advance(self, loss: float) -> None:
        """One step is done."""
        self._bar.set_postfix(loss=f"{loss:.3f}", stall=f"{self._stall:.0%}", refresh=False)
        self._bar.update()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log named numbers at a step; a name like ``loss/video`` is grouped under ``loss``."""
        seconds = round(time.monotonic() - self._start, 3)
        row = {"step": step, "seconds": seconds, "stall": round(self._stall, 3), **values}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    @property
    def _stall(self) -> float:
        return self._seconds_waited / max(time.monotonic() - self._start, 1e-9)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Log a picture, (H, W, 3) uint8."""
        self._writer.add_image(name, image, step, dataformats="HWC")

    def say(self, message: str) -> None:
        """A line above the progress bar."""
        self._bar.write(message, file=sys.stderr)


class NoLog(RunLog):
    """Of all processes of a training but the first: tells nothing."""

    def __init__(self) -> None:
        pass

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    __exit__ = waited = advance = scalars = image = say = _nothing


def _drop_rows_from(path: Path, first_step: int) -> None:
    """Keep only the rows before ``first_step``; a half-written last row goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] < first_step:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError):
            break
    durable.write_text(path, "".join(kept))
