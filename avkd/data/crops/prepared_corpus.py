"""What a prepared corpus says of itself: its settings, and what became of every file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avkd import durable
from avkd.data.crops.journal import read_journal

SETTINGS_NAME = "prepare.json"
INPUTS_NAME = "inputs.jsonl"
_OLDER_SETTINGS = {"crop_margin": 1.0}
"""What corpora older than a setting were made with."""


def read_description(out: Path) -> dict[str, Any]:
    """What `prepare` wrote of a corpus: ``settings``, ``fingerprint``, ``source_root``, ``counts``.

    Raises:
        FileNotFoundError: ``out`` is no prepared corpus.
    """
    path = out / SETTINGS_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{out}: no prepared corpus here; run `avkd prepare` first")
    description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    description["settings"] = {**_OLDER_SETTINGS, **description["settings"]}
    return description


def read_report(out: Path) -> dict[str, dict[str, Any]]:
    """The last row of every file in the reports of all parts, by sample id."""
    reports = sorted(out.glob("*report.jsonl"))
    return {row["sample_id"]: row for report in reports for row in read_journal(report)}


def read_nuisance(out: Path) -> dict[str, dict[str, Any]]:
    """The nuisance facts of every file that has them, by sample id; of older corpora, of none."""
    rows = read_report(out).items()
    return {sample_id: row["nuisance"] for sample_id, row in rows if "nuisance" in row}


@dataclass(frozen=True)
class CropProvenance:
    """What made the crops of prepared corpora, as it stands at the head of their scores.

    A perturbation stands apart from the other settings: a perturbed corpus is cropped like its
    clean twin.
    """

    fingerprint: str
    """Digest of the settings but the perturbation."""
    text: str
    """The same settings in words."""
    perturbation: str
    """What was done to the frames; empty = nothing."""

    @classmethod
    def of(cls, folders: Iterable[Path]) -> "CropProvenance":
        """Of the crops of several corpora; what they share is said once.

        Raises:
            FileNotFoundError: a folder is no prepared corpus.
        """
        found = [read_description(folder)["settings"] for folder in folders]
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
