"""Any collection of real talking faces (GRID, VoxCeleb, LRS3, own recordings), however nested.

The speaker is read from the path, and no speaker is in two splits.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.manifest import REAL, Manifest, Sample, Split, is_named_like_forgeries
from avkd.data.splits import split_groups

FIRST_FOLDER = r"^(?P<speaker>[^/]+)/"

_EXPECTED = "video files, in one folder for each speaker"


def find(
    root: Path,
    *,
    speaker_pattern: str = FIRST_FOLDER,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    val_speakers: Collection[str] = (),
    test_speakers: Collection[str] = (),
    seed: int = 0,
) -> Manifest:
    """Find every video below ``root``; all are real.

    Videos whose speaker is not known are in no split while anyone is held out for val or test. The
    ``speaker_pattern`` is searched in the path below ``root`` (with ``/`` on every system). Shares
    are met as nearly as whole speakers allow; speakers named for a split take the place of its
    share.

    Raises:
        ValueError: no video, a folder called after forgeries, a bad pattern or fraction, an
            unknown speaker, or too few speakers.
    """
    expression = inventory.compiled(speaker_pattern, option="speaker_pattern", group="speaker")
    assert expression is not None, "a pattern is given"
    inventory.check_root(root, _EXPECTED, lambda folder: True)
    listing = inventory.list_files(root)
    if not listing.files:
        raise inventory.wrong_root(root, _EXPECTED, _recognises)
    # Nothing that is called after forgeries is silently taken for real.
    folders = {part for path in listing.files for part in path.split("/")[:-1]}
    if suspect := sorted(filter(is_named_like_forgeries, folders | {root.resolve().name})):
        raise ValueError(
            f"{root}: the layout talking_faces takes every video for real, but a folder is called "
            f"{suspect[0]!r}; sort the videos into real/ and fake/<method>/, give --layout "
            "real_fake with a label_pattern, or rename a folder whose videos are real"
        )
    matches = ((path, expression.search(path)) for path in listing.files)
    speakers = {path: match["speaker"] for path, match in matches if match and match["speaker"]}
    held_out = bool(val_speakers or test_speakers or val_fraction or test_fraction)
    if held_out and not speakers:
        raise ValueError(
            f"{root}: {speaker_pattern!r} finds no speaker in {listing.files[0]!r} or any other "
            "path: give a pattern that does, put each speaker's videos into a folder, or hold "
            "nobody out (val_fraction=0, test_fraction=0)"
        )
    split_of = _splits(
        Counter(speakers.values()),
        chosen={"val": val_speakers, "test": test_speakers},
        fractions={"val": val_fraction, "test": test_fraction},
        seed=seed,
    )
    # With nobody held out there is no split an unknown speaker could leak to.
    split_of_unknown: Split | None = None if held_out else "train"
    samples = [
        # With its suffix in the id: the same clip may lie there in two formats.
        builder.make_sample(
            path,
            dataset="talking_faces",
            label=REAL,
            identities=[f"talking_faces/{speakers[path]}"] if path in speakers else [],
            split=split_of[speakers[path]] if path in speakers else split_of_unknown,
        )
        for path in listing.files
    ]
    return builder.build(root, samples, [*_describe(samples, split_of), *listing.notes()])


def _recognises(folder: Path) -> bool:
    """Whether there is a video in one of the folder's own folders."""
    children = [entry for entry in folder.iterdir() if entry.is_dir()]
    names = (entry.name for child in children for entry in child.iterdir())
    return any(inventory.suffix_of(name) in inventory.VIDEO_SUFFIXES for name in names)


def _splits(
    sizes: Mapping[str, int],
    *,
    chosen: Mapping[Split, Collection[str]],
    fractions: Mapping[Split, float],
    seed: int,
) -> dict[str, Split]:
    """Split of every speaker: the chosen ones first, then by share among the others."""
    split_of: dict[str, Split] = {}
    for split, names in chosen.items():
        if isinstance(names, str):
            raise ValueError(f"{split}_speakers={names!r}: give a list of names, not one text")
        for name in names:
            if name not in sizes:
                known = inventory.name_some(sorted(sizes)) or "none"
                raise ValueError(f"{split}_speakers: no speaker {name!r} here; there are: {known}")
            if split_of.setdefault(name, split) != split:
                raise ValueError(f"speaker {name!r} is in val_speakers and in test_speakers")
    others = {name: {REAL: size} for name, size in sizes.items() if name not in split_of}
    open_shares = {split: share for split, share in fractions.items() if not chosen[split]}
    return split_of | split_groups(others, fractions=open_shares, seed=seed)


def _describe(samples: Collection[Sample], split_of: Mapping[str, Split]) -> list[str]:
    notes = [f"{len(samples)} videos of {len(split_of)} speakers; no official inventory"]
    for split in ("train", "val", "test"):
        names = [name for name in split_of if split_of[name] == split]
        notes += inventory.note_names(f"{split}, speakers", names)
    unknown = [sample for sample in samples if not sample.identities]
    where = unknown[0].split or "no split" if unknown else ""
    paths = (sample.path for sample in unknown)
    return [*notes, *inventory.note_names(f"speaker not known, so in {where}", paths)]
