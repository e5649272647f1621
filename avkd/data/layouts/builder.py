"""What every layout does the same way: make samples, count them, note what is missing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Kind, Manifest, Sample, Split

METHOD_NOT_TOLD = "fake"


def make_sample(
    path: str,
    *,
    dataset: str,
    label: int,
    name: str | None = None,
    method: str = METHOD_NOT_TOLD,
    kind: Kind = "video",
    identities: Iterable[str] = (),
    split: Split | None = None,
    original: str | None = None,
) -> Sample:
    """A sample named as all are named: ``<dataset>/<method>/<name>``, in plain ASCII.

    ``path`` is below the root and the ``name`` unless one is given. The method has no effect on
    real ones. ``identities`` are who is seen in it, each with the dataset or list that names people
    so. ``original`` names the real sample a forgery was made from; `build` forgets it if there is
    no such sample.
    """
    method = method if label == FAKE else REAL_METHOD
    has_original = label == FAKE and original is not None
    return Sample(
        sample_id=_sample_id(dataset, method, path if name is None else name),
        path=path,
        kind=kind,
        label=label,
        dataset=dataset,
        method=method,
        identities=tuple(map(inventory.plain_id, identities)),
        split=split,
        source_id=_sample_id(dataset, REAL_METHOD, original or "") if has_original else None,
    )


def _sample_id(dataset: str, method: str, name: str) -> str:
    return f"{dataset}/{inventory.plain_id(method)}/{inventory.plain_id(name)}"


def build(root: Path, samples: Iterable[Sample], notes: Iterable[str]) -> Manifest:
    """The manifest of a dataset: sources that are not there forgotten, every split counted."""
    samples = tuple(samples)
    real = {sample.sample_id for sample in samples if sample.label == REAL}
    samples = tuple(
        sample
        if sample.source_id is None or sample.source_id in real
        else replace(sample, source_id=None)
        for sample in samples
    )
    found = count(samples)
    splits = (
        f"{split}: {found[f'{split} real']} real, {found[f'{split} fake']} fake"
        for split in get_args(Split)
    )
    return Manifest(root=root, samples=samples, notes=(*notes, *splits))


def count(samples: Iterable[Sample]) -> Counter[str]:
    """Number of ``files``, by class, method and split (``fake``, ``Deepfakes``, ``val``) and by two
    of them (``val fake``, ``val Deepfakes``)."""
    found: Counter[str] = Counter()
    for sample in samples:
        kinds = {sample.method, "fake" if sample.label == FAKE else "real"}
        found.update({"files", str(sample.split)} | kinds | {f"{sample.split} {k}" for k in kinds})
    return found


def compare_counts(found: Mapping[str, int], official: Mapping[str, int]) -> list[str]:
    """A note for each number of the official inventory."""
    return [inventory.compare(what, found[what], number) for what, number in official.items()]


def compare_with_table(
    where: Path | str, there: Collection[str], listed: Collection[str]
) -> list[str]:
    """Notes on files that are not listed, and on listed ones that are not there.

    Raises:
        ValueError: there are files and rows, but they have no name in common.
    """
    missing, unknown = set(listed) - set(there), set(there) - set(listed)
    if len(unknown) == len(there):
        raise ValueError(
            f"{where}: {len(there)} files and {len(listed)} rows, but no file is called like a "
            f"row such as {min(missing, default='none')!r}; download both again"
        )
    return [
        *inventory.note_names("left out, listed but missing", missing),
        *inventory.note_names("left out, without a row, so of unknown label", unknown),
    ]


def by_name(
    root: Path, paths: Iterable[str], name_of: Callable[[str], str] = inventory.stem_of
) -> dict[str, str]:
    """Each path by the name of its video.

    Raises:
        ValueError: two paths of one name.
    """
    path_of: dict[str, str] = {}
    for path in paths:
        other = path_of.setdefault(name_of(path), path)
        if other != path:
            raise ValueError(f"{root}: {other!r} and {path!r} are the same video; keep one")
    return path_of


def fractions_in_place_of(
    given_split: str, val_fraction: float | None, test_fraction: float | None, seed: int | None
) -> dict[Split, float] | None:
    """Shares of a split that takes the place of the ``given_split``; None = that one stays.

    Raises:
        ValueError: one share without the other, or a seed without effect.
    """
    if val_fraction is None and test_fraction is None:
        if seed is not None:
            raise ValueError(
                f"seed has no effect on {given_split}; remove it, or give val_fraction and "
                "test_fraction"
            )
        return None
    if val_fraction is None or test_fraction is None:
        raise ValueError(f"give val_fraction and test_fraction, or neither for {given_split}")
    return {"val": val_fraction, "test": test_fraction}
