"""The integrand of a patient whose counts are Poisson or negative binomial (Numba).

In the patient effect z its logarithm is ``start + slope z - z^2 / 2`` less a convex part for every
row, ``(count + 1/k) log(1 + k mean)`` or, for Poisson, the mean. Rows of one mean share one such
part: what the integral costs goes with the number of different means, not with that of scans.
"""

from __future__ import annotations

import math
from typing import Any

from bayes_msc.counts.special import compiled
from bayes_msc.counts.vector import exponential, log1p

#: As good as Poisson: everything below stays finite, and all digits are kept.
_SMALLEST_K = 1e-100
_LARGEST = 300.0
#: Rows of the scratch space.
SCRATCH = 6


@compiled
def prepare(
    count: Any, eta: Any, loading: Any, seen: Any, k: Any, poisson: bool, parts: Any
) -> tuple[float, float, int]:
    """Write the convex parts into ``parts``: scale, weight and loading; (3, rows).

    Returns
    -------
    start, slope, number of parts
    """
    start, slope, n = 0.0, 0.0, 0
    for j in range(eta.shape[0]):
        if seen[j] == 0.0:
            continue
        log_mean = max(-_LARGEST, min(_LARGEST, eta[j]))
        start += count[j] * log_mean
        slope += count[j] * loading[j]
        if poisson:
            scale, weight = math.exp(log_mean), 1.0
        else:
            dispersion = max(k[j], _SMALLEST_K)
            scale, weight = dispersion * math.exp(log_mean), count[j] + 1.0 / dispersion
        if n > 0 and parts[2, n - 1] == loading[j] and (poisson or parts[0, n - 1] == scale):
            if poisson:
                parts[0, n - 1] += scale
            else:
                parts[1, n - 1] += weight
        else:
            parts[0, n], parts[1, n], parts[2, n] = scale, weight, loading[j]
            n += 1
    return start, slope, n


@compiled
def integrand(
    z: float, start: float, slope: float, parts: Any, n: int, poisson: bool
) -> tuple[float, float, float]:
    """Value, score and information of the log integrand in z."""
    value, score, information = start + slope * z - 0.5 * z * z, slope - z, 1.0
    loading, factor = 0.0, 1.0
    for g in range(n):
        if parts[2, g] != loading:
            loading = parts[2, g]
            factor = math.exp(max(-_LARGEST, min(_LARGEST, loading * z)))
        x = parts[0, g] * factor
        if poisson:
            value -= x
            score -= loading * x
            information += loading * loading * x
        else:
            whole = 1.0 + x
            one_by = 1.0 / whole
            slope_of = parts[1, g] * loading * x * one_by
            # log(1 + x) with the digits that the sum has lost
            value -= parts[1, g] * (math.log(whole) + (x - (whole - 1.0)) * one_by)
            score -= slope_of
            information += loading * slope_of * one_by
    return value, score, information


@compiled
def integral(
    start: float,
    slope: float,
    parts: Any,
    n: int,
    poisson: bool,
    mode: float,
    top: float,
    width: float,
    bend: float,
    nodes: int,
    curve: float,
    work: Any,
) -> float:
    """Log of the trapezoidal sum, without the constant of the normal density.

    The nodes are left in ``work[0]`` and their shares of the sum in ``work[1]``, up to a whole
    number of vectors; those beyond the last node have no share. The loops hold no sums: only so
    does the compiler turn them into vector instructions.
    """
    z, share, factor = work[0], work[1], work[2]
    step, padded = 2.0 / (nodes - 1), _padded(nodes)
    for m in range(padded):
        t = -1.0 + step * m
        root = math.sqrt(t * t + curve * curve)
        z[m] = mode + width * t + bend * (root - curve)
        share[m] = start + slope * z[m] - 0.5 * z[m] * z[m] - top
        work[3, m] = (width + bend * t / root) if m < nodes else 0.0
    loading = 0.0
    for m in range(padded):
        factor[m] = 1.0
    for g in range(n):
        if parts[2, g] != loading:
            loading = parts[2, g]
            powers(loading, z, factor, padded)
        scale, weight = parts[0, g], parts[1, g]
        if poisson:
            for m in range(padded):
                share[m] -= scale * factor[m]
        else:
            for m in range(padded):
                share[m] -= weight * log1p(scale * factor[m])
    for m in range(padded):
        share[m] = work[3, m] * exponential(share[m])
    total = added(share, padded)
    for m in range(padded):
        share[m] /= total
    return top + math.log(total * step)


@compiled
def slopes(
    count: float,
    eta: float,
    loading: float,
    k: float,
    poisson: bool,
    nodes: int,
    work: Any,
) -> tuple[float, float, float]:
    """Derivatives of the log integral in a row's log mean, loading and overdispersion.

    They are averages over the nodes that ``integral`` has left in ``work``.
    """
    z, share, factor = work[0], work[1], work[2]
    by_mean, by_loading, by_k = work[3], work[4], work[5]
    padded = _padded(nodes)
    powers(loading, z, factor, padded)
    home = math.exp(max(-_LARGEST, min(_LARGEST, eta)))
    for m in range(padded):
        mean = home * factor[m]
        x = k * mean
        whole = 1.0 + x
        by_mean[m] = share[m] * (count - mean) / whole
        by_loading[m] = by_mean[m] * z[m]
        if poisson:
            by_k[m] = 0.0
        else:
            close = 0.5 - x * (2 / 3 - x * (3 / 4 - x * (4 / 5 - x * (5 / 6 - x * 6 / 7))))
            apart = (log1p(x) - x / whole) / (k * k)
            excess = mean * mean * close if x < 2e-3 else apart
            by_k[m] = share[m] * (excess - count * mean / whole)
    return added(by_mean, padded), added(by_loading, padded), added(by_k, padded)


@compiled
def powers(loading: float, z: Any, out: Any, n: int) -> None:
    """Write exp(loading z) into ``out``."""
    for m in range(n):
        out[m] = exponential(max(-_LARGEST, min(_LARGEST, loading * z[m])))


@compiled
def added(values: Any, n: int) -> float:
    """Sum ``n`` values, a multiple of eight: four sums at once, for each addition has to wait."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for m in range(0, n, 4):
        a += values[m]
        b += values[m + 1]
        c += values[m + 2]
        d += values[m + 3]
    return (a + b) + (c + d)


@compiled
def _padded(nodes: int) -> int:
    """Whole vectors that hold the nodes."""
    return (nodes + 7) // 8 * 8
