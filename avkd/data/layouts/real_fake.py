"""Any tree sorted into `real` and `fake/<method>` folders, and trees that bring a manifest.

Videos or pictures. Labels come from names, never from their order. Knows no dataset by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split, label_from_name
from avkd.data.splits import SIDE_NAMES, count_labels, join_people, split_groups

MANIFEST_NAME = "manifest.jsonl"
METHOD_NOT_TOLD = "fake"

_EXPECTED = "real/... and fake/<method>/..., or train, val and test folders with real and fake in"


@dataclass(frozen=True)
class _Place:
    """What the folders around a file say about it."""

    path: str
    label: int
    method: str
    side: Split | None
    identities: tuple[str, ...]


@dataclass(frozen=True)
class _Patterns:
    """How the user says paths are to be read."""

    identity: re.Pattern[str] | None
    label: re.Pattern[str] | None


def find(
    root: Path,
    *,
    identity_pattern: str | None = None,
    label_pattern: str | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    dataset: str = "real_fake",
) -> Manifest:
    """Find the videos of ``real``, ``fake/<method>`` or ``{train,val,test}/{real,fake/<method>}``.

    Folders of the split are taken as they are. Without them whole people are dealt out to the
    sides, and where a forgery shows two, both with everyone they meet in other forgeries; each side
    gets its share of the reals and of the fakes as nearly as that allows. Files nobody is known of
    are dealt out by file name, which does not keep people apart; a note says so. If there is a
    ``manifest.jsonl``, it alone counts: see `find_listed`.

    Args:
        root: The folder; names in it count in upper and lower case alike.
        identity_pattern: Regular expression with the named group ``identity``, searched in the
            path below ``root``; each match is one person, so that a swap can show two.
        label_pattern: Regular expression for trees of another kind, searched in the path below
            ``root``: group ``label`` is a name such as real or fake; groups ``method``,
            ``platform``, ``identity`` and ``split`` may be in it. Files it does not match are left
            out. ``^(?P<method>[^/]+)/(?P<label>real|fake)/`` reads a tree with the class below the
            method, ``^(?P<label>[a-z]+)_videos/`` one of ``original_videos`` and ``fake_videos``.
        val_fraction: Share of the files for val, where there are no folders of the split.
        test_fraction: The same for test.
        seed: Chooses who is held out.
        dataset: Name the samples carry.

    Raises:
        ValueError: neither real nor fake found, only some files in folders of the split, a bad
            pattern, name or fraction, or too few people for the sides.
    """
    return find_files(
        root,
        suffixes=VIDEO_SUFFIXES,
        identity_pattern=identity_pattern,
        label_pattern=label_pattern,
        fractions={"val": val_fraction, "test": test_fraction},
        seed=seed,
        dataset=dataset,
    )


def find_images(
    root: Path,
    *,
    identity_pattern: str | None = None,
    label_pattern: str | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    dataset: str = "real_fake_images",
) -> Manifest:
    """Find the pictures of such a tree; all else as `find`.

    Pictures that are frames of one video need an ``identity_pattern`` that finds the video (or the
    person) in their path: else each goes its own way.
    """
    return find_files(
        root,
        suffixes=PICTURE_SUFFIXES,
        identity_pattern=identity_pattern,
        label_pattern=label_pattern,
        fractions={"val": val_fraction, "test": test_fraction},
        seed=seed,
        dataset=dataset,
    )


def find_files(
    root: Path,
    *,
    suffixes: Collection[str],
    identity_pattern: str | None,
    label_pattern: str | None,
    fractions: Mapping[Split, float],
    seed: int,
    dataset: str,
) -> Manifest:
    """`find` for any kinds of file: pictures and videos may lie side by side."""
    if (root / MANIFEST_NAME).is_file():
        listed = find_listed(root)
        note = f"all taken from {MANIFEST_NAME}; folder names and options do not count"
        return replace(listed, notes=(*listed.notes, note))
    patterns = _Patterns(
        _compiled(identity_pattern, option="identity_pattern", group="identity"),
        _compiled(label_pattern, option="label_pattern", group="label"),
    )
    expected = f"files whose path matches {label_pattern!r}" if patterns.label else _EXPECTED
    if not root.is_dir() or not (patterns.label or _recognises(root)):
        raise inventory.wrong_root(root, expected=expected, recognises=_recognises)
    listing = inventory.list_files(root, suffixes=suffixes)
    placed = [_place(path, patterns, dataset) for path in listing.files]
    places = [place for place in placed if place is not None]
    strangers = [path for path, place in zip(listing.files, placed, strict=True) if place is None]
    if not places:
        raise inventory.wrong_root(root, expected=expected, recognises=_recognises)
    unplaced = [place.path for place in places if place.side is None]
    notes = []
    if len(unplaced) == len(places):
        places = _deal_out(places, fractions, seed)
        notes.append(f"no split in the folders: dealt out with seed {seed}")
    elif unplaced:
        raise ValueError(
            f"{root}: {len(unplaced)} of {len(places)} files lie outside the train, val and test "
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


def label_of(name: str) -> int | None:
    """The label a folder's name tells; None if it tells none."""
    try:
        return label_from_name(name)
    except ValueError:
        return None


