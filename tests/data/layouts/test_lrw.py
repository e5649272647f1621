"""LRW: seeded subset with every word, official split, honest counts."""

from pathlib import Path

import pytest

from avkd.data.layouts import lrw
from avkd.data.manifest import Manifest

WORDS = ("ABOUT", "WORLD", "YOUNG")


def tree(words=WORDS, train=6, held_out=2):
    for word in words:
        for split, count in (("train", train), ("val", held_out), ("test", held_out)):
            for number in range(1, count + 1):
                yield f"{word}/{split}/{word}_{number:05d}.mp4"
                yield f"{word}/{split}/{word}_{number:05d}.txt"


def train_ids(manifest: Manifest) -> set[str]:
    return {sample.sample_id for sample in manifest.of_split("train").samples}


def test_subset_takes_equally_many_clips_of_every_word(plant):
    manifest = lrw.find(plant(tree()), clips_per_word=4)
    for word in WORDS:
        assert sum(f"/{word}/" in sample_id for sample_id in train_ids(manifest)) == 4
    assert len(manifest.of_split("val")) == len(manifest.of_split("test")) == 2 * len(WORDS)


def test_five_hundred_words_give_five_thousand_training_clips_by_default(plant):
    words = [f"W{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(500)]
    root = plant(f"{word}/train/{word}_{n:05d}.mp4" for word in words for n in range(1, 12))
    assert len(lrw.find(root).of_split("train")) == 5000


def test_subset_depends_on_seed_and_names_only(plant):
    forwards = plant(tree(), "forwards")
    backwards = plant(reversed(list(tree())), "backwards")
    chosen = train_ids(lrw.find(forwards, clips_per_word=3, seed=1))
    assert chosen == train_ids(lrw.find(backwards, clips_per_word=3, seed=1))
    assert chosen != train_ids(lrw.find(forwards, clips_per_word=3, seed=2))
    assert chosen < train_ids(lrw.find(forwards, clips_per_word=5, seed=1))


@pytest.mark.parametrize("everything", [None, 0])
def test_none_and_zero_keep_all_clips(plant, everything):
    assert len(lrw.find(plant(tree()), clips_per_word=everything)) == len(WORDS) * 10


def test_same_number_on_two_splits_stays_two_samples(plant):
    manifest = lrw.find(plant(tree()))
    assert "lrw/real/ABOUT/train/ABOUT_00001" in train_ids(manifest)
    assert "lrw/real/ABOUT/val/ABOUT_00001" not in train_ids(manifest)
    assert all(sample.label == 0 and sample.identities == () for sample in manifest.samples)


def test_missing_clips_and_words_and_strangers_are_told(plant):
    paths = [path for path in tree() if "YOUNG/train" not in path]
    manifest = lrw.find(plant([*paths, "ABOUT/train/copy of ABOUT_00001.mp4"]), clips_per_word=5)
    notes = "\n".join(manifest.notes)
    assert "words: 3 found, 500 official, difference -497" in notes
    assert "val clips: 6 found, 25000 official, difference -24994" in notes
    assert "train, words with fewer than 1 clips: 1: 'YOUNG'" in notes
    assert "left out, not named as LRW clips are: 1" in notes
    assert "passed over, other kinds of file: 24 .txt" in notes


def test_words_with_too_few_clips_are_named(plant):
    root = plant([*tree(("ABOUT",)), *tree(("WORLD",), train=2)])
    notes = "\n".join(lrw.find(root, clips_per_word=3).notes)
    assert "train subset: 5 clips" in notes
    assert "words with fewer clips than that: 'WORLD'" in notes


def test_subset_list_is_the_sorted_training_ids(plant, tmp_path: Path):
    manifest = lrw.find(plant(tree()), clips_per_word=2)
    lrw.write_subset_list(tmp_path / "run" / "subset.txt", manifest)
    lines = (tmp_path / "run" / "subset.txt").read_text().splitlines()
    assert lines == sorted(train_ids(manifest))
    assert len(lines) == 6


def test_folder_above_names_the_right_one(plant):
    root = plant(tree(), "LRW/lipread_mp4")
    with pytest.raises(ValueError, match=r"Did you mean .*lipread_mp4\?"):
        lrw.find(root.parent)


def test_word_folder_names_the_right_one(plant):
    root = plant(tree(), "LRW/lipread_mp4")
    with pytest.raises(ValueError, match=r"Did you mean .*lipread_mp4\?"):
        lrw.find(root / "ABOUT")


def test_folders_of_the_split_without_lrw_clips_are_refused(plant):
    with pytest.raises(ValueError, match="expected word folders"):
        lrw.find(plant(["videos/train/one.mp4"]))


def test_negative_count_is_refused(plant):
    with pytest.raises(ValueError, match="clips_per_word=-1"):
        lrw.find(plant(tree()), clips_per_word=-1)
