"""The Deepfake Detection Challenge: its training parts and its public test set.

Labels are words, but for the test set: in its tables **1 means fake**, which is our convention by
chance and is translated like any other. Names of videos are arbitrary, and who is seen is not told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from avkd.data import inventory
from avkd.data.layouts.csv_rows import read_rows
from avkd.data.layouts.json_tables import read_object
from avkd.data.layouts.real_fake import METHOD_NOT_TOLD, label_of
from avkd.data.layouts.table_notes import compare_labels, compare_with_table, count_sides
from avkd.data.layouts.video_lists import describe_choice, read_video_list
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split
from avkd.data.splits import count_labels, join_people, split_groups

METADATA = "metadata.json"
TEST_TABLE = "labels.csv"
# Dolhansky et al., "The DeepFake Detection Challenge Dataset", arXiv 2006.07397. The labels of the
# test set were published later.
OFFICIAL_TRAIN = {REAL: 19_154, FAKE: 100_000}
OFFICIAL_PARTS = 50
OFFICIAL_TEST_VIDEOS = 5_000

_LABEL_OF_NUMBER = {"0": REAL, "1": FAKE}  # what the tables of the test set mean by them
_PART = "dfdc_train_part_"
_TRAIN_EXPECTED = f"{_PART}<number>/{METADATA} with the videos beside it"
_TEST_EXPECTED = f"videos, with {METADATA} or {TEST_TABLE}"


@dataclass(frozen=True)
class _Video:
    name: str
    path: str
    label: int
    original: str
    """The video it was made from; of a real, or where the table tells none, its own name."""


def find_train(
    root: Path,
    *,
    val_fraction: float = 0.1,
    test_fraction: float = 0.0,
    seed: int = 0,
    dataset: str = "dfdc_train",
) -> Manifest:
    """Find the videos of the training parts; a real and all forgeries of it stand on one side.

    An original counts as the identity, ``dfdc/<original>``: the actors are not told, and one actor
    may be in several originals.

    Args:
        root: Folder that holds the parts, or one part.
        val_fraction: Share of the videos for val.
        test_fraction: The same for test; the challenge has a test set of its own.
        seed: Chooses what is held out.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, a broken table, a video in two parts, a bad fraction, or too few
            originals.
    """
    parts = _parts(root)
    if not parts:
        raise inventory.wrong_root(root, expected=_TRAIN_EXPECTED, recognises=_holds_parts)
    videos: dict[str, _Video] = {}
    notes = []
    for part in parts:
        found, remarks = _read_part(root, part)
        if doubled := sorted(videos.keys() & found.keys()):
            paths = [at[doubled[0]].path for at in (videos, found)]
            raise ValueError(f"{root}: {paths[0]!r} and {paths[1]!r} are the same video")
        videos |= found
        notes += [f"{part or 'the folder'}: {remark}" for remark in remarks]
    group_of = join_people((video.name, video.original) for video in videos.values())
    groups = [group_of[name] for name in videos]
    sides = split_groups(
        count_labels(groups, [video.label for video in videos.values()]),
        fractions={"val": val_fraction, "test": test_fraction},
        seed=seed,
    )
    samples = [
        _train_sample(video, sides[group], dataset, videos)
        for video, group in zip(videos.values(), groups, strict=True)
    ]
    notes = [
        *compare_labels(samples, OFFICIAL_TRAIN),
        inventory.compare("parts", len(parts), OFFICIAL_PARTS),
        f"no official val: dealt out by original with seed {seed}; the actors are not told, so "
        "one of them may be on two sides",
        *count_sides(samples),
        *notes,
    ]
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def find_test(
    root: Path, *, video_list: Path | None = None, dataset: str = "dfdc_test"
) -> Manifest:
    """Find the videos of the public test set; all are on the test side.

    Args:
        root: Folder with the videos, on any level, and one of the two tables or both.
        video_list: Names of the videos to keep, one a line, such as the 3,215 with one clear face
            that LipForensics and RealForensics report on; None = all.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, a broken table, tables that contradict one another, two videos
            of one name, or a list of other videos.
    """
    if not _is_test(root):
        raise inventory.wrong_root(root, expected=_TEST_EXPECTED, recognises=_is_test)
    label_of_name = _read_test_tables(root)
    listing = inventory.list_videos(root)
    paths: dict[str, str] = {}
    for path in listing.files:
        name = inventory.stem_of(path)
        if name in paths:
            raise ValueError(f"{root}: {paths[name]!r} and {path!r} are the same video")
        paths[name] = path
    there = [name for name in paths if name in label_of_name]
    notes = compare_with_table(root, paths, label_of_name)
    if video_list is not None:
        listed = read_video_list(video_list)
        notes += describe_choice(video_list, listed, there)
        there = [name for name in there if name in listed]
    samples = [_test_sample(name, paths[name], label_of_name[name], dataset) for name in there]
    found = Counter(sample.label for sample in samples)
    notes = [
        inventory.compare("videos", len(paths), OFFICIAL_TEST_VIDEOS),
        f"test: {found[REAL]} real, {found[FAKE]} fake; who is seen is not told",
        *notes,
        *listing.notes(),
    ]
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _holds_parts(folder: Path) -> bool:
    return bool(_parts(folder))


def _parts(root: Path) -> list[str]:
    """Folders below ``root`` that are parts; ``""`` if it is one itself."""
    if not root.is_dir():
        return []
    if (root / METADATA).is_file():
        return [""]
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    parts = [name for name in folders if (root / name / METADATA).is_file()]
    return sorted({*parts, *(name for name in folders if name.startswith(_PART))}) if parts else []


def _read_part(root: Path, part: str) -> tuple[dict[str, _Video], list[str]]:
    """The videos of a part that have a row, by name, and remarks."""
    table = root / part / METADATA
    if not table.is_file():
        raise ValueError(
            f"{table} is missing, without which nothing beside it has a label; unpack that part "
            "again, or move it away"
        )
    listing = inventory.list_videos(root, part, recursive=False)
    path_of = {path.rpartition("/")[2]: path for path in listing.files}
    rows = read_object(table)
    videos: dict[str, _Video] = {}
    for file, row in rows.items():
        if file not in path_of:
            continue
        word = row.get("label") if isinstance(row, dict) else None
        label = label_of(word) if isinstance(word, str) else None
        if label is None:
            raise ValueError(
                f"{table}: {file!r} has the label {word!r}, expected REAL or FAKE; download it "
                "again (the table of the test set has numbers: layout dfdc_test)"
            )
        original = row.get("original") if label == FAKE else None
        name = inventory.stem_of(file)
        if name in videos:
            raise ValueError(f"{table}: {videos[name].path!r} and {file!r} are the same video")
        told = inventory.stem_of(original) if isinstance(original, str) else ""
        videos[name] = _Video(name, path_of[file], label, told or name)
    return videos, [*compare_with_table(table, path_of, rows), *listing.notes()]


def _train_sample(video: _Video, side: Split, dataset: str, videos: Mapping[str, _Video]) -> Sample:
    method = METHOD_NOT_TOLD if video.label == FAKE else REAL_METHOD
    original = inventory.plain_id(video.original)
    source = videos.get(video.original)
    has_source = video.label == FAKE and source is not None and source.label == REAL
    return Sample(
        sample_id=f"{dataset}/{method}/{inventory.plain_id(video.name)}",
        path=video.path,
        kind="video",
        label=video.label,
        dataset=dataset,
        method=method,
        identities=(f"dfdc/{original}",),
        split=side,
        source_id=f"{dataset}/{REAL_METHOD}/{original}" if has_source else None,
    )


def _is_test(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (METADATA, TEST_TABLE))


def _read_test_tables(root: Path) -> dict[str, int]:
    """Label of every listed video, by its name without suffix."""
    numbers: dict[str, dict[str, str]] = {}
    if (root / METADATA).is_file():
        rows = read_object(root / METADATA).items()
        numbers[METADATA] = {
            name: str(row.get("is_fake")) if isinstance(row, dict) else str(row)
            for name, row in rows
        }
    if (root / TEST_TABLE).is_file():
        lines = read_rows(root / TEST_TABLE, ("filename", "label"))
        numbers[TEST_TABLE] = {row["filename"]: row["label"].strip() for _, row in lines}
    labels: dict[str, int] = {}
    for table, number_of in numbers.items():
        for file, number in number_of.items():
            if number not in _LABEL_OF_NUMBER:
                raise ValueError(
                    f"{root / table}: {file!r} has {number!r} for 0 (real) or 1 (fake); download "
                    "it again (the tables of the training parts have words: layout dfdc_train)"
                )
            label = _LABEL_OF_NUMBER[number]
            if labels.setdefault(inventory.stem_of(file), label) != label:
                raise ValueError(
                    f"{root / table}: {file!r} is {number} here, and the opposite elsewhere in the "
                    "tables of the test set; download them again"
                )
    return labels


def _test_sample(name: str, path: str, label: int, dataset: str) -> Sample:
    method = METHOD_NOT_TOLD if label == FAKE else REAL_METHOD
    return Sample(
        sample_id=f"{dataset}/{method}/{inventory.plain_id(name)}",
        path=path,
        kind="video",
        label=label,
        dataset=dataset,
        method=method,
        split="test",
    )
