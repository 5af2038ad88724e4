"""Variance and chance of no event of each family, as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from bayes_msc.counts.families import FAMILIES, _hurdle_log_mean

Moment = Callable[[float, float, float], float]


def variance(
    family: str, mean: float, overdispersion: float = 0.0, zero_part: float = 0.0
) -> float:
    """Return the variance of a count.

    Parameters
    ----------
    family : str
        A key of ``FAMILIES``, whose rows state the same in symbols.
    mean, overdispersion, zero_part : float
        The row's mean (above 0) and the family's parameters; 0 where it has none.
    """
    return _VARIANCES[family](mean, overdispersion, zero_part)


def no_event(
    family: str, mean: float, overdispersion: float = 0.0, zero_part: float = 0.0
) -> float:
    """Return the chance of a count of zero: the family's own probability there.

    Parameters
    ----------
    family : str
        A key of ``FAMILIES``.
    mean, overdispersion, zero_part : float
        As for ``variance``.
    """
    row = FAMILIES[family]
    by_mean = row.kernel(0.0, math.log(mean), mean, overdispersion, zero_part)[0]
    return math.exp(by_mean + row.constant(0.0, overdispersion, zero_part)[0])


def _quadratic(mean: float, k: float, p: float) -> float:
    return mean + k * mean**2


def _inflated(mean: float, k: float, p: float) -> float:
    return mean + mean**2 * (k + p) / (1.0 - p)


def _hurdle(mean: float, k: float, p: float) -> float:
    inner = math.exp(_hurdle_log_mean(math.log(mean), k, p)[0])
    return mean * (1.0 + (1.0 + k) * inner) - mean**2


_VARIANCES: Mapping[str, Moment] = {
    "poisson": _quadratic,
    "negative-binomial": _quadratic,
    "negative-binomial-1": lambda mean, k, p: mean * (1.0 + k),
    "generalized-poisson": lambda mean, k, p: mean * (1.0 + k) ** 2,
    "zero-inflated-poisson": _inflated,
    "zero-inflated-negative-binomial": _inflated,
    "hurdle-negative-binomial": _hurdle,
    "poisson-lognormal": _quadratic,
}
