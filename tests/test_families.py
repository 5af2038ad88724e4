"""The family table: against textbook formulas with digits to spare, scipy, sums and draws."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from textbook import log_pmf, slopes

from bayes_msc.counts import FAMILIES, no_event
from bayes_msc.counts import variance as variance_of
from bayes_msc.counts.families import _hurdle_log_mean
from bayes_msc.counts.special import (
    log1p_excess,
    log1p_ratio,
    log_one_less,
    log_rising,
    log_truncation,
)

NAMES = tuple(FAMILIES)
DISPERSED = tuple(name for name in NAMES if FAMILIES[name].dispersed)
ZERO_PARTS = {"zero_inflation": (1e-8, 0.3, 0.9), "sqrt_zero_overdispersion": (1e-4, 0.2, 3.0)}
#: The log-normal row effect is integrated by quadrature; everything else has all its digits.
DIGITS = {"poisson-lognormal": 1e-9}


def zero_parts(name: str) -> tuple[float, ...]:
    found = [ZERO_PARTS[key] for key in FAMILIES[name].parameters if key in ZERO_PARTS]
    return found[0] if found else (0.0,)


def zero_part(name: str) -> float:
    """One of them that is neither small nor large."""
    return zero_parts(name)[len(zero_parts(name)) // 2]


def log_probability(
    name: str, count: float, mean: float, k: float = 0.0, p: float = 0.0
) -> tuple[float, float, float, float]:
    """Value and derivatives in log mean, overdispersion and zero part."""
    family = FAMILIES[name]
    value, by_mean, by_k, by_p = family.kernel(float(count), math.log(mean), mean, k, p)
    rest, rest_k, rest_p = family.constant(float(count), k, p)
    return value + rest, by_mean, by_k + rest_k, by_p + rest_p


def log_pmf_to(name: str, most: int, mean: float, k: float, p: float) -> NDArray[np.float64]:
    return np.array([log_probability(name, y, mean, k, p)[0] for y in range(most)])


def inner_mean(mean: float, k: float, p: float) -> float:
    return math.exp(_hurdle_log_mean(math.log(mean), k, p)[0])


def variance(name: str, mean: float, k: float, p: float) -> float:
    """Evaluate the variance that the table states in words."""
    words = FAMILIES[name].variance.replace("inner mean", "inner").replace("^", "**")
    inner = inner_mean(mean, k, p) if name.startswith("hurdle") else 0.0
    names = {"mean": mean, "overdispersion": k, "zero_inflation": p, "inner": inner}
    return float(eval(words, {"__builtins__": {}}, names))


def test_table_of_families() -> None:
    assert {name: row.parameters for name, row in FAMILIES.items()} == {
        "poisson": (),
        "negative-binomial": ("sqrt_overdispersion",),
        "negative-binomial-1": ("sqrt_overdispersion",),
        "generalized-poisson": ("sqrt_overdispersion",),
        "zero-inflated-poisson": ("zero_inflation",),
        "zero-inflated-negative-binomial": ("sqrt_overdispersion", "zero_inflation"),
        "hurdle-negative-binomial": ("sqrt_overdispersion", "sqrt_zero_overdispersion"),
        "poisson-lognormal": ("sqrt_overdispersion",),
    }
    assert len(DISPERSED) == 6
    assert [name for name in NAMES if FAMILIES[name].inflated] == [
        "zero-inflated-poisson",
        "zero-inflated-negative-binomial",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_log_probability_and_derivatives_are_the_textbooks(name: str) -> None:
    digits = DIGITS.get(name, 1e-12)
    dispersed = FAMILIES[name].dispersed
    for mean in (0.3, 60.0):
        for k in (1e-12, 1e-4, 0.01, 0.3, 10.0) if dispersed else (0.0,):
            for p in zero_parts(name):
                for count in (0, 1, 7, 40):
                    where = f"count {count}, mean {mean}, k {k}, p {p}"
                    ours = log_probability(name, count, mean, k, p)
                    exact = log_pmf(name, count, mean, k, p)
                    assert ours[0] == pytest.approx(exact, rel=digits, abs=digits), where
                    steep = slopes(name, count, mean, k, p)
                    # the derivatives of the hurdle divide by what is nearly zero at small means
                    near = max(30 * digits, 1e-10)
                    for found, wanted in zip(ours[1:], steep, strict=True):
                        if wanted != 0.0:
                            assert found == pytest.approx(wanted, rel=near, abs=near), where


@pytest.mark.parametrize("name", NAMES)
def test_moments_are_those_of_the_words_and_of_the_textbooks(name: str) -> None:
    for mean in (0.3, 4.0, 60.0):
        for k in (0.0, 0.3, 10.0) if FAMILIES[name].dispersed else (0.0,):
            for p in (0.0, *zero_parts(name)):
                stated = variance(name, mean, k, p)
                assert variance_of(name, mean, k, p) == pytest.approx(stated, rel=1e-12)
                exact = math.exp(log_pmf(name, 0, mean, k, p))
                assert no_event(name, mean, k, p) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_counts_and_means_of_a_million(name: str) -> None:
    k = 0.5 if FAMILIES[name].dispersed else 0.0
    p = zero_part(name)
    for count, mean in ((10**6, 9.9e5), (3, 1e6)):
        exact = log_pmf(name, count, mean, k, p)
        # terms of about 10^7 cancel: a double leaves 2e-9 of them
        assert log_probability(name, count, mean, k, p)[0] == pytest.approx(
            exact, rel=1e-14, abs=1e-8
        )


@pytest.mark.parametrize("k", [1e-6, 0.02, 0.7, 10.0])
@pytest.mark.parametrize("mean", [0.01, 3.0, 500.0])
def test_scipy_has_three_of_them(mean: float, k: float) -> None:
    count = np.arange(0, 3000, 37)
    theta = 1.0 / k
    plain = {
        "poisson": stats.poisson.logpmf(count, mean),
        "negative-binomial": stats.nbinom.logpmf(count, theta, theta / (theta + mean)),
        "negative-binomial-1": stats.nbinom.logpmf(count, mean / k, 1.0 / (1.0 + k)),
    }
    for name, exact in plain.items():
        ours = [log_probability(name, y, mean, k)[0] for y in count]
        # scipy's own digits go where theta is large
        np.testing.assert_allclose(ours, exact, rtol=1e-9, atol=1e-5 if k < 1e-3 else 1e-9)


@pytest.mark.parametrize("name", DISPERSED)
@pytest.mark.parametrize("k", [0.0, 1e-300, 1e-100, 1e-40, 1e-16, 1e-12, 1e-8, 1e-6])
def test_vanishing_overdispersion_is_the_limit(name: str, k: float) -> None:
    p = zero_part(name)
    for mean, count in ((0.3, 0), (0.3, 2), (4.0, 0), (4.0, 9), (60.0, 48)):
        limit = log_probability(name, count, mean, 0.0, p)
        ours = log_probability(name, count, mean, k, p)
        # to first order the log probability moves by k times its derivative at the limit
        near = DIGITS.get(name, 1e-12) + 1e4 * k**2 * (1.0 + limit[2] ** 2)
        assert ours[0] == pytest.approx(limit[0] + k * limit[2], rel=1e-13, abs=near)
        assert np.isfinite(ours).all()


@pytest.mark.parametrize("name", DISPERSED)
def test_limit_itself_is_the_family_without_overdispersion(name: str) -> None:
    p = zero_part(name)
    for count, mean in ((0, 2.0), (5, 2.0), (70, 60.0)):
        exact = log_pmf(name, count, mean, 0.0, p)
        assert log_probability(name, count, mean, 0.0, p)[0] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("mean", "k"), [(0.3, 0.5), (6.0, 0.05), (6.0, 1.5)])
def test_sums_to_one_with_the_stated_mean_and_variance(name: str, mean: float, k: float) -> None:
    k = k if FAMILIES[name].dispersed else 0.0
    near = max(1e-7 if name == "poisson-lognormal" else 0.0, 1e-9)
    for p in zero_parts(name)[:2]:
        most = 6000 if name in ("poisson-lognormal", "generalized-poisson") else 1500
        pmf = np.exp(log_pmf_to(name, most, mean, k, p))
        y = np.arange(float(most))
        assert pmf.sum() == pytest.approx(1.0, abs=near)
        assert y @ pmf == pytest.approx(mean, rel=near)
        assert (y - mean) ** 2 @ pmf == pytest.approx(variance(name, mean, k, p), rel=10 * near)


@pytest.mark.parametrize("k", [0.0, 1e-8, 0.3, 4.0])
@pytest.mark.parametrize("mean", [1e-6, 0.01, 2.0, 1e4])
def test_hurdle_with_equal_overdispersions_is_a_negative_binomial(mean: float, k: float) -> None:
    for count in (0, 1, 5, 300):
        ours = log_probability("hurdle-negative-binomial", count, mean, k, k)
        plain = log_probability("negative-binomial", count, mean, k)
        assert ours[0] == pytest.approx(plain[0], rel=1e-12, abs=1e-12)
        assert ours[1] == pytest.approx(plain[1], rel=1e-9, abs=1e-9)
        # moving both overdispersions together is moving the one
        assert ours[2] + ours[3] == pytest.approx(plain[2], rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("base", ["poisson", "negative-binomial"])
def test_without_inflation_the_base_is_left(base: str) -> None:
    for count in (0, 1, 12):
        ours = log_probability(f"zero-inflated-{base}", count, 3.0, 0.4, 0.0)
        assert ours[:3] == pytest.approx(log_probability(base, count, 3.0, 0.4)[:3], rel=1e-13)
        near = log_probability(f"zero-inflated-{base}", count, 3.0, 0.4, 1e-7)
        assert ours[3] == pytest.approx((near[0] - ours[0]) / 1e-7, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_becomes_infinite_at_the_ends_of_the_log_mean(name: str) -> None:
    family = FAMILIES[name]
    for log_mean in (-300.0, -50.0, 50.0, 300.0):
        for k in (0.0, 1e-300, 1e-20, 1e-4, 1.0, 1e3) if family.dispersed else (0.0,):
            for p in (*zero_parts(name), 0.0):
                for count in (0.0, 1.0, 200.0):
                    got = family.kernel(count, log_mean, math.exp(log_mean), k, p)
                    assert np.isfinite(got).all(), (log_mean, k, p, count, got)


@pytest.mark.parametrize("name", NAMES)
def test_information_is_the_curvature_where_the_table_says_smooth(name: str) -> None:
    family = FAMILIES[name]
    k, p, step = (0.4 if family.dispersed else 0.0), zero_part(name), 1e-5
    for count in (0.0, 3.0, 30.0):
        for log_mean in (-3.0, 0.5, 4.0):
            ends = [
                family.kernel(count, log_mean + h, math.exp(log_mean + h), k, p)[1]
                for h in (-step, step)
            ]
            stated = family.information(count, math.exp(log_mean), k, p)
            assert stated > 0
            if family.smooth:
                assert stated == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("mean", "k"), [(0.4, 1e-13), (6.0, 0.5), (1.5, 2.5)])
def test_random_counts_follow_the_distribution(name: str, mean: float, k: float) -> None:
    k = k if FAMILIES[name].dispersed else 0.0
    p = zero_part(name)
    n, most = 60_000, 40
    y = FAMILIES[name].random(np.random.default_rng(4), np.full(n, mean), k, p)
    assert y.shape == (n,)
    assert y.dtype.kind == "i"
    expected = np.exp(log_pmf_to(name, most, mean, k, p)) * n
    observed = np.bincount(np.minimum(y, most), minlength=most + 1).astype(float)
    expected = np.append(expected, max(n - expected.sum(), 0.0))
    cut = expected > 5.0
    pairs = [(observed[cut], expected[cut])]
    if expected[~cut].sum() > 1.0:
        pairs.append((observed[~cut].sum(keepdims=True), expected[~cut].sum(keepdims=True)))
    statistic = sum(((o - e) ** 2 / e).sum() for o, e in pairs)
    cells = sum(len(e) for _, e in pairs) - 1
    assert stats.chi2.sf(statistic, max(cells, 1)) > 1e-5
    stated = variance(name, mean, k, p)
    assert y.mean() == pytest.approx(mean, abs=5 * math.sqrt(stated / n))
    spread = math.sqrt(float(((y - y.mean()) ** 2).var()) / n)
    assert y.var() == pytest.approx(stated, abs=6 * spread)


@pytest.mark.parametrize("name", NAMES)
def test_random_counts_broadcast(name: str) -> None:
    k = np.array([[0.1], [2.0]]) if FAMILIES[name].dispersed else 0.0
    p = zero_part(name)
    mean = np.full((2, 5), 3.0)
    first = FAMILIES[name].random(np.random.default_rng(1), mean, k, p)
    again = FAMILIES[name].random(np.random.default_rng(1), mean, k, p)
    assert first.shape == (2, 5)
    assert (first == again).all()


@pytest.mark.parametrize("k", [1e-300, 1e-100, 1e-16, 1e-8, 1e-4, 0.0199, 0.3, 1.0, 10.0])
def test_log_rising_has_all_its_digits(k: float) -> None:
    for count in (0, 1, 2, 3, 10, 32, 33, 50, 200, 3000):
        m = np.arange(count, dtype=float)
        value, slope = log_rising(float(count), k)
        assert value == pytest.approx(math.fsum(np.log1p(k * m)), rel=1e-12, abs=1e-13)
        assert slope == pytest.approx(math.fsum(m / (1.0 + k * m)), rel=1e-12)


def exact(formula: Any, *numbers: float) -> float:
    """Evaluate a formula in decimals, with digits for every cancellation."""
    small = max(abs(math.log10(number)) for number in numbers)
    with localcontext(prec=60 + int(3 * small)):
        return float(formula(*map(Decimal, numbers)))


@pytest.mark.parametrize("x", [1e-300, 1e-17, 1e-8, 9.99e-5, 1.01e-4, 1.9e-3, 2.1e-3, 0.5, 1e8])
def test_logarithms_of_nearly_one_keep_their_digits(x: float) -> None:
    assert log1p_ratio(x) == pytest.approx(exact(lambda d: (1 + d).ln() / d, x), rel=1e-14)
    excess = exact(lambda d: ((1 + d).ln() - d / (1 + d)) / (d * d), x)
    # just above the switch to the series the difference has lost six digits
    assert log1p_excess(x, math.log1p(x)) == pytest.approx(excess, rel=1e-10)


@pytest.mark.parametrize("u", [1e-12, 1e-6, 9.9e-3, 1.01e-2, 0.4, 5.0, 60.0])
def test_log_one_less_against_decimals(u: float) -> None:
    value, share = log_one_less(u)
    assert value == pytest.approx(exact(lambda d: (d / (1 - (-d).exp())).ln(), u), rel=1e-12)
    assert share == pytest.approx(exact(lambda d: 1 - d / (d.exp() - 1), u), rel=1e-11)


@pytest.mark.parametrize("k", [1e-12, 1e-3, 0.2, 3.0])
@pytest.mark.parametrize("mean", [1e-6, 0.004, 0.3, 4.0, 500.0])
def test_mean_above_zero_against_decimals(mean: float, k: float) -> None:
    def log_above(m: Decimal, d: Decimal) -> Decimal:
        return (m / (1 - (-(1 + d * m).ln() / d).exp())).ln()

    step = Decimal("1e-20")

    def by_mean(m: Decimal, d: Decimal) -> Decimal:
        return (log_above(m * (1 + step), d) - log_above(m * (1 - step), d)) / (2 * step)

    def by_k(m: Decimal, d: Decimal) -> Decimal:
        return (log_above(m, d * (1 + step)) - log_above(m, d * (1 - step))) / (2 * step * d)

    value, slope, slope_k = log_truncation(math.log(mean), k)
    assert value == pytest.approx(exact(log_above, mean, k), rel=1e-10)
    assert slope == pytest.approx(exact(by_mean, mean, k), rel=1e-9)
    assert slope_k == pytest.approx(exact(by_k, mean, k), rel=1e-9)
