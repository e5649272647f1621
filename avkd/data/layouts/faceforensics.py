"""FaceForensics++ with its official split, and FaceShifter as an evaluation corpus of its own.

Walks the tree of the official download script, or a mirror that flattened it. Masks are passed
over, and so is the DeepFakeDetection part, which has no official split.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken, read_json
from avkd.data.manifest import FAKE, REAL, Manifest, Sample, Split

# Roessler et al., "FaceForensics++", ICCV 2019; FaceShifter was added to the release later.
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
OFFICIAL_VIDEOS_PER_CLASS = 1000
OFFICIAL_SPLIT: dict[Split, int] = {"train": 720, "val": 140, "test": 140}
COMPRESSIONS = {"raw": ("raw", "c0"), "c0": ("raw", "c0"), "c23": ("c23",), "c40": ("c40",)}
"""What a compression may be called, by how it is asked for."""

_SPLIT_FOLDERS = ("", "dataset/splits", "splits")
_REAL_BASES = ("original_sequences/youtube", "original_sequences", "original")
_ORIGINAL = re.compile(r"(\d{3})")
_FORGERY = re.compile(r"(\d{3})_(\d{3})")
_EXPECTED = (
    "original_sequences/youtube/<compression>/videos and "
    "manipulated_sequences/<method>/<compression>/videos"
)


def find(root: Path, *, methods: Sequence[str] = METHODS[:4], compression: str = "c23") -> Manifest:
    """Find originals and forgeries; each is in the split its official pair says.

    A forgery ``<target>_<source>`` shows two identities, target first, and is paired with the
    original of its target. Videos outside the official pairs stay in the manifest without a split.

    The official split, train.json, val.json and test.json, lies in ``root``, in ``splits`` or in
    ``dataset/splits``. Mirrors without folders of a compression do not tell theirs; a note says so.

    Raises:
        ValueError: not FaceForensics++, no or broken split files, an unknown or absent method,
            or a compression that was not downloaded.
    """
    if compression not in COMPRESSIONS:
        raise ValueError(f"compression={compression!r}: choose one of {', '.join(COMPRESSIONS)}")
    if not methods or set(methods) - set(METHODS) or len(set(methods)) < len(methods):
        raise ValueError(
            f"methods={tuple(methods)!r}: choose each at most once from {', '.join(METHODS)}"
        )
    inventory.check_root(root, _EXPECTED, _recognises)
    split_of = _read_splits(root)
    samples: list[Sample] = []
    notes: list[str] = []
    bases = {"original": _REAL_BASES} | {m: (f"manipulated_sequences/{m}", m) for m in methods}
    for what, folders in bases.items():
        listing, remarks = _list_class(root, folders, what, compression)
        found = [_sample(path, what, split_of) for path in listing.files]
        samples += found
        names = {inventory.stem_of(path) for path in listing.files}
        listed = {name for name in split_of if ("_" in name) == (what != "original")}
        outside = [sample.path for sample in found if sample.split is None]
        counts = builder.count(found)
        notes += [
            *remarks,
            inventory.compare(what, len(found), OFFICIAL_VIDEOS_PER_CLASS),
            *(inventory.compare(f"{what}, {s}", counts[s], n) for s, n in OFFICIAL_SPLIT.items()),
            *inventory.note_names(f"{what}, missing", listed - names),
            *inventory.note_names(f"{what}, in no official pair, so in no split", outside),
            *listing.notes(),
        ]
    return builder.build(root, samples, notes)


def find_faceshifter(root: Path, *, compression: str = "c23") -> Manifest:
    """Find the FaceShifter corpus: 140 test forgeries and the same 140 FF++ test originals.

    Raises:
        ValueError: as `find`.
    """
    everything = find(root, methods=("FaceShifter",), compression=compression)
    test = everything.of_split("test").with_dataset("faceshifter")
    left_out = len(everything) - len(test)
    note = f"left out, not in test: {left_out} of {len(everything)} videos"
    return replace(test, notes=(*test.notes, note))


def _recognises(folder: Path) -> bool:
    flat = any((folder / method).is_dir() for method in METHODS)
    return (
        (folder / "original_sequences").is_dir()
        or (folder / "manipulated_sequences").is_dir()
        or (flat and (folder / "original").is_dir())
    )


def _list_class(
    root: Path, bases: Sequence[str], what: str, compression: str
) -> tuple[inventory.Listing, list[str]]:
    """The videos of one class, and a note if the tree does not tell their compression.

    Only the folder that holds them is listed: masks, other compressions and extracted frames
    may lie beside it by the million.
    """
    for base in bases:
        for level in (*COMPRESSIONS[compression], ""):
            for leaf in ("videos", ""):
                folder = "/".join(part for part in (base, level, leaf) if part)
                if not (root / folder).is_dir():
                    continue
                listing = inventory.list_files(root, folder, recursive=False)
                if listing.files:
                    unsure = (
                        f"{what}: the tree does not tell the compression; {compression} as asked"
                    )
                    return listing, [] if level else [unsure]
    others = [
        level
        for level in COMPRESSIONS
        if level != compression and any((root / base / level).is_dir() for base in bases)
    ]
    cure = f"compression={others[0]!r} lies there" if others else f"looked below {bases[0]!r}"
    raise ValueError(
        f"{root}: no {what} videos at compression {compression} ({cure}); download them, or ask "
        "for what is there with the options `compression` and `methods`"
    )


def _read_splits(root: Path) -> dict[str, Split]:
    """Split of every original ``000`` and of every forgery ``000_003``."""
    splits: tuple[Split, ...] = get_args(Split)
    places = (root / folder for folder in _SPLIT_FOLDERS)
    place = next((p for p in places if all((p / f"{s}.json").is_file() for s in splits)), None)
    if place is None:
        raise ValueError(
            f"{root}: no official split (train.json, val.json and test.json together, here or in "
            "splits/ or dataset/splits/); take them from dataset/splits of the repository "
            "ondyari/FaceForensics. A random split would share people between its parts"
        )
    split_of: dict[str, Split] = {}
    for split in splits:
        path = place / f"{split}.json"
        rows = read_json(path)
        for pair in rows if isinstance(rows, list) else [rows]:
            is_list = isinstance(pair, list) and all(isinstance(name, str) for name in pair)
            if not (is_list and len(pair) == 2 and all(map(_ORIGINAL.fullmatch, pair))):
                wanted = 'a pair of three-digit names such as ["953", "974"]'
                raise broken(path, f"{str(pair)[:80]} is not {wanted}")
            for name in (*pair, "_".join(pair), "_".join(reversed(pair))):
                if name in split_of:
                    first = f"{split_of[name]}.json"
                    raise broken(path, f"{name} is listed a second time (first in {first})")
                split_of[name] = split
    return split_of


def _sample(path: str, what: str, split_of: Mapping[str, Split]) -> Sample:
    name = inventory.stem_of(path)
    is_fake = what != "original"
    match = (_FORGERY if is_fake else _ORIGINAL).fullmatch(name)
    people = match.groups() if match else ()
    return builder.make_sample(
        path,
        dataset="faceforensics",
        label=FAKE if is_fake else REAL,
        name=name,
        method=what,
        identities=[f"ffpp/{person}" for person in people],
        split=split_of.get(name),
        original=people[0] if people else None,
    )
