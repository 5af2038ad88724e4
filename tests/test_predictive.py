"""Predictions before and after the data: draws of priors, simulated trials, their table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bayes_msc.model import Model
from bayes_msc.predictive import (
    log_prior,
    new_effects,
    prior_draws,
    prior_predictive,
    simulate_counts,
    simulate_rows,
)
from bayes_msc.predictor import row_parameters
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
    counts = simulate_counts(model, rows, draws, np.random.default_rng(3))
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


def constant(n: int, **numbers: float) -> dict[str, np.ndarray]:
    return {name: np.full(n, value) for name, value in numbers.items()}


SERIAL = {
    "log_rate": 0.8,
    "log_rate_ratio": -0.5,
    "period_effect": 0.2,
    "baseline_slope": 0.3,
    "patient_sd": 0.5,
    "serial_dependence": 0.4,
    "overdispersion": 0.3,
}


def test_scans_are_simulated_one_after_the_other(crossover: Trial) -> None:
    """The simulated second scan has, given the first, the mean that the likelihood gives it."""
    model = Model.load("crossover-negative-binomial-serial")
    rows, n = arrange(crossover, model), 60_000
    draws = constant(n, **SERIAL)
    z = np.full((n, rows.n_patients), 0.7)
    counts = simulate_rows(model, rows, draws, z, np.random.default_rng(1))
    plain = row_parameters(
        model,
        replace(rows, follows=None),
        {k: v for k, v in constant(1, **SERIAL).items() if k != "serial_dependence"},
    )
    patient = 0
    eta = plain.eta[0, patient] + 0.5 * 0.7
    assert rows.follows[patient].tolist() == [0, 1, 0, 1]
    for j in (1, 3):
        for before in (0, 2):
            given = counts[counts[:, patient, j - 1] == before][:, patient, j]
            departure = np.log(max(before, 0.5)) - eta[j - 1]
            expected = np.exp(eta[j] + 0.4 * departure)
            error = given.std() / np.sqrt(len(given))
            assert given.mean() == pytest.approx(expected, abs=4 * error)
    # a new period begins anew
    third = counts[:, patient, 2]
    assert third.mean() == pytest.approx(np.exp(eta[2]), abs=4 * third.std() / np.sqrt(n))
    assert abs(np.corrcoef(counts[:, patient, 1], third)[0, 1]) < 4 / np.sqrt(n)


def test_without_dependence_the_sequence_does_not_matter(crossover: Trial) -> None:
    serial = Model.load("crossover-negative-binomial-serial")
    rows, n = arrange(crossover, serial), 20_000
    z = np.random.default_rng(2).normal(size=(n, rows.n_patients))
    numbers = {**SERIAL, "serial_dependence": 0.0}
    counts = simulate_rows(serial, rows, constant(n, **numbers), z, np.random.default_rng(3))
    at = row_parameters(serial, rows, constant(1, **numbers))
    mean = np.exp(at.eta[0] + 0.5 * 0.5**2) * rows.seen
    spread = counts.std(axis=0) / np.sqrt(n)
    difference = (counts * rows.seen).mean(axis=0) - mean
    assert (np.abs(difference) < 4.5 * spread).all()


def test_new_patients_have_treatment_effects_of_their_own(crossover: Trial) -> None:
    prior = Prior.half_normal(0.5, why="for a test")
    model = Model.load("crossover-negative-binomial").with_varying_treatment(prior)
    n = 40_000
    numbers = {k: v for k, v in SERIAL.items() if k != "serial_dependence"}
    draws = constant(n, **numbers, treatment_sd=0.6)
    new = new_effects(draws, 3, np.random.default_rng(4))["patient_log_rate_ratio"]
    assert new.shape == (n, 3)
    assert stats.kstest((new[:, 0] + 0.5) / 0.6, stats.norm.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(new[:, :2].T)[0, 1]) < 4 / np.sqrt(n)
    rows = arrange(crossover, model)
    counts = simulate_counts(model, rows, draws, np.random.default_rng(5))
    treated = rows.flat(rows.columns()["log_rate_ratio"]) == 1
    at = row_parameters(model, rows, constant(1, **numbers))
    mean = rows.flat(np.exp(at.eta + 0.5 * 0.5**2))[0] * np.exp(0.5 * 0.6**2 * treated)
    error = counts.std(axis=0) / np.sqrt(n)
    assert (np.abs(counts.mean(axis=0) - mean) < 4.5 * error).all()


def test_fixed_parameters_have_draws_and_no_density(crossover: Trial) -> None:
    model = Model.load("crossover-negative-binomial").with_fixed("overdispersion", 1.0)
    draws = prior_draws(model, crossover, 20, np.random.default_rng(6))
    assert (draws["overdispersion"] == 1.0).all()
    assert "sqrt_overdispersion" not in log_prior(model, crossover, draws)


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
