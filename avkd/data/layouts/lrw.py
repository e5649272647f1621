"""LRW (Lip Reading in the Wild): 500 spoken words, about 1,000 clips of 29 frames each, all real.

Walks `lipread_mp4` as downloaded and takes a seeded subset with equally many training clips of
every word.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from avkd import durable
from avkd.data import inventory
from avkd.data.layouts import builder
from avkd.data.manifest import REAL, Manifest, Split
from avkd.data.splits import seeded_rank

# Chung and Zisserman, "Lip Reading in the Wild", ACCV 2016. Copies of the training split differ by
# three clips; 488,766 is the larger count.
OFFICIAL = {"words": 500, "train clips": 488_766, "val clips": 25_000, "test clips": 25_000}
HELD_OUT_CLIPS_PER_WORD = 50

_SPLITS: tuple[Split, ...] = get_args(Split)
_CLIP = re.compile(r"(?P<word>[^/]+)/(?P<split>train|val|test)/(?P=word)_\d{5}\.[^./]+")
_EXPECTED = "word folders such as ABOUT/train/ABOUT_00001.mp4 (the folder `lipread_mp4`)"


def find(root: Path, *, clips_per_word: int | None = 10, seed: int = 0) -> Manifest:
    """Find the clips; the official split is kept, val and test whole.

    Who speaks is not known, so `identities` stays empty. Which clips the ``seed`` chooses depends
    on their names and this number only, and a smaller subset is part of a larger one.

    Raises:
        ValueError: not LRW, or ``clips_per_word`` is negative.
    """
    if clips_per_word is not None and clips_per_word < 0:
        raise ValueError(f"clips_per_word={clips_per_word}: give a count, or 0 for all clips")
    inventory.check_root(root, _EXPECTED, _recognises)
    listing = inventory.list_files(root)
    clips: dict[str, dict[str, list[str]]] = {split: defaultdict(list) for split in _SPLITS}
    strangers = []
    for path in listing.files:
        match = _CLIP.fullmatch(path)
        if match is None:
            strangers.append(path)
        else:
            clips[match["split"]][match["word"]].append(path)
    if not any(clips.values()):
        raise inventory.wrong_root(root, _EXPECTED, _recognises)
    notes = _compare(clips)
    notes += inventory.note_names("left out, not named as LRW clips are", strangers)
    if clips_per_word:
        notes.append(_thin_out(clips["train"], clips_per_word, seed))
    samples = [
        # Numbers start again in each split, so the split is part of the id.
        builder.make_sample(
            path, dataset="lrw", label=REAL, name=path.rpartition(".")[0], split=split
        )
        for split in _SPLITS
        for word in sorted(clips[split])
        for path in clips[split][word]
    ]
    return builder.build(root, samples, [*notes, *listing.notes()])


def write_subset_list(path: Path, manifest: Manifest) -> None:
    """Write the ids of the training clips, one a line in sorted order: the subset on record."""
    ids = sorted(sample.sample_id for sample in manifest.of_split("train").samples)
    durable.write_text(path, "".join(f"{sample_id}\n" for sample_id in ids))


def _recognises(folder: Path) -> bool:
    """Whether there is a word folder with a folder of the split in it."""
    return any((child / split).is_dir() for child in folder.iterdir() for split in _SPLITS)


def _thin_out(words: dict[str, list[str]], clips_per_word: int, seed: int) -> str:
    """Keep ``clips_per_word`` clips of every word, in place; returns the note about it."""
    short = sorted(word for word, paths in words.items() if len(paths) < clips_per_word)
    for word, paths in words.items():
        # The suffix does not count, so copies as .avi agree.
        ranked = sorted(paths, key=lambda path: seeded_rank(path.rpartition(".")[0], seed))
        words[word] = sorted(ranked[:clips_per_word])
    total = sum(map(len, words.values()))
    note = (
        f"train subset: {total} clips, {clips_per_word} of each of {len(words)} words, seed {seed}"
    )
    if short:
        note += f"; words with fewer clips than that: {inventory.name_some(short)}"
    return note


def _compare(clips: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    words = {word for split in _SPLITS for word in clips[split]}
    found = {f"{split} clips": sum(map(len, clips[split].values())) for split in _SPLITS}
    notes = builder.compare_counts({"words": len(words), **found}, OFFICIAL)
    for split in _SPLITS:
        enough = 1 if split == "train" else HELD_OUT_CLIPS_PER_WORD
        short = [word for word in words if len(clips[split].get(word, ())) < enough]
        notes += inventory.note_names(f"{split}, words with fewer than {enough} clips", short)
    return notes
