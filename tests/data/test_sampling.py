"""Which clip comes when: complete, repeatable, resumable, and in the shares it claims."""

import math
from itertools import chain

import numpy as np
import pytest
import torch

from avkd.data.manifest import FAKE, REAL
from avkd.data.sampling import (
    ClipBatch,
    ClipKey,
    MixedBatches,
    RecurringBatches,
    ShuffledBatches,
)
from avkd.data.transforms import Augmentation, draw_view
from avkd.losses.classification import log_prior_odds


def labels(num_reals: int, num_fakes: int) -> list[int]:
    mixed = np.array([REAL] * num_reals + [FAKE] * num_fakes)
    return np.random.default_rng(0).permutation(mixed).tolist()


def mixed(num_reals: int = 20, num_fakes: int = 80, **changes) -> MixedBatches:
    settings = {
        "num_real_items": 0,
        "batch_size": 10,
        "real_ratio": 1,
        "balance": "balanced",
        "seed": 0,
        "sources": [None] * (num_reals + num_fakes),
    }
    return MixedBatches(labels(num_reals, num_fakes), **{**settings, **changes})


def items(batches: list[list[ClipKey]]) -> list[int]:
    return [key.item for key in chain.from_iterable(batches)]


STREAMS = {
    "shuffled": lambda seed: ShuffledBatches(53, 8, seed),
    "balanced": lambda seed: mixed(seed=seed, num_real_items=7, real_ratio=2),
    "natural": lambda seed: mixed(seed=seed, balance="natural"),
    "recurring": lambda seed: RecurringBatches(53, batch_size=8, seed=seed, num_views=None),
}


# What every stream promises


@pytest.mark.parametrize("name", STREAMS)
def test_seed_and_epoch_alone_decide_the_stream(name):
    def stream(seed: int, epoch: int) -> list[list[ClipKey]]:
        return list(STREAMS[name](seed).epoch(epoch))

    assert stream(0, 3) == stream(0, 3)
    assert items(stream(0, 3)) != items(stream(0, 4))
    assert items(stream(0, 3)) != items(stream(1, 3))


@pytest.mark.parametrize("name", STREAMS)
def test_an_epoch_continued_at_a_batch_has_the_same_rest(name):
    """A run that is resumed in the middle of an epoch must see what it would have seen."""
    batches = STREAMS[name](0)
    whole = list(batches.epoch(2))
    assert len(whole) == len(batches)
    for first in range(len(batches) + 1):
        assert list(batches.epoch(2, first)) == whole[first:]


