"""The preview of the Deepfake Detection Challenge (DFDCP), a dataset of its own.

A table tells each video's label, a word, and its side. Some papers test on all of it: the test side
alone is what the table means for testing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from avkd.data import inventory
from avkd.data.layouts.held_out import keep_apart
from avkd.data.layouts.json_tables import read_object
from avkd.data.layouts.real_fake import label_of
from avkd.data.layouts.table_notes import compare_labels, compare_with_table, count_sides
from avkd.data.manifest import FAKE, REAL, REAL_METHOD, Manifest, Sample
from avkd.data.splits import SIDE_NAMES, count_labels, join_people, split_groups

TABLE = "dataset.json"
REALS = "original_videos"
# Li et al., "Celeb-DF", CVPR 2020, table 1.
OFFICIAL_VIDEOS = {REAL: 1_131, FAKE: 4_113}

_ACTOR = re.compile(r"(?<!\d)\d{4,}(?!\d)")  # clips are counted with three digits
_EXPECTED = f"{REALS}, method_A, method_B and {TABLE}"


def find(
    root: Path, *, val_fraction: float = 0.0, seed: int = 0, dataset: str = "dfdc_preview"
) -> Manifest:
    """Find the videos of the preview; its table says who is in the test set.

    The numbers of the actors are read from the path, ``dfdcp/<number>``; a forgery shows two.

    Args:
        root: Folder of the download.
        val_fraction: Share of the training videos for val. Whole groups of actors who meet in
            forgeries are dealt out.
        seed: Chooses them.
        dataset: Name the samples carry.

    Raises:
        ValueError: not that tree, a broken table, one that contradicts a folder, a bad fraction, or
            too few actors to hold some out.
    """
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    table = root / TABLE
    rows = {key.replace("\\", "/"): row for key, row in read_object(table).items()}
    listing = inventory.list_videos(root)
    present = [path for path in listing.files if path in rows]
    remarks = compare_with_table(root, listing.files, rows)
    samples, overlap = keep_apart(
        _sample(f"{table}, {path!r}", path, rows[path], dataset) for path in present
    )
    training = [sample for sample in samples if sample.split == "train" and sample.identities]
    group_of = join_people(sample.identities for sample in training)
    groups = [group_of[sample.identities[0]] for sample in training]
    sides = split_groups(
        count_labels(groups, [sample.label for sample in training]),
        fractions={"val": val_fraction},
        seed=seed,
    )
    side_of = {s.sample_id: sides[group] for s, group in zip(training, groups, strict=True)}
    samples = [replace(s, split=side_of.get(s.sample_id, s.split)) for s in samples]
    notes = [
        *compare_labels(samples, OFFICIAL_VIDEOS),
        *count_sides(samples),
        *overlap,
        *remarks,
        *listing.notes(),
    ]
    return Manifest(root=root, samples=tuple(samples), notes=tuple(notes))


def _recognises(folder: Path) -> bool:
    return (folder / TABLE).is_file()


def _sample(where: str, path: str, row: Any, dataset: str) -> Sample:
    row = row if isinstance(row, dict) else {}
    label, side = label_of(str(row.get("label"))), SIDE_NAMES.get(str(row.get("set")).lower())
    if label is None or side is None:
        raise ValueError(
            f"{where}: label {row.get('label')!r} and set {row.get('set')!r}; expected real or "
            "fake, and train or test; download the table again"
        )
    folder, _, inside = path.partition("/")
    if (label == REAL) != (folder == REALS):
        raise ValueError(f"{where}: {row['label']!r} contradicts the folder {folder!r}")
    method = REAL_METHOD if label == REAL else folder
    people = dict.fromkeys(_ACTOR.findall(inside))
    return Sample(
        sample_id=f"{dataset}/{inventory.plain_id(method)}/{inventory.plain_id(inside)}",
        path=path,
        kind="video",
        label=label,
        dataset=dataset,
        method=method,
        identities=tuple(f"dfdcp/{number}" for number in people),
        split=side,
    )
