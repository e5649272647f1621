"""The resampling behind every interval: which files are drawn together, and which apart.

Real and fake files are drawn separately, each class keeping its number; where groups are known
(identities: one face in ten files is not ten facts) whole groups are drawn, separately among those
that hold only real files, only fake files, and both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ResamplingUnit = Literal["files", "groups"]

_CELLS_AT_ONCE = 1_000_000  # bounds the memory of the bootstrap to about 100 MB


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile bootstrap interval, or the reason why there is none."""

    low: float | None = None
    high: float | None = None
    resamples: int = 0
    seed: int = 0
    unit: ResamplingUnit = "files"
    """What was drawn with replacement: files, or groups of files (identities)."""
    reason: str = ""

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class Metric:
    """A number with its interval, or the reason why there is none."""

    value: float | None
    reason: str = ""
    interval: Interval = Interval()
    """Empty where none was asked for."""


@dataclass(frozen=True, eq=False)
class Resampling:
    """How often the files of one table row are drawn again, in which groups and strata."""

    group_of_file: IntArray
    """(N,) number of the group of each file, from 0."""
    strata: tuple[IntArray, ...]
    """Numbers of the groups that are drawn among themselves."""
    unit: ResamplingUnit
    resamples: int
    seed: int
    reason: str
    """Why nothing may be drawn; empty if it may."""

    @classmethod
    def of(
        cls, labels: IntArray, *, groups: ArrayLike | None, resamples: int, seed: int
    ) -> "Resampling":
        """Plan the draws of (N,) files, 1 = fake; without (N,) names of groups each is its own.

        Raises:
            ValueError: not one group per label.
        """
        assert resamples >= 1, resamples
        unit: ResamplingUnit = "files" if groups is None else "groups"
        names = np.arange(labels.size) if groups is None else np.asarray(groups)
        if names.shape != labels.shape:
            raise ValueError(f"{names.size} groups for {labels.size} files")
        group_of_file = np.unique(names, return_inverse=True)[1].reshape(-1)
        reason = missing_class(labels) or _too_few_groups(labels, group_of_file, unit)
        strata = () if reason else _strata(labels, group_of_file)
        return cls(group_of_file, strata, unit, resamples, seed, reason)

    def group_weights(self) -> Iterator[IntArray]:
        """How often each group is in a draw: (D, G) of D draws at a time, of all in the end."""
        random = np.random.default_rng(self.seed)
        num_groups = int(self.group_of_file.max()) + 1
        chunk = max(1, _CELLS_AT_ONCE // self.group_of_file.size)
        for first in range(0, self.resamples, chunk):
            num_draws = min(chunk, self.resamples - first)
            weights = np.zeros((num_draws, num_groups), dtype=np.int64)
            for members in self.strata:
                weights[:, members] = _times_drawn(random, members.size, num_draws)
            yield weights

    def sums(self, values: IntArray) -> IntArray:
        """Sums (resamples, C) of ``values`` (N, C), whole numbers, over the files of each draw.

        Groups with equal sums are drawn as one kind of group: the distribution is that of
        `group_weights` (not the very same draws), and its cost that of the number of kinds.
        """
        random = np.random.default_rng(self.seed)
        of_group = np.stack(
            [np.bincount(self.group_of_file, weights=column) for column in values.T], axis=1
        ).astype(np.int64)
        total = np.zeros((self.resamples, values.shape[1]), dtype=np.int64)
        for members in self.strata:
            kinds, sizes = np.unique(of_group[members], axis=0, return_counts=True)
            chunk = max(1, _CELLS_AT_ONCE // sizes.size)
            for part in np.split(total, range(chunk, self.resamples, chunk)):  # views of `total`
                part += _drawn(random, sizes, len(part)) @ kinds
        return total

    def interval(self, draws: FloatArray) -> Interval:
        """The interval of a number from its values (resamples,) in the draws.

        A draw in which the number is not defined (nan) could have any value of 0..1: it counts as
        0 for the lower end and as 1 for the upper.
        """
        return self.interval_between(np.nan_to_num(draws, nan=0.0), np.nan_to_num(draws, nan=1.0))

    def interval_between(self, lowest: FloatArray, highest: FloatArray) -> Interval:
        """The same from the lowest and the highest value that the number may have in each draw."""
        low, high = np.quantile(lowest, 0.025), np.quantile(highest, 0.975)
        return Interval(float(low), float(high), self.resamples, self.seed, self.unit)

    def no_interval(self, reason: str) -> Interval:
        """What stands where the interval would be."""
        return Interval(None, None, self.resamples, self.seed, self.unit, reason)


def missing_class(labels: IntArray) -> str:
    """Why setting the two classes against each other makes no sense, or an empty string."""
    if not labels.size:
        return "no scored file"
    if labels.all():
        return "no scored real file"
    return "" if labels.any() else "no scored fake file"


def _times_drawn(random: np.random.Generator, size: int, num_draws: int) -> IntArray:
    """(num_draws, size) how often each of ``size`` members is drawn in ``size`` draws.

    What `_drawn` gives for kinds of one member each, several times faster for many members.
    """
    drawn = random.integers(0, size, (num_draws, size))
    drawn += size * np.arange(num_draws)[:, None]
    return np.bincount(drawn.reshape(-1), minlength=num_draws * size).reshape(num_draws, size)


def _drawn(random: np.random.Generator, sizes: IntArray, num_draws: int) -> IntArray:
    """(num_draws, K) members of each of K kinds when as many are drawn as there are in all."""
    total = int(sizes.sum())
    return random.multinomial(total, sizes / total, size=num_draws)


def _too_few_groups(labels: IntArray, group_of_file: IntArray, unit: ResamplingUnit) -> str:
    for label, name in ((0, "real"), (1, "fake")):
        if np.unique(group_of_file[labels == label]).size < 2:
            return f"fewer than two {unit} with a {name} file"
    return ""


def _strata(labels: IntArray, group_of_file: IntArray) -> tuple[IntArray, ...]:
    holds_real = np.bincount(group_of_file, weights=labels == 0) > 0
    holds_fake = np.bincount(group_of_file, weights=labels == 1) > 0
    kinds = (holds_real & ~holds_fake, holds_fake & ~holds_real, holds_real & holds_fake)
    return tuple(np.flatnonzero(kind) for kind in kinds if kind.any())
