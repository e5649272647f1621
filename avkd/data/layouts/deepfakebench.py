"""Frames that DeepfakeBench or DF40 prepared, found through the index file they wrote.

Labels are read from the words of its keys, never from numbers. All frames of a folder are used, not
the first of them. Who is seen is known where file names tell: FaceForensics++, Celeb-DF and the
forgeries of DeeperForensics.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts import builder
from avkd.data.layouts.deepfakebench_index import FAKE_KEYS, IndexedVideo, read_index
from avkd.data.manifest import REAL, Manifest
from avkd.data.splits import drop_overlap


def find(root: Path, *, index: str | None = None, compression: str | None = None) -> Manifest:
    """Find the frame folders an index lists; a folder is one sample however often it is listed.

    A video in several splits of the index is kept in the last of train, val and test alone, and who
    is in that split is kept out of the others.

    Args:
        root: Folder below which the frames lie. The beginning of the paths in the index, which is
            that of another machine or folder, does not count.
        index: The index file, as a path from ``root``; None = the only ``.json`` in it.
        compression: ``raw`` (or ``c0``), ``c23`` or ``c40`` where the index has several; None =
            c23.

    Raises:
        ValueError: no index, a broken one, a key or name whose label is not clear, one folder under
            two labels, no frames below ``root``, or a compression without effect.
    """
    path = _index_path(root, index)
    videos, notes = read_index(path, compression)
    folders = _locate(root, path, videos.values())
    there: dict[str, IndexedVideo] = {}
    missing, more, fewer = [], [], []
    for video in videos.values():
        folder = folders.get(video.folder)
        frames = _frames(root, folder) if folder is not None else set()
        if folder is None or not frames:
            missing.append(video.folder)
            continue
        more += [folder] if frames - video.frames else []
        fewer += [folder] if video.frames - frames else []
        there[folder] = video
    if not there:
        raise ValueError(
            f"{root}: holds none of the {len(videos)} frame folders of {path}, first "
            f"{missing[0]!r}; give the folder that the datasets lie in"
        )
    real_of = {
        (video.people[0], video.original): folder
        for folder, video in there.items()
        if video.label == REAL and video.people
    }
    samples, overlap = drop_overlap(
        builder.make_sample(
            folder,
            dataset="deepfakebench",
            label=video.label,
            method=FAKE_KEYS.get(video.key, video.key),
            kind="frames",
            identities=video.people,
            split=video.split,
            original=real_of.get((video.people[0], video.original)) if video.people else None,
        )
        for folder, video in there.items()
    )
    counts = inventory.name_counts(sample.method for sample in samples)
    unknown = sum(not sample.identities for sample in samples)
    notes = [
        f"{len(samples)} videos: {counts}; no official inventory",
        *([f"who is seen is not known of {unknown} videos"] if unknown else []),
        *notes,
        *overlap,
        *inventory.note_names("left out, no frames there", missing),
        *inventory.note_names("with frames the index does not list, which are used as well", more),
        *inventory.note_names("with fewer frames than the index lists", fewer),
    ]
    return builder.build(root, samples, notes)


def _indices(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))


def _index_path(root: Path, index: str | None) -> Path:
    if index is not None:
        if not (root / index).is_file():
            raise ValueError(f"index={index!r}: no such file from {root}")
        return root / index
    found = _indices(root) if root.is_dir() else []
    if len(found) > 1:
        raise ValueError(
            f"{root}: several index files ({inventory.name_some(found)}); choose one with the "
            "option index"
        )
    if not found:
        raise inventory.wrong_root(
            root,
            "one index file (.json), or the option index, and the frames it lists",
            lambda near: len(_indices(near)) == 1,
        )
    return root / found[0]


def _locate(root: Path, index: Path, videos: Iterable[IndexedVideo]) -> dict[str, str]:
    """Folder below ``root`` of every listed folder that is there: its longest end that exists."""
    found: dict[str, str] = {}
    listed_as: dict[str, str] = {}
    for video in videos:
        parts = [part for part in PurePosixPath(video.folder).parts if part != "/"]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        folder = next((end for end in ends if (root / end).is_dir()), None)
        if folder is None:
            continue
        other = listed_as.setdefault(folder, video.folder)
        if other != video.folder:
            raise ValueError(
                f"{index}: {other!r} and {video.folder!r} would both be {root / folder}; give the "
                "folder that the datasets lie in"
            )
        found[video.folder] = folder
    return found


def _frames(root: Path, folder: str) -> set[str]:
    listing = inventory.list_files(root, folder, suffixes=PICTURE_SUFFIXES, recursive=False)
    return {path.rpartition("/")[2] for path in listing.files}
