"""FaceForensics++ with its official split, and FaceShifter as an evaluation corpus of its own.

Walks the tree of the official download script, or a mirror that flattened it. Knows nothing of
masks, of the DeepFakeDetection part (it has no official split) and of other datasets.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from avkd.data import inventory
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split

# Roessler et al., "FaceForensics++", ICCV 2019; FaceShifter was added to the release later.
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
OFFICIAL_VIDEOS_PER_CLASS = 1000
OFFICIAL_SPLIT: dict[Split, int] = {"train": 720, "val": 140, "test": 140}

_COMPRESSIONS = {"raw": ("raw", "c0"), "c0": ("raw", "c0"), "c23": ("c23",), "c40": ("c40",)}
_SPLIT_FOLDERS = ("", "dataset/splits", "splits")
_REAL_BASES = ("original_sequences/youtube", "original_sequences", "original")
_FAKE_BASES = ("manipulated_sequences/{method}", "{method}")
_ORIGINAL = re.compile(r"\d{3}")
_PAIR = re.compile(r"\d{3}_\d{3}")
_EXPECTED = (
    "original_sequences/youtube/<compression>/videos and "
    "manipulated_sequences/<method>/<compression>/videos"
)

_SideOf = dict[str, Split]


def find(
    root: Path,
    *,
    methods: Sequence[str] = METHODS[:4],
    compression: str = "c23",
    dataset: str = "faceforensics",
) -> Manifest:
    """Find originals and forgeries; each is on the side its official pair says.

    A forgery ``<target>_<source>`` shows two identities, target first, and is paired with the
    original of its target. Videos outside the official pairs stay in the manifest without a side.

    Args:
        root: Folder of the download, with train.json, val.json and test.json in it, in
            ``splits`` or in ``dataset/splits``.
        methods: Which forgeries; any of `METHODS`.
        compression: ``raw`` (or ``c0``), ``c23`` or ``c40``. Mirrors without such folders do not
            tell theirs; a note says so.
        dataset: Name the samples carry; the identities stay those of FaceForensics++.

    Raises:
        ValueError: not FaceForensics++, no or broken split files, an unknown or absent method,
            or a compression that was not downloaded.
    """
    _check_choices(methods, compression)
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    side_of = _read_splits(root)
    originals, notes = _list_class(root, _REAL_BASES, "original", compression)
    samples = [_original(path, dataset, side_of) for path in originals.files]
    known = {sample.sample_id for sample in samples}
    notes += [*_compare("original", samples, side_of), *originals.notes()]
    for method in methods:
        bases = [base.format(method=method) for base in _FAKE_BASES]
        forgeries, remarks = _list_class(root, bases, method, compression)
        found = [_forgery(path, method, dataset, side_of, known) for path in forgeries.files]
        notes += [*remarks, *_compare(method, found, side_of), *forgeries.notes()]
        samples += found
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def find_faceshifter(root: Path, *, compression: str = "c23") -> Manifest:
    """Find the FaceShifter corpus: 140 test forgeries and the same 140 FF++ test originals.

    Raises:
        ValueError: as `find`.
    """
    everything = find(
        root, methods=("FaceShifter",), compression=compression, dataset="faceshifter"
    )
    test = everything.of_split("test")
    left_out = len(everything) - len(test)
    note = f"left out, not on the test side: {left_out} of {len(everything)} videos"
    return dataclasses.replace(test, notes=(*test.notes, note))


def _check_choices(methods: Sequence[str], compression: str) -> None:
    if compression not in _COMPRESSIONS:
        raise ValueError(f"compression={compression!r}: choose one of {', '.join(_COMPRESSIONS)}")
    unknown = sorted(set(methods) - set(METHODS))
    if unknown or not methods or len(set(methods)) < len(methods):
        raise ValueError(
            f"methods={tuple(methods)!r}: choose each at most once from {', '.join(METHODS)}"
        )


def _recognises(folder: Path) -> bool:
    flat = any((folder / method).is_dir() for method in METHODS)
    return (
        (folder / "original_sequences").is_dir()
        or (folder / "manipulated_sequences").is_dir()
        or (flat and (folder / "original").is_dir())
    )


def _list_class(
    root: Path, bases: Iterable[str], what: str, compression: str
) -> tuple[inventory.Listing, list[str]]:
    """The videos of one class, and a note if the tree does not tell their compression.

    Only the folder that holds them is listed: masks, other compressions and extracted frames
    may lie beside it by the million.
    """
    bases = list(bases)
    for base in bases:
        for level in (*_COMPRESSIONS[compression], ""):
            for leaf in ("videos", ""):
                folder = "/".join(part for part in (base, level, leaf) if part)
                if not (root / folder).is_dir():
                    continue
                listing = inventory.list_videos(root, folder, recursive=False)
                if listing.files:
                    unsure = (
                        f"{what}: the tree does not tell the compression; {compression} as asked"
                    )
                    return listing, [] if level else [unsure]
    others = [
        level
        for level in _COMPRESSIONS
        if level != compression and any((root / base / level).is_dir() for base in bases)
    ]
    cure = f"compression={others[0]!r} lies there" if others else f"looked below {bases[0]!r}"
    raise ValueError(
        f"{root}: no {what} videos at compression {compression} ({cure}); download them, or ask "
        "for what is there with the options `compression` and `methods`"
    )


def _read_splits(root: Path) -> _SideOf:
    """Side of every original ``000`` and of every forgery ``000_003``.

    Raises:
        ValueError: files missing or broken, or an original on two sides.
    """
    for folder in _SPLIT_FOLDERS:
        paths: dict[Split, Path] = {side: root / folder / f"{side}.json" for side in OFFICIAL_SPLIT}
        if not all(path.is_file() for path in paths.values()):
            continue
        side_of: _SideOf = {}
        for side, path in paths.items():
            for target, source in _read_pairs(path):
                for name in (target, source, f"{target}_{source}", f"{source}_{target}"):
                    if name in side_of:
                        raise ValueError(
                            f"{path}: {name} is listed a second time (first in "
                            f"{side_of[name]}.json); download the official file again"
                        )
                    side_of[name] = side
        return side_of
    raise ValueError(
        f"{root}: no official split (train.json, val.json and test.json together, here or in "
        "splits/ or dataset/splits/); take them from dataset/splits of the repository "
        "ondyari/FaceForensics. A random split would share people between its sides"
    )


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # broken JSON or broken UTF-8
        raise ValueError(f"{path}: not JSON ({error}); download it again") from error
    pairs = []
    for row in rows if isinstance(rows, list) else [rows]:
        if not (
            isinstance(row, list)
            and len(row) == 2
            and all(isinstance(name, str) and _ORIGINAL.fullmatch(name) for name in row)
        ):
            raise ValueError(
                f"{path}: {str(row)[:80]} is not a pair of three-digit names such as "
                '["953", "974"]; download the official file again'
            )
        pairs.append((row[0], row[1]))
    return pairs


def _original(path: str, dataset: str, side_of: _SideOf) -> Sample:
    name = inventory.stem_of(path)
    return Sample(
        sample_id=f"{dataset}/{REAL_METHOD}/{inventory.plain_id(name)}",
        path=path,
        kind="video",
        label=REAL,
        dataset=dataset,
        method=REAL_METHOD,
        identities=(f"ffpp/{name}",) if _ORIGINAL.fullmatch(name) else (),
        split=side_of.get(name),
    )


def _forgery(path: str, method: str, dataset: str, side_of: _SideOf, known: set[str]) -> Sample:
    name = inventory.stem_of(path)
    people = name.split("_") if _PAIR.fullmatch(name) else []
    original_id = f"{dataset}/{REAL_METHOD}/{people[0]}" if people else None
    return Sample(
        sample_id=f"{dataset}/{method}/{inventory.plain_id(name)}",
        path=path,
        kind="video",
        label=FAKE,
        dataset=dataset,
        method=method,
        identities=tuple(f"ffpp/{person}" for person in people),
        split=side_of.get(name),
        source_id=original_id if original_id in known else None,
    )


def _compare(what: str, found: Sequence[Sample], side_of: _SideOf) -> list[str]:
    """Counts against the official ones, what is missing, and what is in no pair."""
    notes = [inventory.compare(what, len(found), OFFICIAL_VIDEOS_PER_CLASS)]
    for side, official in OFFICIAL_SPLIT.items():
        count = sum(sample.split == side for sample in found)
        notes.append(inventory.compare(f"{what}, {side}", count, official))
    names = {sample.sample_id.rpartition("/")[2] for sample in found}
    pattern = _ORIGINAL if what == "original" else _PAIR
    missing = sorted(name for name in side_of if pattern.fullmatch(name) and name not in names)
    if missing:
        notes.append(f"{what}, missing: {len(missing)}: {inventory.name_some(missing)}")
    outside = sorted(sample.path for sample in found if sample.split is None)
    if outside:
        notes.append(
            f"{what}, in no official pair, so on no side: {len(outside)}: "
            f"{inventory.name_some(outside)}"
        )
    return notes
