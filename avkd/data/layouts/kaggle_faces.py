"""Three collections of face pictures on Kaggle, sorted into folders of the split and the class.

Labels are read from the folders' names. Their alphabetical order, and the table of one of them,
where **1 means real**, say the opposite of ours. Who is seen is not known in any of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from avkd.data import inventory
from avkd.data.inventory import PICTURE_SUFFIXES
from avkd.data.layouts.csv_rows import read_rows
from avkd.data.layouts.real_fake import METHOD_NOT_TOLD, label_of
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split
from avkd.data.splits import SIDE_NAMES, count_labels, split_groups

_EXPECTED = "train, valid and test folders with real and fake in each"
_TABLES = ("train.csv", "valid.csv", "test.csv")
_TABLE_COLUMNS = ("label_str", "path")


@dataclass(frozen=True)
class _Collection:
    """What its page says of one of them."""

    inner_folders: tuple[str, ...]
    """Where below the top the folders of the split lie; the first that is there counts."""
    official: Mapping[str, int]
    """Pictures on a side, of a class, or both, e.g. ``test real``; or in all."""


_DEEPFAKE_DATASET = _Collection(("",), {"all": 331_335})
_FACES_140K = _Collection(
    ("", "real-vs-fake", "real_vs_fake/real-vs-fake"),
    {
        **{f"train {name}": 50_000 for name in ("real", "fake")},
        **{f"{side} {name}": 10_000 for side in ("val", "test") for name in ("real", "fake")},
    },
)
_REAL_IMAGES = _Collection(
    ("", "Dataset"),
    {"train": 140_002, "val": 39_428, "test": 10_905, "test real": 5_413, "test fake": 5_492},
)


@dataclass(frozen=True)
class _Picture:
    path: str
    """Below the root."""
    name: str
    """Below the folder that holds the sides, so the same from wherever the root is."""
    side: Split
    label: int


def find_deepfake_dataset(
    root: Path,
    *,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    dataset: str = "kaggle_deepfake_dataset",
) -> Manifest:
    """Find the pictures of tusharpadhy/deepfake-dataset: ``{train,valid,test}/{Fake,Real}``.

    The folders of the split are taken as they are. With ``val_fraction`` and ``test_fraction`` they
    do not count and pictures are dealt out anew, each on its own.

    Args:
        root: The folder of the download, or the inner one that holds the sides.
        val_fraction: Share of the pictures for val; None = the dataset's own sides.
        test_fraction: The same for test; both or neither are to be given.
        seed: Deals the pictures out; None = 0.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, or a setting without effect.
    """
    return _find(root, _DEEPFAKE_DATASET, val_fraction, test_fraction, seed, dataset)


def find_140k(
    root: Path,
    *,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    dataset: str = "kaggle_140k",
) -> Manifest:
    """Find the pictures of xhlulu/140k-real-and-fake-faces.

    They lie in ``real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}``; arguments as in
    `find_deepfake_dataset`. Where its tables lie in ``root``, their class names are held against
    the folders; their numbers are not read.

    Raises:
        ValueError: not that tree, a broken table, one that contradicts a folder, or a setting
            without effect.
    """
    manifest = _find(root, _FACES_140K, val_fraction, test_fraction, seed, dataset)
    tables = [root / name for name in _TABLES if (root / name).is_file()]
    num_rows = sum(_check_table(table) for table in tables)
    note = f"rows of {len(tables)} tables that name the class of their folder: {num_rows}"
    return Manifest(root, manifest.samples, (*manifest.notes, note))


def find_real_images(
    root: Path,
    *,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    dataset: str = "kaggle_real_images",
) -> Manifest:
    """Find the pictures of manjilkarki/deepfake-and-real-images.

    They lie in ``Dataset/{Train,Validation,Test}/{Real,Fake}``; arguments as in
    `find_deepfake_dataset`.

    Raises:
        ValueError: not that tree, or a setting without effect.
    """
    return _find(root, _REAL_IMAGES, val_fraction, test_fraction, seed, dataset)


def _fractions(
    val_fraction: float | None, test_fraction: float | None, seed: int | None
) -> dict[Split, float] | None:
    """Shares of a new split; None = the dataset's own."""
    if val_fraction is None and test_fraction is None:
        if seed is not None:
            raise ValueError("seed has no effect on the dataset's own split; remove it")
        return None
    if val_fraction is None or test_fraction is None:
        raise ValueError("give val_fraction and test_fraction, or neither for the official split")
    return {"val": val_fraction, "test": test_fraction}


