"""Leaving a patient out: against brute force on a grid, against reweighting, for the same model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.special import logsumexp

from bayes_msc.errors import TrialError
from bayes_msc.fit import fit
from bayes_msc.groups import patient_likelihood
from bayes_msc.leaving_out import (
    METHODS,
    _predicted,
    as_for,
    leave_each_out,
    log_predictive,
    only,
    psis,
    without_patient,
)
from bayes_msc.model import Model, log_pooled_rate
from bayes_msc.predictive import prior_draws
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

PATIENT_SD = 0.7
COUNTS = {"A": [5.0, 3.0, 1.0, 2.0], "B": [0.0, 1.0, 4.0, 0.0]}


def two_patients() -> Trial:
    """One patient of either sequence, two scans a period."""
    rows = [
        (name, scan // 2 + 1, scan + 1, ("placebo", "drug")[(scan // 2 + i) % 2], count)
        for i, (name, counts) in enumerate(COUNTS.items())
        for scan, count in enumerate(counts)
    ]
    table = pd.DataFrame(rows, columns=["patient", "period", "scan", "treatment", "count"])
    return Trial(table, design="crossover", control="placebo", active="drug", name="two")


def two_parameters() -> Model:
    """A Poisson crossover of which only log_rate and log_rate_ratio are not known."""
    model = Model.load("crossover-poisson").with_fixed("patient_sd", PATIENT_SD)
    return model.with_fixed("period_effect", 0.0)


class Grid:
    """Prior and likelihood of the two parameters on a grid, written with scipy alone."""

    def __init__(self, trial: Trial) -> None:
        centre = np.log((16 + 0.5) / 8)
        assert log_pooled_rate(trial) == pytest.approx(centre)
        rate = np.linspace(centre - 8, centre + 8, 301)[:, None]
        ratio = np.linspace(-6, 6, 301)[None, :]
        self.log_prior = stats.norm.logpdf(rate, centre, 1.5) + stats.norm.logpdf(ratio, 0, 1)
        self.log_cell = np.log((rate[1, 0] - rate[0, 0]) * (ratio[0, 1] - ratio[0, 0]))
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        z, weight = nodes[:, None, None], np.log(weights / weights.sum())[:, None, None]
        self.log_likelihood = {}
        for name, rows in trial.seen.groupby("patient"):
            total = weight
            for treatment, count in zip(rows["treatment"], rows["count"], strict=True):
                mean = np.exp(rate + ratio * (treatment == "drug") + PATIENT_SD * z)
                total = total + stats.poisson.logpmf(count, mean)
            self.log_likelihood[str(name)] = logsumexp(total, axis=0)

    def integral(self, patients: str) -> float:
        """Log probability of the counts of some patients, both parameters integrated out."""
        terms = self.log_prior + sum(self.log_likelihood[name] for name in patients)
        return float(logsumexp(terms) + self.log_cell)


@pytest.fixture(scope="module")
def tiny_fit() -> xr.DataTree:
    return fit(two_patients(), two_parameters(), seed=3, draws=4000)


def test_the_grid_holds_the_prior() -> None:
    grid = Grid(two_patients())
    assert logsumexp(grid.log_prior) + grid.log_cell == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(("patient", "other"), [("A", "B"), ("B", "A")])
def test_a_patient_left_out_against_quadrature(
    tiny_fit: xr.DataTree, patient: str, other: str
) -> None:
    grid = Grid(two_patients())
    exact = grid.integral("AB") - grid.integral(other)
    found = _predicted(tiny_fit, patient, seed=5)
    assert found is not None
    value, mcse = found
    assert 0 < mcse < 0.05
    assert value == pytest.approx(exact, abs=4 * mcse)


def test_the_whole_fit_gives_the_density_within_the_sample(tiny_fit: xr.DataTree) -> None:
    log_likelihood = tiny_fit["log_likelihood"]["count"].to_numpy().reshape(-1, 2)
    for i, patient in enumerate("AB"):
        own = log_likelihood[:, i]
        value, _ = log_predictive(tiny_fit, two_patients(), patient, seed=1)
        assert value == pytest.approx(logsumexp(own) - np.log(len(own)), abs=1e-10)


def test_reweighting_and_new_fits_agree_where_k_is_small(crossover_fit: xr.DataTree) -> None:
    elpd = psis(crossover_fit)
    k = elpd.pareto_k.to_numpy()
    names = [str(name) for name in elpd.elpd_i["patient"].to_numpy()]
    few = [i for i in np.argsort(k) if k[i] < 0.5][:3]
    assert len(few) == 3
    for i in few:
        found = _predicted(crossover_fit, names[i], seed=7)
        assert found is not None
        assert found[0] == pytest.approx(float(elpd.elpd_i[i]), abs=0.08)


def test_new_fits_replace_the_values_that_cannot_be_reweighted(
    crossover_fit: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = psis(crossover_fit)
    k = before.pareto_k.to_numpy()
    worst = int(np.argmax(k))
    monkeypatch.setattr("bayes_msc.leaving_out.PARETO_LIMIT", np.sort(k)[-2] + 1e-9)
    after, table = leave_each_out(crossover_fit, exact=True, seed=1)
    kept = np.arange(len(k)) != worst
    assert list(table["method"][kept].unique()) == [METHODS[0]]
    assert table["method"][worst] == METHODS[1]
    assert table["pareto_k"].to_numpy() == pytest.approx(k)
    assert np.isfinite(table["mcse"]).to_numpy().tolist() == (~kept).tolist()
    values = after.elpd_i.to_numpy()
    assert values[kept] == pytest.approx(before.elpd_i.to_numpy()[kept])
    assert values[worst] == pytest.approx(float(before.elpd_i[worst]), abs=0.3)
    assert values[worst] != float(before.elpd_i[worst])
    assert after.pareto_k.to_numpy()[worst] == 0.0
    assert after.elpd == pytest.approx(values.sum())
    assert after.se == pytest.approx(np.sqrt(len(values)) * values.std(ddof=1))
    assert after.p - before.p == pytest.approx(before.elpd - after.elpd, abs=1e-8)
    _, kept_table = leave_each_out(crossover_fit, exact=False, seed=1)
    assert kept_table["method"][worst] == METHODS[2]


def test_without_a_new_fit_the_result_is_that_of_arviz(tiny_fit: xr.DataTree) -> None:
    before = psis(tiny_fit)
    after, _ = leave_each_out(tiny_fit, exact=False, seed=1)
    assert (after.elpd, after.se, after.p) == pytest.approx((before.elpd, before.se, before.p))


def with_age(trial: Trial) -> Trial:
    table = trial.data
    codes = pd.factorize(table["patient"])[0]
    return Trial(table.assign(age=30.0 + codes**2), **{**trial.meta(), "covariates": ["age"]})


def test_the_model_stays_the_same_without_the_patient(crossover: Trial) -> None:
    trial = with_age(crossover)
    model = Model.load("crossover-poisson").with_covariate("age", Prior.normal(0, 1, "wide"))
    rest, kept = without_patient(trial, "S3"), as_for(model, trial)
    whole, others = arrange(trial, model), arrange(rest, kept)
    assert others.patients == tuple(p for p in whole.patients if p != "S3")
    assert others.scales == whole.scales
    keep = [whole.patients.index(p) for p in others.patients]
    assert others.design == pytest.approx(whole.design[keep])
    assert kept.priors_for(rest)["log_rate"].parameters == pytest.approx(
        model.priors_for(trial)["log_rate"].parameters
    )
    assert model.priors_for(rest)["log_rate"] != model.priors_for(trial)["log_rate"]


@pytest.mark.parametrize("card", ["crossover-negative-binomial", "crossover-poisson"])
def test_one_patients_rows_alone_have_the_same_likelihood(crossover: Trial, card: str) -> None:
    model = Model.load(card)
    if card == "crossover-poisson":
        model = model.with_term("serial", Prior.normal(0, 0.3, "weak"))
    rows = arrange(crossover, model)
    rng = np.random.default_rng(1)
    draws = prior_draws(model, crossover, 5, rng)
    all_of_them = patient_likelihood(model, rows, draws, rng)[1]
    for i, patient in enumerate(rows.patients):
        alone = only(rows, patient)
        assert alone.flat(alone.count).tolist() == rows.count[i][rows.seen[i] == 1].tolist()
        assert patient_likelihood(model, alone, draws, rng)[1][:, 0] == pytest.approx(
            all_of_them[:, i], rel=1e-12
        )


def test_a_patient_who_is_an_arm_cannot_be_left_out_by_a_new_fit() -> None:
    table = pd.DataFrame(
        {"patient": list("abc"), "treatment": ["drug", "drug", "placebo"], "count": [1, 2, 3]}
    )
    trial = Trial(table, design="parallel", control="placebo", active="drug")
    with pytest.raises(TrialError, match="placebo"):
        without_patient(trial, "c")
    assert without_patient(trial, "a").seen["patient"].tolist() == ["b", "c"]


def test_what_no_new_fit_can_replace_is_called_unreliable(
    crossover_fit: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayes_msc.leaving_out.PARETO_LIMIT", -np.inf)
    monkeypatch.setattr("bayes_msc.leaving_out._predicted", lambda *_: None)
    elpd, table = leave_each_out(crossover_fit, exact=True, seed=1)
    assert set(table["method"]) == {METHODS[2]}
    assert elpd.elpd == pytest.approx(psis(crossover_fit).elpd)
