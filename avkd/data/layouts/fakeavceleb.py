"""FakeAVCeleb: 500 celebrities, of whom the face, the voice or both are forged.

A table tells everything; its last column has no name and holds the folder. There is no official
split. Nothing is opened here, so nothing is known of the silence that fake videos begin with.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.layouts.tables import broken, read_csv
from avkd.data.manifest import FAKE, REAL, Manifest, Sample
from avkd.data.splits import split_connected

TABLE = "meta_data.csv"
REAL_KIND = "RealVideo-RealAudio"
# Khalid et al., "FakeAVCeleb", NeurIPS 2021 (datasets track), version 1.2: kind -> its letter and
# number of videos.
KINDS = {
    REAL_KIND: ("A", 500),
    "RealVideo-FakeAudio": ("B", 500),
    "FakeVideo-RealAudio": ("C", 9_709),
    "FakeVideo-FakeAudio": ("D", 10_857),
}

_FOLDER = ""  # the nameless column
_COLUMNS = ("source", "target1", "target2", "method", "category", "type", "path", _FOLDER)
_PERSON = re.compile(r"id\d+")


def find(
    root: Path,
    *,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
) -> Manifest:
    """Find the videos that have a row; the kind of forgery is the method.

    All are in test unless fractions are given; then whole people are held out, together with
    everyone they meet in forgeries. The numbers of the people are those of VoxCeleb2,
    ``voxceleb2/id00076``.

    Raises:
        ValueError: not that tree, a broken table or one that contradicts itself, a setting without
            effect, or too few separate people for the splits.
    """
    expected = f"{TABLE}, {', '.join(KINDS)}"
    inventory.check_root(root, expected, lambda near: (near / TABLE).is_file())
    fractions = builder.fractions_in_place_of(
        "the default, all in test", val_fraction, test_fraction, seed
    )
    rows, num_repeated = _read_table(root / TABLE)
    listing = inventory.list_files(root)
    remarks = builder.compare_with_table(root / TABLE, listing.files, rows)
    present = [rows[path] for path in listing.files if path in rows]
    samples = _with_sources([sample for sample, _ in present])
    split_note = "all in test"
    if fractions is not None:
        split_note = f"split by people who meet in forgeries, with seed {seed or 0}"
        # A blank cannot be in an identity, so a file is never taken for a person.
        links = [sample.identities or (f"file {sample.path}",) for sample in samples]
        samples = split_connected(samples, links, fractions=fractions, seed=seed or 0)
    kinds = Counter(sample.path.partition("/")[0] for sample in samples)
    notes = [
        *(inventory.compare(kind, kinds[kind], number) for kind, (_, number) in KINDS.items()),
        f"made by: {inventory.name_counts(maker for _, maker in present)}",
        f"no official split: {split_note}",
        "RealVideo-FakeAudio: the picture is genuine; who judges the picture alone cannot tell it",
        "fake videos begin with a short silence that real ones lack (AVH-Align, arXiv 2412.00175): "
        "a model with sound may detect that alone; trim it before comparing",
        *remarks,
        *listing.notes(),
    ]
    if num_repeated:
        notes.append(f"rows that name a video again, in the same words: {num_repeated}")
    return builder.build(root, samples, notes)


def _read_table(path: Path) -> tuple[dict[str, tuple[Sample, str]], int]:
    """Every listed video and the programs that made it, by path; how many rows only repeat one."""
    rows: dict[str, tuple[Sample, str]] = {}
    num_repeated = 0
    for line, values in read_csv(path, _COLUMNS):
        where = f"{path}, line {line}"
        row = sample, _ = _sample(where, values), values["method"].strip()
        first = rows.setdefault(sample.path, row)
        if first != row:
            other = "another kind, maker or other people"
            raise broken(where, f"{sample.path!r} is listed before with {other}")
        num_repeated += first is not row
    return rows, num_repeated


def _sample(where: str, values: Mapping[str, str]) -> Sample:
    """The video of a row whose type, letter and folder say the same."""
    kind, letter = values["type"].strip(), values["category"].strip()
    # The folder begins with the name of the dataset, without the version the download carries.
    _, _, folder = values[_FOLDER].strip().replace("\\", "/").rstrip("/").partition("/")
    name = values["path"].strip()
    if kind not in KINDS:
        raise ValueError(f"{where}: type {kind!r}; expected one of {', '.join(KINDS)}")
    if letter != KINDS[kind][0] or folder.partition("/")[0] != kind or not name:
        told = f"type {kind!r}, category {letter!r} and folder {values[_FOLDER]!r}"
        raise broken(where, f"{told} contradict one another")
    seen = (values[column].strip() for column in ("source", "target1", "target2"))
    people = dict.fromkeys(person for person in seen if _PERSON.fullmatch(person))
    path = f"{folder}/{name}"
    return builder.make_sample(
        path,
        dataset="fakeavceleb",
        label=REAL if kind == REAL_KIND else FAKE,
        name=path.partition("/")[2],
        method=kind,
        identities=[f"voxceleb2/{person}" for person in people],
        split="test",
    )


def _with_sources(samples: Sequence[Sample]) -> list[Sample]:
    """Each forgery with the real video of its first person, if there is exactly one."""
    reals = [s for s in samples if s.label == REAL and s.identities]
    videos = Counter(sample.identities[0] for sample in reals)
    only = {s.identities[0]: s.sample_id for s in reals if videos[s.identities[0]] == 1}
    return [
        replace(sample, source_id=only.get(sample.identities[0]))
        if sample.label == FAKE and sample.identities
        else sample
        for sample in samples
    ]
