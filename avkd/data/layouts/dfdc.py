"""The Deepfake Detection Challenge: its training parts, its public test set, and its preview.

And dagnelies/deepfake-faces on Kaggle: one face picture of each of 95,634 of its videos. Labels are
words, but for the test set: in its tables **1 means fake**, which is our convention by chance and
is translated like any other. Names of videos are arbitrary, and who is seen is told by the preview
(DFDCP) alone, a dataset of its own. Some papers test on all of that: its test split is what its
table means for testing.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken, choose_listed, read_csv, read_json_object
from avkd.data.manifest import FAKE, REAL, Kind, Manifest, Sample, Split, label_or_none
from avkd.data.splits import SPLIT_NAMES, drop_overlap, split_connected

METADATA = "metadata.json"
TEST_TABLE = "labels.csv"
# Dolhansky et al., "The DeepFake Detection Challenge Dataset", arXiv 2006.07397. The labels of the
# test set were published later.
OFFICIAL_TRAIN = {"real": 19_154, "fake": 100_000}
OFFICIAL_PARTS = 50
OFFICIAL_TEST = {"files": 5_000}

PREVIEW_TABLE = "dataset.json"
PREVIEW_REAL_FOLDER = "original_videos"
OFFICIAL_PREVIEW = {"real": 1_131, "fake": 4_113}  # Li et al., "Celeb-DF", CVPR 2020, table 1

FACES_FOLDER, FACES_TABLE = "faces_224", "metadata.csv"
OFFICIAL_FACES = {"real": 16_293, "fake": 79_341}

_LABEL_OF_NUMBER = {"0": REAL, "1": FAKE}  # what the tables of the test set mean by them
_PART = "dfdc_train_part_"
_ACTOR = re.compile(r"(?<!\d)\d{4,}(?!\d)")  # clips are counted with three digits


Told = tuple[int, str]
"""Label of a video, and the name of the one it was made from; of a real one, its own."""


def find_train(
    root: Path, *, val_fraction: float = 0.1, test_fraction: float = 0.0, seed: int = 0
) -> Manifest:
    """Find the videos of the training parts; a real and all forgeries of it are in one split.

    An original counts as the identity, ``dfdc/<original>``: the actors are not told, and one actor
    may be in several originals. ``root`` holds the parts, or is one of them. The challenge has a
    test set of its own.

    Raises:
        ValueError: not that tree, a broken table, a video in two parts, a bad fraction, or too few
            originals.
    """
    expected = f"{_PART}<number>/{METADATA} with the videos beside it"
    inventory.check_root(root, expected, _parts)
    videos: dict[str, Told] = {}
    remarks: list[str] = []
    for part in _parts(root):
        found, notes = _read_part(root, part)
        videos |= found
        remarks += [f"{part or 'the folder'}: {note}" for note in notes]
    builder.by_name(root, videos)
    fractions: dict[Split, float] = {"val": val_fraction, "test": test_fraction}
    samples = _split_by_original(videos, "dfdc_train", "dfdc", "video", fractions, seed)
    notes = [
        *builder.compare_counts(builder.count(samples), OFFICIAL_TRAIN),
        inventory.compare("parts", len(_parts(root)), OFFICIAL_PARTS),
        f"no official val: split by original with seed {seed}; the actors are not told, so one of "
        "them may be in two splits",
        *remarks,
    ]
    return builder.build(root, samples, notes)


def find_faces(
    root: Path, *, val_fraction: float = 0.1, test_fraction: float = 0.1, seed: int = 0
) -> Manifest:
    """Find the pictures of deepfake-faces that have a row in its table, which has no split.

    A real picture and all forgeries of it are in one split, and count as one identity: who is seen
    is not known. Each split gets its share of both classes as nearly as that allows.

    Raises:
        ValueError: not that tree, a broken table, a bad fraction, or too few originals.
    """
    table = root / FACES_TABLE
    inventory.check_root(
        root,
        f"{FACES_FOLDER}/<video>.jpg and {FACES_TABLE}",
        lambda near: (near / FACES_FOLDER).is_dir() and (near / FACES_TABLE).is_file(),
    )
    pictures = inventory.PICTURE_SUFFIXES
    listing = inventory.list_files(root, FACES_FOLDER, suffixes=pictures, recursive=False)
    path_of = builder.by_name(root, listing.files)
    rows = _read_faces_table(table)
    remarks = builder.compare_with_table(table, path_of, rows)
    faces = {path_of[name]: told for name, told in rows.items() if name in path_of}
    fractions: dict[Split, float] = {"val": val_fraction, "test": test_fraction}
    samples = _split_by_original(
        faces, "deepfake_faces", "deepfake_faces", "image", fractions, seed
    )
    notes = [
        *builder.compare_counts(builder.count(samples), OFFICIAL_FACES),
        f"no official split: split by original with seed {seed}; an original stands for the "
        "identity, which is not known",
        *remarks,
        *listing.notes(),
    ]
    return builder.build(root, samples, notes)


def _split_by_original(
    videos: Mapping[str, Told],
    dataset: str,
    namespace: str,
    kind: Kind,
    fractions: Mapping[Split, float],
    seed: int,
) -> list[Sample]:
    """Samples of which a real one and all forgeries of it are in one split, and one identity."""
    samples, links = [], []
    for path, (label, original) in videos.items():
        name = inventory.stem_of(path)
        links.append((name, original))
        samples.append(
            builder.make_sample(
                path,
                dataset=dataset,
                label=label,
                name=name,
                kind=kind,
                identities=[f"{namespace}/{original}"],
                original=original,
            )
        )
    return split_connected(samples, links, fractions=fractions, seed=seed)


def find_test(root: Path, *, video_list: Path | None = None) -> Manifest:
    """Find the videos of the public test set.

    They lie below ``root`` on any level, beside one of the two tables or both. A ``video_list`` is
    e.g. of the 3,215 with one clear face that LipForensics and RealForensics report on.

    Raises:
        ValueError: not that tree, a broken table, tables that contradict one another, two videos
            of one name, or a list of other videos.
    """
    inventory.check_root(
        root,
        f"videos, with {METADATA} or {TEST_TABLE}",
        lambda near: any((near / name).is_file() for name in (METADATA, TEST_TABLE)),
    )
    label_of = _read_test_tables(root)
    listing = inventory.list_files(root)
    path_of = builder.by_name(root, listing.files)
    notes = builder.compare_counts({"files": len(path_of)}, OFFICIAL_TEST)
    notes += ["who is seen is not told", *builder.compare_with_table(root, path_of, label_of)]
    names = [name for name in path_of if name in label_of]
    if video_list is not None:
        names, remarks = choose_listed(video_list, names)
        notes += remarks
    samples = [
        builder.make_sample(
            path_of[name], dataset="dfdc_test", label=label_of[name], name=name, split="test"
        )
        for name in names
    ]
    return builder.build(root, samples, [*notes, *listing.notes()])


def _parts(root: Path) -> list[str]:
    """Folders below ``root`` that are parts; ``""`` if it is one itself."""
    if (root / METADATA).is_file():
        return [""]
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    parts = [name for name in folders if (root / name / METADATA).is_file()]
    return sorted({*parts, *(name for name in folders if name.startswith(_PART))}) if parts else []


def _read_part(root: Path, part: str) -> tuple[dict[str, Told], list[str]]:
    """The videos of a part that have a row, by path, and notes."""
    table = root / part / METADATA
    if not table.is_file():
        raise ValueError(
            f"{table} is missing, and no file beside it has a label without it; unpack that part "
            "again, or move it away"
        )
    listing = inventory.list_files(root, part, recursive=False)
    path_of = {path.rpartition("/")[2]: path for path in listing.files}
    rows = read_json_object(table)
    videos = {path_of[file]: _told(table, file, rows[file]) for file in rows if file in path_of}
    return videos, [*builder.compare_with_table(table, path_of, rows), *listing.notes()]


def _told(table: Path, file: str, row: Any) -> Told:
    row = row if isinstance(row, dict) else {}
    word, original = row.get("label"), row.get("original")
    label = label_or_none(word) if isinstance(word, str) else None
    if label is None:
        wanted = "REAL or FAKE (the table of the test set has numbers: layout dfdc_test)"
        raise broken(table, f"{file!r} has the label {word!r}, expected {wanted}")
    known = label == FAKE and isinstance(original, str)
    return label, (inventory.stem_of(original) if known else "") or inventory.stem_of(file)


def _read_faces_table(table: Path) -> dict[str, Told]:
    """What is said of every listed video, by name."""
    rows: dict[str, Told] = {}
    for line, values in read_csv(table, ("videoname", "label", "original")):
        where = f"{table}, line {line}"
        name, label = inventory.stem_of(values["videoname"]), label_or_none(values["label"])
        if label is None or not name:
            told = f"{values['videoname']!r} is {values['label']!r}"
            wanted = "a name such as aagfhgtpmv.mp4 and FAKE or REAL"
            raise broken(where, f"{told}; expected {wanted}")
        if name in rows:
            raise broken(where, f"{name!r} is listed a second time")
        original = inventory.stem_of(values["original"]) if label == FAKE else ""
        rows[name] = (label, original or name)
    return rows


def _read_test_tables(root: Path) -> dict[str, int]:
    """Label of every listed video, by its name without suffix."""
    numbers: list[tuple[str, str, str]] = []  # table, file, number
    if (root / METADATA).is_file():
        for file, row in read_json_object(root / METADATA).items():
            told = row.get("is_fake") if isinstance(row, dict) else row
            numbers.append((METADATA, file, str(told)))
    if (root / TEST_TABLE).is_file():
        for _, values in read_csv(root / TEST_TABLE, ("filename", "label")):
            numbers.append((TEST_TABLE, values["filename"], values["label"].strip()))
    labels: dict[str, int] = {}
    for table, file, number in numbers:
        if number not in _LABEL_OF_NUMBER:
            wanted = "0 (real) or 1 (fake); the training parts have words: layout dfdc_train"
            raise broken(root / table, f"{file!r} has {number!r} for {wanted}")
        label = _LABEL_OF_NUMBER[number]
        if labels.setdefault(inventory.stem_of(file), label) != label:
            elsewhere = "the opposite elsewhere in the tables of the test set"
            raise broken(root / table, f"{file!r} is {number} here, and {elsewhere}")
    return labels


def find_preview(root: Path, *, val_fraction: float = 0.0, seed: int = 0) -> Manifest:
    """Find the videos of the preview; its table says which are for testing.

    The numbers of the actors are read from the path, ``dfdcp/<number>``; a forgery shows two. Val
    is taken by groups of actors who meet in forgeries.

    Raises:
        ValueError: not that tree, a broken table, one that contradicts a folder, a bad fraction, or
            too few actors to hold some out.
    """
    expected = f"{PREVIEW_REAL_FOLDER}, method_A, method_B and {PREVIEW_TABLE}"
    inventory.check_root(root, expected, lambda near: (near / PREVIEW_TABLE).is_file())
    table = root / PREVIEW_TABLE
    rows = {key.replace("\\", "/"): row for key, row in read_json_object(table).items()}
    listing = inventory.list_files(root)
    remarks = builder.compare_with_table(root, listing.files, rows)
    samples, overlap = drop_overlap(
        _preview_sample(f"{table}, {path!r}", path, rows[path])
        for path in listing.files
        if path in rows
    )
    links = [s.identities if s.split == "train" else () for s in samples]
    samples = split_connected(samples, links, fractions={"val": val_fraction}, seed=seed)
    counts = builder.compare_counts(builder.count(samples), OFFICIAL_PREVIEW)
    return builder.build(root, samples, [*counts, *overlap, *remarks, *listing.notes()])


def _preview_sample(where: str, path: str, row: Any) -> Sample:
    row = row if isinstance(row, dict) else {}
    label = label_or_none(str(row.get("label")))
    split = SPLIT_NAMES.get(str(row.get("set")).lower())
    if label is None or split is None:
        told = f"label {row.get('label')!r} and set {row.get('set')!r}"
        raise broken(where, f"{told}; expected real or fake, and train or test")
    folder, _, inside = path.partition("/")
    if (label == REAL) != (folder == PREVIEW_REAL_FOLDER):
        raise broken(where, f"{row['label']!r} contradicts the folder {folder!r}")
    return builder.make_sample(
        path,
        dataset="dfdc_preview",
        label=label,
        name=inside,
        method=folder,
        identities=[f"dfdcp/{number}" for number in dict.fromkeys(_ACTOR.findall(inside))],
        split=split,
    )
