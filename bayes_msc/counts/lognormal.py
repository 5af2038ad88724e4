"""The Poisson distribution whose rate varies from row to row as a log-normal (Numba).

The row's own effect is integrated out as the patient's is: by the trapezoidal rule between the
points where the integrand has fallen by ``exp(-DROP)``.
"""

from __future__ import annotations

import math

from bayes_msc.counts.special import compiled

_NODES = 28
_DROP = 20.0
_LIMIT = 1e-30
#: So low a peak leaves no digits for what lies around it: its height is taken for the integral.
_HOPELESS = -1e11


@compiled
def _log_integrand(y: float, log_mean: float, sd: float, t: float) -> tuple[float, float]:
    """Value and score in the standardised row effect t."""
    log_rate = min(log_mean + sd * t, 300.0)
    rate = math.exp(log_rate)
    return y * log_rate - rate - 0.5 * t * t, sd * (y - rate) - t


@compiled
def _edge(y: float, log_mean: float, sd: float, mode: float, top: float, side: float) -> float:
    t = mode + side * math.sqrt(2.0 * _DROP)
    for _ in range(400):
        value, score = _log_integrand(y, log_mean, sd, t)
        excess = top - _DROP - value
        if excess < 1.0:
            break
        t += excess / score
    return t


@compiled
def _mode(y: float, centre: float, variance: float) -> float:
    """Row effect at which the integrand is highest.

    There variance (y - rate) = log rate - centre. With w = variance * rate it reads w + log w = v,
    which defines Lambert's function of exp(v).
    """
    v = math.log(variance) + centre + variance * y
    log_w = v if v < 1.0 else math.log(v)
    for _ in range(50):
        w = math.exp(log_w)
        step = (w + log_w - v) / (1.0 + w)
        log_w -= step
        if abs(step) < 1e-12:
            break
    return math.sqrt(variance) * (y - math.exp(log_w) / variance)


@compiled
def lognormal_kernel(
    y: float, log_mean: float, mean: float, k: float, p: float
) -> tuple[float, float, float, float]:
    """Log probability without log y!, and its derivatives in the log mean and in k.

    The log rate is normal with variance s^2 = log(1 + k) around log_mean - s^2 / 2, so that the
    mean stays at ``mean`` and the variance is mean + k mean^2. The derivative in k is
    (E[(y - rate)^2] - y) / (2 (1 + k)), the mean being over the row effect given y: integration
    by parts has taken the division by s out of it, and it keeps its digits to the Poisson limit.
    """
    if k < _LIMIT:
        return y * log_mean - mean, y - mean, 0.5 * ((y - mean) ** 2 - y), 0.0
    variance = math.log1p(k)
    sd = math.sqrt(variance)
    centre = log_mean - 0.5 * variance
    mode = _mode(y, centre, variance)
    top = _log_integrand(y, centre, sd, mode)[0]
    if top < _HOPELESS:
        miss = y - math.exp(min(centre + sd * mode, 300.0))
        return top, miss, (miss**2 - y) / (2.0 * (1.0 + k)), 0.0
    left = _edge(y, centre, sd, mode, top, -1.0)
    right = _edge(y, centre, sd, mode, top, 1.0)
    kink = math.sqrt(1.25) - 0.5
    slope = 0.5 * (right - left)
    bend = 0.5 * ((right - mode) + (left - mode)) / kink
    total, by_mean, square = 0.0, 0.0, 0.0
    for m in range(_NODES):
        place = -1.0 + 2.0 * m / (_NODES - 1)
        root = math.sqrt(place * place + 0.25)
        t = mode + slope * place + bend * (root - 0.5)
        log_rate = min(centre + sd * t, 300.0)
        rate = math.exp(log_rate)
        weight = (slope + bend * place / root) * math.exp(y * log_rate - rate - 0.5 * t * t - top)
        total += weight
        by_mean += weight * (y - rate)
        square += weight * (y - rate) ** 2
    value = top + math.log(total * 2.0 / ((_NODES - 1) * math.sqrt(2.0 * math.pi)))
    return value, by_mean / total, (square / total - y) / (2.0 * (1.0 + k)), 0.0


@compiled
def lognormal_constant(y: float, k: float, p: float) -> tuple[float, float, float]:
    """Return minus log y!."""
    return -math.lgamma(y + 1.0), 0.0, 0.0
