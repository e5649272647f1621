"""Tables that come with a dataset as JSON. Knows nothing of what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: not such a file, or nested without end; names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # broken JSON, broken UTF-8, a million brackets
        raise ValueError(f"{path}: not JSON ({error}); download it again") from error


def read_object(path: Path) -> dict[str, Any]:
    """What a JSON file holds, if it is one object with names in it.

    Raises:
        ValueError: not such a file; names it.
    """
    table = read_json(path)
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{path}: not a table by name; download it again")
    return table
