"""The table of a test set of any size: the same numbers as from all scores at once."""

import dataclasses
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from avkd.reporting.bootstrap import Interval
from avkd.reporting.flat_summary import summarise_flat
from avkd.reporting.poisson_bootstrap import LevelDraws, poisson_weights
from avkd.reporting.score_tally import LEVELS, level_of
from avkd.reporting.scores import ClipScore, unscored
from avkd.reporting.summary import SummaryRow, Threshold, summarise

THRESHOLD = Threshold(logit=0.25, origin="made up")


def made_up_rows(
    num_files: int, *, seed: int = 0, grouped: bool = False, spacing: float = 0.125
) -> list[ClipScore]:
    """Files of three methods with one to three windows; a few are unscored.

    Logits are multiples of ``spacing``: the pooled ones of different files are equal, or too far
    apart for one level.
    """
    random = np.random.default_rng(seed)
    rows: list[ClipScore] = []
    for number in range(num_files):
        method = ("real", "swap", "reenact")[number % 3]
        shared: dict = {
            "sample_id": f"d/{method}/{number}",
            "label": int(method != "real"),
            "dataset": "d",
            "method": method,
            "split": "test",
            "group": f"person{number // 9}" if grouped else "",
        }
        if number % 29 == 28:
            rows.append(unscored(**shared, status="no_face", message=""))
            continue
        shift = {"real": 0.0, "swap": 1.0, "reenact": 0.3}[method]
        for window in range(2 ** (number % 3)):
            logit = spacing * round((random.standard_normal() + shift) / spacing)
            rows.append(
                ClipScore(
                    **shared,
                    window=window,
                    start_frame=20 * window,
                    num_frames=25,
                    logit=logit,
                    probability=float(1 / (1 + np.exp(-logit))),
                )
            )
    return rows


def without_intervals(row: SummaryRow) -> dict:
    """Every field of a row but what the draws decide; floats that sums may round apart as text."""

    def plain(value: object) -> object:
        if isinstance(value, Interval):
            return value.unit, value.reason
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, tuple):
            return tuple(map(plain, value))
        return f"{value:.12g}" if isinstance(value, float) else value

    found = plain(row)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("threshold", [None, THRESHOLD])
def test_the_rows_are_those_of_the_whole_scores(grouped: bool, threshold: Threshold | None) -> None:
    rows = made_up_rows(300, grouped=grouped)
    flat = summarise_flat(lambda: rows, threshold=threshold, resamples=100)
    whole = summarise(rows, threshold=threshold, resamples=100)
    assert [row.row.method for row in flat] == ["reenact", "swap", "all"]
    for one, other in zip(flat, whole, strict=True):
        assert without_intervals(one.row) == without_intervals(other)


def test_one_method_makes_one_pooled_row() -> None:
    rows = [row for row in made_up_rows(90) if row.method != "swap"]
    (found,) = summarise_flat(lambda: rows, resamples=100)
    assert (found.row.method, found.row.is_pooled) == ("reenact", True)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_intervals_are_about_those_of_the_plain_bootstrap(grouped: bool) -> None:
    rows = made_up_rows(900, grouped=grouped, spacing=1e-3)
    flat = summarise_flat(lambda: rows, threshold=THRESHOLD, resamples=2000)
    whole = summarise(rows, threshold=THRESHOLD, resamples=2000)
    for one, other in zip(flat, whole, strict=True):
        pairs = (
            (one.row.auc_interval, other.auc_interval),
            (one.row.at_threshold.recall_interval, other.at_threshold.recall_interval),
        )
        for found, wanted in pairs:
            assert found.unit == wanted.unit == ("groups" if grouped else "files")
            width = wanted.high - wanted.low
            assert found.low == pytest.approx(wanted.low, abs=0.12 * width)
            assert found.high == pytest.approx(wanted.high, abs=0.12 * width)


def test_what_ties_can_have_moved_is_said_and_holds() -> None:
    rows = made_up_rows(600, spacing=1e-9)
    flat = summarise_flat(lambda: rows, resamples=100)
    whole = summarise(rows, resamples=100)
    for one, other in zip(flat, whole, strict=True):
        assert one.tie_share is not None and one.row.auc.value is not None
        assert other.auc.value is not None
        assert 0 < one.tie_share < 0.002
        assert abs(one.row.auc.value - other.auc.value) <= one.tie_share / 2


