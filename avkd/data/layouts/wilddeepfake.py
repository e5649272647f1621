"""WildDeepfake: face pictures of videos from the internet, one folder for each sequence.

Videos lie in the four parts as folders, or as the archives that are shipped, which are listed and
read without unpacking. Listing an archive reads it from end to end: minutes for the whole dataset.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts.real_fake import label_of
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split
from avkd.data.media import picture_archive
from avkd.data.media.media import MediaError
from avkd.data.splits import count_labels, split_groups

METHOD = "wild"
# Zi et al., "WildDeepfake", ACM Multimedia 2020.
OFFICIAL_SEQUENCES = 7_314
OFFICIAL_VIDEOS = 707

# Older copies write a blank for the underscore.
_PARTS: dict[str, tuple[int, Split]] = {
    "real_train": (REAL, "train"),
    "real_test": (REAL, "test"),
    "fake_train": (FAKE, "train"),
    "fake_test": (FAKE, "test"),
}
_EXPECTED = "real_train, real_test, fake_train and fake_test"


@dataclass(frozen=True)
class _Sequence:
    """A folder that itself holds pictures."""

    part: str
    """One of `_PARTS`."""
    video: str
    """Its number, which says nothing outside its part."""
    path: str


def find(
    root: Path, *, val_fraction: float = 0.1, seed: int = 0, dataset: str = "wilddeepfake"
) -> Manifest:
    """Find the sequences; the test parts are taken as shipped, val is dealt out of the train parts.

    Who is seen is not known. The sequences of a video stay together and count as one identity,
    ``<dataset>/<part>/<video>``: a video's number begins anew in each part. An archive that cannot
    be read stays in the list as one sample, so that `prepare` reports it with its reason.

    Args:
        root: Folder that holds the four parts, or some of them.
        val_fraction: Share of the training sequences for val, of reals and of fakes alike, as near
            as whole videos allow.
        seed: Chooses the videos of val.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, the same video as a folder and as an archive, a folder inside
            that contradicts its part, a bad fraction, or too few videos.
    """
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    sequences: list[_Sequence] = []
    notes: list[str] = []
    for part, folder in _part_folders(root).items():
        found, remarks = _list_part(root, part, folder)
        sequences += found
        notes += [f"{folder}: {remark}" for remark in remarks]
    if not sequences:
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    training = [s for s in sequences if _PARTS[s.part][1] == "train"]
    side_of = split_groups(
        count_labels([_video(s) for s in training], [_PARTS[s.part][0] for s in training]),
        fractions={"val": val_fraction} if training else {},
        seed=seed,
    )
    samples = tuple(
        _sample(s, side_of.get(_video(s), _PARTS[s.part][1]), dataset) for s in sequences
    )
    return Manifest(root=root, samples=samples, notes=(*_describe(samples, seed), *notes))


def _part_of(name: str) -> str | None:
    part = name.lower().replace(" ", "_").replace("-", "_")
    return part if part in _PARTS else None


def _recognises(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return any(_part_of(entry.name) and entry.is_dir() for entry in folder.iterdir())


def _part_folders(root: Path) -> dict[str, str]:
    folders: dict[str, str] = {}
    for name in sorted(entry.name for entry in root.iterdir() if entry.is_dir()):
        part = _part_of(name)
        if part and part in folders:
            raise ValueError(f"{root}: {folders[part]!r} and {name!r} are the same part; keep one")
        if part:
            folders[part] = name
    return folders


def _list_part(root: Path, part: str, folder: str) -> tuple[list[_Sequence], list[str]]:
    """The sequences of a part, and remarks."""
    listing = inventory.list_files(root, folder, suffixes=PICTURE_SUFFIXES | {".gz"})
    archives, folders, strangers = [], set(), []
    for path in listing.files:
        parent, _, name = path.rpartition("/")
        if name.lower().endswith(picture_archive.SUFFIX) and parent == folder:
            archives.append(path)
        elif parent != folder and inventory.is_picture_name(name):
            folders.add(parent)
        else:
            strangers.append(path)
    sequences = [_Sequence(part, path.split("/")[1], path) for path in sorted(folders)]
    unpacked = {sequence.video for sequence in sequences}
    remarks = []
    passed_over: Counter[str] = Counter()
    for path in tqdm(archives, desc=f"list {folder}", unit="archive", disable=not archives):
        video = path.rpartition("/")[2][: -len(picture_archive.SUFFIX)]
        if video in unpacked:
            raise ValueError(f"{root / path}: lies there unpacked as well; keep one of the two")
        try:
            inside = picture_archive.list_pictures(root / path)
        except MediaError as error:
            remarks.append(f"not readable, kept as one sample that will fail: {error}")
            sequences.append(_Sequence(part, video, path))
            continue
        sequences += [_Sequence(part, video, f"{path}//{name}") for name in inside.folders]
        passed_over.update(inside.passed_over)
    for sequence in sequences:
        _check_label(root, sequence)
    for reason, number in passed_over.most_common():
        remarks.append(f"passed over in archives: {number} x {reason}")
    if strangers:
        remarks.append(f"left out, in no video: {len(strangers)}, first {strangers[0]!r}")
    return sequences, [*remarks, *listing.notes()]


def _check_label(root: Path, sequence: _Sequence) -> None:
    told = {label_of(name) for name in sequence.path.split("/")[1:]} - {None}
    if told - {_PARTS[sequence.part][0]}:
        raise ValueError(
            f"{root / sequence.path}: a folder name contradicts the part {sequence.part}; "
            "download it again"
        )


def _video(sequence: _Sequence) -> str:
    return f"{sequence.part}/{inventory.plain_id(sequence.video)}"


def _sample(sequence: _Sequence, side: Split, dataset: str) -> Sample:
    label, _ = _PARTS[sequence.part]
    method = METHOD if label == FAKE else REAL_METHOD
    _, _, inside = sequence.path.partition("/")
    name = inventory.plain_id(inside.replace("//", "/").rstrip("/"))
    return Sample(
        sample_id=f"{dataset}/{method}/{sequence.part}/{name}",
        path=sequence.path,
        kind="frames",
        label=label,
        dataset=dataset,
        method=method,
        identities=(f"{dataset}/{_video(sequence)}",),
        split=side,
    )


def _describe(samples: Sequence[Sample], seed: int) -> list[str]:
    videos = defaultdict(set)
    for sample in samples:
        videos[sample.split].add(sample.identities)
    notes = [
        inventory.compare("sequences", len(samples), OFFICIAL_SEQUENCES),
        inventory.compare("videos", sum(map(len, videos.values())), OFFICIAL_VIDEOS),
        f"val dealt out of the train parts by video with seed {seed}; a video's number stands for "
        "the identity, which is not known",
    ]
    for side in get_args(Split):
        labels = Counter(sample.label for sample in samples if sample.split == side)
        notes.append(
            f"{side}: {labels[REAL]} real, {labels[FAKE]} fake sequences of "
            f"{len(videos[side])} videos"
        )
    return notes
