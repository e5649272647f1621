"""Conformal limits keep what they state: for single files, for identities, and for each class."""

import math

import numpy as np
import pytest

from avkd.metrics import conformal


def coverage_of(random: np.random.Generator, sizes: np.ndarray, stated: float, grouped: bool):
    """Mean over 2,000 fits of the chance that a file of a new identity is covered.

    Scores are an identity's own offset and noise, both of variance one: N(0, 2) for a new file.
    """
    names = np.repeat(np.arange(sizes.size), sizes)
    covered = []
    for _ in range(2000):
        scores = random.normal(size=sizes.size)[names] + random.normal(size=names.size)
        limit = conformal.score_limit(scores, stated, names if grouped else None)
        covered.append(0.5 * (1 + math.erf(limit / 2)))
    return float(np.mean(covered))


@pytest.mark.parametrize("stated", [0.8, 0.9, 0.95])
def test_the_stated_coverage_is_kept_and_hardly_exceeded(stated: float) -> None:
    """With exchangeable files it lies between the stated one and 1 / (n + 1) above it."""
    found = coverage_of(np.random.default_rng(0), np.ones(59, dtype=int), stated, grouped=False)
    assert stated - 0.004 <= found <= stated + 1 / 60 + 0.004


def test_copies_of_one_identity_do_not_count_as_many_files() -> None:
    """Forty identities, one of them with 400 files: taken for single files it fools the rule."""
    sizes = np.array([*[1] * 39, 400])
    random = np.random.default_rng(1)
    assert coverage_of(random, sizes, 0.9, grouped=True) >= 0.9 - 0.004
    assert coverage_of(random, sizes, 0.9, grouped=False) < 0.8


def test_a_file_copied_often_changes_nothing_within_its_identity() -> None:
    scores = np.random.default_rng(2).normal(size=40)
    copies = np.repeat(np.arange(40), 7)
    assert conformal.score_limit(scores[copies], 0.9, copies) == conformal.score_limit(scores, 0.9)


@pytest.mark.parametrize(("stated", "fewest"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.975, 39)])
def test_too_few_identities_give_no_finite_limit(stated: float, fewest: int) -> None:
    assert conformal.fewest_groups(stated) == fewest
    scores = np.arange(fewest, dtype=float)
    assert conformal.score_limit(scores, stated) == fewest - 1  # the largest of all
    assert conformal.score_limit(scores, stated, np.arange(fewest) // 2) == (
        math.inf if fewest > 1 else 0.0
    )
    if fewest > 1:
        assert conformal.score_limit(scores[1:], stated) == math.inf


def test_the_shares_of_a_table_are_counted_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.array([-3.0, 0.0, 2.5, 9.0, -9.0, 0.5, 2.5, 9.0])
    # Sets hold real up to 2, fake from -1 on: {real}, both, fake, fake; real, both, fake, fake.
    counts = conformal.cells(labels, scores, 1.0, 2.0, -1.0).sum(axis=0)[None]
    assert conformal.coverage_of_reals(counts) == 0.5
    assert conformal.coverage_of_fakes(counts) == 0.75
    assert conformal.abstention(counts) == 0.25
    assert conformal.accuracy_when_decided(counts) == 0.5
    # The other way round, what lies between the limits is usual for neither.
    counts = conformal.cells(labels, scores, 1.0, -1.0, 2.0).sum(axis=0)[None]
    assert conformal.coverage_of_reals(counts) == 0.25
    assert conformal.abstention(counts) == 0.25
    # {fake} below the threshold decides nothing.
    counts = conformal.cells(labels, scores, 5.0, 2.0, -1.0).sum(axis=0)[None]
    assert conformal.abstention(counts) == 0.5
