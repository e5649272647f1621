"""A pool that outlives its workers: one item in flight per child, so a bad item costs only itself.

A child that crashes, is killed or runs out of time is replaced; its item is tried again, then set
aside. (concurrent.futures loses all queued items to one crash; Ray retries a killer for ever.)
"""

import importlib
import logging
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import repeat
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Self, TypeVar

from avkd.outcome import Bug

Item = TypeVar("Item")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)
_STOP_SECONDS = 5.0
CODES_OF_FILES = {"error": "internal_error", "crashed": "decoder_crashed", "timeout": "timeout"}
"""What reports call the outcome of a file that was set aside."""
# Windows knows only children that begin from nothing.
_START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@dataclass(frozen=True)
class Reply(Generic[Item, Result]):
    """What the workers answer about one item; exactly one for each."""

    item: Item
    status: str
    """``ok``, ``error`` (it raised), ``crashed`` or ``timeout`` (set aside after all tries)."""
    result: Result | None
    message: str
    seconds: float
    """Wall time of the last try."""
    traceback: str = ""
    """Where an ``error`` came from, unless it is an answer about the item (`ValueError`,
    `OSError`) or memory ran out; else empty."""
    error: Exception | None = None
    """What an ``error`` raised, where that is an answer."""


@dataclass(frozen=True)
class Imported:
    """A function ``module:name`` that the children import, so that their parent stays light."""

    reference: str
    first: tuple[Any, ...] = ()
    """Its leading arguments; the item comes last."""

    @property
    def module(self) -> str:
        """Where it lives."""
        return self.reference.partition(":")[0]

    def __call__(self, item: Any) -> Any:
        """Call it."""
        name = self.reference.partition(":")[2]
        return getattr(importlib.import_module(self.module), name)(*self.first, item)


