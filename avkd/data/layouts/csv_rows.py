"""Rows of a table that comes with a dataset, each with its line number for the error message."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a comma-separated file with a header, as (line number, values of ``columns``).

    Raises:
        ValueError: not such a file, or without one of the columns; names the file and the line.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            missing = sorted(set(columns) - set(reader.fieldnames or ()))
            if missing:
                raise ValueError(f"the column {missing[0]!r} is missing")
            for row in reader:
                if any(row[column] is None for column in columns):
                    raise ValueError("fewer values than columns")
                yield reader.line_num, {column: row[column] for column in columns}
        except (csv.Error, ValueError) as error:  # broken UTF-8 is a ValueError
            where = f"{path}, line {reader.line_num}"
            raise ValueError(f"{where}: {error}; download the file again") from error
