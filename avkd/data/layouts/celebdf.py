"""Celeb-DF v1 and v2: one tree, one official list of test videos in which **1 means real**.

The list is translated by meaning and held against the folder names. Knows nothing of Celeb-DF++.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from avkd.data import inventory
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split

# Folder name in lower case (copies write `Youtube-real` too) -> its label.
FOLDERS = {"celeb-real": REAL, "youtube-real": REAL, "celeb-synthesis": FAKE}
METHOD = "Celeb-synthesis"
LIST_NAME = "List_of_testing_videos.txt"
# Li et al., "Celeb-DF", CVPR 2020, and the README files of both versions. The number of test
# videos of version 1 is not printed there.
OFFICIAL_VIDEOS = {
    "v1": {"celeb-real": 158, "youtube-real": 250, "celeb-synthesis": 795},
    "v2": {"celeb-real": 590, "youtube-real": 300, "celeb-synthesis": 5639},
}
OFFICIAL_TEST_VIDEOS_V2 = {"celeb-real": 108, "youtube-real": 70, "celeb-synthesis": 340}

_LABEL_OF_DIGIT = {"1": REAL, "0": FAKE}  # the list's own meaning, opposite to ours
_CLIP = re.compile(r"(?P<target>id\d+)(_(?P<source>id\d+))?_(?P<number>\d+)")
_EXPECTED = f"Celeb-real, YouTube-real, Celeb-synthesis and {LIST_NAME}"

_Key = tuple[str, str]  # folder in lower case, file name without suffix


def find(root: Path, *, dataset: str = "celebdf") -> Manifest:
    """Find the videos: those in the official list are the test side, the rest may train.

    Whoever is seen in the test side is kept out of the training side: those videos have no side.
    In version 2 that is nearly every celebrity, which makes it a corpus to test on.

    Args:
        root: Folder of the download.
        dataset: Name the samples carry; give two names to use both versions side by side.

    Raises:
        ValueError: not Celeb-DF, no list, or a row of the list that is broken, doubled or
            contradicts its folder; names the line.
    """
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    listed = _read_list(root)
    notes: list[str] = []
    paths: dict[_Key, str] = {}
    for folder in sorted(entry.name for entry in root.iterdir() if entry.is_dir()):
        if folder.lower() in FOLDERS:
            listing = inventory.list_videos(root, folder)
            notes += [f"{folder}: {note}" for note in listing.notes()]
            for path in listing.files:
                key = (folder.lower(), inventory.stem_of(path))
                if key in paths:
                    raise ValueError(f"{root}: {paths[key]!r} and {path!r} are the same video")
                paths[key] = path
    # Of the whole list, also where videos are missing: half a download must not train on them.
    in_test = {name for key in listed for name in _identities(key, dataset)}
    samples = []
    for key, path in paths.items():
        people = _identities(key, dataset)
        split: Split | None = "test" if key in listed else "train"
        if split == "train" and (not people or not in_test.isdisjoint(people)):
            split = None
        samples.append(_sample(key, path, dataset, split, paths))
    notes = [*_compare(paths, listed, samples), *notes]
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _recognises(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {entry.name.lower() for entry in folder.iterdir()}
    return not names.isdisjoint(FOLDERS)


def _read_list(root: Path) -> dict[_Key, int]:
    """Line number of every listed video; the first row is a video like all others."""
    path = next((p for p in root.iterdir() if p.name.lower() == LIST_NAME.lower()), None)
    if path is None:
        raise ValueError(
            f"{root}: {LIST_NAME} is missing; it comes with the download and alone says which "
            "videos are for testing"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error}); download it again") from error
    listed: dict[_Key, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        key = _parse_row(f"{path}, line {number}", line)
        if key in listed:
            raise ValueError(f"{path}, line {number}: {line!r} is in line {listed[key]} already")
        listed[key] = number
    if not listed:
        raise ValueError(f"{path}: lists no video; download it again")
    return listed


def _parse_row(where: str, line: str) -> _Key:
    digit, name = [*line.split(maxsplit=1), ""][:2]
    parts = name.strip().replace("\\", "/").split("/")
    folder = parts[0].lower()
    if digit not in _LABEL_OF_DIGIT or folder not in FOLDERS or len(parts) < 2:
        raise ValueError(f"{where}: {line!r} is not a row such as '1 YouTube-real/00170.mp4'")
    if _LABEL_OF_DIGIT[digit] != FOLDERS[folder]:
        raise ValueError(
            f"{where}: {line!r} contradicts itself; in this list 1 is real and 0 is fake"
        )
    return folder, inventory.stem_of(parts[-1])


def _identities(key: _Key, dataset: str) -> tuple[str, ...]:
    """Everyone seen in a video, the original (target) first.

    ``id0_id1_0000`` is the clip ``id0_0000`` with the face of id1. A YouTube-real video shows a
    person of its own, as the authors say of version 1.
    """
    folder, name = key
    if folder == "youtube-real":
        return (f"{dataset}/youtube-{inventory.plain_id(name)}",)
    match = _CLIP.fullmatch(name)
    if match is None:
        return ()
    people = [match["target"], match["source"]]
    return tuple(f"{dataset}/{person}" for person in people if person)


def _sample(
    key: _Key, path: str, dataset: str, split: Split | None, paths: dict[_Key, str]
) -> Sample:
    folder, name = key
    label = FOLDERS[folder]
    method = METHOD if label == FAKE else REAL_METHOD
    clip = _CLIP.fullmatch(name)
    source_id = None
    if label == FAKE and clip:
        original = f"{clip['target']}_{clip['number']}"
        if ("celeb-real", original) in paths:
            source_id = f"{dataset}/{REAL_METHOD}/celeb-real/{original}"
    return Sample(
        sample_id=f"{dataset}/{method}/{folder}/{inventory.plain_id(name)}",
        path=path,
        kind="video",
        label=label,
        dataset=dataset,
        method=method,
        identities=_identities(key, dataset),
        split=split,
        source_id=source_id,
    )


def _compare(paths: dict[_Key, str], listed: dict[_Key, int], samples: list[Sample]) -> list[str]:
    found = Counter(folder for folder, _ in paths)
    test_rows = Counter(folder for folder, _ in listed)
    version = "v1"
    if (
        found["celeb-synthesis"] > OFFICIAL_VIDEOS["v1"]["celeb-synthesis"]
        or test_rows == OFFICIAL_TEST_VIDEOS_V2
    ):
        version = "v2"
    notes = [f"taken for Celeb-DF {version}, by the number of videos and of listed test videos"]
    for folder, official in OFFICIAL_VIDEOS[version].items():
        notes.append(inventory.compare(folder, found[folder], official))
        rows = test_rows[folder]
        if version == "v2":
            official_rows = OFFICIAL_TEST_VIDEOS_V2[folder]
            notes.append(inventory.compare(f"{folder}, listed for testing", rows, official_rows))
        else:
            notes.append(f"{folder}, listed for testing: {rows}")
    missing = sorted(f"{folder}/{name}" for folder, name in listed if (folder, name) not in paths)
    if missing:
        notes.append(f"listed but missing: {len(missing)}: {inventory.name_some(missing)}")
    kept_out = Counter(sample.label for sample in samples if sample.split is None)
    left = Counter(sample.label for sample in samples if sample.split == "train")
    notes.append(
        "kept out of training because someone in them is in the test list, or is not known: "
        f"{kept_out[REAL]} real, {kept_out[FAKE]} fake; left for training: "
        f"{left[REAL]} real, {left[FAKE]} fake"
    )
    return notes