def _find(
    root: Path,
    collection: _Collection,
    val_fraction: float | None,
    test_fraction: float | None,
    seed: int | None,
    dataset: str,
) -> Manifest:
    fractions = _fractions(val_fraction, test_fraction, seed)
    inner = next((f for f in collection.inner_folders if _recognises(root / f)), None)
    if inner is None:
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    listing = inventory.list_files(root, inner, suffixes=PICTURE_SUFFIXES)
    placed = [_place(path, f"{inner}/" if inner else "") for path in listing.files]
    pictures = [picture for picture in placed if picture is not None]
    if not pictures:
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    notes = _compare(pictures, collection.official)
    if len(pictures) < len(placed):
        strangers = [p for p, found in zip(listing.files, placed, strict=True) if found is None]
        notes.append(
            f"left out, in no real or fake folder of a side: {len(strangers)}, "
            f"first {strangers[0]!r}"
        )
    sides: Sequence[Split] = [picture.side for picture in pictures]
    if fractions is not None:
        names = [picture.name for picture in pictures]
        counts = count_labels(names, [picture.label for picture in pictures])
        side_of = split_groups(counts, fractions=fractions, seed=seed or 0)
        sides = [side_of[name] for name in names]
        notes.append(
            f"the dataset's own split set aside: dealt out anew with seed {seed or 0}, each "
            "picture on its own; pictures of one person or one video may stand on two sides"
        )
    samples = [_sample(p, side, dataset) for p, side in zip(pictures, sides, strict=True)]
    for side in get_args(Split):
        labels = Counter(sample.label for sample in samples if sample.split == side)
        notes.append(f"{side}: {labels[REAL]} real, {labels[FAKE]} fake")
    return Manifest(root=root, samples=tuple(samples), notes=(*notes, *listing.notes()))


def _recognises(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    sides = (entry for entry in folder.iterdir() if entry.name.lower() in SIDE_NAMES)
    return any(
        label_of(entry.name) is not None
        for side in sides
        if side.is_dir()
        for entry in side.iterdir()
    )


def _place(path: str, inner: str) -> _Picture | None:
    """Read ``side/class/.../file``; None if the path is not so."""
    name = path.removeprefix(inner)
    side_folder, _, rest = name.partition("/")
    class_folder, slash, _ = rest.partition("/")
    side, label = SIDE_NAMES.get(side_folder.lower()), label_of(class_folder)
    if side is None or label is None or not slash:
        return None
    return _Picture(path, name, side, label)


def _sample(picture: _Picture, side: Split, dataset: str) -> Sample:
    method = METHOD_NOT_TOLD if picture.label == FAKE else REAL_METHOD
    return Sample(
        sample_id=f"{dataset}/{method}/{inventory.plain_id(picture.name)}",
        path=picture.path,
        kind="image",
        label=picture.label,
        dataset=dataset,
        method=method,
        split=side,
    )


def _compare(pictures: Sequence[_Picture], official: Mapping[str, int]) -> list[str]:
    class_names = {REAL: "real", FAKE: "fake"}
    found = Counter({"all": len(pictures)})
    for picture in pictures:
        found[picture.side] += 1
        found[f"{picture.side} {class_names[picture.label]}"] += 1
    return [inventory.compare(what, found[what], number) for what, number in official.items()]


def _check_table(table: Path) -> int:
    """Hold the class names of a table against the folders in its paths; returns its length."""
    num_rows = 0
    for line, row in read_rows(table, _TABLE_COLUMNS):
        folder = row["path"].replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
        told, meant = label_of(row["label_str"]), label_of(folder)
        if told is None or told != meant:
            raise ValueError(
                f"{table}, line {line}: {row['path']!r} is called {row['label_str']!r} there, "
                "which contradicts its folder; download the table again, or remove it"
            )
        num_rows += 1
    return num_rows
