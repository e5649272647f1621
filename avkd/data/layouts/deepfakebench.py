"""Frames that DeepfakeBench or DF40 prepared, found through the index file they wrote.

Labels are read from the words of its keys, never from numbers. All frames of a folder are used, not
the first of them. Who is seen is known where file names tell: FaceForensics++, Celeb-DF and the
forgeries of DeeperForensics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts.deepfakebench_index import (
    FAKE_KEYS,
    SIDES_BY_RANK,
    IndexedVideo,
    read_index,
)
from avkd.data.layouts.held_out import keep_apart
from avkd.data.layouts.table_notes import count_sides
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample

_EXPECTED = "one index file (.json), or the option index, and the frames it lists"


def find(
    root: Path,
    *,
    index: str | None = None,
    compression: str | None = None,
    dataset: str = "deepfakebench",
) -> Manifest:
    """Find the frame folders an index lists; a folder is one sample however often it is listed.

    A video on several sides of the index is kept on the last of train, val and test alone, and who
    is on that side is kept out of the others.

    Args:
        root: Folder below which the frames lie. The beginning of the paths in the index, which is
            that of another machine or folder, does not count.
        index: The index file, as a path from ``root``; None = the only ``.json`` in it.
        compression: ``raw`` (or ``c0``), ``c23`` or ``c40`` where the index has several; None =
            c23.
        dataset: Name the samples carry.

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
        pictures = set(_pictures(root, folder)) if folder is not None else set()
        if folder is None or not pictures:
            missing.append(video.folder)
            continue
        more += [folder] if pictures - video.frames else []
        fewer += [folder] if video.frames - pictures else []
        there[folder] = video
    if not there:
        raise ValueError(
            f"{root}: holds none of the {len(videos)} frame folders of {path}, first "
            f"{missing[0]!r}; give the folder that the datasets lie in"
        )
    real_of = {
        (video.people[:1], video.original): _sample_id(folder, video, dataset)
        for folder, video in there.items()
        if video.label == REAL and video.people
    }
    samples, overlap = keep_apart(
        _sample(folder, video, dataset, real_of) for folder, video in there.items()
    )
    notes = [*_describe(samples), *notes, *overlap]
    for what, found in (
        ("left out, no frames there", missing),
        ("with frames the index does not list, which are used as well", more),
        ("with fewer frames than the index lists", fewer),
    ):
        if found:
            notes.append(f"{what}: {len(found)} videos: {inventory.name_some(sorted(found))}")
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _recognises(folder: Path) -> bool:
    return len(_indices(folder)) == 1


def _indices(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))


def _index_path(root: Path, index: str | None) -> Path:
    if index is not None:
        if not (root / index).is_file():
            raise ValueError(f"index={index!r}: no such file from {root}")
        return root / index
    found = _indices(root)
    if len(found) > 1:
        raise ValueError(
            f"{root}: several index files ({inventory.name_some(found)}); choose one with the "
            "option index"
        )
    if not found:
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
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


def _pictures(root: Path, folder: str) -> list[str]:
    listing = inventory.list_files(root, folder, suffixes=PICTURE_SUFFIXES, recursive=False)
    return [path.rpartition("/")[2] for path in listing.files]


def _sample_id(folder: str, video: IndexedVideo, dataset: str) -> str:
    return f"{dataset}/{inventory.plain_id(_method(video))}/{inventory.plain_id(folder)}"


def _method(video: IndexedVideo) -> str:
    return REAL_METHOD if video.label == REAL else FAKE_KEYS.get(video.key, video.key)


def _sample(
    folder: str,
    video: IndexedVideo,
    dataset: str,
    real_of: Mapping[tuple[tuple[str, ...], str], str],
) -> Sample:
    source = real_of.get((video.people[:1], video.original)) if video.label == FAKE else None
    return Sample(
        sample_id=_sample_id(folder, video, dataset),
        path=folder,
        kind="frames",
        label=video.label,
        dataset=dataset,
        method=_method(video),
        identities=video.people,
        split=max(video.sides, key=SIDES_BY_RANK.index),
        source_id=source,
    )


def _describe(samples: Sequence[Sample]) -> list[str]:
    methods = Counter(sample.method for sample in samples)
    counts = ", ".join(f"{number} {method}" for method, number in sorted(methods.items()))
    notes = [f"{len(samples)} videos: {counts}; no official inventory", *count_sides(samples)]
    unknown = sum(not sample.identities for sample in samples)
    if unknown:
        notes.append(f"who is seen is not known of {unknown} videos")
    return notes
