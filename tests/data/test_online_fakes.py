"""Fakes made while training: pairs that share everything but the forgery, the same every time."""

import dataclasses

import numpy as np
import pytest
import torch
from factories import VIDEO

from avkd.blending.online_forgery import OnlineForgery
from avkd.data.clip_items import ClipItem
from avkd.data.datasets import Corpus, TrainingClips, WindowClips
from avkd.data.manifest import FAKE, REAL
from avkd.data.online_fakes import OnlineFakes, shown_for_validation
from avkd.data.sampling import ClipKey, MixedBatches
from avkd.data.transforms import Augmentation


def _items(corpus: Corpus):
    usable = [s for s in corpus.manifest.samples if s.num_frames and s.num_frames >= 25]
    return [ClipItem(item.sample, _Noisy(item.store)) for item in corpus.items(usable)]


def _clips(corpus: Corpus, degradation: float) -> TrainingClips:
    items = _items(corpus)
    return TrainingClips(
        items,
        model_input=VIDEO,
        seed=0,
        augmentation=Augmentation(),
        with_sound=False,
        online=OnlineFakes(items, OnlineForgery(resynthesis=0.0), degradation),
    )


class _Noisy:
    """Crops that hold more than one grey level, so that a forgery can be seen."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def frames(self, path, start, count):
        stored = self._store.frames(path, start, count)
        rng = np.random.default_rng(0)
        blocks = rng.integers(-30, 30, (1, 15, 15, 3)).repeat(10, 1).repeat(10, 2)
        return np.clip(stored.astype(int) + blocks, 0, 255).astype(np.uint8)


def _pair(clips: TrainingClips, position: int):
    keys = [ClipKey(0, position, 0, role) for role in ("online_real", "online_fake")]
    return [clips[key] for key in keys]


def test_a_pair_shares_start_view_and_label_says_which_is_which(corpus):
    clips = _clips(corpus, degradation=0.5)
    differ = 0
    for position in range(8):
        real, fake = _pair(clips, position)
        assert (real.labels.item(), fake.labels.item()) == (0.0, 1.0)
        assert torch.equal(real.draws, fake.draws)
        assert torch.equal(real.student.crop, fake.student.crop)
        assert torch.equal(real.student.flip, fake.student.flip)
        differ += int(not torch.equal(real.frames, fake.frames))
    assert differ >= 6


def test_draws_are_repeatable_and_differ_between_positions_and_epochs(corpus):
    clips, again = _clips(corpus, 1.0), _clips(corpus, 1.0)
    key = ClipKey(1, 5, 0, "online_fake")
    assert torch.equal(clips[key].frames, again[key].frames)
    others = [ClipKey(2, 5, 0, "online_fake"), ClipKey(1, 7, 0, "online_fake")]
    assert all(not torch.equal(clips[key].frames, clips[other].frames) for other in others)


def test_the_same_degradation_meets_real_and_fake(corpus):
    """The corners, which no mask reaches, stay equal within a pair whatever happens to both."""
    clips = _clips(corpus, degradation=1.0)
    for position in range(8):
        real, fake = _pair(clips, position)
        gap = (real.frames.int() - fake.frames.int()).abs()[:, :, :6, :6]
        # Blur and JPEG carry a little of the forgery over, as they do in the wild.
        assert gap.float().mean() < 3


def test_stored_clips_are_left_alone_without_degradation(corpus):
    clips = _clips(corpus, degradation=0.0)
    item = clips.items[0]
    shown = clips[ClipKey(0, 0, 0)]
    start = int(shown.draws[0, 2])
    stored = item.store.frames(item.sample.path, start, VIDEO.clip_frames)
    assert np.array_equal(shown.frames[0].numpy(), stored)


def test_the_pictures_of_a_run_show_pairs(corpus):
    shown = _clips(corpus, degradation=0.0).first_clips(4)
    assert shown.labels.tolist() == [0.0, 1.0] * (len(shown) // 2) and len(shown) > 0


def test_validation_shows_pairs_that_never_change(corpus):
    items = [item for item in _items(corpus) if item.sample.label == REAL]
    fakes = OnlineFakes(items, OnlineForgery(), 0.5)
    shown, again = shown_for_validation(fakes), shown_for_validation(fakes)
    assert [i.sample.label for i in shown] == [REAL, FAKE] * 2 * len(items)
    assert len({i.sample.sample_id for i in shown}) == len(shown)
    assert all(i.sample.method.startswith("online_") for i in shown if i.sample.label == FAKE)
    assert all(
        i.sample.source_id == real.sample.sample_id
        for real, i in zip(shown[::2], shown[1::2], strict=True)
    )
    for first, second in zip(shown, again, strict=True):
        windows = (WindowClips([i], VIDEO)[0][0].frames for i in (first, second))
        assert torch.equal(*windows)


@pytest.mark.parametrize("forgery", [OnlineForgery(), None])
def test_where_validation_is_degraded_it_is_also_shown_as_it_is_stored(corpus, forgery):
    items = [item for item in _items(corpus) if item.sample.label == REAL]
    shown = shown_for_validation(OnlineFakes(items, forgery, 1.0))
    reals = [i for i in shown if i.sample.label == REAL]
    assert [i.sample.dataset for i in reals] == [
        dataset for item in items for dataset in (item.sample.dataset, "toy_as_stored")
    ]
    for item, degraded, plain in zip(items, reals[::2], reals[1::2], strict=True):
        assert np.array_equal(plain.frames(0, 25), item.frames(0, 25))
        assert not np.array_equal(degraded.frames(0, 25), item.frames(0, 25))
    undegraded = shown_for_validation(OnlineFakes(items, forgery, 0.0))
    assert {i.sample.dataset for i in undegraded} == {items[0].sample.dataset}


def test_pictures_stand_for_three_pairs(pictures):
    items = pictures.items(s for s in pictures.manifest.samples if s.label == REAL)
    shown = shown_for_validation(OnlineFakes(items, OnlineForgery(), 0.0))
    assert len(shown) == len(items) * 2 * 3 > 0


def test_a_donor_is_somebody_else_of_the_same_side_and_dataset(corpus):
    items = _items(corpus)
    fakes = OnlineFakes(items, OnlineForgery(), 0.0)
    rng = np.random.default_rng(0)
    # Nobody is known in this corpus: then nobody can be shown to be another.
    assert fakes._donor(items[0], 25, rng) is None


@pytest.mark.parametrize(
    ("fakes", "online_share"), [("online", 1.0), ("both", 0.5), ("both", 0.75), ("both", 1.0)]
)
def test_batches_hold_pairs_in_the_shares_asked_for(fakes, online_share):
    labels = [REAL] * 12 + [FAKE] * 4
    batches = MixedBatches(
        labels,
        [None] * 16,
        num_real_items=0,
        batch_size=8,
        real_ratio=1,
        balance="paired",
        seed=0,
        fakes=fakes,
        stored_share=1 - online_share,
    )
    keys = [key for batch in batches.epoch(0) for key in batch]
    made = [key for key in keys if key.role == "online_fake"]
    bases = [key for key in keys if key.role == "online_real"]
    assert len(keys) == 24 and batches.fake_fraction == 0.5
    assert len(made) == len(bases) == 12 * online_share
    assert [(k.position, k.item) for k in made] == [(k.position, k.item) for k in bases]
    assert all(labels[key.item] == REAL for key in made)
    stored = [key for key in keys if key.role == "stored"]
    assert sum(labels[key.item] for key in stored) == len(stored) / 2


def test_online_needs_reals_alone():
    settings = {
        "num_real_items": 0,
        "batch_size": 4,
        "real_ratio": 1,
        "seed": 0,
    }
    only_reals = MixedBatches([REAL] * 6, [None] * 6, balance="paired", fakes="online", **settings)
    assert len(only_reals) == 3


def test_another_moment_is_of_the_same_clip_and_apart(corpus):
    items = [item for item in _items(corpus) if item.num_frames >= 25 + 2 * 8]
    assert items
    fakes = OnlineFakes(items, OnlineForgery(donors=0.0, moments=1.0, resynthesis=0.0), 0.0)
    for item in items:
        for draw in range(20):
            recipe, source, first = fakes._recipe(item, 3, 25, (0, draw))
            assert recipe.source == "other_moment" and source is item
            assert 0 <= first <= item.num_frames - 25 and abs(first - 3) >= 8


def test_at_most_one_of_two_strangers_takes_the_others_look(corpus):
    items = _items(corpus)
    real = next(item for item in items if item.sample.label == REAL)
    fake = ClipItem(dataclasses.replace(real.sample, label=FAKE, method="stored"), real.store)
    frames = real.store.frames(real.sample.path, 0, 1)
    other = np.clip(frames[0].astype(int) // 2 + 40, 0, 255).astype(np.uint8)
    fakes = OnlineFakes(items, None, 0.0, match_looks=0.6)
    changed = [
        [
            not np.array_equal(fakes.with_look_of(item, frames, other, (0, draw)), frames)
            for item in (real, fake)
        ]
        for draw in range(60)
    ]
    assert [True, True] not in changed
    assert all(10 < sum(column) < 30 for column in zip(*changed, strict=True))
    never = OnlineFakes(items, None, 0.0)
    for item in (real, fake):
        shown = [never.with_look_of(item, frames, other, (0, draw)) for draw in range(20)]
        assert all(np.array_equal(one, frames) for one in shown)
