"""How a verb ends: its exit code, what it says, and the errors that are no bug of ours.

Imports nothing heavy, so that a verb which needs no torch does not wait for it.
"""

import enum
from dataclasses import dataclass


class ExitCode(enum.IntEnum):
    """What the process tells its caller."""

    DONE = 0
    BUG = 1
    USER_MISTAKE = 2
    SOME_SKIPPED = 3
    NOTHING_USABLE = 4
    MODEL_REFUSED = 5
    NO_RESOURCES = 6
    INTERRUPTED = 130
    TOLD_TO_SAVE = 138
    READER_GONE = 141
    TERMINATED = 143


@dataclass(frozen=True)
class Outcome:
    """How a verb ended: the text to show and the exit code."""

    text: str
    exit_code: ExitCode = ExitCode.DONE


class Bug(RuntimeError):
    """Something only a change of our code can mend; the message ends with a traceback."""


class ModelRefused(ValueError):
    """A model file that is not used; the message names it and the cure."""


class ResourceError(RuntimeError):
    """The machine lacks what was asked for (GPU, disk, memory); the message says what to do."""


class Stopped(Exception):
    """A signal asked to stop and the state is saved; carries the exit code."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def printable(text: str) -> str:
    """``text`` on one line with whatever could steer a terminal shown as an escape.

    Control characters, newlines, right-to-left overrides and undecodable bytes of file names.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
