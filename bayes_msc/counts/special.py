"""Scalar functions that keep their digits at both ends of the overdispersion (Numba)."""

from __future__ import annotations

import math

from numba import njit

#: A division by zero gives an infinity, as in NumPy, and costs no check. Sums are never rearranged:
#: a function that is first called from one compiled otherwise would take over that liberty, and
#: lose the digits that are kept here with care.
compiled = njit(error_model="numpy", fastmath=False)
_DIRECT = 32


@compiled
def log1p_ratio(x: float) -> float:
    """Return log(1 + x) / x for x >= 0."""
    if x < 1e-4:
        return 1.0 - x * (0.5 - x * (1.0 / 3.0 - x * 0.25))
    return math.log1p(x) / x


@compiled
def log1p_excess(x: float, log1p_x: float) -> float:
    """Return (log(1 + x) - x / (1 + x)) / x^2 for x >= 0; 1/2 at 0."""
    if x < 2e-3:
        return 0.5 - x * (2 / 3 - x * (3 / 4 - x * (4 / 5 - x * (5 / 6 - x * 6 / 7))))
    return (log1p_x - x / (1.0 + x)) / (x * x)


@compiled
def _log_antiderivative(t: float, k: float) -> float:
    """Integral of log(1 + k s) over s from 0 to t."""
    x = k * t
    if x < 1e-3:
        return x * t * (0.5 - x * (1 / 6 - x * (1 / 12 - x * (1 / 20 - x / 30))))
    return ((1.0 + x) * math.log1p(x) - x) / k


@compiled
def _ratio_antiderivative(t: float, k: float) -> float:
    """Integral of s / (1 + k s) over s from 0 to t."""
    x = k * t
    if x < 1e-3:
        return t * t * (0.5 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x / 6))))
    return (x - math.log1p(x)) / (k * k)


@compiled
def log_rising(count: float, k: float) -> tuple[float, float]:
    """Log of the product of (1 + k m) over the whole numbers m < count, and its derivative in k.

    With theta = 1 / k it is log Gamma(count + theta) - log Gamma(theta) - count log theta, but
    theta never appears, so that the limit k = 0 keeps all digits. The first factors are
    multiplied out; the rest is summed by Euler and Maclaurin, with an error below 1e-13.
    """
    direct = min(count, float(_DIRECT))
    value, slope, product = 0.0, 0.0, 1.0
    m = 1.0
    while m < direct:
        factor = 1.0 + k * m
        slope += m / factor
        product *= factor
        if product > 1e200:
            value += math.log(product)
            product = 1.0
        m += 1.0
    value += math.log(product)
    if count > _DIRECT:
        tail, tail_slope = _rising_tail(float(_DIRECT), count, k)
        value += tail
        slope += tail_slope
    return value, slope


@compiled
def _rising_tail(first: float, last: float, k: float) -> tuple[float, float]:
    """Sum log(1 + k m) and m / (1 + k m) over first <= m < last."""
    a, b = 1.0 / (1.0 + k * first), 1.0 / (1.0 + k * last)
    ka, kb = k * a, k * b
    value = (
        _log_antiderivative(last, k)
        - _log_antiderivative(first, k)
        + 0.5 * (math.log1p(k * first) - math.log1p(k * last))
        + (kb - ka) / 12.0
        - (kb**3 - ka**3) / 360.0
        + (kb**5 - ka**5) / 1260.0
    )
    slope = (
        _ratio_antiderivative(last, k)
        - _ratio_antiderivative(first, k)
        + 0.5 * (first * a - last * b)
        + (b * b - a * a) / 12.0
        - (kb * kb * b * b - ka * ka * a * a) / 120.0
        + (kb**4 * b * b - ka**4 * a * a) / 252.0
    )
    return value, slope


@compiled
def log_one_less(u: float) -> tuple[float, float]:
    """Return -log((1 - exp(-u)) / u) and 1 - u / (exp(u) - 1), both 0 at u = 0."""
    if u < 1e-2:
        s = u * u
        value = u * 0.5 - s * (1 / 24 - s * (1 / 2880 - s / 181440))
        share = u * 0.5 - s * (1 / 12 - s * (1 / 720 - s / 30240))
        return value, share
    value = math.log(u) - math.log(-math.expm1(-u))
    share = 1.0 - u / math.expm1(u) if u < 700.0 else 1.0
    return value, share


@compiled
def log_truncation(log_mean: float, k: float) -> tuple[float, float, float]:
    """Log of the mean of a negative binomial above zero over its own mean, with derivatives.

    Returns
    -------
    value, slope, slope_k : float
        -log(1 - P(0)) ... as ``log(mean / (1 - P(0)))``, which tends to 0 with the mean; its
        derivatives in the log mean and in the overdispersion.
    """
    mean = math.exp(log_mean)
    x = k * mean
    if x < 1e-2:
        # log(x / log(1 + x)) and 1 - x / ((1 + x) log(1 + x))
        first = x * (1 / 2 - x * (5 / 24 - x * (1 / 8 - x * (251 / 2880 - x * 19 / 288))))
        rest = x * (1 / 2 - x * (5 / 12 - x * (3 / 8 - x * (251 / 720 - x * 95 / 288))))
        rest_by_k = mean * (1 / 2 - x * (5 / 12 - x * (3 / 8 - x * (251 / 720 - x * 95 / 288))))
        u = mean * log1p_ratio(x)
    else:
        log1p_x = math.log1p(x)
        first = math.log(x / log1p_x)
        rest = 1.0 - x / ((1.0 + x) * log1p_x)
        rest_by_k = rest / k
        u = log1p_x / k
    second, share = log_one_less(u)
    return first + second, rest + share * (1.0 - rest), rest_by_k * (1.0 - share)
