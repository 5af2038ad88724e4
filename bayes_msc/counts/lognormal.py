"""The Poisson distribution whose rate varies from row to row as a log-normal (Numba).

The row's own effect is integrated out as the patient's is: by the trapezoidal rule between the
points where the integrand has fallen by ``exp(-DROP)``.
"""

from __future__ import annotations

import math

from numba import njit

_NODES = 28
_DROP = 20.0
_LIMIT = 1e-12


@njit
def _log_integrand(y: float, log_mean: float, sd: float, t: float) -> tuple[float, float, float]:
    """Value, score and information in the standardised row effect t."""
    log_rate = min(log_mean + sd * t, 300.0)
    rate = math.exp(log_rate)
    return y * log_rate - rate - 0.5 * t * t, sd * (y - rate) - t, sd * sd * rate + 1.0


@njit
def _edge(y: float, log_mean: float, sd: float, mode: float, top: float, side: float) -> float:
    t = mode + side * math.sqrt(2.0 * _DROP)
    for _ in range(60):
        value, score, _ = _log_integrand(y, log_mean, sd, t)
        excess = top - _DROP - value
        if excess < 1.0:
            break
        t += excess / score
    return t


@njit
def lognormal_kernel(
    y: float, log_mean: float, mean: float, k: float, p: float
) -> tuple[float, float, float, float]:
    """Log probability without log y!, and its derivatives in the log mean and in k.

    The log rate is normal with variance s^2 = log(1 + k) around log_mean - s^2 / 2, so that the
    mean stays at ``mean`` and the variance is mean + k mean^2.
    """
    if k < _LIMIT:
        excess = 0.5 * ((y - mean) ** 2 - y)
        return y * log_mean - mean + k * excess, (y - mean) * (1.0 - k * mean), excess, 0.0
    variance = math.log1p(k)
    sd = math.sqrt(variance)
    centre = log_mean - 0.5 * variance
    # starts where the data alone would have it, if that is nearer than where the prior would
    guess = (math.log(y + 0.5) - centre) * sd * y / (1.0 + variance * y)
    mode, low, high = guess, -math.inf, math.inf
    for _ in range(100):
        _, score, information = _log_integrand(y, centre, sd, mode)
        if score > 0.0:
            low = mode
        else:
            high = mode
        step = max(-4.0, min(4.0, score / information))
        if abs(step) < 1e-3:
            break
        mode += step
        if not low < mode < high:
            mode = 0.5 * (low + high)
    top = _log_integrand(y, centre, sd, mode)[0]
    left = _edge(y, centre, sd, mode, top, -1.0)
    right = _edge(y, centre, sd, mode, top, 1.0)
    kink = math.sqrt(1.25) - 0.5
    slope = 0.5 * (right - left)
    bend = 0.5 * ((right - mode) + (left - mode)) / kink
    total, by_mean, by_sd = 0.0, 0.0, 0.0
    for m in range(_NODES):
        place = -1.0 + 2.0 * m / (_NODES - 1)
        root = math.sqrt(place * place + 0.25)
        t = mode + slope * place + bend * (root - 0.5)
        log_rate = min(centre + sd * t, 300.0)
        rate = math.exp(log_rate)
        weight = (slope + bend * place / root) * math.exp(y * log_rate - rate - 0.5 * t * t - top)
        total += weight
        by_mean += weight * (y - rate)
        by_sd += weight * (y - rate) * (t - sd)
    value = top + math.log(total * 2.0 / ((_NODES - 1) * math.sqrt(2.0 * math.pi)))
    return value, by_mean / total, by_sd / total / (2.0 * sd * (1.0 + k)), 0.0


@njit
def lognormal_constant(y: float, k: float, p: float) -> tuple[float, float, float]:
    """Return minus log y!."""
    return -math.lgamma(y + 1.0), 0.0, 0.0
