"""Tables and lists that come with a dataset: CSV, JSON, plain text; every error names the line."""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from avkd.data import inventory


def broken(where: Path | str, what: str) -> ValueError:
    """The error for a file, or a part of it, that is not as its authors wrote it."""
    return ValueError(f"{where}: {what}; download it again")


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a comma-separated file with a header, as (line number, values of ``columns``).

    Raises:
        ValueError: not such a file, or without one of the columns.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            if missing := sorted(set(columns) - set(reader.fieldnames or ())):
                raise ValueError(f"the column {missing[0]!r} is missing")
            for row in reader:
                if any(row[column] is None for column in columns):
                    raise ValueError("fewer values than columns")
                yield reader.line_num, {column: row[column] for column in columns}
        except (csv.Error, ValueError) as error:  # broken UTF-8 is a ValueError
            raise broken(f"{path}, line {reader.line_num}", str(error)) from error


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: not such a file, or nested without end.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # broken JSON, broken UTF-8, a million brackets
        raise broken(path, f"not JSON ({error})") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """What a JSON file holds, if it is one object with names in it.

    Raises:
        ValueError: not such a file.
    """
    table = read_json(path)
    if not isinstance(table, dict) or not table:
        raise broken(path, "not a mapping by name")
    return table


def read_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        ValueError: not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise broken(path, f"not a text file ({error})") from error


def read_video_list(path: Path) -> list[str]:
    """Names of the listed videos, without suffix, in their order.

    One video a line, its name first; what follows after a blank or a comma is not read: labels in
    such lists count either way. An empty line and a header ``filename`` are passed over.

    Raises:
        ValueError: no such file, not a text, or a video listed twice.
    """
    if not path.is_file():
        raise ValueError(f"video_list: {path} is not a file; give the path of the list")
    names: dict[str, None] = {}
    for number, line in enumerate(read_lines(path), 1):
        first = [*line.replace(",", " ").split(), ""][0].replace("\\", "/")
        name = inventory.stem_of(first)
        if not name or (number == 1 and name == "filename"):
            continue
        if name in names:
            raise ValueError(f"{path}, line {number}: {name!r} is listed a second time")
        names[name] = None
    return list(names)


def choose_listed(path: Path, there: Collection[str]) -> tuple[list[str], list[str]]:
    """Those of the videos that an evaluation list names, and notes on list and videos.

    Raises:
        ValueError: a broken list, or none of its videos is there.
    """
    listed = read_video_list(path)
    missing = set(listed) - set(there)
    if len(missing) == len(listed):
        raise ValueError(
            f"{path}: none of its {len(listed)} videos is here, first {sorted(missing)[:1]}; it "
            "lists another dataset, or names them in another way"
        )
    chosen = set(listed) - missing
    notes = [
        f"evaluation list {path.name}: {len(chosen)} of {len(listed)} listed videos are here; "
        f"{len(there) - len(chosen)} others left out",
        *inventory.note_names("listed but missing", missing),
    ]
    return [name for name in there if name in chosen], notes
