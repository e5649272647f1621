"""Frames that DeepfakeBench or DF40 prepared, found through the index file they wrote.

It is ``{dataset: {label: {split: [{compression:] {video: {label, frames}}}}}}``. A video is the
folder its frames lie in, so videos of one name stay apart; all frames of it are used, not the first
of them. Labels are read from the words of the keys, never from numbers. Who is seen is known where
file names tell: FaceForensics++, Celeb-DF and the forgeries of DeeperForensics.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts import builder
from avkd.data.layouts.faceforensics import COMPRESSIONS
from avkd.data.layouts.tables import read_json_object
from avkd.data.manifest import FAKE, REAL, Manifest, Split, label_or_none
from avkd.data.splits import SPLIT_NAMES, drop_overlap

# Keys without a word that tells the label -> method, as layout faceforensics calls it.
FAKE_KEYS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
    "FF-SH": "FaceShifter",
}

_SPLITS: tuple[Split, ...] = ("train", "val", "test")  # the last that lists a video counts
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Beginning of the key, how its videos are called, and what the layout of that dataset puts before
# the names of the people in them.
_PEOPLE = (
    ("FF-", re.compile(r"(?P<target>\d{3})(_(?P<source>\d{3}))?"), "ffpp/"),
    ("CelebDF", re.compile(r"(?P<target>id\d+)(_(?P<source>id\d+))?(?P<clip>_\d+)"), "celebdf/"),
    ("CelebDF", re.compile(r"(?P<target>\d{5})"), "celebdf/youtube-"),
    ("DF_fake", re.compile(r"(?P<target>\d{3})_[MW]\d{3}"), "ffpp/"),
)


@dataclass
class _Video:
    """What the index tells of a folder of frames, everywhere it lists it."""

    key: str
    """Of the label, where it is listed first."""
    label: int
    splits: set[Split] = field(default_factory=set)
    frames: set[str] = field(default_factory=set)


def find(root: Path, *, index: str | None = None, compression: str | None = None) -> Manifest:
    """Find the frame folders an index lists; a folder is one sample however often it is listed.

    A video in several splits of the index is kept in the last of train, val and test alone, and who
    is in that split is kept out of the others. The beginning of the paths in the index, which is
    that of another machine or folder, does not count.

    Raises:
        ValueError: no index, a broken one, a key or name whose label is not clear, one folder under
            two labels, no frames below ``root``, or a compression without effect.
    """
    path = _index_path(root, index)
    videos, notes = _read_index(path, compression)
    folder_of = _locate(root, path, videos)
    there: dict[str, set[str]] = {}
    for listed, folder in folder_of.items():
        pictures = inventory.list_files(root, folder, suffixes=PICTURE_SUFFIXES, recursive=False)
        if pictures.files:
            there[listed] = {file.rpartition("/")[2] for file in pictures.files}
    if not there:
        raise ValueError(
            f"{root}: holds none of the {len(videos)} frame folders of {path}, first "
            f"{next(iter(videos))!r}; give the folder that the datasets lie in"
        )
    seen = {listed: _read_name(videos[listed].key, listed) for listed in there}
    real_of: dict[tuple[str, ...], str] = {
        (people[0], original): folder_of[listed]
        for listed, (people, original) in seen.items()
        if people and videos[listed].label == REAL
    }
    samples, overlap = drop_overlap(
        builder.make_sample(
            folder_of[listed],
            dataset="deepfakebench",
            label=videos[listed].label,
            method=FAKE_KEYS.get(videos[listed].key, videos[listed].key),
            kind="frames",
            identities=people,
            split=max(videos[listed].splits, key=_SPLITS.index),
            original=real_of.get((*people[:1], original)),
        )
        for listed, (people, original) in seen.items()
    )
    counts = inventory.name_counts(sample.method for sample in samples)
    unknown = sum(not sample.identities for sample in samples)
    missing = videos.keys() - there.keys()
    more = [folder_of[name] for name, frames in there.items() if frames - videos[name].frames]
    fewer = [folder_of[name] for name, frames in there.items() if videos[name].frames - frames]
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


def _locate(root: Path, index: Path, listed: Iterable[str]) -> dict[str, str]:
    """Folder below ``root`` of every listed folder that is there: its longest end that exists."""
    found: dict[str, str] = {}
    for path in listed:
        parts = [part for part in PurePosixPath(path).parts if part != "/"]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        folder = next((end for end in ends if (root / end).is_dir()), None)
        if folder is None:
            continue
        other = found.setdefault(folder, path)
        if other != path:
            raise ValueError(
                f"{index}: {other!r} and {path!r} would both be {root / folder}; give the folder "
                "that the datasets lie in"
            )
    return {path: folder for folder, path in found.items()}


def label_of_key(key: str) -> int | None:
    """The label that words of a key tell, as in ``FF-real`` or ``DFDCP_FakeA``; None if unclear."""
    told = {label_or_none(word) for word in _WORD.findall(key)} - {None}
    if key in FAKE_KEYS:
        told.add(FAKE)
    return told.pop() if len(told) == 1 else None


def _read_index(path: Path, compression: str | None) -> tuple[dict[str, _Video], list[str]]:
    """Every listed folder once, by its path there, and notes on what is listed oddly."""
    videos: dict[str, _Video] = {}
    odd: Counter[str] = Counter()
    used_compression = False
    for key, label, split, part, where in _parts(path):
        if set(part) & set(COMPRESSIONS):
            used_compression, level = True, compression or "c23"
            if level not in COMPRESSIONS:
                known = ", ".join(COMPRESSIONS)
                raise ValueError(f"compression={level!r}: choose one of {known}")
            name = next((name for name in COMPRESSIONS[level] if name in part), None)
            if name is None:
                there = ", ".join(part)
                raise ValueError(f"{where}: no compression {level!r}; there are: {there}")
            part = _object(f"{where}/{name}", part[name])
        if "frames" in part:  # as an index writer leaves it that overwrites its own dictionary
            odd[f"left out, {key} {split}: one video in place of the list"] += 1
            continue
        for name, row in part.items():
            folder, frames = _read_video(f"{where}/{name}", key, label, row)
            if not frames:
                odd[f"left out, {key} {split}: no frames listed"] += 1
                continue
            video = videos.setdefault(folder, _Video(key, label))
            if video.label != label:
                raise ValueError(
                    f"{where}: {folder!r} is listed under {video.key!r} as well, which has "
                    "the other label; make the index again"
                )
            video.splits.add(split)
            video.frames |= frames
    if compression is not None and not used_compression:
        raise ValueError(f"compression has no effect: {path} has no such level; remove it")
    if not videos:
        raise ValueError(f"{path}: lists no frames; it is not an index, or was written too early")
    overlaps = Counter(
        " and ".join(sorted(video.splits, key=_SPLITS.index))
        for video in videos.values()
        if len(video.splits) > 1
    )
    notes = [
        f"in several splits of the index, {splits}: {number} videos; kept in the last of them alone"
        for splits, number in sorted(overlaps.items())
    ]
    return videos, [*notes, *(f"{what}: {number}" for what, number in sorted(odd.items()))]


def _parts(path: Path) -> Iterator[tuple[str, int, Split, Mapping[str, Any], str]]:
    """(key of the label, label, split, what is listed there, place) of an index."""
    for dataset, keys in read_json_object(path).items():
        for key, splits in _object(f"{path}: {dataset}", keys).items():
            label = label_of_key(key)
            if label is None:
                raise ValueError(
                    f"{path}: the key {key!r} does not tell real from fake, or tells both; rename "
                    f"it so that it holds one such word (known besides: {', '.join(FAKE_KEYS)})"
                )
            for split, part in _object(f"{path}: {dataset}/{key}", splits).items():
                where = f"{path}: {dataset}/{key}/{split}"
                if split.lower() not in SPLIT_NAMES:
                    raise ValueError(f"{where}: unknown split; known: {', '.join(SPLIT_NAMES)}")
                yield key, label, SPLIT_NAMES[split.lower()], _object(where, part), where


def _object(where: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{where} is not a mapping by name; this is not an index of DeepfakeBench")
    return found


def _read_video(where: str, key: str, label: int, row: Any) -> tuple[str, set[str]]:
    """The folder and names of the frames listed of a video; perhaps none."""
    row = _object(where, row)
    told, frames = row.get("label"), row.get("frames")
    if isinstance(told, str) and label_of_key(told) != label:
        raise ValueError(f"{where}: called {told!r} there, under the key {key!r}")
    if not isinstance(frames, list) or not all(isinstance(frame, str) for frame in frames):
        raise ValueError(f"{where}: not a list of frames")
    paths = [PurePosixPath(frame.replace("\\", "/")) for frame in frames]
    folders = {str(path.parent) for path in paths}
    if len(folders) > 1 or any(".." in path.parts for path in paths[:1]):
        raise ValueError(f"{where}: its frames do not lie in one folder")
    return "".join(folders), {path.name for path in paths}


def _read_name(key: str, folder: str) -> tuple[tuple[str, ...], str]:
    """Who is seen in a video, the target first, and what its original is called.

    Where names do not tell, the second is its own name.
    """
    name = PurePosixPath(folder).name
    for beginning, pattern, namespace in _PEOPLE:
        found = pattern.fullmatch(name) if key.startswith(beginning) else None
        if found:
            told = found.groupdict()
            names = (told["target"], told.get("source"))
            people = tuple(f"{namespace}{person}" for person in names if person)
            return people, told["target"] + (told.get("clip") or "")
    return (), name
