"""The tiny probe: what it can see, and that it never judges what it learned from."""

import numpy as np
import pytest
from factories import facts

from avkd.metrics import ranking
from avkd.reporting.shortcut_probe import (
    BITS_PER_PIXEL,
    fact_columns,
    folds_of,
    is_known,
    linked_groups,
    out_of_fold,
)


def area(column: np.ndarray, labels: np.ndarray) -> float:
    folds = folds_of(labels, np.arange(len(labels)), seed=0)
    assert folds is not None
    value = ranking.auc(labels, out_of_fold({"fact": column}, labels, folds)).value
    assert value is not None
    return value


def test_a_group_is_never_divided_and_a_forgery_stays_with_its_source() -> None:
    random = np.random.default_rng(0)
    rows = [
        facts(f"d/real/{n}", label=0, method="real", group=f"g{n % 20}" if n % 3 else "")
        for n in range(60)
    ]
    rows += [
        facts(f"d/swap/{n}", source=f"d/real/{n % 60}", group=f"g{random.integers(20)}" * (n % 2))
        for n in range(60)
    ]
    groups = linked_groups(rows)
    labels = np.array([row.label for row in rows])
    folds = folds_of(labels, groups, seed=3)
    assert folds is not None and len(np.unique(folds)) > 1
    fold_of = {row.sample_id: fold for row, fold in zip(rows, folds.tolist(), strict=True)}
    of_group: dict[str, set[int]] = {}
    for row in rows:
        assert not row.source or fold_of[row.source] == fold_of[row.sample_id]
        of_group.setdefault(row.group or row.sample_id, set()).add(fold_of[row.sample_id])
    assert all(len(found) == 1 for found in of_group.values())
    assert folds_of(labels, np.zeros(120, dtype=np.int64), seed=0) is None


def test_a_file_is_judged_by_what_the_others_taught() -> None:
    """With every file its own value and random labels, a probe that peeked would be right."""
    random = np.random.default_rng(0)
    areas = [area(random.standard_normal(200), random.permutation(200) % 2) for _ in range(20)]
    words = [
        area(np.array([f"v{n}" for n in range(200)]), random.permutation(200) % 2) for _ in range(5)
    ]
    assert np.mean(areas) < 0.54 and words == [0.5] * 5


@pytest.mark.parametrize(
    "fakes",
    [
        lambda random: random.normal(1.5, 1, 150),  # more of it
        lambda random: random.normal(0, 0.1, 150),  # exactly the middle: not monotone
        lambda random: np.where(random.random(150) < 0.7, np.nan, random.normal(0, 1, 150)),
    ],
)
def test_more_of_a_number_its_middle_and_its_absence_are_all_seen(fakes: object) -> None:
    random = np.random.default_rng(1)
    column = np.r_[random.normal(0, 1, 150), fakes(random)]  # type: ignore[operator]
    assert area(column, np.repeat([0, 1], 150)) > 0.75


def test_a_codec_more_common_among_fakes_is_seen_and_a_common_one_is_not() -> None:
    random = np.random.default_rng(1)
    real = random.choice(["h264", "vp9"], 150, p=[0.8, 0.2])
    fake = random.choice(["h264", "vp9"], 150, p=[0.2, 0.8])
    labels = np.repeat([0, 1], 150)
    assert area(np.r_[real, fake], labels) > 0.75
    assert area(np.r_[real, random.permutation(real)], labels) < 0.56


def test_the_number_of_fakes_for_each_real_changes_nothing() -> None:
    random = np.random.default_rng(2)
    column, labels = random.standard_normal(420), np.repeat([0, 1], [60, 360])
    assert abs(area(column, labels) - 0.5) < 0.1
    assert area(column + labels, labels) == pytest.approx(0.76, abs=0.06)


def test_only_facts_that_differ_are_columns_and_bits_per_pixel_is_made_of_others() -> None:
    known = {"height": 100.0, "frames_per_second": 25.0}
    columns = fact_columns(
        [
            facts("a", width=100.0, bit_rate=250_000.0, has_sound=False, **known),
            facts("b", width=200.0, bit_rate=500_000.0, has_sound=True, **known),
            facts("c", width=200.0, bit_rate=None, has_sound=None, **known),
        ]
    )
    assert set(columns) == {"width", "bit_rate", "has_sound", BITS_PER_PIXEL}
    np.testing.assert_array_equal(columns[BITS_PER_PIXEL], [1.0, 1.0, np.nan])
    assert columns["has_sound"].tolist() == ["no", "yes", ""]
    assert [is_known(columns[name])[2] for name in ("width", "bit_rate", "has_sound")] == [
        *(True, False, False)
    ]
