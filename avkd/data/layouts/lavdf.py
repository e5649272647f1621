"""LAV-DF and AV-Deepfake1M: short segments of speech changed in the picture, the sound or both.

A video counts as fake if any part of it is. Where in it the change lies is not read: avkd judges
whole clips. Videos made from one original belong together and count as one identity.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken, read_json
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample, Split
from avkd.data.splits import drop_overlap

LAVDF_TABLES = ("metadata.json", "metadata.min.json")
AVDEEPFAKE1M_TABLES: dict[Split, str] = {"train": "train_metadata.json", "val": "val_metadata.json"}
# Cai et al., DICTA 2022, and Cai et al., ACM Multimedia 2024. Labels of the test split of
# AV-Deepfake1M are not published.
OFFICIAL_LAVDF = {"real": 36_431, "fake": 99_873, "train": 78_703, "val": 31_501, "test": 26_100}
OFFICIAL_AVDEEPFAKE1M = {"real": 200_901, "fake": 602_619, "train": 746_180, "val": 57_340}

_SPLIT_OF_NAME: dict[str, Split] = {"train": "train", "dev": "val", "test": "test"}
# (picture changed, sound changed) -> method
_METHODS = {(True, True): "both", (True, False): "visual", (False, True): "audio"}
_MODIFY_TYPES = {
    "real": (False, False),
    "visual_modified": (True, False),
    "audio_modified": (False, True),
    "both_modified": (True, True),
}


def find_lavdf(root: Path) -> Manifest:
    """Find the videos of LAV-DF; the table tells the split, its ``dev`` is our val.

    Raises:
        ValueError: not that tree, a broken table, or a row that contradicts itself.
    """
    inventory.check_root(
        root,
        f"{LAVDF_TABLES[0]}, train, dev and test",
        lambda near: any((near / name).is_file() for name in LAVDF_TABLES),
    )
    table = next(root / name for name in LAVDF_TABLES if (root / name).is_file())
    return _build(root, [_lavdf_sample(*row) for row in _rows_of(table)], OFFICIAL_LAVDF)


def find_avdeepfake1m(root: Path) -> Manifest:
    """Find the training and validation videos of AV-Deepfake1M; what lies in test has no labels.

    Speakers may be in both splits: an original, not a speaker, is what they do not share. A note
    counts them. One table with its folder will do.

    Raises:
        ValueError: not that tree, a broken table, or a row that contradicts itself.
    """
    tables = AVDEEPFAKE1M_TABLES
    inventory.check_root(
        root,
        f"{' or '.join(tables.values())}, and the folders train and val",
        lambda near: any((near / name).is_file() for name in tables.values()),
    )
    listed = [
        _avdeepfake1m_sample(*row, split)
        for split, name in tables.items()
        if (root / name).is_file()
        for row in _rows_of(root / name)
    ]
    splits = defaultdict(set)
    for sample in listed:
        splits[sample.path.split("/")[1]].add(sample.split)
    shared = sum(len(found) > 1 for found in splits.values())
    note = f"speakers in both splits: {shared} of {len(splits)}; each original is in one alone"
    return _build(root, listed, OFFICIAL_AVDEEPFAKE1M, note)


def _rows_of(table: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(Place for error messages, file, what is told of it) for the rows of a table."""
    rows = read_json(table)
    if not isinstance(rows, list) or not rows:
        raise broken(table, "not a list of videos")
    for number, row in enumerate(rows):
        where = f"{table}, entry {number}"
        if not isinstance(row, dict) or not isinstance(row.get("file"), str):
            raise broken(where, "has no file name")
        yield where, row["file"].replace("\\", "/"), row


def _lavdf_sample(where: str, name: str, row: Mapping[str, Any]) -> Sample:
    split = _SPLIT_OF_NAME.get(str(row.get("split")))
    changed = (row.get("modify_video"), row.get("modify_audio"))
    if split is None or not all(isinstance(flag, bool) for flag in changed):
        raise ValueError(
            f"{where}: split {row.get('split')!r}, modify_video {changed[0]!r}, modify_audio "
            f"{changed[1]!r}; expected train, dev or test, and true or false"
        )
    if _SPLIT_OF_NAME.get(name.partition("/")[0]) != split:
        raise ValueError(f"{where}: {name!r} does not lie in its split, {row['split']!r}")
    _check_segments(where, changed, row.get("n_fakes"))
    return _sample("lavdf", "", name, changed, split, row)


def _avdeepfake1m_sample(where: str, name: str, row: Mapping[str, Any], split: Split) -> Sample:
    told = str(row.get("modify_type"))
    # The authors' own reader spells one of them with a hyphen.
    changed = _MODIFY_TYPES.get(told.replace("-", "_"))
    if changed is None:
        raise ValueError(f"{where}: modify_type {told!r}; known: {', '.join(_MODIFY_TYPES)}")
    if row.get("split", split) != split:
        raise ValueError(f"{where}: split {row['split']!r} in the table of {split}")
    segments = row.get("fake_segments")
    _check_segments(where, changed, len(segments) if isinstance(segments, list) else None)
    return _sample("avdeepfake1m", f"{split}/", name, changed, split, row)


def _check_segments(where: str, changed: tuple[Any, Any], number: int | None) -> None:
    """Hold the kind of change against the number of fake segments, where the row tells both."""
    if number is not None and (number > 0) != any(changed):
        contradicted = f"picture and sound changed = {changed}"
        raise broken(where, f"{number} fake segments contradict {contradicted}")


def _sample(
    dataset: str,
    folder: str,
    name: str,
    changed: tuple[Any, Any],
    split: Split,
    row: Mapping[str, Any],
) -> Sample:
    told = row.get("original")
    is_fake = any(changed)
    original = told.replace("\\", "/") if is_fake and isinstance(told, str) and told else name
    return builder.make_sample(
        folder + name,
        dataset=dataset,
        label=FAKE if is_fake else REAL,
        method=_METHODS.get(changed, REAL_METHOD),
        identities=[f"{dataset}/{original}"],
        split=split,
        original=folder + original,
    )


def _build(
    root: Path, listed: Sequence[Sample], official: Mapping[str, int], *more: str
) -> Manifest:
    by_path: dict[str, Sample] = {}
    for sample in listed:
        if sample.path in by_path:
            raise ValueError(f"{root}: {sample.path!r} is listed a second time in its table")
        by_path[sample.path] = sample
    listing = inventory.list_files(root)
    remarks = builder.compare_with_table(root, listing.files, by_path)
    present = [by_path[path] for path in listing.files if path in by_path]
    found = builder.count(present)
    samples, overlap = drop_overlap(present)
    notes = [*builder.compare_counts(found, official), *more]
    if found["audio"]:
        notes.append("audio: the picture is genuine; who judges the picture alone cannot tell it")
    return builder.build(root, samples, [*notes, *overlap, *remarks, *listing.notes()])
