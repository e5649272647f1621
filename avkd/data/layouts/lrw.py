"""LRW (Lip Reading in the Wild): 500 spoken words, about 1,000 clips of 29 frames each, all real.

Walks `lipread_mp4` as downloaded and takes a seeded subset with equally many training clips of
every word. Knows nothing of the word lists' timing files and opens no video.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from pathlib import Path

from avkd import durable
from avkd.data import inventory
from avkd.data.manifest import REAL, REAL_METHOD, Manifest, Sample, Split

# Chung and Zisserman, "Lip Reading in the Wild", ACCV 2016. Copies of the training side differ by
# three clips; 488,766 is the larger count.
OFFICIAL_WORDS = 500
OFFICIAL_CLIPS: dict[Split, int] = {"train": 488_766, "val": 25_000, "test": 25_000}
HELD_OUT_CLIPS_PER_WORD = 50

_SIDES: tuple[Split, ...] = ("train", "val", "test")
_CLIP = re.compile(r"(?P<word>[^/]+)/(?P<side>train|val|test)/(?P=word)_\d{5}\.[^./]+")
_EXPECTED = "word folders such as ABOUT/train/ABOUT_00001.mp4 (the folder `lipread_mp4`)"

_Clips = dict[Split, dict[str, list[str]]]


def find(root: Path, *, clips_per_word: int | None = 10, seed: int = 0) -> Manifest:
    """Find the clips; the official split is kept, whole on the val and test sides.

    Who speaks is not known, so `identities` stays empty.

    Args:
        root: The folder `lipread_mp4`.
        clips_per_word: Training clips of each word; 10 of 500 words make 5,000. None or 0: all.
        seed: Chooses which; the choice depends on the clips' names and this number only, and a
            smaller subset is part of a larger one.

    Raises:
        ValueError: not LRW, or ``clips_per_word`` is negative.
    """
    if clips_per_word is not None and clips_per_word < 0:
        raise ValueError(f"clips_per_word={clips_per_word}: give a count, or 0 for all clips")
    if not _recognises(root):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    listing = inventory.list_videos(root)
    clips: _Clips = {side: defaultdict(list) for side in _SIDES}
    strangers = []
    for path in listing.files:
        match = _CLIP.fullmatch(path)
        if match is None:
            strangers.append(path)
            continue
        clips[match["side"]][match["word"]].append(path)  # type: ignore[index]
    if not any(clips.values()):
        raise inventory.wrong_root(root, expected=_EXPECTED, recognises=_recognises)
    notes = _compare(clips)
    if strangers:
        notes.append(
            f"left out, not named as LRW clips are: {len(strangers)}, first {strangers[0]!r}"
        )
    if clips_per_word:
        notes.append(_thin_out(clips["train"], clips_per_word, seed))
    samples = tuple(
        _sample(path, side)
        for side in _SIDES
        for word in sorted(clips[side])
        for path in clips[side][word]
    )
    return Manifest(root=root, samples=samples, notes=(*notes, *listing.notes()))


def write_subset_list(path: Path, manifest: Manifest) -> None:
    """Write the ids of the training clips, one a line in sorted order: the subset on record."""
    ids = sorted(sample.sample_id for sample in manifest.of_split("train").samples)
    durable.write_text(path, "".join(f"{sample_id}\n" for sample_id in ids))


def _recognises(folder: Path) -> bool:
    """Whether there is a word folder with a side of the split in it."""
    if not folder.is_dir():
        return False
    return any((child / side).is_dir() for child in folder.iterdir() for side in _SIDES)


def _sample(path: str, side: Split) -> Sample:
    # Numbers start again on each side, so the side is part of the id.
    return Sample(
        sample_id=f"lrw/{REAL_METHOD}/{path.rpartition('.')[0]}",
        path=path,
        kind="video",
        label=REAL,
        dataset="lrw",
        method=REAL_METHOD,
        split=side,
    )


def _thin_out(words: dict[str, list[str]], clips_per_word: int, seed: int) -> str:
    """Keep ``clips_per_word`` clips of every word, in place; returns the note about it."""
    short = sorted(word for word, paths in words.items() if len(paths) < clips_per_word)
    for word, paths in words.items():
        chosen = sorted(paths, key=lambda path: _rank(path, seed))[:clips_per_word]
        words[word] = sorted(chosen)
    total = sum(map(len, words.values()))
    note = (
        f"train subset: {total} clips, {clips_per_word} of each of {len(words)} words, seed {seed}"
    )
    if short:
        note += f"; words with fewer clips than that: {inventory.name_some(short)}"
    return note


def _rank(path: str, seed: int) -> bytes:
    """Place of a clip in the seeded order; the suffix does not count, so .avi copies agree."""
    return hashlib.sha256(f"{seed}:{path.rpartition('.')[0]}".encode()).digest()


def _compare(clips: _Clips) -> list[str]:
    words = sorted({word for side in _SIDES for word in clips[side]})
    notes = [inventory.compare("words", len(words), OFFICIAL_WORDS)]
    for side in _SIDES:
        found = sum(map(len, clips[side].values()))
        notes.append(inventory.compare(f"{side} clips", found, OFFICIAL_CLIPS[side]))
        enough = 1 if side == "train" else HELD_OUT_CLIPS_PER_WORD
        short = [word for word in words if len(clips[side].get(word, ())) < enough]
        if short:
            notes.append(
                f"{side}: {len(short)} words with fewer than {enough} clips: "
                f"{inventory.name_some(short)}"
            )
    return notes
