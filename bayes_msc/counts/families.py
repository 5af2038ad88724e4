"""The family table: count distributions whose mean is ``exp(log_mean)`` in every one (Numba).

A kernel returns the part of the log probability that depends on the mean, with its derivatives in
the log mean, the overdispersion ``k`` and the parameter ``p`` of the zeros; a constant returns the
rest, with its derivatives in ``k`` and ``p``. Both are scalar functions that Numba compiles into
the patient integral. Families with an excess of zeros keep the mean: it is their other part that
is larger, so that ``log_rate_ratio`` is the log ratio of whole means in every family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msc.counts.lognormal import lognormal_constant, lognormal_kernel
from bayes_msc.counts.special import (
    compiled,
    log1p_excess,
    log1p_ratio,
    log_rising,
    log_truncation,
)

Four = tuple[float, float, float, float]
Three = tuple[float, float, float]
Draw = Callable[[np.random.Generator, NDArray[np.float64], Any, Any], NDArray[np.int64]]

_LARGEST_MEAN = 1e15


@dataclass(frozen=True)
class Family:
    """One count distribution: a row of the family table.

    Attributes
    ----------
    kernel : callable
        ``kernel(count, log_mean, mean, k, p)`` gives the value and its derivatives in the log
        mean, k and p. The mean comes beside its logarithm, for the quadrature needs both.
    constant : callable
        ``constant(count, k, p)`` gives the value and its derivatives in k and p.
    information : callable
        ``information(count, mean, k, p)``: curvature of the kernel in the log mean, or a positive
        stand-in for it; it guides the search for the quadrature nodes.
    random : callable
        ``random(rng, mean, overdispersion, zero_part)``: NumPy draws of the broadcast shape.
    parameters : tuple of str
        Parameters beside the mean, as they stand on a card.
    variance : str
        The variance in symbols.
    smooth : bool
        Whether the kernel is concave in the log mean, with ``information`` exact.
    nodes : int
        Most quadrature nodes: they leave the hardest patient a relative error of about 1e-8.
    """

    kernel: Callable[[float, float, float, float, float], Four]
    constant: Callable[[float, float, float], Three]
    information: Callable[[float, float, float, float], float]
    random: Draw
    parameters: tuple[str, ...]
    variance: str
    smooth: bool = False
    nodes: int = 54

    @property
    def dispersed(self) -> bool:
        """Whether the family has an overdispersion."""
        return "sqrt_overdispersion" in self.parameters

    @property
    def inflated(self) -> bool:
        """Whether some zeros have nothing to do with the mean."""
        return "zero_inflation" in self.parameters


@compiled
def _poisson_kernel(y: float, log_mean: float, mean: float, k: float, p: float) -> Four:
    return y * log_mean - mean, y - mean, 0.0, 0.0


@compiled
def _poisson_constant(y: float, k: float, p: float) -> Three:
    return -math.lgamma(y + 1.0), 0.0, 0.0


@compiled
def _poisson_information(y: float, mean: float, k: float, p: float) -> float:
    return mean


@compiled
def _nb2_kernel(y: float, log_mean: float, mean: float, k: float, p: float) -> Four:
    x = k * mean
    # away from 0 the plain logarithm has all digits too, in half the time
    log1p_x = math.log(1.0 + x) if x > 0.5 else math.log1p(x)
    ratio = log1p_x / x if x > 1e-4 else log1p_ratio(x)
    value = y * (log_mean - log1p_x) - mean * ratio
    by_k = mean * mean * log1p_excess(x, log1p_x) - y * mean / (1.0 + x)
    return value, (y - mean) / (1.0 + x), by_k, 0.0


@compiled
def _nb2_constant(y: float, k: float, p: float) -> Three:
    value, slope = log_rising(y, k)
    return value - math.lgamma(y + 1.0), slope, 0.0


@compiled
def _nb2_information(y: float, mean: float, k: float, p: float) -> float:
    return (1.0 + k * y) * mean / (1.0 + k * mean) ** 2


@compiled
def _nb1_kernel(y: float, log_mean: float, mean: float, k: float, p: float) -> Four:
    # the size is mean / k, so that the rising factorial depends on the mean
    ratio = k / mean
    rising, slope = log_rising(y, ratio)
    log1p_k = math.log1p(k)
    value = y * log_mean + rising - mean * log1p_ratio(k)
    by_mean = y - slope * ratio - mean * log1p_ratio(k)
    return value, by_mean, slope / mean + mean * log1p_excess(k, log1p_k), 0.0


@compiled
def _nb1_constant(y: float, k: float, p: float) -> Three:
    return -y * math.log1p(k) - math.lgamma(y + 1.0), -(y) / (1.0 + k), 0.0


@compiled
def _nb1_information(y: float, mean: float, k: float, p: float) -> float:
    return mean / (1.0 + k) if y > 0.0 else mean * log1p_ratio(k)


@compiled
def _generalized_poisson_kernel(y: float, log_mean: float, mean: float, k: float, p: float) -> Four:
    scale = 1.0 + k
    if y == 0.0:
        return -mean / scale, -mean / scale, mean / (scale * scale), 0.0
    spread = mean + k * y
    value = log_mean + (y - 1.0) * math.log(spread) - spread / scale
    by_mean = 1.0 + (y - 1.0) * mean / spread - mean / scale
    return value, by_mean, (y - 1.0) * y / spread - (y - mean) / (scale * scale), 0.0


@compiled
def _generalized_poisson_constant(y: float, k: float, p: float) -> Three:
    return -y * math.log1p(k) - math.lgamma(y + 1.0), -y / (1.0 + k), 0.0


@compiled
def _generalized_poisson_information(y: float, mean: float, k: float, p: float) -> float:
    return mean / (1.0 + k) ** 2 if y > 0.0 else mean / (1.0 + k)


@compiled
def _inflated(y: float, inner: Four, p: float) -> Four:
    """Mix zeros of weight p with a family whose kernel at mean / (1 - p) is ``inner``."""
    value, by_mean, by_k, _ = inner
    if y > 0.0:
        return math.log1p(-p) + value, by_mean, by_k, (by_mean - 1.0) / (1.0 - p)
    own = math.log1p(-p) + value
    if p <= 0.0:
        return own, by_mean, by_k, math.exp(min(-own, 600.0)) - 1.0 + by_mean
    always = math.log(p)
    top = max(own, always)
    total = top + math.log1p(math.exp(min(own, always) - top))
    share = math.exp(own - total)
    by_p = math.exp(-total) + share * (by_mean - 1.0) / (1.0 - p)
    return total, share * by_mean, share * by_k, by_p


@compiled
def _zip_kernel(y: float, log_mean: float, mean: float, k: float, p: float) -> Four:
    rest = 1.0 - p
    inner = _poisson_kernel(y, log_mean - math.log1p(-p), mean / rest, k, p)
    return _inflated(y, inner, p)


@compiled
def _zinb_kernel(y: float, log_mean: float, mean: float, k: float, p: float) -> Four:
    rest = 1.0 - p
    inner = _nb2_kernel(y, log_mean - math.log1p(-p), mean / rest, k, p)
    return _inflated(y, inner, p)


@compiled
def _zip_information(y: float, mean: float, k: float, p: float) -> float:
    inner = mean / (1.0 - p)
    return inner if y > 0.0 else inner / (1.0 + inner)


@compiled
def _zinb_information(y: float, mean: float, k: float, p: float) -> float:
    inner = mean / (1.0 - p)
    return (1.0 + k * y) * inner / (1.0 + (k + (y == 0.0)) * inner) ** 2


@compiled
def _hurdle_log_mean(log_mean: float, k: float, p: float) -> Four:
    """Log mean of the negative binomial that is truncated, and its derivatives in (log_mean, k, p).

    Above zero the mean must be mean / P(above zero): a negative binomial with overdispersion k is
    sought whose mean above zero it is. In the log mean the equation is nearly linear.
    """
    target, slope, slope_p = log_truncation(log_mean, p)
    root = log_mean + math.log((1.0 + p) / (1.0 + k))
    for _ in range(60):
        value, by_root, by_k = log_truncation(root, k)
        # Newton's step for the logarithm of the equation where the mean is small, else for itself
        step = (value - target) / by_root
        if target < 1.0:
            step = value * math.log(value / target) / by_root
        root -= max(-2.0, min(2.0, step))
        if abs(step) < 1e-13 * (1.0 + abs(root)):
            break
    value, by_root, by_k = log_truncation(root, k)
    return root, slope / by_root, -by_k / by_root, slope_p / by_root


@compiled
def _hurdle_kernel(y: float, log_mean: float, mean: float, k: float, p: float) -> Four:
    if y == 0.0:
        value, by_mean, by_p, _ = _nb2_kernel(0.0, log_mean, mean, p, 0.0)
        return value, by_mean, 0.0, by_p
    inner, by_log_mean, by_k, by_p = _hurdle_log_mean(log_mean, k, p)
    value, by_inner, direct_k, _ = _nb2_kernel(y, inner, math.exp(inner), k, 0.0)
    rest = by_inner - 1.0
    return (
        log_mean - inner + value,
        1.0 + rest * by_log_mean,
        direct_k + rest * by_k,
        rest * by_p,
    )


@compiled
def _hurdle_constant(y: float, k: float, p: float) -> Three:
    return _nb2_constant(y, k, p)


@compiled
def _hurdle_information(y: float, mean: float, k: float, p: float) -> float:
    return mean / (1.0 + (k if y > 0.0 else p) * mean)


@compiled
def _lognormal_information(y: float, mean: float, k: float, p: float) -> float:
    return mean / (1.0 + k * mean)


def _draw_poisson(rng: np.random.Generator, mean: NDArray[np.float64], k: Any, p: Any) -> Any:
    return rng.poisson(np.minimum(mean, _LARGEST_MEAN))


def _draw_nb2(rng: np.random.Generator, mean: NDArray[np.float64], k: Any, p: Any) -> Any:
    mean, k = np.broadcast_arrays(mean, np.maximum(k, 1e-12))
    return _draw_poisson(rng, rng.gamma(1.0 / k, k * mean), k, p)


def _draw_nb1(rng: np.random.Generator, mean: NDArray[np.float64], k: Any, p: Any) -> Any:
    mean, k = np.broadcast_arrays(mean, np.maximum(k, 1e-12))
    return _draw_poisson(rng, k * rng.standard_gamma(mean / k), k, p)


def _draw_generalized_poisson(
    rng: np.random.Generator, mean: NDArray[np.float64], k: Any, p: Any
) -> Any:
    # all who descend from Poisson founders, each with Poisson offspring
    mean, k = np.broadcast_arrays(mean, np.asarray(k, dtype=float))
    generation = _draw_poisson(rng, mean / (1.0 + k), k, p)
    total = generation.copy()
    while np.any(generation > 0):
        generation = rng.poisson(np.minimum(generation * (k / (1.0 + k)), _LARGEST_MEAN))
        total = total + generation
    return total


def _draw_inflated(inner: Draw) -> Draw:
    def draw(rng: np.random.Generator, mean: NDArray[np.float64], k: Any, p: Any) -> Any:
        mean, k, p = np.broadcast_arrays(mean, k, p)
        counts = inner(rng, mean / (1.0 - p), k, 0.0)
        return np.where(rng.random(counts.shape) < p, 0, counts)

    return draw


def _draw_hurdle(rng: np.random.Generator, mean: NDArray[np.float64], k: Any, p: Any) -> Any:
    """Draw zero or not; above zero the first event of a Poisson process, and those after it."""
    mean, k, p = (np.array(a, dtype=float) for a in np.broadcast_arrays(mean, k, p))
    none = np.exp(-np.log1p(p * mean) / np.where(p > 0, p, 1.0))
    none = np.where(p > 1e-12, none, np.exp(-mean))
    inner = np.exp(_hurdle_log_means(np.log(mean), k, p))
    k = np.maximum(k, 1e-12)
    # survival (1 + k inner t)^(-1/k) to time t; after the event the gamma has one more in its shape
    above = -np.expm1(-np.log1p(k * inner) / k)
    survival = 1.0 - rng.random(mean.shape) * above
    time = np.expm1(-k * np.log(survival)) / (k * inner)
    rate = rng.gamma(1.0 / k + 1.0, k * inner / (1.0 + k * inner * time))
    positive = 1 + _draw_poisson(rng, rate * np.clip(1.0 - time, 0.0, 1.0), k, p)
    return np.where(rng.random(mean.shape) < none, 0, positive)


def _hurdle_log_means(log_mean: Any, k: Any, p: Any) -> NDArray[np.float64]:
    solve = np.vectorize(lambda m, a, b: _hurdle_log_mean(m, a, b)[0], otypes=[float])
    return np.asarray(solve(log_mean, k, p))


def _draw_lognormal(rng: np.random.Generator, mean: NDArray[np.float64], k: Any, p: Any) -> Any:
    mean, k = np.broadcast_arrays(mean, np.asarray(k, dtype=float))
    variance = np.log1p(k)
    noise = rng.normal(size=mean.shape) * np.sqrt(variance) - 0.5 * variance
    return _draw_poisson(rng, mean * np.exp(noise), k, p)


_DISPERSED = ("sqrt_overdispersion",)
FAMILIES: Mapping[str, Family] = {
    "poisson": Family(
        _poisson_kernel,
        _poisson_constant,
        _poisson_information,
        _draw_poisson,
        (),
        "mean",
        smooth=True,
        nodes=40,
    ),
    "negative-binomial": Family(
        _nb2_kernel,
        _nb2_constant,
        _nb2_information,
        _draw_nb2,
        _DISPERSED,
        "mean + overdispersion * mean^2",
        smooth=True,
        nodes=40,
    ),
    "negative-binomial-1": Family(
        _nb1_kernel,
        _nb1_constant,
        _nb1_information,
        _draw_nb1,
        _DISPERSED,
        "mean * (1 + overdispersion)",
        nodes=72,
    ),
    "generalized-poisson": Family(
        _generalized_poisson_kernel,
        _generalized_poisson_constant,
        _generalized_poisson_information,
        _draw_generalized_poisson,
        _DISPERSED,
        "mean * (1 + overdispersion)^2",
        nodes=96,
    ),
    "zero-inflated-poisson": Family(
        _zip_kernel,
        _poisson_constant,
        _zip_information,
        _draw_inflated(_draw_poisson),
        ("zero_inflation",),
        "mean + mean^2 * zero_inflation / (1 - zero_inflation)",
        nodes=128,
    ),
    "zero-inflated-negative-binomial": Family(
        _zinb_kernel,
        _nb2_constant,
        _zinb_information,
        _draw_inflated(_draw_nb2),
        (*_DISPERSED, "zero_inflation"),
        "mean + mean^2 * (overdispersion + zero_inflation) / (1 - zero_inflation)",
        nodes=128,
    ),
    "hurdle-negative-binomial": Family(
        _hurdle_kernel,
        _hurdle_constant,
        _hurdle_information,
        _draw_hurdle,
        (*_DISPERSED, "sqrt_zero_overdispersion"),
        "mean * (1 + (1 + overdispersion) * inner mean) - mean^2",
        nodes=72,
    ),
    "poisson-lognormal": Family(
        lognormal_kernel,
        lognormal_constant,
        _lognormal_information,
        _draw_lognormal,
        _DISPERSED,
        "mean + overdispersion * mean^2",
    ),
}
