"""A corpus with what its files turned out to be, and the rows that checks of it give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from avkd.data.manifest import FAKE, REAL, Manifest, Sample, Split
from avkd.doctor.file_facts import MediaFacts

Level = Literal["error", "warning", "note", "ok"]

SIDES: tuple[Split, ...] = get_args(Split)
CLASS_NAMES = {REAL: "real", FAKE: "fake"}


@dataclass(frozen=True)
class Finding:
    """One row: what a check found."""

    level: Level
    code: str
    message: str
    files: tuple[str, ...] = ()
    """All that are concerned, with what is wrong where they differ."""
    cure: str = ""
    count: int = 0


@dataclass(frozen=True)
class Examined:
    """A corpus and what is known of its files."""

    layout: str
    manifest: Manifest
    facts: Mapping[str, MediaFacts]
    """By sample id; files that were not opened are absent."""
    digests: Mapping[str, str]
    """Of files that may have an equal, by sample id."""

    @property
    def usable(self) -> list[Sample]:
        """Samples but for those whose file turned out to be of no use."""
        return [
            sample
            for sample in self.manifest.samples
            if sample.sample_id not in self.facts or not self.facts[sample.sample_id].problem
        ]

    def facts_by_class(self) -> dict[tuple[Split | None, int], list[MediaFacts]]:
        """Of the usable files that were opened, by side and label."""
        groups: dict[tuple[Split | None, int], list[MediaFacts]] = defaultdict(list)
        for sample in self.usable:
            if sample.sample_id in self.facts:
                groups[sample.split, sample.label].append(self.facts[sample.sample_id])
        return groups
