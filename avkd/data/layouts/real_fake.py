"""Any tree sorted into `real` and `fake/<method>` folders, and trees that bring a manifest.

Labels come from the folders' names, never from their order. Knows no dataset by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.layouts.talking_faces import split_groups
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split, label_from_name

MANIFEST_NAME = "manifest.jsonl"
METHOD_NOT_TOLD = "fake"

_SIDES: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_EXPECTED = "real/... and fake/<method>/..., or train, val and test folders with real and fake in"


@dataclass(frozen=True)
class _Place:
    """What the folders around a video say about it."""

    path: str
    label: int
    method: str
    side: Split | None
    identities: tuple[str, ...]


def find(
    root: Path,
    *,
    identity_pattern: str | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    dataset: str = "real_fake",
) -> Manifest:
    """Find the videos of ``real``, ``fake/<method>`` or ``{train,val,test}/{real,fake/<method>}``.

    Folders of the split are taken as they are. Without them whole people are dealt out to the
    sides, and where a forgery shows two, both with everyone they meet in other forgeries. Videos
    nobody is known of are dealt out by file name, which does not keep people apart; a note says
    so. If there is a ``manifest.jsonl``, it alone counts: see `find_listed`.

    Args:
        root: The folder; names in it count in upper and lower case alike.
        identity_pattern: Regular expression with the named group ``identity``, searched in the
            path below ``root``; each match is one person, so that a swap can show two.
        val_fraction: Share of the videos for val, where there are no folders of the split.
        test_fraction: The same for test.
        seed: Chooses who is held out.
        dataset: Name the samples carry.

    Raises:
        ValueError: neither real nor fake found, only some videos in folders of the split, a bad
            pattern or fraction, or too few people for the sides.
    """
    if (root / MANIFEST_NAME).is_file():
        listed = find_listed(root)
        note = f"all taken from {MANIFEST_NAME}; folder names and options do not count"
        return replace(listed, notes=(*listed.notes, note))
    expression = (
        inventory.compiled(identity_pattern, option="identity_pattern", group="identity")
        if identity_pattern is not None
        else None
    )
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    listing = inventory.list_videos(root)
    placed = [_place(path, expression, dataset) for path in listing.videos]
    places = [place for place in placed if place is not None]
    strangers = [path for path, place in zip(listing.videos, placed, strict=True) if place is None]
    if not places:
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    unplaced = [place.path for place in places if place.side is None]
    notes = []
    if len(unplaced) == len(places):
        fractions: dict[Split, float] = {"val": val_fraction, "test": test_fraction}
        places = _deal_out(places, fractions, seed)
        notes.append(f"no split in the folders: dealt out with seed {seed}")
    elif unplaced:
        raise ValueError(
            f"{root}: {len(unplaced)} of {len(places)} videos lie outside the train, val and test "
            f"folders, first {unplaced[0]!r}; move them in, or give one kind of tree"
        )
    samples = tuple(_sample(place, dataset) for place in places)
    notes = [*_describe(samples, strangers), *notes, *listing.notes()]
    return Manifest(root=root, samples=samples, notes=tuple(notes))


def find_listed(root: Path) -> Manifest:
    """Load the ``manifest.jsonl`` in ``root``, as `avkd forge` and `avkd synth` leave it there.

    Raises:
        ValueError: there is none, or it is broken.
    """
    path = root / MANIFEST_NAME
    if not path.is_file():
        raise inventory.wrong_root(
            root, expected=MANIFEST_NAME, recognises=lambda near: (near / MANIFEST_NAME).is_file()
        )
    return Manifest.load(path)


def _label_of(name: str) -> int | None:
    try:
        return label_from_name(name)
    except ValueError:
        return None


def _recognises(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    top = [entry for entry in folder.iterdir() if entry.is_dir()]
    below = [
        entry
        for side in top
        if side.name.lower() in _SIDES
        for entry in side.iterdir()
        if entry.is_dir()
    ]
    return any(_label_of(entry.name) is not None for entry in (*top, *below))


def _place(path: str, expression: re.Pattern[str] | None, dataset: str) -> _Place | None:
    """Read ``[side/]label/[method/]...``; None if the path is not so."""
    *folders, _ = path.split("/")
    side = _SIDES.get(folders[0].lower()) if folders else None
    if side is not None:
        folders = folders[1:]
    label = _label_of(folders[0]) if folders else None
    if label is None:
        return None
    method = REAL_METHOD
    if label == FAKE:
        method = folders[1] if len(folders) > 1 else METHOD_NOT_TOLD
        if method.lower() == REAL_METHOD:
            raise ValueError(f"{path!r}: a folder {method!r} in a folder of fakes; rename it")
    matches = expression.finditer(path) if expression else ()
    people = dict.fromkeys(match["identity"] for match in matches if match["identity"])
    identities = tuple(f"{dataset}/{inventory.plain_id(person)}" for person in people)
    return _Place(path, label, method, side, identities)


def _deal_out(
    places: Sequence[_Place], fractions: Mapping[Split, float], seed: int
) -> list[_Place]:
    """Give every video a side; nobody, as far as known, is then on two."""
    group_of = _join_people(places)
    groups = [
        group_of[place.identities[0]]
        if place.identities
        # A blank cannot be in an identity, so a file name never falls together with one.
        else f"file {inventory.stem_of(place.path)}"
        for place in places
    ]
    sides = split_groups(Counter(groups), fractions=fractions, seed=seed)
    return [replace(place, side=sides[group]) for place, group in zip(places, groups, strict=True)]


def _join_people(places: Sequence[_Place]) -> dict[str, str]:
    """For everyone the alphabetically first of all people joined to them by common videos."""
    first: dict[str, str] = {}

    def find_first(person: str) -> str:
        while first.setdefault(person, person) != person:
            first[person] = first[first[person]]  # shorten the way for the next one
            person = first[person]
        return person

    for place in places:
        for person in place.identities:
            one, other = sorted((find_first(place.identities[0]), find_first(person)))
            first[other] = one
    return {person: find_first(person) for person in list(first)}


def _sample(place: _Place, dataset: str) -> Sample:
    return Sample(
        sample_id=f"{dataset}/{inventory.plain_id(place.method)}/{inventory.plain_id(place.path)}",
        path=place.path,
        kind="video",
        label=place.label,
        dataset=dataset,
        method=place.method,
        identities=place.identities,
        split=place.side,
    )


def _describe(samples: Sequence[Sample], strangers: Sequence[str]) -> list[str]:
    methods = Counter(sample.method for sample in samples)
    counts = ", ".join(f"{number} {method}" for method, number in sorted(methods.items()))
    notes = [f"{len(samples)} videos: {counts}; no official inventory"]
    for side in get_args(Split):
        labels = Counter(sample.label for sample in samples if sample.split == side)
        notes.append(f"{side}: {labels[REAL]} real, {labels[FAKE]} fake")
    unknown = sum(not sample.identities for sample in samples)
    if unknown:
        notes.append(
            f"{unknown} of {len(samples)} videos without a known identity: whether the sides of "
            "the split share people cannot be checked; give identity_pattern if the paths tell"
        )
    if strangers:
        notes.append(
            f"left out, in neither a real nor a fake folder: {len(strangers)}, "
            f"first {strangers[0]!r}"
        )
    return notes
