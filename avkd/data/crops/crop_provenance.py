"""What made the crops of prepared corpora, as it stands at the head of their scores.

A perturbation stands apart from the other settings: a perturbed corpus
is cropped like its clean twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avkd import durable
from avkd.data.crops.prepared_corpus import read_settings


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
        found = [read_settings(folder) for folder in folders]
        perturbations = [settings.pop("perturbation", None) or {} for settings in found]
        return cls(
            fingerprint=_once(map(durable.fingerprint, found)),
            text=_once(map(_in_words, found)),
            perturbation=_once(map(_in_words, perturbations)),
        )


def _once(texts: Iterable[str]) -> str:
    """Each text once; what was not perturbed says so beside what was."""
    every = dict.fromkeys(texts)
    return "; ".join(text or "none" for text in every) if len(every) > 1 else "".join(every)


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
