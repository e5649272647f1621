"""Knobs of `avkd doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avkd.config.data_config import Layout, LayoutConfig


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """Say what a dataset tree is, and whether training on it is sound; nothing is changed.

    Exit code 0: sound. 3: sound, with warnings. 4: not sound to train on (a class missing,
    people or content on two sides of the split, the same content with two labels).
    """

    source: Path
    """The dataset as downloaded: its folder, or a manifest file (.jsonl)."""
    layout: Layout | None = None
    """Which folder tree it is; unset = the one that recognises it."""
    options: LayoutConfig = field(default_factory=LayoutConfig)
    """Settings of the layout."""
    read: Literal["names", "headers", "all"] = "headers"
    """Open no file; open each and decode its first picture; or decode everything."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes that open files; a file that takes one down costs only itself."""
    timeout_seconds: float = 60.0
    """A file that takes longer counts as unreadable; with `--read all` long videos need more."""
    json: Path | None = None
    """File to write everything found into, with all names; unset = the table on the screen."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError("workers must be at least 1")
        if self.timeout_seconds <= 0:
            raise ValueError("timeout_seconds must be positive")
        if self.json is not None and self.json.is_dir():
            raise ValueError(f"json={self.json} is a folder; give a file")
