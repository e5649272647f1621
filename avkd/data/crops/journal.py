"""Journals: files of JSON lines that only grow, and lose at most their last line to a kill."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from avkd import durable


def append_journal(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append JSON lines and sync them; a kill in the middle leaves at most one broken line."""
    text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
    with path.open("ab") as file:
        file.write(text.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())


def read_journal(path: Path, *, repair: bool = False) -> list[dict[str, Any]]:
    """Whole lines of a journal, if there is one; a half-written last one is ignored.

    With ``repair`` it is cut off, so that the next append starts on a fresh line.

    Raises:
        ValueError: a line before the last is broken; names file and line.
    """
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if repair and len(whole) < len(content):
        durable.write_bytes(path, whole)
    rows = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: broken ({error}); prepare again") from error
    return rows
