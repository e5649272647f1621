"""DeeperForensics-1.0: actors' faces on the videos of FaceForensics++, in eleven variants.

Its real class is not in the download: it is the originals of FaceForensics++ at c23. The source
videos of the actors are not it, and are never read.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import get_args

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken, choose_listed, read_video_list
from avkd.data.manifest import FAKE, REAL, Manifest, Sample, Split

# Jiang et al., "DeeperForensics-1.0", CVPR 2020, and the README file of the dataset.
VARIANTS = (
    *("end_to_end", "reenact_postprocess"),
    *(f"end_to_end_level_{level}" for level in range(1, 6)),
    "end_to_end_random_level",
    *(f"end_to_end_mix_{number}_distortions" for number in (2, 3, 4)),
)
OFFICIAL = {"forgeries": 1000, "train fake": 703, "val fake": 96, "test fake": 201}

_FAKE_FOLDER = "manipulated_videos"
_SPLIT_FOLDER = "lists/splits"
_FORGERY = re.compile(r"(?P<target>\d{3})_(?P<actor>[MW]\d{3})")
_ORIGINAL = re.compile(r"\d{3}")


def find(
    root: Path,
    *,
    variant: str = "end_to_end",
    originals: str | None = None,
    video_list: Path | None = None,
) -> Manifest:
    """Find the forgeries of one variant and, if they are put there, the originals of their targets.

    A forgery shows its target, ``ffpp/<number>`` as in `faceforensics.find`, and an actor; an
    original is in the split of the forgeries of it. The dataset's own split keeps the actors apart,
    but not along the split of FaceForensics++: do not train on the one and test on the other. The
    forgeries of a ``video_list`` are the test split and all else is left out, such as the 140 that
    RealForensics reports on, whose targets are tested on in FaceForensics++.

    Raises:
        ValueError: not that tree, an unknown or absent variant, no or broken split files, a folder
            of originals without any, or a list of other videos.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r}: choose one of {', '.join(VARIANTS)}")
    inventory.check_root(
        root,
        f"{_FAKE_FOLDER}/<variant>/<target>_<actor>.mp4 and {_SPLIT_FOLDER}",
        lambda near: (near / _FAKE_FOLDER).is_dir(),
    )
    folder = f"{_FAKE_FOLDER}/{variant}"
    if not (root / folder).is_dir():
        there = sorted(entry.name for entry in (root / _FAKE_FOLDER).iterdir() if entry.is_dir())
        raise ValueError(f"{root}: no {folder}; variants that are there: {', '.join(there)}")
    listing = inventory.list_files(root, folder, recursive=False)
    path_of = builder.by_name(root, listing.files)
    if video_list is None:
        names, split_of = list(path_of), _read_splits(root)
        notes = [
            *inventory.note_names("listed but missing", split_of.keys() - path_of.keys()),
            *inventory.note_names("in no list, so in no split", path_of.keys() - split_of.keys()),
        ]
    else:
        names, notes = choose_listed(video_list, path_of)
        split_of = dict.fromkeys(names, "test")
    samples = []
    for name in names:
        found = _FORGERY.fullmatch(name)
        people = (f"ffpp/{found['target']}", f"deeperforensics/{found['actor']}") if found else ()
        samples.append(
            builder.make_sample(
                path_of[name],
                dataset="deeperforensics",
                label=FAKE,
                name=name,
                method=variant,
                identities=people,
                split=split_of.get(name),
                original=found["target"] if found else None,
            )
        )
    if video_list is None:
        counts = builder.count(samples) | {"forgeries": len(samples)}
        notes = [*builder.compare_counts(counts, OFFICIAL), *notes]
    if originals is None:
        notes.append(
            "forgeries alone: the real class are the originals of FaceForensics++ at c23 (option "
            "originals, or evaluate together with a corpus of layout faceforensics)"
        )
    else:
        real, remarks = _find_originals(root, originals, samples)
        samples, notes = [*real, *samples], [*notes, *remarks]
    return builder.build(root, samples, [*notes, *listing.notes()])


def _read_splits(root: Path) -> dict[str, Split]:
    """Split of every listed forgery."""
    split_of: dict[str, Split] = {}
    for split in get_args(Split):
        path = root / _SPLIT_FOLDER / f"{split}.txt"
        if not path.is_file():
            raise ValueError(
                f"{path} is missing: the split comes with the download; or give the test split "
                "alone with the option video_list"
            )
        for name in sorted(read_video_list(path)):
            if not _FORGERY.fullmatch(name):
                raise broken(path, f"{name!r} is not a name such as 000_M101.mp4")
            if split_of.setdefault(name, split) != split:
                raise broken(path, f"{name!r} is in {split_of[name]} already")
    return split_of


def _find_originals(
    root: Path, folder: str, forgeries: Sequence[Sample]
) -> tuple[list[Sample], list[str]]:
    """The originals that some forgery in a split was made from, and remarks."""
    place = PurePosixPath(folder.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or not (root / place).is_dir():
        raise ValueError(f"originals={folder!r} is not a folder below {root}")
    split_of = {s.identities[0]: s.split for s in forgeries if s.identities and s.split}
    real, left_out = {}, []
    for path in inventory.list_files(root, str(place), recursive=False).files:
        name = inventory.stem_of(path)
        person = f"ffpp/{name}"
        if not _ORIGINAL.fullmatch(name) or person not in split_of:
            left_out.append(path)
            continue
        real[person] = builder.make_sample(
            path,
            dataset="deeperforensics",
            label=REAL,
            name=name,
            identities=[person],
            split=split_of[person],
        )
    if not real:
        raise ValueError(f"{root / place}: no original such as 000.mp4 of any forgery here")
    notes = [
        f"originals: {len(real)} of {len(split_of)} targets found; the benchmark means those at "
        "c23, which file names do not tell",
        *inventory.note_names("left out, originals of no forgery here", left_out),
    ]
    return list(real.values()), notes
