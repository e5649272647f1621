"""Celeb-DF v1 and v2: one tree, one official list of test videos in which **1 means real**.

The list is translated by meaning and held against the folder names. Celeb-DF++ is another tree.
"""

import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken, read_lines
from avkd.data.manifest import FAKE, REAL, Manifest

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
_CLIP = re.compile(r"celeb-\w+/(?P<target>id\d+)(_(?P<source>id\d+))?_(?P<number>\d+)")


def find(root: Path) -> Manifest:
    """Find the videos: those in the official list are test, the rest may train.

    Whoever is seen in test is kept out of train: those videos are in no split. In version 2 that
    is nearly every celebrity, which makes it a corpus to test on.

    Raises:
        ValueError: not Celeb-DF, no list, or a row of the list that is broken, doubled or
            contradicts its folder; names the line.
    """
    inventory.check_root(
        root,
        f"Celeb-real, YouTube-real, Celeb-synthesis and {LIST_NAME}",
        lambda near: any(entry.name.lower() in FOLDERS for entry in near.iterdir()),
    )
    listed = _read_list(root)
    paths: list[str] = []
    remarks: list[str] = []
    for folder in sorted(entry.name for entry in root.iterdir() if entry.is_dir()):
        if folder.lower() in FOLDERS:
            listing = inventory.list_files(root, folder)
            paths += listing.files
            remarks += [f"{folder}: {note}" for note in listing.notes()]
    path_of = builder.by_name(root, paths, _name_of)
    # Of the whole list, also where videos are missing: half a download must not train on them.
    in_test = {person for name in listed for person in _read_name(name)[0]}
    samples = []
    for name, path in path_of.items():
        people, original = _read_name(name)
        may_train = people and in_test.isdisjoint(people)
        samples.append(
            builder.make_sample(
                path,
                dataset="celebdf",
                label=FOLDERS[name.partition("/")[0]],
                name=name,
                method=METHOD,
                identities=people,
                split="test" if name in listed else "train" if may_train else None,
                original=original,
            )
        )
    left = builder.count(samples)
    notes = [
        *_compare(path_of, listed),
        "kept out of training because someone in them is in the test list, or is not known: "
        f"{left['None real']} real, {left['None fake']} fake; left for training: "
        f"{left['train real']} real, {left['train fake']} fake",
    ]
    return builder.build(root, samples, [*notes, *remarks])


def _name_of(path: str) -> str:
    """Folder in lower case and file name without suffix: what a video is called here."""
    return f"{path.partition('/')[0].lower()}/{inventory.stem_of(path)}"


def _read_list(root: Path) -> dict[str, int]:
    """Line number of every listed video; the first row is a video like all others."""
    path = next((p for p in root.iterdir() if p.name.lower() == LIST_NAME.lower()), None)
    if path is None:
        raise ValueError(
            f"{root}: {LIST_NAME} is missing; it comes with the download and alone says which "
            "videos are for testing"
        )
    listed: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        digit, name = [*line.replace("\\", "/").split(maxsplit=1), ""][:2]
        folder, slash, _ = name.lower().partition("/")
        if digit not in _LABEL_OF_DIGIT or folder not in FOLDERS or not slash:
            raise broken(where, f"{line!r} is not a row such as '1 YouTube-real/00170.mp4'")
        if _LABEL_OF_DIGIT[digit] != FOLDERS[folder]:
            raise broken(
                where, f"{line!r} contradicts itself: in this list 1 is real and 0 is fake"
            )
        if (first := listed.setdefault(_name_of(name.strip()), number)) != number:
            raise broken(where, f"{line!r} is in line {first} already")
    if not listed:
        raise broken(path, "lists no video")
    return listed


def _read_name(name: str) -> tuple[list[str], str | None]:
    """Everyone seen in a video, the original (target) first, and what that is called.

    ``id0_id1_0000`` is the clip ``id0_0000`` with the face of id1. A YouTube-real video shows a
    person of its own, as the authors say of version 1.
    """
    if name.startswith("youtube-real/"):
        return [f"celebdf/youtube-{name.partition('/')[2]}"], None
    clip = _CLIP.fullmatch(name)
    if clip is None:
        return [], None
    people = [f"celebdf/{person}" for person in (clip["target"], clip["source"]) if person]
    return people, f"celeb-real/{clip['target']}_{clip['number']}"


def _compare(names: Collection[str], listed: Collection[str]) -> list[str]:
    found, test_rows = (Counter(name.partition("/")[0] for name in n) for n in (names, listed))
    more_than_v1 = found["celeb-synthesis"] > OFFICIAL_VIDEOS["v1"]["celeb-synthesis"]
    version = "v2" if more_than_v1 or test_rows == OFFICIAL_TEST_VIDEOS_V2 else "v1"
    return [
        f"taken for Celeb-DF {version}, by the number of videos and of listed test videos",
        *builder.compare_counts(found, OFFICIAL_VIDEOS[version]),
        *(
            inventory.compare(f"{folder}, listed for testing", test_rows[folder], official)
            if version == "v2"
            else f"{folder}, listed for testing: {test_rows[folder]}"
            for folder, official in OFFICIAL_TEST_VIDEOS_V2.items()
        ),
        *inventory.note_names("listed but missing", set(listed) - set(names)),
    ]
