"""The preview of the Deepfake Detection Challenge (DFDCP), a dataset of its own.

A table tells each video's label, a word, and its split. Some papers test on all of it: its test
split alone is what the table means for testing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.layouts.tables import read_json_object
from avkd.data.manifest import REAL, Manifest, Sample, label_or_none
from avkd.data.splits import SPLIT_NAMES, drop_overlap, split_connected

TABLE = "dataset.json"
REAL_FOLDER = "original_videos"
OFFICIAL = {"real": 1_131, "fake": 4_113}  # Li et al., "Celeb-DF", CVPR 2020, table 1

_ACTOR = re.compile(r"(?<!\d)\d{4,}(?!\d)")  # clips are counted with three digits


def find(root: Path, *, val_fraction: float = 0.0, seed: int = 0) -> Manifest:
    """Find the videos of the preview; its table says which are for testing.

    The numbers of the actors are read from the path, ``dfdcp/<number>``; a forgery shows two.

    Args:
        root: Folder of the download.
        val_fraction: Share of the training videos for val, taken by groups of actors who meet in
            forgeries.
        seed: Chooses them.

    Raises:
        ValueError: not that tree, a broken table, one that contradicts a folder, a bad fraction, or
            too few actors to hold some out.
    """
    expected = f"{REAL_FOLDER}, method_A, method_B and {TABLE}"
    inventory.check_root(root, expected, lambda near: (near / TABLE).is_file())
    table = root / TABLE
    rows = {key.replace("\\", "/"): row for key, row in read_json_object(table).items()}
    listing = inventory.list_videos(root)
    remarks = builder.compare_with_table(root, listing.files, rows)
    samples, overlap = drop_overlap(
        _sample(f"{table}, {path!r}", path, rows[path]) for path in listing.files if path in rows
    )
    links = [s.identities if s.split == "train" else () for s in samples]
    samples = split_connected(samples, links, fractions={"val": val_fraction}, seed=seed)
    counts = builder.compare_counts(builder.count(samples), OFFICIAL)
    return builder.build(root, samples, [*counts, *overlap, *remarks, *listing.notes()])


def _sample(where: str, path: str, row: Any) -> Sample:
    row = row if isinstance(row, dict) else {}
    label = label_or_none(str(row.get("label")))
    split = SPLIT_NAMES.get(str(row.get("set")).lower())
    if label is None or split is None:
        raise ValueError(
            f"{where}: label {row.get('label')!r} and set {row.get('set')!r}; expected real or "
            "fake, and train or test; download the table again"
        )
    folder, _, inside = path.partition("/")
    if (label == REAL) != (folder == REAL_FOLDER):
        raise ValueError(f"{where}: {row['label']!r} contradicts the folder {folder!r}")
    return builder.make_sample(
        path,
        dataset="dfdc_preview",
        label=label,
        name=inside,
        method=folder,
        identities=[f"dfdcp/{number}" for number in dict.fromkeys(_ACTOR.findall(inside))],
        split=split,
    )
