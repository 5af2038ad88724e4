"""The integrand of a patient whose counts are Poisson or negative binomial (Numba).

In the patient effect z its logarithm is ``start + slope z - z^2 / 2`` less a convex part for every
row, ``(count + 1/k) log(1 + k mean)`` or, for Poisson, the mean. Rows of one mean share one such
part: what the integral costs goes with the number of different means, not with that of scans.
"""

from __future__ import annotations

import math
from typing import Any

from bayes_msc.counts.special import compiled

#: As good as Poisson: everything below stays finite, and all digits are kept.
_SMALLEST_K = 1e-100
_LARGEST = 300.0


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
            share = x / whole
            # log(1 + x) with the digits that the sum has lost
            value -= parts[1, g] * (math.log(whole) + (x - (whole - 1.0)) / whole)
            score -= parts[1, g] * loading * share
            information += parts[1, g] * loading * loading * share / whole
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
) -> float:
    """Log of the trapezoidal sum, without the constant of the normal density."""
    total, step = 0.0, 2.0 / (nodes - 1)
    for m in range(nodes):
        t = -1.0 + step * m
        root = math.sqrt(t * t + curve * curve)
        z = mode + width * t + bend * (root - curve)
        value = start + slope * z - 0.5 * z * z - top
        loading, factor = 0.0, 1.0
        for g in range(n):
            if parts[2, g] != loading:
                loading = parts[2, g]
                factor = math.exp(max(-_LARGEST, min(_LARGEST, loading * z)))
            x = parts[0, g] * factor
            if poisson:
                value -= x
            else:
                whole = 1.0 + x
                value -= parts[1, g] * (math.log(whole) + (x - (whole - 1.0)) / whole)
        total += (width + bend * t / root) * math.exp(value)
    return top + math.log(total * step)
