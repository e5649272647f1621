"""What `avkd doctor` found: a table for a screen of 100 columns, and JSON with all names."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avkd.data.manifest import FAKE, REAL
from avkd.doctor.shortcuts import PROPERTIES, distribution, separation, summary
from avkd.doctor.soundness import CLASS_NAMES, SPLITS, Examined, Finding
from avkd.outcome import printable

_FORMAT = "avkd-doctor-1"
_WIDTH = 100
_FILES_SHOWN = 3


@dataclass(frozen=True)
class Report:
    """One corpus and what is to be said of it."""

    source: str
    read: str
    """How far its files were read."""
    corpus: Examined
    findings: Sequence[Finding]
    verdict: str

    def as_text(self) -> str:
        """The table; nothing in it but printable characters, whatever the files are called."""
        manifest = self.corpus.manifest
        counts = Counter(finding.level for finding in self.findings)
        total = ", ".join(
            f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}"
            for level in ("error", "warning", "note")
            if counts[level]
        )
        head = f"{self.source}: layout {self.corpus.layout}, {len(manifest)} files"
        how = "names only" if self.read == "names" else f"read: {self.read}"
        blocks = [
            *_wrapped("", f"{head} ({how})"),
            "",
            *self._properties(),
            *(line for finding in self.findings for line in _row(finding)),
            "",
            self.verdict + (f": {total}" if total else ""),
        ]
        return "\n".join(printable(line) for line in blocks)

    def as_json(self) -> dict[str, Any]:
        """All of it, with every file's name, distributions and separations."""
        groups = self.corpus.facts_by_class()
        areas = {
            kind.name: {
                split: separation(
                    kind, groups.get((split, REAL), []), groups.get((split, FAKE), [])
                )
                for split in SPLITS
            }
            for kind in PROPERTIES
        }
        return {
            "format": _FORMAT,
            "source": self.source,
            "layout": self.corpus.layout,
            "read": self.read,
            "verdict": self.verdict,
            "num_files": len(self.corpus.manifest),
            "findings": [asdict(finding) for finding in self.findings],
            "properties": {
                kind.name: {
                    f"{split or 'no split'} {CLASS_NAMES[label]}": distribution(kind, files)
                    for (split, label), files in groups.items()
                }
                for kind in PROPERTIES
            },
            "separation_auc": {
                name: {split: round(found.auc, 4) for split, found in by_split.items() if found}
                for name, by_split in areas.items()
            },
        }

    def _properties(self) -> list[str]:
        """What the files of each class in each split mostly are."""
        groups = self.corpus.facts_by_class()
        if not groups:
            return []
        rows = [("split", "class", "files", *(kind.name for kind in PROPERTIES))]
        for split in (*SPLITS, None):
            for label, name in CLASS_NAMES.items():
                if files := groups.get((split, label)):
                    values = (summary(kind, files) for kind in PROPERTIES)
                    rows.append((split or "-", name, str(len(files)), *values))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return [*(line[:_WIDTH] for line in lines), ""]


def _row(finding: Finding) -> list[str]:
    count = f" ({finding.count})" if finding.count else ""
    lines = _wrapped(f"{finding.level:<8} ", f"{finding.code}{count}: {finding.message}")
    shown = list(finding.files[:_FILES_SHOWN])
    if len(finding.files) > _FILES_SHOWN:
        shown.append(f"... and {len(finding.files) - _FILES_SHOWN} more")
    for text in shown:
        lines += _wrapped(" " * 11, text)
    if finding.cure:
        lines += _wrapped(" " * 9 + "> ", finding.cure)
    return lines


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    ) or [start]
