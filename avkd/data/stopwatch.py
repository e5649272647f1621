"""Where the time of judging a file goes: each moment counts for the innermost step it lies in."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

Step = Literal["import", "decoding", "colours", "detection", "alignment", "network", "rest"]
Item = TypeVar("Item")

_running: "list[Stopwatch]" = []


class Stopwatch:
    """Counts seconds of a clock while it is entered; one at a time and process.

    `time.process_time` counts those of the processor.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """By step; what lies in none is ``rest``."""
        self._clock = clock
        self._step: Step = "rest"
        self._since = 0.0

    def __enter__(self) -> "Stopwatch":
        self._since = self._clock()
        _running.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.enter("rest")
        _running.remove(self)

    def enter(self, step: Step) -> Step:
        """Count for ``step`` from now on; returns the one before."""
        now = self._clock()
        self.seconds[self._step] += now - self._since
        self._since, before, self._step = now, self._step, step
        return before


@contextmanager
def step(name: Step) -> Iterator[None]:
    """What happens inside is this step; costs nothing to speak of where nobody counts."""
    before = [(watch, watch.enter(name)) for watch in _running]
    try:
        yield
    finally:
        for watch, left in before:
            watch.enter(left)


def making(name: Step, items: Iterable[Item]) -> Iterator[Item]:
    """The items, whose making is this step."""
    iterator = iter(items)
    while True:
        with step(name):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
