"""The file of verdicts: a row as soon as there is one, and after a kill it goes on from there."""

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avkd.inference.verdict import CSV_COLUMNS, Verdict, csv_row
from avkd.outcome import printable
from avkd.reporting.tables import csv_line, from_csv_cell

_OF_PART = re.compile(r"\.part-[0-9]+-of-[0-9]+$")


class VerdictLog:
    """Rows on disk: JSON lines, or a table if the name ends in ``.csv``.

    A row is written whole and synced; one that a kill cut off is dropped when the file is resumed.
    """

    def __init__(
        self,
        path: Path,
        descriptor: int,
        decisions: dict[str, str],
        elsewhere: frozenset[str] = frozenset(),
    ) -> None:
        self._is_table = path.suffix.lower() == ".csv"
        self._descriptor = descriptor
        self._decisions = decisions
        self._elsewhere = elsewhere
        if self._is_table and not os.fstat(descriptor).st_size:
            self._write(csv_line(CSV_COLUMNS))

    @property
    def decisions(self) -> Counter[str]:
        """How many files have which decision."""
        return Counter(self._decisions.values())

    def holds(self, file: str) -> bool:
        """Whether a file has its row, here or in the log of another part."""
        return self._key(file) in self._decisions or self._key(file) in self._elsewhere

    def add(self, verdict: Verdict) -> None:
        """Write a row.

        Raises:
            OSError: the disk is full, or the file is gone.
        """
        line = csv_line(csv_row(verdict)) if self._is_table else verdict.to_json() + "\n"
        self._write(line)
        self._decisions[self._key(verdict.file)] = verdict.decision

    def _key(self, file: str) -> str:
        return printable(file) if self._is_table else file

    def _write(self, line: str) -> None:
        content = line.encode("utf-8")
        while content:
            content = content[os.write(self._descriptor, content) :]
        os.fsync(self._descriptor)


@contextmanager
def opened(path: Path, *, resume: bool, fingerprint: str) -> Iterator[VerdictLog]:
    """Open the file of verdicts for adding rows; without ``resume`` it begins anew.

    Args:
        path: The file (`of_part`); its folder is made.
        resume: Keep the rows that are there, and heed those of the other parts.
        fingerprint: Of the model that judges.

    Raises:
        ValueError: the rows that are there are no verdicts, or another model's.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o644)
    try:
        size, decisions = _kept(path, fingerprint) if resume else (0, {})
        others = [other for other in _all_parts(path) if resume and other != path]
        elsewhere = frozenset(file for other in others for file in _kept(other, fingerprint)[1])
        os.truncate(descriptor, size)
        os.lseek(descriptor, 0, os.SEEK_END)
        yield VerdictLog(path, descriptor, decisions, elsewhere)
    finally:
        os.close(descriptor)


def of_part(path: Path, index: int, count: int) -> Path:
    """Where the verdicts of the ``index``-th of ``count`` parts are written beside ``path``."""
    part = "" if count == 1 else f".part-{index}-of-{count}"
    return path.with_name(f"{path.stem}{part}{path.suffix}")


def _all_parts(path: Path) -> list[Path]:
    """The whole's file and those of parts, as far as they are there."""
    whole = _OF_PART.sub("", path.stem)
    return [
        other
        for other in sorted(path.parent.iterdir())
        if other.suffix == path.suffix and _OF_PART.sub("", other.stem) == whole
    ]


def _kept(path: Path, fingerprint: str) -> tuple[int, dict[str, str]]:
    """Bytes of whole rows, and the decision of each file in them."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    read = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
    try:
        rows = list(read(whole.decode("utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not verdicts of avkd predict ({error}); give another --out, or leave out "
            "--resume to write it anew"
        ) from error
    others = {model for _, _, model in rows} - {fingerprint, ""}
    if others:
        raise ValueError(
            f"{path}: its verdicts are of the model {min(others)}, this one is {fingerprint}; give "
            "another --out"
        )
    return len(whole), {file: decision for file, decision, _ in rows}


def _json_rows(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        row = json.loads(line)
        yield row["file"], row["decision"], row["model_fingerprint"]


def _csv_rows(text: str) -> Iterator[tuple[str, str, str]]:
    for row in csv.DictReader(io.StringIO(text, newline="")):
        label = row["label"] or "cannot_tell"
        yield from_csv_cell(row["file"]), label, row["model"] or ""
