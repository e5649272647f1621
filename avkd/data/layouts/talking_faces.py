"""Any collection of real talking faces (GRID, VoxCeleb, LRS3, own recordings), however nested.

The speaker is read from the path, and no speaker stands on two sides of the split. Knows nothing
of words, alignments or sound, and opens no video.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.manifest import REAL, REAL_METHOD, Manifest, Sample, Split
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
    dataset: str = "talking_faces",
) -> Manifest:
    """Find every video below ``root``; all are real.

    Videos whose speaker is not known join no side while anyone is held out for val or test.

    Args:
        root: The folder.
        speaker_pattern: Regular expression with the named group ``speaker``, searched in the path
            below ``root`` (with ``/`` on every system). Default: the first folder's name.
        val_fraction: Share of the videos to hold out for val, as near as whole speakers allow.
        test_fraction: The same for test.
        val_speakers: Exactly these speakers are val; then takes the place of ``val_fraction``.
        test_speakers: The same for test.
        seed: Chooses the held-out speakers.
        dataset: Name of the collection; the same person in two trees needs the same name twice.

    Raises:
        ValueError: no video, a bad pattern or fraction, an unknown speaker, or too few speakers.
    """
    expression = inventory.compiled(speaker_pattern, option="speaker_pattern", group="speaker")
    if not root.is_dir():
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    listing = inventory.list_videos(root)
    if not listing.files:
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    speakers: dict[str, str] = {}
    for path in listing.files:
        match = expression.search(path)
        if match and match["speaker"]:
            speakers[path] = match["speaker"]
    held_out = bool(val_speakers or test_speakers or val_fraction or test_fraction)
    if held_out and not speakers:
        raise ValueError(
            f"{root}: {speaker_pattern!r} finds no speaker in {listing.files[0]!r} or any other "
            "path: give a pattern that does, put each speaker's videos into a folder, or hold "
            "nobody out (val_fraction=0, test_fraction=0)"
        )
    sides = _sides(
        Counter(speakers.values()),
        chosen={"val": val_speakers, "test": test_speakers},
        fractions={"val": val_fraction, "test": test_fraction},
        seed=seed,
    )
    # With nobody held out there is no side an unknown speaker could leak to.
    side_of_unknown: Split | None = None if held_out else "train"
    samples = [
        _sample(path, dataset, speakers.get(path), sides[speakers[path]])
        if path in speakers
        else _sample(path, dataset, None, side_of_unknown)
        for path in listing.files
    ]
    notes = [*_describe(samples, sides), *listing.notes()]
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _recognises(folder: Path) -> bool:
    """Whether there is a video in one of the folder's own folders."""
    children = [entry for entry in folder.iterdir() if entry.is_dir()]
    return any(
        inventory.is_video_name(entry.name) for child in children for entry in child.iterdir()
    )


def _sides(
    sizes: Mapping[str, int],
    *,
    chosen: Mapping[Split, Collection[str]],
    fractions: Mapping[Split, float],
    seed: int,
) -> dict[str, Split]:
    """Side of every speaker: the chosen ones first, then by share among the others."""
    sides: dict[str, Split] = {}
    for side, names in chosen.items():
        if isinstance(names, str):
            raise ValueError(f"{side}_speakers={names!r}: give a list of names, not one text")
        for name in names:
            if name not in sizes:
                known = inventory.name_some(sorted(sizes)) or "none"
                raise ValueError(f"{side}_speakers: no speaker {name!r} here; there are: {known}")
            if sides.setdefault(name, side) != side:
                raise ValueError(f"speaker {name!r} is in val_speakers and in test_speakers")
    others = {name: {REAL: size} for name, size in sizes.items() if name not in sides}
    open_shares = {side: share for side, share in fractions.items() if not chosen[side]}
    return sides | split_groups(others, fractions=open_shares, seed=seed)


def _sample(path: str, dataset: str, speaker: str | None, side: Split | None) -> Sample:
    return Sample(
        # With its suffix: the same clip may lie there in two formats.
        sample_id=f"{dataset}/{REAL_METHOD}/{inventory.plain_id(path)}",
        path=path,
        kind="video",
        label=REAL,
        dataset=dataset,
        method=REAL_METHOD,
        identities=() if speaker is None else (f"{dataset}/{inventory.plain_id(speaker)}",),
        split=side,
    )


def _describe(samples: Collection[Sample], sides: Mapping[str, Split]) -> list[str]:
    videos = Counter(sample.split for sample in samples)
    notes = [f"{len(samples)} videos of {len(sides)} speakers; no official inventory"]
    for side in get_args(Split):
        names = sorted(name for name in sides if sides[name] == side)
        notes.append(f"{side}: {videos[side]} videos, speakers: {inventory.name_some(names)}")
    unknown = [sample for sample in samples if not sample.identities]
    if unknown:
        where = f"side {unknown[0].split}" if unknown[0].split else "no side"
        notes.append(
            f"speaker not known, so on {where}: {len(unknown)} videos, first {unknown[0].path!r}"
        )
    return notes