@pytest.mark.parametrize("name", STREAMS)
def test_two_draws_of_one_item_have_different_keys(name):
    """Equal keys would be the very same clip, crop and masks twice."""
    keys = [key for epoch in range(3) for batch in STREAMS[name](0).epoch(epoch) for key in batch]
    assert len(set(keys)) == len(keys)
    assert all(key.epoch == index // (len(keys) // 3) for index, key in enumerate(keys))


# Stage one


def test_every_item_comes_once_an_epoch_but_for_the_last_incomplete_batch():
    batches = ShuffledBatches(64, 8, seed=0)
    assert sorted(items(list(batches.epoch(0)))) == list(range(64))
    incomplete = items(list(ShuffledBatches(53, 8, seed=0).epoch(0)))
    assert len(incomplete) == 48 == len(set(incomplete))


def test_what_one_epoch_leaves_out_comes_in_others():
    batches = ShuffledBatches(53, 8, seed=0)
    seen = {item for epoch in range(10) for item in items(list(batches.epoch(epoch)))}
    assert seen == set(range(53))


def test_views_come_again_with_the_same_draws_wherever_the_item_stands():
    """What a teacher said of (view, item) once must hold for every later batch with it."""
    batches = RecurringBatches(20, batch_size=5, seed=0, num_views=3)
    seen = [
        {(key.epoch, key.position, key.item) for batch in batches.epoch(e) for key in batch}
        for e in range(7)
    ]
    assert seen[0] == {(0, item, item) for item in range(20)}
    assert seen[0] == seen[3] == seen[6] and seen[1] == seen[4] != seen[0]
    orders = [items(list(batches.epoch(e))) for e in (0, 3)]
    assert orders[0] != orders[1]
    endless = RecurringBatches(20, batch_size=5, seed=0, num_views=None)
    assert [batches.view_of(e) for e in (0, 2, 3, 7)] == [0, 2, 0, 1]
    assert endless.view_of(7) == 7


def test_fewer_items_than_a_batch_are_one_batch_of_all():
    batches = ShuffledBatches(5, 64, seed=0)
    assert len(batches) == 1 and sorted(items(list(batches.epoch(0)))) == list(range(5))


# Stage two


def of_label(batches: MixedBatches, batch: list[ClipKey]) -> list[int]:
    """Label of every clip of a batch; further reals have indices after the forgery items."""
    return [
        REAL if key.item >= len(batches.labels) else int(batches.labels[key.item]) for key in batch
    ]


@pytest.mark.parametrize("num_reals", [3, 20, 97])
def test_balanced_batches_are_half_real(num_reals):
    batches = mixed(num_reals, 100 - num_reals)
    for epoch in range(3):
        for batch in batches.epoch(epoch):
            assert len(batch) == 10 and sum(of_label(batches, batch)) == 5


def test_a_rare_class_is_repeated_evenly():
    """Permutation after permutation: no clip comes twice more often than another."""
    batches = mixed(7, 93)
    drawn = items(list(batches.epoch(0)))
    counts, of_fakes = (
        [drawn.count(item) for item, is_fake in enumerate(batches.labels) if is_fake == label]
        for label in (REAL, FAKE)
    )
    assert sum(counts) == 50 and max(counts) - min(counts) <= 1
    assert max(of_fakes) <= 1


def test_natural_batches_take_every_item_once():
    batches = mixed(20, 80, balance="natural")
    assert sorted(items(list(batches.epoch(0)))) == list(range(100))


@pytest.mark.parametrize("real_ratio", [1, 3])
def test_further_reals_follow_the_forgery_clips_in_their_ratio(real_ratio):
    batches = mixed(num_real_items=12, real_ratio=real_ratio)
    for batch in batches.epoch(0):
        own, further = batch[:10], batch[10:]
        assert all(key.item < 100 for key in own)
        assert len(further) == 10 * real_ratio and all(100 <= k.item < 112 for k in further)
    drawn = [item for item in items(list(batches.epoch(0))) if item >= 100]
    counts = [drawn.count(item) for item in range(100, 112)]
    assert max(counts) - min(counts) <= 1


def test_no_two_clips_of_an_epoch_share_their_draws_unless_paired():
    batches = mixed(num_real_items=12, real_ratio=2)
    positions = [key.position for batch in batches.epoch(0) for key in batch]
    assert sorted(positions) == list(range(len(batches) * 30))


@pytest.mark.parametrize("balance", ["paired", "balanced", "natural"])
@pytest.mark.parametrize("num_real_items", [0, 50])
@pytest.mark.parametrize(("num_reals", "num_fakes"), [(20, 80), (70, 33), (8, 95)])
def test_the_claimed_share_of_fakes_is_the_share_of_ten_thousand_clips(
    balance, num_real_items, num_reals, num_fakes
):
    """The loss subtracts this prior; a wrong one moves every logit (method 11.9)."""
    batches = mixed(
        num_reals, num_fakes, balance=balance, num_real_items=num_real_items, real_ratio=2
    )
    drawn: list[int] = []
    epoch = 0
    while len(drawn) < 10_000:
        drawn += [label for batch in batches.epoch(epoch) for label in of_label(batches, batch)]
        epoch += 1
    assert np.mean(drawn) == pytest.approx(batches.fake_fraction, abs=0.01)


@pytest.mark.parametrize(
    ("forgery_methods", "real_ratio", "expected"), [(4, 8, -2.327), (3, 8, -2.398), (4, 0, 1.386)]
)
def test_the_sampler_of_the_published_setting_has_the_published_prior(
    forgery_methods, real_ratio, expected
):
    """Three methods must give three methods' prior: the published code kept that of four."""
    batches = mixed(
        72,
        72 * forgery_methods,
        balance="natural",
        batch_size=32,
        num_real_items=10 if real_ratio else 0,
        real_ratio=max(real_ratio, 1),
    )
    assert log_prior_odds(batches.fake_fraction) == pytest.approx(expected, abs=5e-4)


def test_a_balanced_sampler_without_further_reals_needs_no_correction():
    assert math.isclose(mixed(3, 97).fake_fraction, 0.5)


def test_an_odd_batch_cannot_be_balanced():
    with pytest.raises(ValueError, match="even"):
        mixed(batch_size=9)
    assert len(next(mixed(batch_size=9, balance="natural").epoch(0))) == 9


@pytest.mark.parametrize(("num_reals", "num_fakes"), [(1, 1), (1, 2), (2, 5)])
@pytest.mark.parametrize("balance", ["paired", "balanced", "natural"])
def test_few_items_still_make_a_batch(num_reals, num_fakes, balance):
    batches = mixed(num_reals, num_fakes, batch_size=64, balance=balance)
    (batch,) = batches.epoch(0)
    assert len(batch) == 2 * ((num_reals + num_fakes) // 2)


# The batch


def clip(index: int, with_sound: bool = True) -> ClipBatch:
    def view() -> object:
        return draw_view(np.random.default_rng(index), Augmentation(grayscale=0.5))

    return ClipBatch(
        frames=torch.full((1, 25, 4, 4, 3), index, dtype=torch.uint8),
        waveform=torch.full((1, 16_000), index, dtype=torch.int16) if with_sound else None,
        landmarks=torch.full((1, 25, 5, 2), float(index)) if with_sound else None,
        labels=torch.tensor([float(index % 2)]),
        student=view(),
        teacher=view(),
        sample_ids=(f"clip{index}",),
        draws=torch.tensor([[0, index, 0]]),
    )


def test_clips_become_a_batch_in_their_order():
    batch = ClipBatch.collate([clip(index) for index in range(3)])
    assert len(batch) == 3 and batch.sample_ids == ("clip0", "clip1", "clip2")
    assert batch.frames[:, 0, 0, 0, 0].tolist() == [0, 1, 2]
    assert batch.waveform is not None and batch.waveform[:, 0].tolist() == [0, 1, 2]
    assert batch.labels.tolist() == [0.0, 1.0, 0.0]
    assert batch.student.crop.shape == (3, 2)
    assert batch.draws[:, 1].tolist() == [0, 1, 2]
    assert batch.landmarks is not None and batch.landmarks[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_a_batch_without_sound_has_none_and_a_mixture_is_our_bug():
    assert ClipBatch.collate([clip(0, False), clip(1, False)]).waveform is None
    with pytest.raises(AssertionError):
        ClipBatch.collate([clip(0, True), clip(1, False)])


def test_moving_a_batch_keeps_everything():
    batch = ClipBatch.collate([clip(0), clip(1)])
    moved = batch.to(torch.device("cpu"))
    assert moved.sample_ids == batch.sample_ids
    assert torch.equal(moved.frames, batch.frames) and torch.equal(moved.labels, batch.labels)
    assert torch.equal(moved.draws, batch.draws)
    away = batch.to(torch.device("meta"))
    assert all(
        tensor.device.type == "meta" for tensor in (away.draws, away.landmarks, away.waveform)
    )
    assert away.labels.device.type == away.student.flip.device.type == "cpu"  # for decisions
    assert clip(0, False).to(torch.device("cpu")).waveform is None


def test_a_paired_fake_comes_with_its_own_real_and_the_same_draws():
    """What differs between the two must be the forgery and nothing else."""
    label_of = labels(20, 80)
    reals = [index for index, label in enumerate(label_of) if label == 0]
    sources = [reals[index % 20] if label else None for index, label in enumerate(label_of)]
    batches = mixed(20, 80, balance="paired", sources=sources)
    keys = list(chain.from_iterable(batches.epoch(3)))
    for real, fake in zip(keys[0::2], keys[1::2], strict=True):
        assert (label_of[real.item], label_of[fake.item]) == (0, 1)
        assert real.item == sources[fake.item]
        assert real.position == fake.position
    assert len({key.position for key in keys}) == len(keys) // 2


def test_a_fake_of_unknown_source_is_paired_with_any_real():
    keys = list(chain.from_iterable(mixed(20, 80, balance="paired").epoch(0)))
    assert len({real.item for real in keys[0::2]}) > 10
