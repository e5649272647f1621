"""Lists of videos that a publication evaluated on, given by the user; none comes with avkd."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from avkd.data import inventory


def read_video_list(path: Path) -> frozenset[str]:
    """Names of the listed videos, without suffix.

    One video a line, its name first; what follows after a blank or a comma is not read: labels in
    such lists count either way. An empty line and a header ``filename`` are passed over.

    Raises:
        ValueError: no such file, not a text, or a video listed twice; names the line.
    """
    if not path.is_file():
        raise ValueError(f"video_list: {path} is not a file; give the path of the list")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        first = [*line.replace(",", " ").split(), ""][0].replace("\\", "/")
        name = inventory.stem_of(first)
        if not name or (number == 1 and name == "filename"):
            continue
        if name in names:
            raise ValueError(f"{path}, line {number}: {name!r} is listed a second time")
        names.add(name)
    return frozenset(names)


def describe_choice(path: Path, listed: Collection[str], there: Collection[str]) -> list[str]:
    """Notes on a list held against the videos that are there.

    Raises:
        ValueError: none of the listed videos is there.
    """
    missing = sorted(set(listed) - set(there))
    kept = len(listed) - len(missing)
    if not kept:
        raise ValueError(
            f"{path}: none of its {len(listed)} videos is here, first {missing[:1]}; it lists "
            "another dataset, or names them in another way"
        )
    notes = [
        f"evaluation list {path.name}: {kept} of {len(listed)} listed videos are here; "
        f"{len(there) - kept} others left out"
    ]
    if missing:
        notes.append(f"listed but missing: {len(missing)}: {inventory.name_some(missing)}")
    return notes
