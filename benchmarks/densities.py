"""Log probabilities of counts in NumPy, written apart from the package: what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
Density = Callable[[Array, Array, Array, Array], Array]


def _log_rising(count: Array, k: Array) -> Array:
    """Log of the product of (1 + k m) over m < count, term by term."""
    m = np.arange(int(np.max(count)), dtype=float)
    factors = np.log1p(np.multiply.outer(np.asarray(k), m))
    return np.asarray(np.where(m < np.asarray(count)[..., None], factors, 0.0).sum(axis=-1))


def _none(mean: Array, k: Array) -> Array:
    """Minus the log probability of no event under the negative binomial."""
    return np.where(k > 0, np.log1p(k * mean) / np.where(k > 0, k, 1.0), mean)


def poisson(y: Array, log_mean: Array, k: Array, p: Array) -> Array:
    return np.asarray(y * log_mean - np.exp(log_mean) - special.gammaln(y + 1.0))


def nb2(y: Array, log_mean: Array, k: Array, p: Array) -> Array:
    mean = np.exp(log_mean)
    rest = _log_rising(y, k) - special.gammaln(y + 1.0)
    return np.asarray(y * (log_mean - np.log1p(k * mean)) - _none(mean, k) + rest)


def nb1(y: Array, log_mean: Array, k: Array, p: Array) -> Array:
    return nb2(y, log_mean, k * np.exp(-log_mean), p)


def generalized_poisson(y: Array, log_mean: Array, k: Array, p: Array) -> Array:
    share = k / (1.0 + k)
    founders = np.exp(log_mean) * (1.0 - share)
    rate = founders + share * y
    return np.asarray(np.log(founders) + (y - 1) * np.log(rate) - rate - special.gammaln(y + 1.0))


def inflated(inner: Density) -> Density:
    def density(y: Array, log_mean: Array, k: Array, p: Array) -> Array:
        own = np.log1p(-p) + inner(y, log_mean - np.log1p(-p), k, p)
        with np.errstate(divide="ignore"):
            return np.where(y == 0, np.logaddexp(np.log(p), own), own)

    return density


def hurdle(y: Array, log_mean: Array, k: Array, p: Array) -> Array:
    """Bisect for the log mean of the truncated part."""

    def above(log_m: Array, overdispersion: Array) -> Array:
        m = np.exp(log_m)
        return np.asarray(log_m - np.log(-np.expm1(-_none(m, overdispersion))))

    target = above(log_mean, p)
    low = np.full(np.broadcast_shapes(log_mean.shape, k.shape, p.shape), -300.0)
    high = np.full_like(low, 300.0)
    for _ in range(70):
        middle = 0.5 * (low + high)
        below = above(middle, k) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    positive = nb2(y, low, k, p) - np.log(-np.expm1(-_none(np.exp(low), k)))
    none = _none(np.exp(log_mean), p)
    return np.where(y == 0, -none, np.log(-np.expm1(-none)) + positive)


def lognormal(y: Array, log_mean: Array, k: Array, p: Array) -> Array:
    """Sum over the row effect, closer together where the integrand is narrow."""
    y, log_mean, k = np.broadcast_arrays(y, log_mean, k)
    variance = np.log1p(np.maximum(k, 1e-300))
    sd, centre = np.sqrt(variance), log_mean - 0.5 * variance
    bent = special.wrightomega(np.log(variance) + centre + variance * y)
    mode, width = sd * (y - bent / variance), 1.0 / np.sqrt(1.0 + bent)
    u, step = np.linspace(-1.0, 1.0, 181, retstep=True)
    reach = np.arcsinh(10.0 / width)
    t = mode[..., None] + width[..., None] * np.sinh(reach[..., None] * u)
    log_rate = np.minimum(centre[..., None] + sd[..., None] * t, 600.0)
    log_height = y[..., None] * log_rate - np.exp(log_rate) - 0.5 * t * t
    spacing = np.log(width * reach * step)[..., None] + np.log(np.cosh(reach[..., None] * u))
    total = special.logsumexp(log_height + spacing, axis=-1)
    return np.asarray(total - 0.5 * np.log(2.0 * np.pi) - special.gammaln(y + 1.0))


DENSITIES: Mapping[str, Density] = {
    "poisson": poisson,
    "negative-binomial": nb2,
    "negative-binomial-1": nb1,
    "generalized-poisson": generalized_poisson,
    "zero-inflated-poisson": inflated(poisson),
    "zero-inflated-negative-binomial": inflated(nb2),
    "hurdle-negative-binomial": hurdle,
    "poisson-lognormal": lognormal,
}
