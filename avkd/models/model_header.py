"""What a model file says beside its weights, and how untrusted text becomes that.

Which kinds there are, and whether the arguments build a network, is checked by ``model_file.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from avkd.models.decision import DecisionRule
from avkd.models.weights import ModelFileError

FORMAT_VERSION = 2
_FIELDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("kind", "sha256"), (str, "a string")),
    **dict.fromkeys(("arguments", "preprocessing", "provenance"), (dict, "a mapping")),
}
Input = TypeVar("Input")


@dataclass(frozen=True, kw_only=True)
class ModelHeader:
    """Everything a model file says beside its weights."""

    format_version: int = FORMAT_VERSION
    """Version of this layout."""
    kind: str
    """Which network this is, a key of ``model_file.BUILDERS``."""
    arguments: Mapping[str, Any]
    """Keyword arguments that rebuild it."""
    preprocessing: Mapping[str, Any]
    """What was done to the inputs in training, and must be done again."""
    provenance: Mapping[str, Any]
    """Where the weights come from."""
    decision: DecisionRule | None
    """Calibration and threshold; None for networks that do not decide, or not yet."""
    sha256: str = ""
    """Digest of all the above and of every tensor."""

    @property
    def fingerprint(self) -> str:
        """The digest as reports give it: its first 16 digits."""
        return self.sha256[:16]

    def input_of(self, read: Callable[[Mapping[str, Any]], Input], source: Path) -> Input:
        """What the network looks at, as ``read`` understands the preprocessing.

        Raises:
            ModelFileError: ``read`` refuses it (ValueError): the network was trained on other
                inputs than it would be given now.
        """
        try:
            return read(self.preprocessing)
        except ValueError as error:
            raise ModelFileError(f"{source}: {error}") from error

    def as_json(self) -> dict[str, Any]:
        """Plain values, as stored."""
        decision = None if self.decision is None else self.decision.as_json()
        return {**vars(self), "decision": decision}


def parse_header(values: Mapping[str, Any], *, source: str) -> ModelHeader:
    """Read untrusted ``values`` as a header; ``source`` names the file in messages.

    Raises:
        ModelFileError: another format version, a field that is missing or of the wrong type, or a
            decision rule that cannot decide.
    """
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{source}: format version {version!r}, this avkd reads {FORMAT_VERSION}; use the avkd "
            "that wrote it, or train again"
        )
    fields: dict[str, Any] = {}
    for name, (kind, what) in _FIELDS.items():
        fields[name] = values.get(name)
        if not isinstance(fields[name], kind):
            raise ModelFileError(f"{source}: header field {name!r} is missing or not {what}")
    decision = values.get("decision")
    try:
        rule = None if decision is None else DecisionRule.from_json(decision)
    except ValueError as error:
        raise ModelFileError(f"{source}: {error}") from error
    return ModelHeader(decision=rule, **fields)
