"""DeeperForensics-1.0: actors' faces on the videos of FaceForensics++, in eleven variants.

Its real class is not in the download: it is the originals of FaceForensics++ at c23. The source
videos of the actors are not it, and are never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from avkd.data import inventory
from avkd.data.layouts.table_notes import count_sides
from avkd.data.layouts.video_lists import describe_choice, read_video_list
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split

# Jiang et al., "DeeperForensics-1.0", CVPR 2020, and the README file of the dataset.
VARIANTS = (
    *("end_to_end", "reenact_postprocess"),
    *(f"end_to_end_level_{level}" for level in range(1, 6)),
    "end_to_end_random_level",
    *(f"end_to_end_mix_{number}_distortions" for number in (2, 3, 4)),
)
OFFICIAL_VIDEOS_PER_VARIANT = 1000
OFFICIAL_SPLIT: dict[Split, int] = {"train": 703, "val": 96, "test": 201}

_FAKES = "manipulated_videos"
_SPLITS = "lists/splits"
_FORGERY = re.compile(r"(?P<target>\d{3})_(?P<actor>[MW]\d{3})")
_ORIGINAL = re.compile(r"\d{3}")
_EXPECTED = f"{_FAKES}/<variant>/<target>_<actor>.mp4 and {_SPLITS}"


def find(
    root: Path,
    *,
    variant: str = "end_to_end",
    originals: str | None = None,
    video_list: Path | None = None,
    dataset: str = "deeperforensics",
) -> Manifest:
    """Find the forgeries of one variant and, if they are put there, the originals of their targets.

    A forgery shows its target, ``ffpp/<number>`` as in `faceforensics.find`, and an actor; an
    original is on the side of the forgeries of it. The dataset's own split keeps the actors apart,
    but not along the split of FaceForensics++: do not train on the one and test on the other.

    Args:
        root: Folder of the download.
        variant: Any of `VARIANTS`; becomes the method.
        originals: Folder below ``root`` with the originals of FaceForensics++ at c23, ``000.mp4``
            and so on; None = forgeries alone.
        video_list: Names of the forgeries that are the test side, one a line, such as the 140 that
            RealForensics reports on, whose targets are tested on in FaceForensics++. All else is
            left out. None = the dataset's own split.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, an unknown or absent variant, no or broken split files, a folder
            of originals without any, or a list of other videos.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r}: choose one of {', '.join(VARIANTS)}")
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    folder = f"{_FAKES}/{variant}"
    if not (root / folder).is_dir():
        there = sorted(entry.name for entry in (root / _FAKES).iterdir() if entry.is_dir())
        raise ValueError(f"{root}: no {folder}; variants that are there: {', '.join(there)}")
    listing = inventory.list_videos(root, folder, recursive=False)
    names = [inventory.stem_of(path) for path in listing.files]
    if video_list is None:
        side_of = _read_splits(root)
        notes = _compare(names, side_of)
    else:
        listed = read_video_list(video_list)
        side_of = dict.fromkeys(listed, "test")
        notes = describe_choice(video_list, listed, names)
    samples = [
        _forgery(path, variant, dataset, side_of.get(name))
        for path, name in zip(listing.files, names, strict=True)
        if video_list is None or name in side_of
    ]
    if originals is None:
        notes.append(
            "forgeries alone: the real class are the originals of FaceForensics++ at c23 (option "
            "originals, or evaluate together with a corpus of layout faceforensics)"
        )
    else:
        samples, remarks = _add_originals(root, originals, samples, dataset)
        notes += remarks
    notes = [*notes, *count_sides(samples), *listing.notes()]
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _recognises(folder: Path) -> bool:
    return (folder / _FAKES).is_dir()


def _read_splits(root: Path) -> dict[str, Split]:
    """Side of every listed forgery."""
    paths: dict[Split, Path] = {side: root / _SPLITS / f"{side}.txt" for side in OFFICIAL_SPLIT}
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        raise ValueError(
            f"{missing[0]} is missing: the split comes with the download; or give the test side "
            "alone with the option video_list"
        )
    side_of: dict[str, Split] = {}
    for side, path in paths.items():
        for name in sorted(read_video_list(path)):
            if not _FORGERY.fullmatch(name):
                raise ValueError(f"{path}: {name!r} is not a name such as 000_M101.mp4")
            if name in side_of:
                raise ValueError(f"{path}: {name!r} is on the side {side_of[name]} already")
            side_of[name] = side
    return side_of


def _compare(names: Sequence[str], side_of: dict[str, Split]) -> list[str]:
    notes = [inventory.compare("forgeries", len(names), OFFICIAL_VIDEOS_PER_VARIANT)]
    for side, official in OFFICIAL_SPLIT.items():
        found = sum(side_of.get(name) == side for name in names)
        notes.append(inventory.compare(f"forgeries, {side}", found, official))
    missing = sorted(side_of.keys() - set(names))
    if missing:
        notes.append(f"listed but missing: {len(missing)}: {inventory.name_some(missing)}")
    outside = sorted(set(names) - side_of.keys())
    if outside:
        notes.append(f"in no list, so on no side: {len(outside)}: {inventory.name_some(outside)}")
    return notes


def _forgery(path: str, variant: str, dataset: str, side: Split | None) -> Sample:
    name = inventory.stem_of(path)
    found = _FORGERY.fullmatch(name)
    people = (f"ffpp/{found['target']}", f"deeperforensics/{found['actor']}") if found else ()
    return Sample(
        sample_id=f"{dataset}/{variant}/{inventory.plain_id(name)}",
        path=path,
        kind="video",
        label=FAKE,
        dataset=dataset,
        method=variant,
        identities=people,
        split=side,
    )


def _add_originals(
    root: Path, folder: str, forgeries: Sequence[Sample], dataset: str
) -> tuple[list[Sample], list[str]]:
    """The originals and then the forgeries, each with its source, and remarks."""
    place = PurePosixPath(folder.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or not (root / place).is_dir():
        raise ValueError(f"originals={folder!r} is not a folder below {root}")
    listing = inventory.list_videos(root, str(place), recursive=False)
    side_of = {s.identities[0]: s.split for s in forgeries if s.identities and s.split}
    reals: dict[str, Sample] = {}
    left_out = []
    for path in listing.files:
        name = inventory.stem_of(path)
        person = f"ffpp/{name}"
        if not _ORIGINAL.fullmatch(name) or person not in side_of:
            left_out.append(path)
            continue
        reals[person] = Sample(
            sample_id=f"{dataset}/{REAL_METHOD}/{name}",
            path=path,
            kind="video",
            label=REAL,
            dataset=dataset,
            method=REAL_METHOD,
            identities=(person,),
            split=side_of[person],
        )
    if not reals:
        raise ValueError(f"{root / place}: no original such as 000.mp4 of any forgery here")
    notes = [
        f"originals: {len(reals)} of {len(side_of)} targets found; the benchmark means those at "
        "c23, which file names do not tell"
    ]
    if left_out:
        notes.append(
            f"left out, originals of no forgery here: {len(left_out)}: "
            f"{inventory.name_some(left_out)}"
        )
    paired = [_with_source(forgery, reals) for forgery in forgeries]
    return [*reals.values(), *paired], [*notes, *listing.notes()]


def _with_source(forgery: Sample, reals: Mapping[str, Sample]) -> Sample:
    source = reals.get(forgery.identities[0]) if forgery.identities else None
    return replace(forgery, source_id=source.sample_id) if source else forgery
