"""Priors as values: their densities, their words, their errors, and the named stances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from bayes_msc.errors import PriorError
from bayes_msc.prior import DISTRIBUTIONS, Prior, stance, stances

EVERY = [
    Prior.normal(-0.3, 0.7),
    Prior.student_t(3, 1.4, 2.5),
    Prior.normal_mixture([0.2, 0.5, 0.3], [-1.0, 0.0, 2.0], [0.3, 1.0, 2.0]),
    Prior.half_normal(0.8),
    Prior.half_cauchy(0.8),
    Prior.half_student_t(4, 0.8),
    Prior.exponential(2.0),
    Prior.gamma(2.0, 0.5),
    Prior.lognormal(0.2, 0.6),
    Prior.beta(1.5, 4.0),
]
FIXED = Prior.fixed(0.7)
IDS = [prior.distribution for prior in EVERY]


def test_every_distribution_is_tried() -> None:
    assert {*IDS, "fixed"} == set(DISTRIBUTIONS)


@pytest.mark.parametrize("prior", EVERY, ids=IDS)
def test_pdf_cdf_and_ppf_belong_together(prior: Prior) -> None:
    ends = {"real": (-np.inf, np.inf), "positive": (0.0, np.inf), "unit": (0.0, 1.0)}
    start, end = ends[prior.support]
    whole = integrate.quad(prior.pdf, start, end, epsabs=1e-10, limit=200)[0]
    assert whole == pytest.approx(1.0, abs=1e-7)
    x = prior.ppf([0.05, 0.3, 0.5, 0.9])
    np.testing.assert_allclose(prior.cdf(x), [0.05, 0.3, 0.5, 0.9], rtol=1e-9)
    for value in x:
        area = integrate.quad(prior.pdf, start, value, epsabs=1e-10, limit=200)[0]
        assert area == pytest.approx(float(prior.cdf(value)), abs=1e-7)


@pytest.mark.parametrize("prior", EVERY, ids=IDS)
def test_draws_follow_the_distribution(prior: Prior) -> None:
    draws = prior.frozen().rvs(size=20_000, random_state=np.random.default_rng(1))
    assert stats.kstest(draws, lambda x: prior.cdf(x)).pvalue > 1e-3


def test_a_fixed_number_is_a_step() -> None:
    assert FIXED.is_fixed
    assert not EVERY[0].is_fixed
    assert FIXED.interval() == (0.7, 0.7)
    np.testing.assert_array_equal(FIXED.cdf([0.69, 0.7, 0.71]), [0, 1, 1])
    np.testing.assert_array_equal(FIXED.pdf([0.69, 0.7]), [0, np.inf])
    frozen = FIXED.frozen()
    assert (frozen.mean(), frozen.std()) == (0.7, 0.0)
    assert (frozen.rvs(5, np.random.default_rng(1)) == 0.7).all()


@pytest.mark.parametrize("prior", [*EVERY, FIXED], ids=[*IDS, "fixed"])
def test_toml_table_round_trip(prior: Prior) -> None:
    with_reason = prior.because("a reason")
    again = Prior.from_table(with_reason.to_table())
    assert again == with_reason
    assert again.why == "a reason"
    assert prior.why == ""


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        (Prior.normal(0, 0.4214), "Normal(0, 0.4214)"),
        (Prior.half_normal(1), "HalfNormal(1)"),
        (Prior.student_t(3, 0, 2.5), "Student-t(3, 0, 2.5)"),
        (Prior.beta(1, 4), "Beta(1, 4)"),
        (Prior.fixed(1), "fixed at 1"),
        (
            Prior.normal_mixture([0.5, 0.5], [0, 1], [1, 2]),
            "mixture of normals (weights 0.5, 0.5, means 0, 1, SDs 1, 2)",
        ),
    ],
)
def test_words(prior: Prior, words: str) -> None:
    assert str(prior) == words


def test_numbers_by_name() -> None:
    assert Prior.normal(1, 2)["scale"] == 2
    assert Prior.gamma(2, 3).names == ("shape", "rate")
    with pytest.raises(PriorError, match=r"unknown parameter of a normal prior 'sd'.*loc, scale"):
        Prior.normal(1, 2)["sd"]


def test_mixture_has_the_moments_of_its_parts() -> None:
    weights, locs, scales = np.array([0.2, 0.8]), np.array([-1.0, 2.0]), np.array([0.5, 1.5])
    mixture = Prior.normal_mixture(weights, locs, scales)
    mean = float(weights @ locs)
    assert mixture.frozen().mean() == pytest.approx(mean)
    variance = float(weights @ (scales**2 + locs**2)) - mean**2
    assert mixture.frozen().std() == pytest.approx(math.sqrt(variance))
    plain = (weights * stats.norm(locs, scales).cdf(0.3)).sum()
    assert mixture.cdf(0.3) == pytest.approx(plain)


def test_mixture_of_equal_parts_is_a_normal() -> None:
    mixture = Prior.normal_mixture([0.4, 0.6], [1.0, 1.0], [0.5, 0.5])
    assert mixture.interval() == pytest.approx(Prior.normal(1.0, 0.5).interval(), abs=1e-9)


@given(
    st.floats(-20, 20),
    st.floats(0.01, 20),
    st.floats(0.01, 0.99),
)
def test_interval_holds_its_mass(loc: float, scale: float, mass: float) -> None:
    low, high = Prior.normal(loc, scale).interval(mass)
    assert float(np.diff(Prior.normal(loc, scale).cdf([low, high]))[0]) == pytest.approx(mass)
    assert (low + high) / 2 == pytest.approx(loc, abs=1e-9 * scale + 1e-9)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Prior("cauchy", (0.0, 1.0)), "unknown prior distribution 'cauchy'.*half_cauchy"),
        (lambda: Prior("normal", (0.0,)), r"normal takes 2 numbers \(loc, scale\), not 1"),
        (lambda: Prior.normal(0, 0), "scale of a normal prior is 0.0: it must be above 0"),
        (lambda: Prior.half_normal(-1), "must be above 0"),
        (lambda: Prior.beta(0, 1), "alpha of a beta prior is 0.0: it must be above 0"),
        (lambda: Prior.normal(float("nan"), 1), "loc is nan: it must be finite"),
        (lambda: Prior.normal(0, float("inf")), "scale is inf: it must be finite"),
        (lambda: Prior("normal", ("0", 1.0)), "loc is '0': a number is needed"),
        (lambda: Prior("normal", (True, 1.0)), "loc is True: a number is needed"),
        (lambda: Prior("normal", (None, 1.0)), "loc is None: a number is needed"),
        (
            lambda: Prior.normal_mixture([0.5, 0.6], [0, 1], [1, 1]),
            "sum to 1.1: they must sum to 1",
        ),
        (lambda: Prior.normal_mixture([1.0], [0, 1], [1, 1]), "must be equally long"),
        (lambda: Prior.normal_mixture([1.2, -0.2], [0, 1], [1, 1]), "weights.*must be above 0"),
        (lambda: Prior.from_table({"loc": 0}), "needs the key 'distribution': one of normal"),
        (
            lambda: Prior.from_table({"distribution": "normal", "loc": 0, "sd": 1}),
            "unknown key of a normal prior 'sd': choose one of distribution, loc, scale, why",
        ),
        (
            lambda: Prior.from_table({"distribution": "normal", "loc": 0}),
            "a normal prior also needs scale",
        ),
    ],
)
def test_impossible_priors_name_value_and_repair(build: object, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        build()  # type: ignore[operator]


def test_stances() -> None:
    assert list(stances()) == ["vague", "weak", "sceptical", "enthusiastic"]
    assert all(prior.why for prior in stances().values())
    width = abs(math.log(0.5)) / stats.norm.ppf(0.95)
    assert stance("sceptical")["scale"] == pytest.approx(width, abs=5e-5)
    assert float(stance("sceptical").cdf(math.log(0.5))) == pytest.approx(0.05, abs=1e-4)
    assert 1 - float(stance("enthusiastic").cdf(0.0)) == pytest.approx(0.05, abs=1e-4)
    assert stance("vague") == Prior.normal(0, 2.5, why=stance("vague").why)
    assert stance("weak") == Prior.normal(0, 1, why=stance("weak").why)
    with pytest.raises(PriorError, match=r"unknown prior stance 'hopeful'.*vague, weak"):
        stance("hopeful")


def test_flat_looking_numbers_of_numpy_are_welcome() -> None:
    prior = Prior("normal", (np.float64(0.0), np.int64(1)))
    assert prior == Prior.normal(0, 1)
    assert hash(prior) == hash(Prior.normal(0, 1))