def test_levels_keep_the_order_of_logits() -> None:
    logits = np.sort(np.concatenate([np.linspace(-40, 40, 2001), [-1e300, -1e-30, 0.0, 1e300]]))
    levels = level_of(logits)
    assert (np.diff(levels) >= 0).all()
    assert np.unique(levels).size > 1800
    assert level_of(np.array([-0.0])) == level_of(np.array([0.0]))
    assert levels.min() >= 0 and levels.max() < LEVELS


def test_one_class_only_and_no_rows_are_said() -> None:
    reals = [row for row in made_up_rows(30) if row.label == 0]
    (found,) = summarise_flat(lambda: reals, resamples=100)
    assert found.row.auc.reason == found.row.auc_interval.reason == "no scored fake file"
    assert found.tie_share is None
    assert summarise_flat(lambda: [], resamples=100) == ()


def test_two_groups_at_least_are_needed_for_an_interval() -> None:
    rows = [dataclasses.replace(row, group="one") for row in made_up_rows(60)]
    found = summarise_flat(lambda: rows, resamples=100)[-1].row
    assert found.auc_interval.reason == "fewer than two groups with a real file"


def test_a_second_dataset_among_the_scores_is_refused() -> None:
    rows = made_up_rows(30)
    rows += [dataclasses.replace(row, dataset="e") for row in rows[:3]]
    with pytest.raises(ValueError, match="a score file of its own"):
        summarise_flat(lambda: rows, resamples=100)


def test_weights_are_poisson_of_mean_one_and_belong_to_the_name() -> None:
    names = [f"name{number}" for number in range(2000)]
    weights = poisson_weights(names, resamples=1000, seed=0)
    shares = np.bincount(weights.ravel(), minlength=5)[:5] / weights.size
    assert shares == pytest.approx(np.exp(-1) / np.array([1, 1, 2, 6, 24]), abs=0.002)
    assert weights.mean(axis=0).std() == pytest.approx(2000**-0.5, rel=0.1)  # names differ
    assert weights.mean(axis=1).std() == pytest.approx(1000**-0.5, rel=0.1)  # draws differ
    again = poisson_weights(["name7", "x", "name7"], resamples=1000, seed=0)
    assert (again[0] == weights[7]).all() and (again[2] == weights[7]).all()
    assert (again[0] != poisson_weights(["name7"], resamples=1000, seed=1)[0]).any()


def test_draws_are_the_weighted_counts() -> None:
    random = np.random.default_rng(0)
    names = [f"name{number % 40}" for number in range(100)]
    columns, logits = random.integers(0, 3, 100), random.normal(size=100)
    drawn = LevelDraws.empty([0.5, -0.5, 0.5], columns=3, resamples=30, seed=4)
    for part in (slice(0, 33), slice(33, 100)):  # one addition or several: the same
        drawn.add(names[part], columns[part], logits[part])
    weights = poisson_weights(names, resamples=30, seed=4).astype(int)
    level = np.digitize(logits, [-0.5, 0.5])
    for column in range(3):
        for place in range(3):
            chosen = (columns == column) & (level == place)
            assert (drawn.weights[column, place] == weights[chosen].sum(axis=0)).all()
            assert drawn.files[column, place] == chosen.sum()
    real, fake = drawn.verdicts([1, 2], 0.5)
    called = level == 2
    assert (fake == weights[called & (columns > 0)].sum(axis=0)).all()
    assert (real == weights[~called & (columns > 0)].sum(axis=0)).all()


def test_memory_does_not_grow_with_the_test_set() -> None:
    def peak(num_files: int) -> int:
        def rows() -> Iterator[ClipScore]:
            return (row for seed in range(num_files // 500) for row in renamed(seed))

        tracemalloc.start()
        summarise_flat(rows, resamples=100)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    part = made_up_rows(500)

    def renamed(seed: int) -> Iterator[ClipScore]:
        return (dataclasses.replace(row, sample_id=f"{row.sample_id}/{seed}") for row in part)

    small, large = peak(2500), peak(7500)
    assert large < 1.05 * small
