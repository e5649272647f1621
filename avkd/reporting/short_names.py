"""Short names for files or folders that a reader must tell apart."""

from __future__ import annotations

from collections.abc import Sequence


def short_names(paths: Sequence[tuple[str, ...]]) -> list[str] | None:
    """The last parts of each path, as many as tell all of them apart, joined by an underscore.

    Args:
        paths: the parts of each; also apart where a file system ignores case.

    Returns:
        A name for each; None where no number of parts tells them apart.
    """
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["_".join(parts[-depth:]) for parts in paths]
        if len({name.casefold() for name in names}) == len(names):
            return names
    return None
