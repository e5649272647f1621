"""Trees sorted into folders of the class, `real` and `fake/<method>`, with or without a split.

Videos or pictures. Labels come from names, never from an order or a number: the tables of one
collection have **1 = real**. Published collections of that shape are presets: RedFace, three on
Kaggle.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken, read_csv
from avkd.data.manifest import (
    FAKE,
    LABEL_NAMES,
    REAL_METHOD,
    Manifest,
    Sample,
    Split,
    label_of_folder,
    label_or_none,
    method_of_folder,
)
from avkd.data.splits import SPLIT_NAMES, split_connected

MANIFEST_NAME = "manifest.jsonl"

_EXPECTED = "real/... and fake/<method>/..., or train, val and test folders with real and fake in"
_SPLIT_AND_CLASS = re.compile(
    rf"(?i)^(?P<split>{'|'.join(SPLIT_NAMES)})/(?P<label>{'|'.join(LABEL_NAMES)})/"
)
# A folder whose name begins with a class name, and the folder below it as the platform.
_CLASS_AND_PLATFORM = re.compile(
    r"(?i)(^|/)(?P<label>real|original|fake|forged|manipulated|synthetic)(?![a-z])[^/]*/"
    r"((?P<platform>[^/]+)/)?"
)


@dataclass(frozen=True)
class Preset:
    """What is known of a collection beforehand."""

    dataset: str
    suffixes: frozenset[str]
    label_pattern: re.Pattern[str] | None = None
    """How paths are read unless the user says otherwise; None = by folder names alone."""
    identity_pattern: re.Pattern[str] | None = None
    notes: tuple[str, ...] = ()
    inner_folders: tuple[str, ...] = ("",)
    """Where below the root the tree may begin; the first that looks like it counts."""
    official: Mapping[str, int] = field(default_factory=dict)
    """Number of files, as `builder.count` counts."""
    tables: tuple[str, ...] = ()
    """Tables whose class names are held against the folders, where they are there."""


VIDEOS = Preset("real_fake", VIDEO_SUFFIXES)
IMAGES = Preset("real_fake_images", PICTURE_SUFFIXES)
REDFACE = Preset(
    "redface",
    PICTURE_SUFFIXES | VIDEO_SUFFIXES,
    _CLASS_AND_PLATFORM,
    # Neither the publication (arXiv 2510.08067) nor its README tells it.
    notes=("the tree of RedFace is not documented: check these counts, and set label_pattern",),
)
# tusharpadhy/deepfake-dataset: {train,valid,test}/{Fake,Real}
KAGGLE_DEEPFAKE_DATASET = Preset(
    "kaggle_deepfake_dataset", PICTURE_SUFFIXES, _SPLIT_AND_CLASS, official={"files": 331_335}
)
# xhlulu/140k-real-and-fake-faces: real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}
KAGGLE_140K = Preset(
    "kaggle_140k",
    PICTURE_SUFFIXES,
    _SPLIT_AND_CLASS,
    inner_folders=("", "real-vs-fake", "real_vs_fake/real-vs-fake"),
    official={
        **{f"train {name}": 50_000 for name in ("real", "fake")},
        **{f"{split} {name}": 10_000 for split in ("val", "test") for name in ("real", "fake")},
    },
    tables=("train.csv", "valid.csv", "test.csv"),
)
# manjilkarki/deepfake-and-real-images: Dataset/{Train,Validation,Test}/{Real,Fake}
KAGGLE_REAL_IMAGES = Preset(
    "kaggle_real_images",
    PICTURE_SUFFIXES,
    _SPLIT_AND_CLASS,
    inner_folders=("", "Dataset"),
    official={
        **{"train": 140_002, "val": 39_428, "test": 10_905},
        **{"test real": 5_413, "test fake": 5_492},
    },
)


def find_sorted(
    preset: Preset,
    root: Path,
    *,
    identity_pattern: str | None = None,
    label_pattern: str | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> Manifest:
    """Find the files of ``real``, ``fake/<method>`` or ``{train,val,test}/{real,fake/<method>}``.

    Folders of the split are taken as they are. Without them whole people are held out, and where a
    forgery shows two, both with everyone they meet in other forgeries; each split gets its share of
    both classes as nearly as that allows. Files nobody is known of are split by file name, which
    does not keep people apart; a note says so. Pictures that are frames of one video need an
    ``identity_pattern`` that finds the video or the person. If there is a ``manifest.jsonl``, it
    alone counts: see `find_listed`. Names of folders count in upper and lower case alike.

    Patterns are searched in the path below ``root``. Each match of ``identity_pattern`` is one
    person, so that a swap can show two. Files that ``label_pattern`` does not match are left out:
    ``^(?P<method>[^/]+)/(?P<label>real|fake)/`` reads a tree with the class below the method,
    ``^(?P<label>[a-z]+)_videos/`` one of ``original_videos`` and ``fake_videos``.

    Raises:
        ValueError: neither real nor fake found, only some files in folders of the split, a bad
            pattern, name or fraction, or too few people for the splits.
    """
    if (root / MANIFEST_NAME).is_file():
        listed = find_listed(root)
        note = f"all taken from {MANIFEST_NAME}; folder names and options do not count"
        return replace(listed, notes=(*listed.notes, note, *preset.notes))
    given = inventory.compiled(label_pattern, option="label_pattern", group="label")
    identity = inventory.compiled(identity_pattern, option="identity_pattern", group="identity")
    label = given or preset.label_pattern
    preset = replace(preset, label_pattern=label, identity_pattern=identity)
    expected = f"files whose path matches {label.pattern!r}" if label else _EXPECTED
    inventory.check_root(root, expected, lambda near: label or _recognises(near))
    samples, remarks = _read_files(root, "", preset, expected)
    outside = [sample.path for sample in samples if sample.split is None]
    counts = inventory.name_counts(sample.method for sample in samples)
    notes = [f"{len(samples)} files: {counts}; no official inventory"]
    unknown = sum(not sample.identities for sample in samples)
    if unknown:
        notes.append(
            f"{unknown} of {len(samples)} files without a known identity: whether the splits share "
            "people cannot be checked; give identity_pattern if the paths tell"
        )
    if len(outside) == len(samples):
        # A blank cannot be in an identity, so a file name is never taken for one.
        links = [s.identities or (f"file {inventory.stem_of(s.path)}",) for s in samples]
        fractions: dict[Split, float] = {"val": val_fraction, "test": test_fraction}
        samples = split_connected(samples, links, fractions=fractions, seed=seed)
        notes.append(f"no split in the folders: split with seed {seed}")
    elif outside:
        raise ValueError(
            f"{root}: {len(outside)} of {len(samples)} files lie outside the train, val and test "
            f"folders, first {outside[0]!r}; move them in, or give one kind of tree"
        )
    return builder.build(root, samples, [*notes, *remarks, *preset.notes])


def find_collection(
    preset: Preset,
    root: Path,
    *,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
) -> Manifest:
    """Find the pictures of a published collection with folders of the split; no person is known.

    With ``val_fraction`` and ``test_fraction`` its own split does not count and pictures are split
    anew, each on its own. ``root`` may also be the inner folder, with the folders of the split.

    Raises:
        ValueError: not that tree, a setting without effect, or a table that is broken or
            contradicts a folder.
    """
    fractions = builder.fractions_in_place_of(
        "the dataset's own split", val_fraction, test_fraction, seed
    )
    expected = "train, valid and test folders with real and fake in each"
    there = (f for f in preset.inner_folders if (root / f).is_dir() and _recognises(root / f))
    inner = next(there, None)
    if inner is None:
        raise inventory.wrong_root(root, expected, _recognises)
    samples, notes = _read_files(root, inner, preset, expected)
    notes += builder.compare_counts(builder.count(samples), preset.official)
    if fractions is not None:
        links = [(_name_below(inner, sample.path),) for sample in samples]
        samples = split_connected(samples, links, fractions=fractions, seed=seed or 0)
        notes.append(
            f"the dataset's own split set aside: split anew with seed {seed or 0}, each picture "
            "on its own; pictures of one person or one video may be in two splits"
        )
    tables = [root / name for name in preset.tables if (root / name).is_file()]
    if tables:
        number = sum(map(_check_table, tables))
        notes.append(f"rows of {len(tables)} tables that name the class of their folder: {number}")
    return builder.build(root, samples, notes)


def find_listed(root: Path) -> Manifest:
    """Load the ``manifest.jsonl`` in ``root``, as `avkd forge` and `avkd synth` leave it there.

    Raises:
        ValueError: there is none, or it is broken.
    """
    path = root / MANIFEST_NAME
    inventory.check_root(root, MANIFEST_NAME, lambda near: (near / MANIFEST_NAME).is_file())
    return Manifest.load(path)


def _recognises(folder: Path) -> bool:
    """Whether there is a folder of a class, at the top or in a folder of the split."""
    top = [entry for entry in folder.iterdir() if entry.is_dir()]
    inner = (e for t in top if t.name.lower() in SPLIT_NAMES for e in t.iterdir() if e.is_dir())
    return any(label_of_folder(entry.name) is not None for entry in (*top, *inner))


def _name_below(inner: str, path: str) -> str:
    """The path below the folder that the tree begins in, so the same from wherever the root is."""
    return path.removeprefix(inner).lstrip("/")


def _read_files(
    root: Path, inner: str, preset: Preset, expected: str
) -> tuple[list[Sample], list[str]]:
    listing = inventory.list_files(root, inner, suffixes=preset.suffixes)
    read = {path: _sample(path, _name_below(inner, path), preset) for path in listing.files}
    samples = [sample for sample in read.values() if sample is not None]
    strangers = [path for path, sample in read.items() if sample is None]
    if not samples:
        raise inventory.wrong_root(root, expected, _recognises)
    remarks = inventory.note_names("left out, in neither a real nor a fake folder", strangers)
    return samples, [*remarks, *listing.notes()]


def _sample(path: str, name: str, preset: Preset) -> Sample | None:
    """Read ``[split/]label/[method/]...``, or what the pattern finds; None if it is not so."""
    *folders, _ = name.split("/")
    split = SPLIT_NAMES.get(folders[0].lower()) if folders else None
    people: list[str] = []
    label: int | None
    if preset.label_pattern:
        found = preset.label_pattern.search(name)
        if found is None:
            return None
        told = {group: text for group, text in found.groupdict().items() if text}
        class_name, split_name = told.get("label", ""), told.get("split", split or "").lower()
        label = label_or_none(class_name)
        if label is None:
            known = ", ".join(sorted(LABEL_NAMES))
            unknown = f"unknown class name {class_name!r}; known names: {known}"
            raise ValueError(f"label_pattern, {path!r}: {unknown}")
        if split_name and split_name not in SPLIT_NAMES:
            unknown = f"unknown split {split_name!r}; known: {', '.join(SPLIT_NAMES)}"
            raise ValueError(f"label_pattern, {path!r}: {unknown}")
        split = SPLIT_NAMES.get(split_name)
        method = " ".join(told[group] for group in ("platform", "method") if group in told)
        people += [told["identity"]] if "identity" in told else []
    else:
        folders = folders[1:] if split else folders
        label = label_of_folder(folders[0]) if folders else None
        if label is None:
            return None
        method = folders[1] if len(folders) > 1 else method_of_folder(folders[0])
    if label == FAKE and method.lower() == REAL_METHOD:
        raise ValueError(f"{path!r}: a folder {method!r} in a folder of fake videos; rename it")
    matches = preset.identity_pattern.finditer(name) if preset.identity_pattern else ()
    people += [match["identity"] for match in matches if match["identity"]]
    return builder.make_sample(
        path,
        dataset=preset.dataset,
        label=label,
        name=name,
        method=method or builder.METHOD_NOT_TOLD,
        kind="image" if inventory.is_picture_name(path) else "video",
        identities=[f"{preset.dataset}/{person}" for person in dict.fromkeys(people)],
        split=split,
    )


def _check_table(table: Path) -> int:
    """Hold the class names of a table against the folders in its paths; returns its length."""
    num_rows = 0
    for line, row in read_csv(table, ("label_str", "path")):
        folder = row["path"].replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
        told, meant = label_or_none(row["label_str"]), label_or_none(folder)
        if told is None or told != meant:
            called = f"{row['path']!r} is called {row['label_str']!r} there"
            raise broken(f"{table}, line {line}", f"{called}, which contradicts its folder")
        num_rows += 1
    return num_rows