def _compiled(pattern: str | None, *, option: str, group: str) -> re.Pattern[str] | None:
    return None if pattern is None else inventory.compiled(pattern, option=option, group=group)


def _recognises(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    top = [entry for entry in folder.iterdir() if entry.is_dir()]
    below = [
        entry
        for side in top
        if side.name.lower() in SIDE_NAMES
        for entry in side.iterdir()
        if entry.is_dir()
    ]
    return any(label_of(entry.name) is not None for entry in (*top, *below))


def _place(path: str, patterns: _Patterns, dataset: str) -> _Place | None:
    """Read ``[side/]label/[method/]...``, or what the pattern finds; None if the path is not so."""
    *folders, _ = path.split("/")
    side = SIDE_NAMES.get(folders[0].lower()) if folders else None
    people: list[str] = []
    if patterns.label:
        found = patterns.label.search(path)
        if found is None:
            return None
        told = {name: text for name, text in found.groupdict().items() if text}
        label, method = _label_and_method(path, told)
        people += [told["identity"]] if "identity" in told else []
        if "split" in told:
            side = _side_of(path, told["split"])
    else:
        if side is not None:
            folders = folders[1:]
        known = label_of(folders[0]) if folders else None
        if known is None:
            return None
        label = known
        method = folders[1] if label == FAKE and len(folders) > 1 else None
    method = (method or METHOD_NOT_TOLD) if label == FAKE else REAL_METHOD
    if label == FAKE and method.lower() == REAL_METHOD:
        raise ValueError(f"{path!r}: a folder {method!r} in a folder of fakes; rename it")
    matches = patterns.identity.finditer(path) if patterns.identity else ()
    people += [match["identity"] for match in matches if match["identity"]]
    identities = tuple(
        f"{dataset}/{inventory.plain_id(person)}" for person in dict.fromkeys(people)
    )
    return _Place(path, label, method, side, identities)


def _label_and_method(path: str, told: Mapping[str, str]) -> tuple[int, str | None]:
    try:
        label = label_from_name(told.get("label", ""))
    except ValueError as error:
        raise ValueError(f"label_pattern, {path!r}: {error}") from error
    parts = [told[name] for name in ("platform", "method") if name in told]
    return label, " ".join(parts) or None


def _side_of(path: str, name: str) -> Split:
    if name.lower() not in SIDE_NAMES:
        known = ", ".join(SIDE_NAMES)
        raise ValueError(f"label_pattern, {path!r}: unknown split {name!r}; known: {known}")
    return SIDE_NAMES[name.lower()]


def _deal_out(
    places: Sequence[_Place], fractions: Mapping[Split, float], seed: int
) -> list[_Place]:
    """Give every file a side; nobody, as far as known, is then on two."""
    group_of = join_people(place.identities for place in places)
    groups = [
        group_of[place.identities[0]]
        if place.identities
        # A blank cannot be in an identity, so a file name never falls together with one.
        else f"file {inventory.stem_of(place.path)}"
        for place in places
    ]
    counts = count_labels(groups, [place.label for place in places])
    sides = split_groups(counts, fractions=fractions, seed=seed)
    return [replace(place, side=sides[group]) for place, group in zip(places, groups, strict=True)]


def _sample(place: _Place, dataset: str) -> Sample:
    return Sample(
        sample_id=f"{dataset}/{inventory.plain_id(place.method)}/{inventory.plain_id(place.path)}",
        path=place.path,
        kind="image" if inventory.is_picture_name(place.path) else "video",
        label=place.label,
        dataset=dataset,
        method=place.method,
        identities=place.identities,
        split=place.side,
    )


def _describe(samples: Sequence[Sample], strangers: Sequence[str]) -> list[str]:
    methods = Counter(sample.method for sample in samples)
    counts = ", ".join(f"{number} {method}" for method, number in sorted(methods.items()))
    notes = [f"{len(samples)} files: {counts}; no official inventory"]
    for side in get_args(Split):
        labels = Counter(sample.label for sample in samples if sample.split == side)
        notes.append(f"{side}: {labels[REAL]} real, {labels[FAKE]} fake")
    unknown = sum(not sample.identities for sample in samples)
    if unknown:
        notes.append(
            f"{unknown} of {len(samples)} files without a known identity: whether the sides of "
            "the split share people cannot be checked; give identity_pattern if the paths tell"
        )
    if strangers:
        notes.append(
            f"left out, in neither a real nor a fake folder: {len(strangers)}, "
            f"first {strangers[0]!r}"
        )
    return notes
