"""What made the crops of prepared corpora, as it stands at the head of their scores.

Reads ``prepare.json`` only. A perturbation stands apart from the other settings: a perturbed corpus
is cropped like its clean twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avkd import durable
from avkd.data.prepare import read_settings


@dataclass(frozen=True)
class CropProvenance:
    """What made the crops."""

    fingerprint: str
    """Digest of the settings but the perturbation."""
    text: str
    """The same settings in words."""
    perturbation: str
    """What was done to the frames; empty = nothing."""

    @classmethod
    def of(cls, folders: Iterable[Path]) -> CropProvenance:
        """Of the crops of several corpora; what they share is said once.

        Raises:
            FileNotFoundError: a folder is no prepared corpus.
        """
        found = [cls._of_settings(read_settings(folder)) for folder in folders]
        return cls(
            fingerprint=_once(one.fingerprint for one in found),
            text=_once(one.text for one in found),
            perturbation=_once(one.perturbation for one in found),
        )

    @classmethod
    def _of_settings(cls, settings: Mapping[str, Any]) -> CropProvenance:
        crops = {name: value for name, value in settings.items() if name != "perturbation"}
        return cls(
            fingerprint=durable.fingerprint(crops),
            text=_in_words(crops),
            perturbation=_in_words(settings.get("perturbation") or {}),
        )


def _once(texts: Iterable[str]) -> str:
    """Each text once; what was not perturbed says so beside what was."""
    every = dict.fromkeys(texts)
    return "; ".join(text or "none" for text in every) if len(every) > 1 else "".join(every)


def _in_words(settings: Any) -> str:
    if not isinstance(settings, Mapping):
        return str(settings)
    return ", ".join(f"{name} {value}" for name, value in settings.items())
