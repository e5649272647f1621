"""The draws: who is drawn with whom, and what every draw keeps."""

import numpy as np
import pytest

from avkd.metrics.bootstrap import Resampling


def plan(labels: np.ndarray, groups: np.ndarray | None = None, resamples: int = 3000) -> Resampling:
    return Resampling.of(labels, groups=groups, resamples=resamples, seed=5)


def mixed() -> tuple[np.ndarray, np.ndarray]:
    """Groups of reals only, of fakes only and of both, of one to four files."""
    random = np.random.default_rng(2)
    groups = np.sort(random.integers(0, 40, 100))
    labels = np.where(groups < 12, 0, np.where(groups < 24, 1, random.integers(0, 2, 100)))
    return labels, groups


def test_files_alone_are_drawn_within_their_class() -> None:
    labels = np.r_[np.zeros(7, dtype=int), np.ones(23, dtype=int)]
    for weights in plan(labels).group_weights():
        assert (weights[:, labels == 0].sum(axis=1) == 7).all()
        assert (weights[:, labels == 1].sum(axis=1) == 23).all()


def test_groups_are_drawn_among_those_of_their_kind() -> None:
    labels, groups = mixed()
    names = np.unique(groups)
    holds = {name: frozenset(labels[groups == name].tolist()) for name in names}
    for weights in plan(labels, groups).group_weights():
        for kind in set(holds.values()):
            members = [holds[name] == kind for name in names]
            assert (weights[:, members].sum(axis=1) == sum(members)).all()


def test_all_resamples_come_in_the_end_however_many_fit_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, groups = mixed()
    whole = plan(labels, groups, resamples=50)
    values = np.c_[labels, 1 - labels]
    at_once, summed = np.concatenate([*whole.group_weights()]), whole.sums(values)
    monkeypatch.setattr("avkd.metrics.bootstrap._CELLS_AT_ONCE", 700)
    parts = [*whole.group_weights()]
    assert [len(part) for part in parts] == [7] * 7 + [1]
    assert at_once.shape == np.concatenate(parts).shape
    again = whole.sums(values)
    assert again.shape == summed.shape
    assert (again.sum(axis=1) > 0).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_sums_are_distributed_like_those_of_the_drawn_files(grouped: bool) -> None:
    """The short way (kinds of groups) against the long one (every file's weight)."""
    labels, groups = mixed()
    values = np.random.default_rng(0).integers(0, 2, (labels.size, 3))
    drawn = plan(labels, groups if grouped else None)
    weights = np.concatenate([*drawn.group_weights()])[:, drawn.group_of_file]
    slow, fast = (weights @ values).astype(float), drawn.sums(values).astype(float)
    assert fast.shape == (3000, 3)
    spread = slow.std(axis=0)
    assert np.abs(fast.mean(axis=0) - slow.mean(axis=0)).max() < 0.1 * spread.min()
    # Covariances too: the cells of a confusion do not vary one by one.
    gap = np.abs(np.cov(fast.T) - np.cov(slow.T)) / np.outer(spread, spread)
    assert gap.max() < 0.12


def test_equal_seeds_give_equal_sums_and_others_do_not() -> None:
    labels, groups = mixed()
    values = labels[:, None] * (np.arange(100)[:, None] % 3)
    first, again = (plan(labels, groups).sums(values) for _ in range(2))
    assert (first == again).all()
    other = Resampling.of(labels, groups=groups, resamples=3000, seed=6).sums(values)
    assert (first != other).any()


def test_a_number_that_is_not_defined_in_a_draw_could_be_anything() -> None:
    labels = np.repeat([0, 1], 5)
    drawn = plan(labels, resamples=100)
    sure = drawn.interval(np.full(100, 0.5))
    assert (sure.low, sure.high, sure.reason) == (0.5, 0.5, "")
    unsure = drawn.interval(np.r_[np.full(90, 0.5), np.full(10, np.nan)])
    assert (unsure.low, unsure.high) == (0.0, 1.0)
    hardly = drawn.interval(np.r_[np.full(99, 0.5), np.nan])
    assert (hardly.low, hardly.high) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        ([], None, "no scored file"),
        ([0, 0], None, "no scored fake file"),
        ([1, 1], None, "no scored real file"),
        ([0, 0, 1], None, "fewer than two files with a fake file"),
        ([0, 1, 1], None, "fewer than two files with a real file"),
        ([0, 0, 1, 1], list("aabc"), "fewer than two groups with a real file"),
    ],
)
def test_what_cannot_be_drawn_has_a_reason(
    labels: list[int], groups: list[str] | None, reason: str
) -> None:
    drawn = Resampling.of(np.array(labels, dtype=int), groups=groups, resamples=10, seed=0)
    assert drawn.reason == reason
    interval = drawn.no_interval(drawn.reason)
    assert (interval.low, interval.high, interval.reason) == (None, None, reason)


def test_a_group_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="1 groups for 2 files"):
        Resampling.of(np.array([0, 1]), groups=["a"], resamples=10, seed=0)
