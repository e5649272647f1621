"""What a prepared corpus says of itself: its settings, and what became of every file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from avkd.data.crops.journal import read_journal

SETTINGS_NAME = "prepare.json"
INPUTS_NAME = "inputs.jsonl"
OLDER_SETTINGS = {"crop_margin": 1.0}
"""What corpora older than a setting were made with."""


def source_root(out: Path) -> Path:
    """Folder of the videos a corpus was prepared from.

    Raises:
        FileNotFoundError: ``out`` is no prepared corpus.
    """
    return Path(_read_description(out)["source_root"])


def read_settings(out: Path) -> dict[str, Any]:
    """What made the crops of a corpus, as `PrepareSettings` has it.

    Raises:
        FileNotFoundError: ``out`` is no prepared corpus.
    """
    return {**OLDER_SETTINGS, **_read_description(out)["settings"]}


def face_detector(out: Path) -> str:
    """Where the faces of a corpus came from: ``mtcnn``, ``boxes`` or ``none``.

    Raises:
        FileNotFoundError: ``out`` is no prepared corpus.
    """
    return str(read_settings(out)["detector"])


def _read_description(out: Path) -> dict[str, Any]:
    path = out / SETTINGS_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{out}: no prepared corpus here; run `avkd prepare` first")
    description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return description


def read_report(out: Path) -> dict[str, dict[str, Any]]:
    """The last row of every file in the reports of all parts, by sample id."""
    reports = sorted(out.glob("*report.jsonl"))
    return {row["sample_id"]: row for report in reports for row in read_journal(report)}


def read_failures(out: Path) -> dict[str, tuple[str, str]]:
    """Code and message of every file that could not be prepared, by sample id."""
    rows = read_report(out).values()
    return {
        row["sample_id"]: (row["status"], row["message"]) for row in rows if row["status"] != "ok"
    }


def read_nuisance(out: Path) -> dict[str, dict[str, Any]]:
    """The nuisance facts of every file that has them, by sample id; of older corpora, of none."""
    rows = read_report(out).values()
    return {row["sample_id"]: row["nuisance"] for row in rows if "nuisance" in row}
