"""The integrated likelihood against closed forms, marginal likelihoods, new fits and NUTS."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from bayes_msc.errors import ModelError
from bayes_msc.estimands import summarize
from bayes_msc.exact import ratio_summary, update
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.refits import refit_many
from bayes_msc.sensitivity.integrated import (
    GROUPS,
    IntegratedLikelihood,
    Points,
    integrated_likelihood,
    reference_priors,
)
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"
ESTIMATE, SE = -0.8, 0.5
THRESHOLDS = (1.0, 0.8, 0.5)


def normal_points(prior: Prior, rng: np.random.Generator, count: int = 800) -> Points:
    """Draws of the posterior of a normal estimate, as a fit would give them."""
    posterior = update(prior, ESTIMATE, SE)
    assert isinstance(posterior, Prior)
    value = posterior.frozen().rvs(count, random_state=rng)
    # the start for the integrals is wrong on purpose: they have to be found
    return Points(value, np.full(count, 1 / count), np.arange(count) % GROUPS, count, rng.normal())


def pooled(seed: int, count: int = 800) -> IntegratedLikelihood:
    rng = np.random.default_rng(seed)
    priors = reference_priors(-1.5, 0.5, 2.5)
    return IntegratedLikelihood.pooled(priors, [normal_points(p, rng, count) for p in priors])


@pytest.fixture(scope="module")
def crossover_likelihood(crossover: Trial) -> IntegratedLikelihood:
    return integrated_likelihood(crossover, Model.load(CARD), low=-1.6, high=0.7, seed=3)


def test_pooled_normal_posteriors_give_the_closed_form() -> None:
    likelihood = pooled(1)
    mean, sd = np.array([-1.5, 0.0, 0.5, 0.0]), np.array([0.3, 0.15, 0.4, 2.5])
    found = likelihood.normal(mean, sd, THRESHOLDS)
    for i, row in enumerate(found.to_dict("records")):
        exact = update(Prior.normal(mean[i], sd[i]), ESTIMATE, SE)
        summary = ratio_summary(exact)
        width = (math.log(summary["upper"]) - math.log(summary["lower"])) / 4
        for name in ("median", "lower", "upper"):
            assert math.log(row[name]) == pytest.approx(math.log(summary[name]), abs=0.12 * width)
        assert row["log_sd"] == pytest.approx(width * 4 / 3.92, rel=0.05)
        for c in THRESHOLDS:
            error = max(row[f"mcse_below_{c:g}"], 1e-4)
            truth = float(exact.cdf(math.log(c)))
            assert row[f"prob_below_{c:g}"] == pytest.approx(truth, abs=4.5 * error)
        assert row["largest_weight"] < 0.01
        assert row["effective_size"] > 1000


def test_its_monte_carlo_error_is_the_spread_over_repetitions() -> None:
    mean, sd = np.array([0.0, -0.6]), np.array([0.4, 0.2])
    tables = [pooled(seed, 160).normal(mean, sd, [0.8]) for seed in range(60)]
    prob = np.array([t["prob_below_0.8"] for t in tables])
    claimed = np.sqrt(np.mean([t["mcse_below_0.8"] ** 2 for t in tables], axis=0))
    np.testing.assert_allclose(prob.std(axis=0, ddof=1) / claimed, 1.0, atol=0.35)
    truth = [
        float(update(Prior.normal(m, s), ESTIMATE, SE).cdf(np.log(0.8)))
        for m, s in zip(mean, sd, strict=True)
    ]
    assert np.all(np.abs(prob.mean(axis=0) - truth) < 4 * claimed / math.sqrt(60))


def test_any_prior_may_be_put_on_it() -> None:
    likelihood = pooled(2)
    priors = [
        Prior.student_t(3, 0.0, 0.5),
        Prior.normal_mixture([0.3, 0.7], [-0.5, 0.2], [0.2, 0.6]),
    ]
    found = likelihood.under(priors, [1.0])
    for prior, row in zip(priors, found.to_dict("records"), strict=True):
        truth = float(update(prior, ESTIMATE, SE).cdf(0.0))
        assert row["prob_below_1"] == pytest.approx(truth, abs=4.5 * row["mcse_below_1"])
    same = likelihood.under([Prior.normal(0.1, 0.3)], [1.0])
    other = likelihood.normal(np.array([0.1]), np.array([0.3]), [1.0])
    pd.testing.assert_frame_equal(same, other, rtol=1e-9)


def test_where_no_point_lies_it_says_so() -> None:
    row = pooled(3).normal(np.array([6.0]), np.array([0.05]), [1.0]).iloc[0]
    assert row["effective_size"] < 50
    assert row["largest_weight"] > 0.1


def test_against_fits_of_the_very_prior(
    crossover: Trial, crossover_likelihood: IntegratedLikelihood
) -> None:
    mean = np.array([-1.6, -0.7, 0.0, 0.0, 0.0, 0.6])
    sd = np.array([0.15, 0.42, 0.2, 0.42, 2.5, 0.3])
    model = Model.load(CARD)
    pairs = [
        (model.with_prior("log_rate_ratio", Prior.normal(m, s)), crossover)
        for m, s in zip(mean, sd, strict=True)
    ]
    fitted = refit_many(pairs, seed=5)
    found = crossover_likelihood.normal(mean, sd, THRESHOLDS)
    for c in THRESHOLDS:
        error = np.hypot(found[f"mcse_below_{c:g}"], fitted[f"mcse_below_{c:g}"])
        gap = (found[f"prob_below_{c:g}"] - fitted[f"prob_below_{c:g}"]).abs()
        assert (gap <= np.maximum(4.5 * error, 1e-3)).all()
    np.testing.assert_allclose(np.log(found["median"]), np.log(fitted["median"]), atol=0.03)
    np.testing.assert_allclose(found["log_sd"], fitted["log_sd"], rtol=0.06)


def test_against_nuts(
    crossover: Trial, crossover_fit: xr.DataTree, crossover_likelihood: IntegratedLikelihood
) -> None:
    sceptic = Model.load(CARD).with_prior("log_rate_ratio", "sceptical")
    fits = {(0.0, 1.0): crossover_fit, (0.0, 0.4214): fit(crossover, sceptic, seed=6)}
    for (mean, sd), tree in fits.items():
        row = crossover_likelihood.normal(np.array([mean]), np.array([sd]), THRESHOLDS).iloc[0]
        said = summarize(tree, thresholds=THRESHOLDS)
        for c in THRESHOLDS:
            own = said[said["threshold"] == c].iloc[0]
            error = math.hypot(own["mcse"], row[f"mcse_below_{c:g}"])
            assert row[f"prob_below_{c:g}"] == pytest.approx(own["probability"], abs=4.5 * error)


def test_against_ratios_of_marginal_likelihoods(
    crossover: Trial, crossover_likelihood: IntegratedLikelihood
) -> None:
    """A prior's marginal likelihood is the likelihood averaged over it: found without pooling."""
    model = Model.load(CARD)
    priors = [Prior.normal(-1.0, 0.1), Prior.normal(0.0, 0.1), Prior.normal(0.5, 0.2)]
    fitted = refit_many(
        [(model.with_prior("log_rate_ratio", p), crossover) for p in priors], seed=8
    )
    weight: NDArray[np.float64] = crossover_likelihood.weight[:, 0]
    own = np.log([float(p.pdf(crossover_likelihood.value) @ weight) for p in priors])
    direct = fitted["log_marginal_likelihood"].to_numpy()
    np.testing.assert_allclose(own - own[0], direct - direct[0], atol=0.06)


