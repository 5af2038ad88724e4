"""Count distributions as textbooks write them, in decimal arithmetic with digits to spare.

Nothing is rearranged for the sake of accuracy: 1 / overdispersion is formed as it stands, gamma
functions are products of whole numbers of factors, and as many digits are carried as that takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext

ONE = Decimal(1)
#: Relative step of the central differences: their error is its square.
STEP = Decimal("1e-15")
Pmf = Callable[[int, Decimal, Decimal, Decimal], Decimal]


def rising(first: Decimal, count: int) -> Decimal:
    """Gamma(first + count) / Gamma(first)."""
    product = ONE
    for i in range(count):
        product *= first + i
    return product


def factorial(count: int) -> Decimal:
    return rising(ONE, count)


def poisson(y: int, mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
    return mean**y * (-mean).exp() / factorial(y)


def gamma_mixture(y: int, mean: Decimal, size: Decimal) -> Decimal:
    """Negative binomial by its mean and size: Johnson, Kemp & Kotz 2005, chapter 5."""
    none = (size * (size / (size + mean)).ln()).exp()
    return rising(size, y) / factorial(y) * none * (mean / (size + mean)) ** y


def nb2(y: int, mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
    return gamma_mixture(y, mean, 1 / k) if k else poisson(y, mean, k, p)


def nb1(y: int, mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
    return gamma_mixture(y, mean, mean / k) if k else poisson(y, mean, k, p)


def generalized_poisson(y: int, mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
    """Consul & Jain 1973: mean theta / (1 - lam), variance theta / (1 - lam)^3."""
    lam = k / (1 + k)
    theta = mean * (1 - lam)
    return theta * (theta + lam * y) ** (y - 1) * (-theta - lam * y).exp() / factorial(y)


def inflated(inner: Pmf) -> Pmf:
    """Zeros with probability p, else a count whose mean makes up for them (Lambert 1992)."""

    def pmf(y: int, mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
        return (p if y == 0 else 0) + (1 - p) * inner(y, mean / (1 - p), k, p)

    return pmf


def inner_mean(mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
    """Mean of the negative binomial that is truncated in the hurdle, found by the secant rule."""
    target = mean / (1 - nb2(0, mean, p, p))

    def excess(inner: Decimal) -> Decimal:
        return inner / (1 - nb2(0, inner, k, k)) - target

    a, b = mean, mean * Decimal("1.01")
    at_a, at_b = excess(a), excess(b)
    while at_b != at_a and abs(b - a) > mean * Decimal(10) ** -40:
        step = at_b * (b - a) / (at_b - at_a)
        a, at_a = b, at_b
        b = max(b - step, b / 10)
        at_b = excess(b)
    return b


def hurdle(y: int, mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
    """Mullahy 1986: zeros by one negative binomial, the rest by another that is truncated."""
    none = nb2(0, mean, p, p)
    if y == 0:
        return none
    inner = inner_mean(mean, k, p)
    return (1 - none) * nb2(y, inner, k, p) / (1 - nb2(0, inner, k, p))


def lognormal(y: int, mean: Decimal, k: Decimal, p: Decimal) -> Decimal:
    """Bulmer 1974, summed over evenly spaced values of the row effect."""
    if not k:
        return poisson(y, mean, k, p)
    variance = (1 + k).ln()
    sd, centre = variance.sqrt(), mean.ln() - variance / 2

    def height(t: Decimal) -> Decimal:
        log_rate = centre + sd * t
        return (y * log_rate - log_rate.exp() - t * t / 2).exp()

    low, high = -(float(sd) * 1e3 + 60.0 + y), 60.0 + y
    for _ in range(200):  # bisection for the mode, in floating point
        t = 0.5 * (low + high)
        rising_still = float(sd) * (y - math.exp(min(float(centre) + float(sd) * t, 500.0))) > t
        low, high = (t, high) if rising_still else (low, t)
    rate = math.exp(float(centre) + float(sd) * low)
    width = 1.0 / math.sqrt(1.0 + float(variance) * rate)
    step = Decimal(min(0.2 * width, 0.1 / max(float(sd), 1.0)))
    mode = Decimal(low)
    top = height(mode)
    total = top
    for side in (step, -step):
        t, term = mode, top
        while term > top * Decimal("1e-40"):
            t += side
            term = height(t)
            total += term
    pi = Decimal(
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"
    )
    return total * step / (2 * pi).sqrt() / factorial(y)


PMF: Mapping[str, Pmf] = {
    "poisson": poisson,
    "negative-binomial": nb2,
    "negative-binomial-1": nb1,
    "generalized-poisson": generalized_poisson,
    "zero-inflated-poisson": inflated(poisson),
    "zero-inflated-negative-binomial": inflated(nb2),
    "hurdle-negative-binomial": hurdle,
    "poisson-lognormal": lognormal,
}


def _digits(*numbers: float) -> int:
    """Digits that survive a difference quotient and the reciprocal of every number."""
    small = [abs(math.log10(number)) for number in numbers if number > 0]
    return 60 + int(3 * max(small, default=0))


def log_pmf(family: str, y: int, mean: float, k: float = 0.0, p: float = 0.0) -> float:
    """Log probability of a count."""
    with localcontext(prec=_digits(mean, k, p), Emax=MAX_EMAX, Emin=MIN_EMIN):
        return float(PMF[family](y, Decimal(mean), Decimal(k), Decimal(p)).ln())


def slopes(family: str, y: int, mean: float, k: float, p: float) -> tuple[float, float, float]:
    """Derivatives of the log probability in log mean, k and p; 0 in a parameter that is 0."""
    with localcontext(prec=_digits(mean, k, p), Emax=MAX_EMAX, Emin=MIN_EMIN):
        at = [Decimal(mean), Decimal(k), Decimal(p)]
        found = []
        for i, value in enumerate(at):
            if not value:
                found.append(0.0)
                continue
            ends = []
            for side in (1, -1):
                moved = [*at]
                moved[i] = value * (1 + side * STEP)
                ends.append(PMF[family](y, *moved).ln())
            change = (ends[0] - ends[1]) / (2 * STEP)
            found.append(float(change if i == 0 else change / value))
        return found[0], found[1], found[2]
