"""Control arms of other trials: published numbers, brute force, limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from bayes_msc.errors import PriorError, PublishedError
from bayes_msc.evidence import (
    BetaMixture,
    Borrowed,
    effective_size,
    fit_beta_mixture,
    fit_mixture,
    map_prior,
    proportion_prior,
    rate_prior,
)
from bayes_msc.evidence.trials import Evidence
from bayes_msc.prior import Prior

REFERENCE = Path(__file__).parent / "reference"
Array = NDArray[np.float64]
CENTRE = Prior.normal(0, 2)


@pytest.fixture(scope="module")
def placebo() -> Borrowed:
    table = pd.read_csv(REFERENCE / "RBesT_AS.csv")
    return proportion_prior(table["r"].tolist(), table["n"].tolist(), "half-normal-1", CENTRE)


def brute_force(
    log_likelihood: Callable[[Array], Array], tau_prior: Prior, top: float
) -> tuple[Array, Array, Array]:
    """Posterior weights over (tau, mu); each arm on a grid around the mean."""
    mu = np.linspace(-4, 3, 281)
    tau = (np.arange(80) + 0.5) * top / 80
    z = np.linspace(-7, 7, 71)
    share = np.exp(-0.5 * z**2)
    share /= share.sum()
    weight = tau_prior.pdf(tau)[:, None] * CENTRE.pdf(mu)
    for k, t in enumerate(tau):
        each = np.exp(log_likelihood((mu[:, None] + t * z).ravel())).reshape(-1, len(mu), len(z))
        weight[k] *= np.prod(each @ share, axis=0)
    return tau, mu, weight / weight.sum()


def binomial(r: list[int], n: list[int]) -> Callable[[Array], Array]:
    def log_likelihood(theta: Array) -> Array:
        return stats.binom.logpmf(np.c_[r], np.c_[n], 1 / (1 + np.exp(-theta)))

    return log_likelihood


def test_published_predictive_prior_of_a_proportion(placebo: Borrowed) -> None:
    theirs = pd.read_csv(REFERENCE / "published_values.csv")
    theirs = theirs[
        (theirs["dataset"] == "RBesT_AS") & theirs["prior"].str.contains("HN\\(1", na=False)
    ]
    theirs = theirs.set_index("parameter")
    tau, theta = theirs.loc["tau"], theirs.loc["MAP theta"]
    ours = placebo.steering().iloc[0]
    # theirs come from 4000 draws, thinned: three of their standard errors
    assert ours["mean"] == pytest.approx(tau["mean"], abs=3 * tau["sd"] / 60)
    low, high = 1 / (1 + np.exp(-placebo.prior.ppf([0.025, 0.975])))
    assert low == pytest.approx(theta["q2_5"], abs=0.015)
    assert high == pytest.approx(theta["q97_5"], abs=0.03)
    fitted = fit_beta_mixture(placebo).prior
    assert isinstance(fitted, BetaMixture)
    assert fitted.mean == pytest.approx(theta["mean"], abs=3 * theta["sd"] / 60)
    assert fitted.sd == pytest.approx(theta["sd"], abs=0.005)
    elir = effective_size(fitted)["patients"].iloc[0]
    assert elir == pytest.approx(38, abs=3)


def test_proportions_against_brute_force() -> None:
    r, n = [23, 1, 19, 9], [107, 14, 51, 39]
    spread = Prior.half_normal(0.5)
    tau, mu, weight = brute_force(binomial(r, n), spread, 2.2)
    ours = proportion_prior(r, n, spread, CENTRE)
    assert ours.steering()["mean"].iloc[0] == pytest.approx(float(weight.sum(1) @ tau), abs=1e-3)
    for limit in (-2.0, -1.2, 0.0):
        brute = float((weight * stats.norm.cdf(limit, mu, tau[:, None])).sum())
        assert float(ours.prior.cdf(limit)) == pytest.approx(brute, abs=1e-3)
    assert ours.prior.frozen().mean() == pytest.approx(float(weight.sum(0) @ mu), abs=1e-3)


@pytest.mark.parametrize("kappa", [0.0, 1.5])
def test_rates_against_brute_force(kappa: float) -> None:
    events, exposure, patients = [24, 0, 33], [20.0, 6.0, 30.0], [10, 3, 15]

    def log_likelihood(theta: Array) -> Array:
        mean = np.c_[exposure] * np.exp(theta)
        if kappa == 0:
            return np.asarray(stats.poisson.logpmf(np.c_[events], mean))
        size = np.c_[patients] / kappa
        return np.asarray(stats.nbinom.logpmf(np.c_[events], size, size / (size + mean)))

    spread = Prior.half_normal(0.5)
    tau, mu, weight = brute_force(log_likelihood, spread, 2.2)
    ours = rate_prior(events, exposure, spread, CENTRE, patients=patients, overdispersion=kappa)
    assert ours.prior.frozen().mean() == pytest.approx(float(weight.sum(0) @ mu), abs=1e-3)
    for limit in (-1.0, 0.0, 0.5):
        brute = float((weight * stats.norm.cdf(limit, mu, tau[:, None])).sum())
        assert float(ours.prior.cdf(limit)) == pytest.approx(brute, abs=1e-3)


def test_many_events_are_the_normal_hierarchy() -> None:
    events, exposure = [4000, 5200], [1000.0, 1000.0]
    ours = rate_prior(events, exposure, "half-normal-0.5", CENTRE)
    rows = [
        Evidence(f"arm {y}", np.log(y / t), y**-0.5, scale="log_rate")
        for y, t in zip(events, exposure, strict=True)
    ]
    theirs = map_prior(rows, "half-normal-0.5", mu_prior=CENTRE, scale="log_rate")
    points = np.linspace(0.5, 2.5, 9)
    np.testing.assert_allclose(ours.prior.cdf(points), theirs.prior.cdf(points), atol=1e-3)


def test_a_short_mixture_of_rates(placebo: Borrowed) -> None:
    ours = rate_prior([24, 30], [20.0, 30.0], "half-normal-0.5", CENTRE)
    short = fit_mixture(ours)
    assert short.kl < 1e-3
    betas = fit_beta_mixture(placebo)
    assert betas.kl < 2e-3
    assert isinstance(betas.prior, BetaMixture)
    p = np.array([0.1, 0.2, 0.3, 0.5])
    exact = placebo.prior.cdf(np.log(p / (1 - p)))
    np.testing.assert_allclose(betas.prior.cdf(p), exact, atol=0.005)
    assert min(*betas.prior.alphas, *betas.prior.betas) >= 1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: rate_prior([1], [1.0, 2.0], "half-t", CENTRE), PublishedError, "every arm needs"),
        (lambda: rate_prior([1.5], [1.0], "half-t", CENTRE), PublishedError, "whole numbers"),
        (lambda: rate_prior([], [], "half-t", CENTRE), PublishedError, "a list with one number"),
        (lambda: rate_prior([1], [0.0], "half-t", CENTRE), PublishedError, "exposure above 0"),
        (
            lambda: rate_prior([1], [1.0], "half-t", CENTRE, overdispersion=1),
            PublishedError,
            "number of patients",
        ),
        (
            lambda: rate_prior([1], [1.0], "half-t", CENTRE, patients=[0]),
            PublishedError,
            "1 or more",
        ),
        (lambda: proportion_prior([5], [4], "half-t", CENTRE), PublishedError, "at most as many"),
        (lambda: proportion_prior([1], [4], "half-u", CENTRE), PriorError, "unknown prior of tau"),
        (
            lambda: proportion_prior([1], [4], "half-t", Prior.gamma(1, 1)),
            PriorError,
            "may be negative",
        ),
    ],
)
def test_faults(make: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
