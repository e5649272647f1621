"""The models that ship with avkd, by name.

What they were trained on and how far they can be trusted stands in ``starter/card.md``, which
``scripts/make_starter.sh`` writes together with the files.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "starter"
CARD = FOLDER / "card.md"
STARTERS = {
    "starter": FOLDER / "starter.safetensors",
    "starter-fast": FOLDER / "starter_fast.safetensors",
}
DEFAULT = Path("starter")


def is_starter(path: Path) -> bool:
    """Whether ``path`` is the name of a model that ships with avkd, and no file of the user's."""
    return str(path) in STARTERS and not path.exists()


def exported(provenance: Mapping[str, Any]) -> str | None:
    """The name of the model that ships with avkd from which `avkd export` made a file, if any."""
    facts = provenance.get("export")
    name = facts.get("starter") if isinstance(facts, dict) else None
    return name if isinstance(name, str) and name in STARTERS else None


def resolved(path: Path) -> Path:
    """The file behind ``path``: itself, or that of a model that ships with avkd.

    Raises:
        FileNotFoundError: there is no such file; names the models that ship with avkd.
    """
    if is_starter(path):
        return STARTERS[str(path)]
    if not path.exists():
        close = difflib.get_close_matches(str(path), STARTERS, n=1)
        names = ", ".join(STARTERS)
        cure = f"did you mean {close[0]!r}?" if close else f"models that ship: {names}"
        raise FileNotFoundError(f"{path}: no such model file; {cure}")
    return path
