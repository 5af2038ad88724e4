"""Predictions before and after the data: draws of priors, simulated trials, their table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayes_msc.model import Model
from bayes_msc.predictive import (
    log_prior,
    overdispersion_of,
    prior_draws,
    prior_predictive,
    simulate_counts,
)
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial


def test_prior_draws_follow_the_card(crossover: Trial) -> None:
    model = Model.load("crossover-negative-binomial")
    draws = prior_draws(model, crossover, 5000, np.random.default_rng(1))
    priors = model.priors_for(crossover)
    assert set(draws) == {*priors, "overdispersion"}
    for name, prior in priors.items():
        assert stats.kstest(draws[name], prior.cdf).pvalue > 1e-4, name
    np.testing.assert_array_equal(draws["overdispersion"], draws["sqrt_overdispersion"] ** 2)


def test_log_prior_is_the_log_density(crossover: Trial) -> None:
    model = Model.load("crossover-negative-binomial")
    draws = prior_draws(model, crossover, 10, np.random.default_rng(2))
    densities = log_prior(model, crossover, draws)
    assert "overdispersion" not in densities
    np.testing.assert_allclose(
        densities["log_rate_ratio"], stats.norm.logpdf(draws["log_rate_ratio"], 0, 1)
    )
    np.testing.assert_allclose(
        densities["patient_sd"], stats.halfnorm.logpdf(draws["patient_sd"], scale=1)
    )


@pytest.mark.parametrize("family", ["poisson", "negative-binomial"])
def test_simulated_counts_have_the_moments_of_the_formula(crossover: Trial, family: str) -> None:
    model = Model.load(f"crossover-{family}")
    rows, n = arrange(crossover, model), 40_000
    numbers = {
        "log_rate": 0.4,
        "log_rate_ratio": -0.5,
        "period_effect": 0.2,
        "baseline_slope": 0.3,
        "patient_sd": 0.5,
        "overdispersion": 0.4,
    }
    if family == "poisson":
        numbers.pop("overdispersion")
    draws = {name: np.full(n, value) for name, value in numbers.items()}
    counts = simulate_counts(family, rows, draws, np.random.default_rng(3))
    assert counts.shape == (n, len(rows.patient_index))
    seen = crossover.seen
    per_patient = np.log1p(crossover.data.groupby("patient", sort=False)["baseline"].first())
    eta = (
        0.4
        + np.log(seen["exposure"])
        - 0.5 * (seen["treatment"] == crossover.active)
        + 0.2 * (seen["period"] == 2)
        + 0.3 * (np.log1p(seen["baseline"]) - per_patient.mean())
    )
    mean = np.exp(eta + 0.5 * 0.5**2).to_numpy()
    k = numbers.get("overdispersion", 0.0)
    second = np.exp(2 * eta + 2 * 0.5**2).to_numpy()
    variance = mean + (1 + k) * second - mean**2
    error = np.sqrt(variance / n)
    assert (np.abs(counts.mean(axis=0) - mean) < 4.5 * error).all()
    # rows of one patient share the effect: their covariance is that of the log-normal
    first_two = np.flatnonzero(rows.patient_index == 0)[:2]
    shared = mean[first_two].prod() * np.expm1(0.5**2)
    observed = np.cov(counts[:, first_two].T)[0, 1]
    spread = np.prod(counts[:, first_two] - mean[first_two], axis=1).std() / np.sqrt(n)
    assert observed == pytest.approx(shared, abs=5 * spread)
    apart = [np.flatnonzero(rows.patient_index == i)[0] for i in (0, 1)]
    assert abs(np.corrcoef(counts[:, apart].T)[0, 1]) < 5 / np.sqrt(n)


def test_poisson_has_no_overdispersion() -> None:
    assert (overdispersion_of({"log_rate": np.ones(3)}) == 0).all()


def test_prior_predictive_table(parallel: Trial) -> None:
    table = prior_predictive("count-negative-binomial", parallel, draws=2000, seed=5)
    assert list(table.columns) == ["quantity", "median", "lower", "upper", "observed"]
    seen = parallel.seen
    observed = dict(zip(table["quantity"], table["observed"], strict=True))
    for arm in ("placebo", "drug"):
        counts = seen.loc[seen["treatment"] == arm, "count"]
        assert observed[f"mean count a row on {arm}"] == pytest.approx(counts.mean())
    assert observed["largest count"] == seen["count"].max()
    assert observed["share of zero counts"] == pytest.approx((seen["count"] == 0).mean())
    assert observed["all events"] == seen["count"].sum()
    assert (table["lower"] <= table["median"]).all()
    assert (table["median"] <= table["upper"]).all()
    # priors made for such trials hold this one
    assert ((table["lower"] <= table["observed"]) & (table["observed"] <= table["upper"])).all()


def test_prior_predictive_is_repeatable_and_takes_a_model(parallel: Trial) -> None:
    first = prior_predictive("count-poisson", parallel, draws=200)
    assert first.equals(prior_predictive(Model.load("count-poisson"), parallel, draws=200))
    assert not first.equals(prior_predictive("count-poisson", parallel, draws=200, seed=2))


def test_a_wider_prior_expects_wider_trials(parallel: Trial) -> None:
    model = Model.load("count-poisson")
    wide = model.with_prior("log_rate_ratio", Prior.normal(0, 4, why="hardly believable"))
    row = "mean count a row on drug"
    upper = [
        prior_predictive(m, parallel, draws=2000).set_index("quantity").loc[row, "upper"]
        for m in (model, wide)
    ]
    assert upper[1] > 3 * upper[0]
