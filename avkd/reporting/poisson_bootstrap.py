"""A bootstrap that keeps no file: weights are hashes of names, sums are kept of a few levels.

Each group (or file) counts as often in a draw as a Poisson number of mean 1 says; this is the
bootstrap of data that pass by only once (Chamandy, Muralidharan, Najmi, Naidu: Estimating
Uncertainty for Massive Data Streams, 2012). Knows names, labels and logits, not rows or files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from avkd.reporting.bootstrap import FloatArray, IntArray
from avkd.reporting.metrics import Levels

_WEIGHTS_PER_WORD = 4
_HASHES = 1 << 16
# The weight of each of 65,536 hashes: of so many shares of one, so many fall to each number.
_WEIGHT_OF_HASH = poisson.ppf((np.arange(_HASHES) + 0.5) / _HASHES, 1).astype(np.uint8)


def poisson_weights(names: Iterable[str], *, resamples: int, seed: int) -> NDArray[np.uint8]:
    """(N, resamples) how often each of N names counts in each draw.

    The same name and seed always give the same weights, wherever the name occurs.
    """
    words = np.arange(1, 1 + -(-resamples // _WEIGHTS_PER_WORD), dtype=np.uint64)
    keys = np.array([_key(name, seed) for name in names], dtype=np.uint64)
    hashes = _mixed(keys[:, None] ^ _mixed(words)[None, :])
    return _WEIGHT_OF_HASH[hashes.view(np.uint16)[:, :resamples]]


@dataclass(frozen=True, eq=False)
class LevelDraws:
    """Weights of the files that fall between given logits, for each column of files and draw."""

    edges: FloatArray
    """(L - 1,) increasing: level k holds logits from edge k - 1 on and below edge k."""
    weights: IntArray
    """(C, L, resamples) of C columns, e.g. one for each method."""
    files: IntArray
    """(C, L) files themselves, each counted once."""
    seed: int

    @classmethod
    def empty(
        cls, edges: Sequence[float], *, columns: int, resamples: int, seed: int
    ) -> LevelDraws:
        """Nothing added yet; edges may come in any order and more than once."""
        distinct = np.unique(np.asarray(edges, dtype=np.float64))
        files = np.zeros((columns, distinct.size + 1), np.int64)
        weights = np.zeros((columns, distinct.size + 1, resamples), np.int64)
        return cls(distinct, weights, files, seed)

    def add(self, names: Iterable[str], columns: IntArray, logits: FloatArray) -> None:
        """Add N files.

        Args:
            names: of the groups (or files) that are drawn.
            columns: (N,) column of each file.
            logits: (N,).
        """
        num_columns, num_levels, resamples = self.weights.shape
        places = columns * num_levels + np.searchsorted(self.edges, logits, side="right")
        order = np.argsort(places, kind="stable")
        drawn = poisson_weights(names, resamples=resamples, seed=self.seed)[order]
        found, first = np.unique(places[order], return_index=True)
        flat = self.weights.reshape(num_columns * num_levels, resamples)
        flat[found] += np.add.reduceat(drawn, first, axis=0, dtype=np.int64)
        self.files.reshape(-1)[:] += np.bincount(places, minlength=self.files.size)

    def levels(self, real: Sequence[int], fake: Sequence[int]) -> Levels:
        """The files themselves, in columns of reals and of fakes."""
        return Levels(self.files[list(real)].sum(axis=0), self.files[list(fake)].sum(axis=0))

    def aucs(self, real: Sequence[int], fake: Sequence[int]) -> FloatArray:
        """(resamples,) AUC of each draw between columns of reals and of fakes; files of one level
        are tied. nan where a draw holds no file of a class."""
        reals, fakes = (self.weights[list(columns)].sum(axis=0) for columns in (real, fake))
        below = np.cumsum(reals, axis=0) - reals
        twice = np.sum(fakes * (2 * below + reals), axis=0)
        pairs = reals.sum(axis=0) * fakes.sum(axis=0)
        return np.divide(twice, 2 * pairs, out=np.full(twice.size, np.nan), where=pairs > 0)

    def verdicts(self, columns: Sequence[int], threshold: float) -> tuple[IntArray, IntArray]:
        """(resamples,) weights called real and called fake, at a threshold that is an edge."""
        assert threshold in self.edges, threshold
        first_fake = int(np.searchsorted(self.edges, threshold, side="right"))
        chosen = self.weights[list(columns)].sum(axis=0)
        return chosen[:first_fake].sum(axis=0), chosen[first_fake:].sum(axis=0)


def _key(name: str, seed: int) -> int:
    # Surrogates: file names that are not valid UTF-8 become part of ids.
    text = f"{seed}\n{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each 64-bit number to one that looks unrelated: the finaliser of SplitMix64 (Steele, Lea,
    Flood: Fast Splittable Pseudorandom Number Generators, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
