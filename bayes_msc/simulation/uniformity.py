"""Whether ranks are uniform: the simultaneous band of their distribution, and a p to go with it.

The band is that of Säilynoja, Bürkner & Vehtari (2022, Statistics and Computing 32:32), its level
found by simulation. ArviZ computes such bands too, but no p; here one simulation gives both, so
that a p below 0.05 and a curve that leaves the 95 % band are the same event.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

#: Ranks run from 0 to RANKS: there are RANKS + 1 places.
RANKS = 99
#: Where the distribution is compared with the uniform one.
SHARES = np.arange(1, RANKS + 1) / (RANKS + 1)

Ranks = NDArray[np.int64]


def rank_of(share: NDArray[np.float64]) -> Ranks:
    """Place of a share between 0 and 1 among RANKS + 1 places of equal width."""
    return np.minimum(np.floor(np.asarray(share) * (RANKS + 1)), RANKS).astype(np.int64)


def difference(ranks: Ranks) -> NDArray[np.float64]:
    """Cumulative distribution of the ranks minus the uniform one, at ``SHARES``."""
    return np.asarray(_below(np.asarray(ranks)[None, :])[0] / len(ranks) - SHARES)


def uniformity_p(ranks: Ranks) -> float:
    """Probability that uniform ranks stray as far from the diagonal anywhere as these do."""
    null = _null(len(ranks))
    smallest = float(_pointwise(np.asarray(ranks)[None, :])[0])
    at = np.searchsorted(null, smallest * (1 + 1e-9))
    return float((at + 1) / (len(null) + 1))


def band(n: int, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper edge of ``difference`` that hold ``level`` of uniform samples whole."""
    gamma = float(np.quantile(_null(n), 1.0 - level))
    low, high = stats.binom.ppf(gamma / 2, n, SHARES), stats.binom.isf(gamma / 2, n, SHARES)
    return low / n - SHARES, high / n - SHARES


@cache
def _tails(n: int) -> NDArray[np.float64]:
    """Two-sided binomial p of every count below every place, shape (RANKS, n + 1)."""
    below, share = np.arange(n + 1), SHARES[:, None]
    low, high = stats.binom.cdf(below, n, share), stats.binom.sf(below - 1, n, share)
    return np.asarray(2.0 * np.minimum(low, high))


def _below(ranks: Ranks) -> Ranks:
    """How many ranks lie below each of the places 1 to RANKS, shape (samples, RANKS)."""
    samples = len(ranks)
    cell = ranks + (RANKS + 1) * np.arange(samples)[:, None]
    histogram = np.bincount(cell.ravel(), minlength=samples * (RANKS + 1))
    return histogram.reshape(samples, RANKS + 1).cumsum(axis=1)[:, :-1]


def _pointwise(ranks: Ranks) -> NDArray[np.float64]:
    """Smallest pointwise p of the distribution of each sample, shape (samples,)."""
    return _tails(ranks.shape[1])[np.arange(RANKS), _below(ranks)].min(axis=1)


@cache
def _null(n: int, replicates: int = 20_000) -> NDArray[np.float64]:
    """Sorted smallest p of samples of n ranks that are uniform."""
    rng = np.random.default_rng(20)
    return np.sort(_pointwise(rng.integers(0, RANKS + 1, (replicates, n))))
