"""Numbers at a threshold against scikit-learn, and their intervals against a plain loop."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics as reference

from avkd.metrics import ranking, table
from avkd.metrics.bootstrap import Metric, Resampling
from avkd.metrics.table import METRICS, NO_THRESHOLD
from avkd.metrics.verdicts import Confusion, confusion

MEASURES = ("accuracy", "balanced_accuracy", "precision", "recall", "f1")


def at_threshold(
    labels: object, scores: object, threshold: float | None, groups: object = None, **options: int
) -> dict[str, Metric]:
    checked = ranking.checked(labels, scores)
    drawn = {"resamples": 2000, "seed": 0, **options}
    return table.at_threshold(
        *checked, threshold, Resampling.of(checked[0], groups=groups, **drawn)
    )


def of_counts(counts: Confusion) -> dict[str, Metric]:
    """The metrics of files that were called so."""
    cells = dataclasses.astuple(counts)
    labels, called_fake = np.repeat([0, 0, 1, 1], cells), np.repeat([0.0, 1.0, 0.0, 1.0], cells)
    return at_threshold(labels, called_fake, 0.5)


def made_up(seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray, float]:
    """Both classes, any share of fakes, and mostly scores that lie exactly on the threshold."""
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, (random.random(size - 2) < random.random()).astype(int)]
    scores = np.round(random.standard_normal(size) + labels, int(random.integers(0, 3)))
    return labels, scores, float(random.choice(scores))


@pytest.mark.parametrize("seed", range(200))
def test_counts_and_numbers_agree_with_scikit_learn(seed: int) -> None:
    labels, scores, threshold = made_up(seed, size=2 + seed % 50)
    called_fake = scores >= threshold
    counts = confusion(labels, scores, threshold)
    expected = reference.confusion_matrix(labels, called_fake, labels=[0, 1])
    assert dataclasses.astuple(counts) == tuple(expected.ravel())
    for name in MEASURES:
        score = getattr(reference, f"{name}_score")
        found = at_threshold(labels, scores, threshold, resamples=1)[name]
        if called_fake.any() or name != "precision":
            assert found.reason == ""
        assert found.value == pytest.approx(score(labels, called_fake), abs=1e-12)


def test_a_score_on_the_threshold_is_called_fake() -> None:
    assert confusion([0, 0, 1, 1, 1], [0.0, 1.0, 0.0, 1.0, 2.0], 1.0) == Confusion(1, 1, 1, 2)


def test_a_precision_of_no_accusation_is_not_defined_and_the_f1_is_zero() -> None:
    """A script that prints 0 here calls a silent detector a wrong one."""
    counts = confusion([0, 1, 1], [0.0, 1.0, 2.0], 3.0)
    found = of_counts(counts)
    precision = found["precision"]
    assert (precision.value, precision.reason) == (None, "no file is called fake")
    assert (found["f1"].value, found["recall"].value) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("counts", "defined", "reason"),
    [
        (Confusion(2, 1, 0, 0), {"accuracy": 2 / 3}, "no scored fake file"),
        (Confusion(0, 0, 1, 3), {"accuracy": 0.75, "recall": 0.75}, "no scored real file"),
        (Confusion(0, 0, 0, 0), {}, "no scored file"),
    ],
)
def test_one_class_only_leaves_what_is_a_share_of_it(
    counts: Confusion, defined: dict[str, float], reason: str
) -> None:
    """A precision without reals is 1 and without fakes 0, whatever the detector says."""
    for name in MEASURES:
        found = of_counts(counts)[name]
        assert found.value == defined.get(name)
        assert found.reason == ("" if name in defined else reason)


def resample_slowly(
    labels: np.ndarray, scores: np.ndarray, threshold: float, groups: np.ndarray
) -> dict[str, np.ndarray]:
    """Quantiles of files that are really drawn, group by group, and counted one by one."""
    random = np.random.default_rng(9)
    kind = {g: frozenset(labels[groups == g].tolist()) for g in np.unique(groups)}
    strata = [[g for g in kind if kind[g] == k] for k in set(kind.values())]
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for _ in range(300):
        drawn = [np.flatnonzero(groups == g) for s in strata for g in random.choice(s, len(s))]
        files = np.concatenate(drawn)
        real, called_fake = labels[files] == 0, scores[files] >= threshold
        hits, alarms = (called_fake & ~real).sum(), (called_fake & real).sum()
        found = hits / (~real).sum()
        drawn_values = {
            "accuracy": (called_fake != real).mean(),
            "balanced_accuracy": (found + 1 - alarms / real.sum()) / 2,
            "precision": hits / called_fake.sum(),
            "recall": found,
            "f1": 2 * hits / (called_fake.sum() + (~real).sum()),
        }
        for name in MEASURES:
            values[name].append(drawn_values[name])
    return {name: np.quantile(found, [0.025, 0.975]) for name, found in values.items()}


@pytest.mark.parametrize("grouped", [False, True])
def test_the_intervals_agree_with_a_bootstrap_written_as_a_loop(grouped: bool) -> None:
    random = np.random.default_rng(3)
    labels = np.r_[np.zeros(60, dtype=int), np.ones(90, dtype=int)]
    scores = random.standard_normal(150) + labels
    groups = random.integers(0, 30, 150) if grouped else np.arange(150)
    groups[:20] += 100 * grouped  # some with reals only
    found = at_threshold(labels, scores, 0.4, groups=groups if grouped else None, resamples=4000)
    for name, expected in resample_slowly(labels, scores, 0.4, groups).items():
        value, interval = found[name].value, found[name].interval
        assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=0.025), name
        assert interval.low < value < interval.high
        assert interval.unit == ("groups" if grouped else "files")


def test_ten_copies_of_a_face_are_one_fact() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], 20)
    scores, copies = random.standard_normal(40) + labels, np.repeat(np.arange(40), 10)
    once = at_threshold(labels, scores, 0.5)
    tenfold = at_threshold(labels[copies], scores[copies], 0.5)
    grouped = at_threshold(labels[copies], scores[copies], 0.5, groups=copies)
    for name in MEASURES:
        widths = [
            interval.high - interval.low
            for interval in (one[name].interval for one in (once, tenfold, grouped))
        ]
        assert widths[2] == pytest.approx(widths[0], abs=0.03), name
        assert widths[1] < 0.5 * widths[0], name


def test_numbers_and_intervals_are_given_with_their_reasons() -> None:
    silent = at_threshold([0, 0, 1, 1], [0.0, 1.0, 2.0, 3.0], 9.0, resamples=50)
    assert silent["precision"].interval.low is None
    assert silent["precision"].interval.reason == "no file is called fake"
    assert (silent["recall"].interval.low, silent["recall"].interval.high) == (0.0, 0.0)
    lone = at_threshold([0, 0, 1], [0.0, 1.0, 2.0], 0.5, resamples=50)
    assert lone["accuracy"].value == pytest.approx(2 / 3)
    assert lone["accuracy"].interval.reason == "fewer than two files with a fake file"
    assert at_threshold([], [], 0.5)["accuracy"].interval.reason == "no scored file"


def test_a_rare_accusation_makes_the_precision_unsure() -> None:
    """One fake of ten accused: in a third of the draws nobody is, and precision could be any."""
    labels = np.repeat([0, 1], 10)
    precision = at_threshold(labels, np.r_[np.zeros(19), 1.0], 0.5)["precision"]
    assert precision.value == 1.0
    assert precision.interval.ends == (0.0, 1.0)


def test_without_a_threshold_nothing_is_counted() -> None:
    found = at_threshold([0, 1], [0.0, 1.0], None)
    assert [*found] == [m.name for m in METRICS if m.over == "verdicts"] == [*MEASURES]
    assert {(m.reason, m.interval.reason) for m in found.values()} == {(NO_THRESHOLD,) * 2}


def test_half_precision_is_refused_here_too() -> None:
    with pytest.raises(ValueError, match="half precision"):
        confusion([0, 1], np.array([0, 1], dtype=np.float16), 0.5)
