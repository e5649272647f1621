"""A verb in a process of its own, forked from the server that has imported torch already."""

import multiprocessing
import os
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from avkd import cli

_MOST_SECONDS = 120


def run(arguments: list[str]) -> None:
    sys.exit(cli.main(arguments))


def start(*arguments: object) -> BaseProcess:
    process = multiprocessing.get_context("forkserver").Process(
        target=run, args=([str(word) for word in arguments],)
    )
    process.start()
    return process


def stop_after(process: BaseProcess, folder: Path, rows: int, number: int) -> int | None:
    """Send the signal as soon as so many rows of the run are logged; returns the exit code."""
    log, deadline = folder / "log.jsonl", time.monotonic() + _MOST_SECONDS
    while not log.exists() or log.read_bytes().count(b"\n") < rows:
        assert process.is_alive(), f"ended before the signal, with {process.exitcode}"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid or 0, number)
    process.join(_MOST_SECONDS)
    return process.exitcode