class Workers(Generic[Item, Result]):
    """Child processes that stay for one `run` after the other; a context manager.

    The function is a module-level callable (children are started fresh and import it), or an
    `Imported` one; an exception is an answer, ``error``, and not tried again. Of at most ``most``
    children each is started when there is an item for it.
    """

    def __init__(self, function: Callable[[Item], Result], most: int) -> None:
        assert most > 0
        self._function, self._most = function, most
        self._children: list[_Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.stop()

    def run(
        self,
        items: Iterable[Item],
        *,
        timeout_seconds: float,
        tries: int = 2,
        some_worked: bool = False,
    ) -> Iterator[Reply[Item, Result]]:
        """Apply the function to every item in the children; yields outcomes as they come.

        Args:
            items: Picklable; taken lazily, at most one for each child ahead.
            timeout_seconds: Wall-clock limit for one try of one item; then the child is killed.
            tries: How often an item that crashed its child or ran out of time is tried in all.
            some_worked: Whether other items went well before these: a failure is then an item's
                own.

        Raises:
            Bug: every single item ended in a traceback, so it is not the items; raised after the
                last of them was yielded.
        """
        assert tries > 0 and timeout_seconds > 0
        first_tries = zip(items, repeat(1))
        again: deque[tuple[Item, int]] = deque()
        num_items = num_bugs = 0
        first_bug = ""
        while True:
            while len(busy := [child for child in self._children if child.busy]) < self._most:
                job = again.popleft() if again else next(first_tries, None)
                if job is None:
                    break
                child = next((child for child in self._children if not child.busy), None)
                if child is None:
                    child = _Child(self._function)
                    self._children.append(child)
                child.start(*job)
            if not busy:
                break
            for outcome in _collect(busy, again, timeout_seconds, tries):
                num_items += 1
                num_bugs += bool(outcome.traceback)
                first_bug = first_bug or outcome.traceback
                yield outcome
        if num_bugs and num_bugs == num_items and not some_worked:
            raise Bug(
                f"all {num_items} item(s) failed in our own code, so it is not the files; please "
                "report this, with the versions of python, torch and av. The first one:\n"
                f"{first_bug}"
            )


def _collect(
    busy: "list[_Child]", again: deque[tuple[Any, int]], timeout_seconds: float, tries: int
) -> Iterator[Reply[Any, Any]]:
    """Wait until some child has answered, died or run out of time, and settle those."""
    nearest = min(child.started for child in busy) + timeout_seconds - time.monotonic()
    ready = wait([child.connection for child in busy], timeout=max(0.0, nearest))
    for child in busy:
        seconds = time.monotonic() - child.started
        if child.connection in ready:
            answer = child.answer()
            if answer is not None:
                child.busy = False
                yield replace(answer, item=child.item, seconds=seconds)
                continue
            status, message = "crashed", f"the worker died (exit code {child.exit_code()})"
        elif seconds >= timeout_seconds:
            status, message = "timeout", f"no answer within {timeout_seconds:g} seconds"
        else:
            continue
        child.replace()
        if child.tries < tries:
            _log.warning("%s; trying again: %s", message, child.item)
            again.append((child.item, child.tries + 1))
        else:
            yield Reply(child.item, status, None, f"{message}, tried {tries} times", seconds)


class _Child:
    """One child process and the item it works on."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.item: Any = None
        self.busy = False
        self.tries = 0
        self.started = 0.0
        self._launch()

    def _launch(self) -> None:
        # Not forked from this process, which may hold threads of torch and would deadlock, but from
        # a server that was started fresh and has imported the function once for all children.
        context: Any = multiprocessing.get_context(_START_METHOD)
        if _START_METHOD == "forkserver":
            function = getattr(self._function, "func", self._function)  # "func": of a partial
            module = getattr(function, "module", None) or function.__module__
            context.set_forkserver_preload([module])
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(self._function, theirs), daemon=True
        )
        with _no_imports_from_here():
            self._process.start()
        theirs.close()

    def start(self, item: Any, number_of_try: int) -> None:
        """Hand over an item."""
        self.item, self.tries, self.busy = item, number_of_try, True
        self.started = time.monotonic()
        with suppress(OSError):  # it died while idle: the next wait sees the closed pipe
            self.connection.send(item)

    def answer(self) -> Reply[Any, Any] | None:
        """The child's answer; None when it died instead."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def replace(self) -> None:
        """Kill the process and start a new one, which is idle."""
        self._process.kill()
        self._process.join()
        self.connection.close()
        self._launch()
        self.busy = False

    def exit_code(self) -> int | None:
        """Of the dead process; negative = killed by that signal."""
        self._process.join(_STOP_SECONDS)
        return self._process.exitcode

    def stop(self) -> None:
        """End the process: by itself when idle, by force when not."""
        if self.busy:
            self._process.kill()
        self.connection.close()
        self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def _no_imports_from_here() -> Iterator[None]:
    """What is started imports nothing from the current folder, which may hold a numpy.py.

    The server of children is `python -c`, which looks there first; people judge files of strangers
    in the folder where these lie.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    """The child: answer items until the pipe is closed."""
    with suppress(ImportError):  # Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_answered(function, item))


def _answered(function: Callable[[Any], Any], item: Any) -> Reply[Any, Any]:
    """What became of an item, without the item."""
    try:
        return Reply(None, "ok", function(item), "", 0.0)
    except Exception as error:  # the one place whose purpose is to contain any failure
        text = str(error)  # torch's, on the CPU and on a GPU, are no `MemoryError`
        is_torch = isinstance(error, RuntimeError) and "allocate" in text and "memory" in text
        if is_torch or isinstance(error, MemoryError):
            return Reply(None, "error", None, "MemoryError: not enough memory for this item", 0.0)
        is_answer = isinstance(error, ValueError | OSError)
        trace = ""
        if not is_answer:
            _log.exception("item failed")
            trace = traceback.format_exc()
        message = f"{type(error).__name__}: {error}"
        return Reply(None, "error", None, message, 0.0, trace, error if is_answer else None)