def test_chains_may_stand_for_weighted_points(parallel: Trial, parallel_fit: xr.DataTree) -> None:
    from bayes_msc.sensitivity import integrated as module

    model = Model.load("count-poisson")
    points, engine = module._fit(model, parallel, 4)
    chains = module._of_chains(parallel_fit)
    assert engine == "fast"
    assert set(chains.group) == set(range(GROUPS))
    assert 400 < chains.size <= 4000
    means = [float(p.weight @ p.value) for p in (points, chains)]
    sd = float(chains.value.std())
    assert means[0] == pytest.approx(means[1], abs=4.5 * sd / math.sqrt(chains.size))


def test_reference_priors_reach_both_ends() -> None:
    priors = reference_priors(-2.0, 1.0, 2.5)
    ends = [float(np.asarray(p["loc"])) for p in priors]
    assert (min(ends), max(ends)) == (-2.0, 1.0)
    narrow = sorted(p.parameters for p in priors if p["scale"] != 2.5)
    gaps = np.diff([loc for loc, _ in narrow])
    assert np.all(gaps <= [scale for _, scale in narrow[1:]] + np.full(len(gaps), 1e-9))
    assert len(reference_priors(0.3, 0.3, 1.0)) >= 2


def test_a_rate_ratio_that_is_set_is_refused(crossover: Trial) -> None:
    model = Model.load(CARD).with_fixed("log_rate_ratio", 0.0)
    with pytest.raises(ModelError, match="log_rate_ratio is set"):
        integrated_likelihood(crossover, model)


def test_quantiles_interpolate_the_distribution() -> None:
    value = np.linspace(-3, 3, 4001)
    weight = np.repeat(stats.norm.pdf(value)[:, None], 1 + GROUPS, axis=1)
    likelihood = IntegratedLikelihood(value, weight, (), ())
    row = likelihood.normal(np.zeros(1), np.array([1e3]), [1.0]).iloc[0]
    assert math.log(row["lower"]) == pytest.approx(stats.truncnorm.ppf(0.025, -3, 3), abs=2e-3)
    assert row["prob_below_1"] == pytest.approx(0.5, abs=2e-3)
    assert row["mcse_below_1"] == pytest.approx(0.0, abs=1e-9)
