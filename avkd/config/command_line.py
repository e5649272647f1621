"""The command line that gives a config again, for what is written about a run.

Knows dataclasses only; the inverse of `load.parse` for flat configs.
"""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any


def command_of(verb: str, config: Any) -> str:
    """The shell-quoted command of a flat config; settings at their default are left out.

    Made from the config and not from what was typed, so it is whole where a file of settings was
    given, and true where no command was typed at all.
    """
    words = ["avkd", verb]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            words += _flag(field.name, value)
    return shlex.join(words)


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, tuple):
        texts = [str(item) for item in value]
        # What begins like a flag or a list is said in a form of which that is no beginning.
        if any(text.startswith(("-", "[")) for text in texts):
            return [f"--{name}=[{', '.join(_quoted(text) for text in texts)}]"]
        return [f"--{name}", *texts]
    if value is None or isinstance(value, bool):
        return [f"--{name}", {None: "null", True: "true", False: "false"}[value]]
    return [f"--{name}={value}"] if str(value).startswith("-") else [f"--{name}", str(value)]


def _quoted(text: str) -> str:
    """A text of YAML in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
