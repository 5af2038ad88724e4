"""Statements about benefit: against plain NumPy, closed forms, brute force and repeated fits."""

from __future__ import annotations

from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from bayes_msc.errors import ModelError
from bayes_msc.estimands import COLUMNS, NEW_PATIENTS, planned_exposure, prob_curve, summarize
from bayes_msc.fit import fit
from bayes_msc.monte_carlo import ChainErrors, ReplicateErrors
from bayes_msc.trial import Trial

FITS = ["crossover_fit", "reconstruction_fit", "epilepsy_fit", "parallel_fit"]


@pytest.fixture(params=FITS)
def any_fit(request: pytest.FixtureRequest) -> xr.DataTree:
    return request.getfixturevalue(request.param)


def doctored(fit_: xr.DataTree, **draws: np.ndarray) -> xr.DataTree:
    """Copy a fit and put other draws in the place of some parameters."""
    tree = fit_.copy(deep=True)
    posterior = tree["posterior"].to_dataset()
    for name, values in draws.items():
        posterior[name] = (posterior[name].dims, values)
    tree["posterior"] = xr.DataTree(posterior)
    return tree


def row(table: pd.DataFrame, statement: str, threshold: float | None = None) -> dict[str, Any]:
    """Return one statement as a dictionary, without the cells that do not apply."""
    chosen = table[table["statement"] == statement]
    if threshold is not None:
        chosen = chosen[chosen["threshold"] == threshold]
    (only,) = chosen.to_dict("records")
    return {str(key): value for key, value in only.items() if not pd.isna(value)}


def test_table_has_one_row_a_statement(any_fit: xr.DataTree) -> None:
    table = summarize(any_fit)
    assert tuple(table.columns) == COLUMNS
    assert list(table["statement"]) == [
        "rate_ratio",
        "rate_ratio_marginal",
        "control_rate",
        "active_rate",
        "rate_difference",
        "events_avoided",
        *["prob_rate_ratio_below"] * 3,
        "prob_new_patient_fewer",
        "prob_new_patient_same",
    ]
    assert (table["verdict"] == "ok").all()
    measures = table[table["median"].notna()]
    assert (measures["lower"] < measures["median"]).all()
    assert (measures["median"] < measures["upper"]).all()
    probabilities = table.loc[table["probability"].notna(), "probability"]
    assert probabilities.between(0, 1).all()
    assert (table["mcse"] > 0).all()


def test_numbers_by_plain_numpy(any_fit: xr.DataTree) -> None:
    table = summarize(any_fit)
    draws = any_fit["posterior"]["log_rate_ratio"].to_numpy().ravel()
    ratio = row(table, "rate_ratio")
    assert ratio["median"] == pytest.approx(np.exp(np.median(draws)), rel=1e-3)
    assert ratio["mean"] == pytest.approx(np.exp(draws).mean())
    assert [ratio["lower"], ratio["upper"]] == pytest.approx(
        np.exp(np.quantile(draws, [0.025, 0.975])), rel=1e-2
    )
    for c in (1.0, 0.8, 0.5):
        below = row(table, "prob_rate_ratio_below", c)["probability"]
        assert below == pytest.approx((draws < np.log(c)).mean())


def test_rates_by_a_loop_over_patients(crossover_fit: xr.DataTree, crossover: Trial) -> None:
    """Mean over the trial's patients and both periods of exp(linear predictor), one scan."""
    posterior = crossover_fit["posterior"].dataset
    baseline = np.log1p(crossover.data.groupby("patient", sort=False)["baseline"].first())
    log_baseline = (baseline - baseline.mean()).to_numpy()
    rates = {0: 0.0, 1: 0.0}
    for treated in rates:
        for period in (0, 1):
            for i in range(9):
                eta = (
                    posterior["log_rate"]
                    + posterior["log_rate_ratio"] * treated
                    + posterior["period_effect"] * period
                    + posterior["baseline_slope"] * log_baseline[i]
                    + posterior["patient_effect"].isel(patient=i)
                )
                rates[treated] = rates[treated] + np.exp(eta.to_numpy()) / 18
    table = summarize(crossover_fit)
    by_hand = {
        "control_rate": rates[0],
        "active_rate": rates[1],
        "rate_difference": rates[1] - rates[0],
        "events_avoided": 2 * (rates[0] - rates[1]),
        "rate_ratio_marginal": rates[1] / rates[0],
    }
    for statement, values in by_hand.items():
        ours = row(table, statement)
        assert ours["mean"] == pytest.approx(values.mean(), rel=1e-9), statement
        assert ours["upper"] == pytest.approx(np.quantile(values, 0.975), rel=1e-9)


def test_marginal_and_conditional_ratio_are_one(any_fit: xr.DataTree) -> None:
    table = summarize(any_fit)
    conditional, marginal = row(table, "rate_ratio"), row(table, "rate_ratio_marginal")
    assert marginal["median"] == pytest.approx(conditional["median"], rel=1e-9)
    assert marginal["upper"] == pytest.approx(conditional["upper"], rel=1e-9)


def test_posterior_rates_are_near_the_observed(epilepsy_fit: xr.DataTree, epilepsy: Trial) -> None:
    observed = epilepsy.seen["count"].mean()
    table = summarize(epilepsy_fit)
    between = sorted(row(table, name)["median"] for name in ("control_rate", "active_rate"))
    assert between[0] < observed * 1.1
    assert between[1] > observed * 0.9


def test_normal_posterior_gives_the_closed_forms(parallel_fit: xr.DataTree) -> None:
    rng = np.random.default_rng(1)
    draws = rng.normal(-0.4, 0.3, size=(4, 1000))
    table = summarize(doctored(parallel_fit, log_rate_ratio=draws))
    ratio = row(table, "rate_ratio")
    assert ratio["median"] == pytest.approx(np.exp(-0.4), abs=4 * ratio["mcse"])
    assert ratio["mean"] == pytest.approx(np.exp(-0.4 + 0.5 * 0.3**2), rel=0.03)
    for c in (1.0, 0.8, 0.5):
        below = row(table, "prob_rate_ratio_below", c)
        exact = stats.norm.cdf((np.log(c) + 0.4) / 0.3)
        assert below["probability"] == pytest.approx(exact, abs=4 * below["mcse"])
        assert below["mcse"] == pytest.approx(np.sqrt(exact * (1 - exact) / 4000), rel=0.25)


def exact_new_patient(numbers: dict[str, float], scans: int) -> tuple[float, float]:
    """P(fewer on active) and P(as many), summing over counts, quadrature over patients.

    The sum of independent negative binomials of one mean is negative binomial again.
    """
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    counts = np.arange(0, 400)
    fewer = same = 0.0
    k = numbers["overdispersion"]
    for period in (0, 1):
        for effect, w in zip(numbers["patient_sd"] * z, weight, strict=True):
            mean = np.exp(numbers["log_rate"] + effect + numbers["period_effect"] * period)
            control, active = (
                stats.nbinom.pmf(counts, scans / k, 1 / (1 + k * m))
                for m in (mean, mean * np.exp(numbers["log_rate_ratio"]))
            )
            fewer += 0.5 * w * float((active * (1 - np.cumsum(control))).sum())
            same += 0.5 * w * float((active * control).sum())
    return fewer, same


def test_new_patient_by_brute_force(crossover_fit: xr.DataTree) -> None:
    numbers = {
        "log_rate": 0.3,
        "log_rate_ratio": -0.6,
        "period_effect": 0.4,
        "patient_sd": 0.5,
        "overdispersion": 0.6,
    }
    rng = np.random.default_rng(2)
    # a hair's breadth of noise, so that R-hat is defined
    fixed = {n: v + 1e-9 * rng.normal(size=(4, 1000)) for n, v in numbers.items()}
    fewer, same = exact_new_patient(numbers, scans=2)
    results = [summarize(doctored(crossover_fit, **fixed), seed=s) for s in range(5)]
    for statement, exact in (("prob_new_patient_fewer", fewer), ("prob_new_patient_same", same)):
        found = [row(table, statement) for table in results]
        error = np.sqrt(np.mean([r["mcse"] ** 2 for r in found]) / len(found))
        assert np.mean([r["probability"] for r in found]) == pytest.approx(exact, abs=4 * error)
        # one patient a draw would have this error over the root of their number, or more
        single = np.sqrt(exact * (1 - exact) / 4000)
        assert all(r["mcse"] < single / np.sqrt(NEW_PATIENTS) for r in found)


def test_new_patient_averages_over_what_is_not_known(crossover_fit: xr.DataTree) -> None:
    rng = np.random.default_rng(4)
    numbers = {"log_rate": 0.5, "period_effect": 0.0, "patient_sd": 0.8, "overdispersion": 0.4}
    numbers = {n: v + 1e-9 * rng.normal(size=(4, 1000)) for n, v in numbers.items()}
    # half of the draws know of no benefit, half of a great one
    ratio = np.tile([0.0, -1.5], (4, 500)) + 1e-9 * rng.normal(size=(4, 1000))
    table = summarize(doctored(crossover_fit, **numbers, log_rate_ratio=ratio))
    fixed = {n: float(v.mean()) for n, v in numbers.items()}
    both = [exact_new_patient({**fixed, "log_rate_ratio": b}, scans=2) for b in (0.0, -1.5)]
    for k, statement in enumerate(("prob_new_patient_fewer", "prob_new_patient_same")):
        found, exact = row(table, statement), np.mean([answer[k] for answer in both])
        assert found["probability"] == pytest.approx(exact, abs=4 * found["mcse"])


def test_error_of_what_is_known_given_each_draw() -> None:
    errors = ReplicateErrors(np.arange(4000).reshape(4, 1000) % 8)
    chances = np.random.default_rng(6).beta(2, 3, (4, 1000))
    happens = np.random.default_rng(7).random((4, 1000)) < chances
    assert errors.of_expected(chances) < errors.of_probability(happens)
    for every in (0.0, 1.0):
        sure = np.full((4, 1000), every)
        assert errors.of_expected(sure) == ChainErrors().of_expected(sure) == 1 / 4000
    # the same in every draw is known without error
    quarter = np.full((4, 1000), 0.25)
    assert errors.of_expected(quarter) == ChainErrors().of_expected(quarter) == 0


def test_reported_error_is_the_spread_between_repetitions(parallel: Trial) -> None:
    long = fit(parallel, "count-poisson", seed=21, draws=3200)
    blocks = [long.isel(draw=slice(start, start + 200)) for start in range(0, 3200, 200)]
    tables = [summarize(block, seed=s) for s, block in enumerate(blocks)]
    for statement, threshold, value in (
        ("prob_rate_ratio_below", 0.5, "probability"),
        ("rate_ratio", None, "median"),
        ("events_avoided", None, "median"),
        ("prob_new_patient_fewer", None, "probability"),
    ):
        rows = [row(table, statement, threshold) for table in tables]
        spread = np.std([r[value] for r in rows], ddof=1)
        reported = np.sqrt(np.mean([r["mcse"] ** 2 for r in rows]))
        # 99 % of sample SDs of 16 lie within 0.55 and 1.48 of the true one
        assert 0.5 < spread / reported < 1.6, statement


def test_thresholds_asked_for(parallel_fit: xr.DataTree) -> None:
    table = summarize(parallel_fit, thresholds=[0.9])
    assert list(table["threshold"].dropna()) == [0.9]
    ratio = np.exp(parallel_fit["posterior"]["log_rate_ratio"].to_numpy())
    assert row(table, "prob_rate_ratio_below")["probability"] == (ratio < 0.9).mean()


def test_rope_only_if_asked(parallel_fit: xr.DataTree) -> None:
    assert "prob_in_rope" not in set(summarize(parallel_fit)["statement"])
    table = summarize(parallel_fit, rope=(0.8, 1.25))
    ratio = np.exp(parallel_fit["posterior"]["log_rate_ratio"].to_numpy())
    inside = row(table, "prob_in_rope")
    assert inside["probability"] == ((ratio > 0.8) & (ratio < 1.25)).mean()
    assert inside["label"] == "probability that the rate ratio is between 0.8 and 1.25"


@pytest.mark.parametrize("rope", [(1.25, 0.8), (0.0, 1.0), (-0.2, 0.2), (1.0, 1.0)])
def test_impossible_rope(parallel_fit: xr.DataTree, rope: tuple[float, float]) -> None:
    with pytest.raises(ModelError, match=r"the rope .* is not a range of rate ratios"):
        summarize(parallel_fit, rope=rope)


@pytest.mark.parametrize("threshold", [0.0, -0.5, float("nan")])
def test_impossible_threshold(parallel_fit: xr.DataTree, threshold: float) -> None:
    with pytest.raises(ModelError, match=r"the threshold .* is not a rate ratio"):
        summarize(parallel_fit, thresholds=[threshold])
    with pytest.raises(ModelError, match=r"the threshold .* is not a rate ratio"):
        prob_curve(parallel_fit, [threshold])


def test_rates_scale_with_the_exposure_asked_for(parallel_fit: xr.DataTree) -> None:
    one, six = summarize(parallel_fit), summarize(parallel_fit, exposure=6)
    for statement in ("control_rate", "active_rate", "rate_difference"):
        assert row(six, statement)["median"] == pytest.approx(6 * row(one, statement)["median"])
    assert "per 6 scans" in row(six, "control_rate")["label"]
    assert row(six, "events_avoided") == row(one, "events_avoided")


def test_planned_exposure(crossover: Trial, reconstruction: Trial, parallel: Trial) -> None:
    assert planned_exposure(crossover) == 2.0
    assert planned_exposure(reconstruction) == 2.0
    assert planned_exposure(parallel) == 4.0


def test_probability_curve(any_fit: xr.DataTree) -> None:
    curve = prob_curve(any_fit)
    assert len(curve) == 81
    assert curve["threshold"].iloc[[0, -1]].tolist() == pytest.approx([0.1, 4.0])
    assert (np.diff(curve["probability"]) >= 0).all()
    table = summarize(any_fit)
    at = prob_curve(any_fit, [0.5, 0.8, 1.0])
    for c, p, error in at.itertuples(index=False):
        same = row(table, "prob_rate_ratio_below", c)
        assert (same["probability"], same["mcse"]) == (p, error)


def test_certainty_still_has_an_error(parallel_fit: xr.DataTree) -> None:
    curve = prob_curve(parallel_fit, [1e-6, 1e6])
    assert curve["probability"].tolist() == [0.0, 1.0]
    assert curve["mcse"].tolist() == [1 / 4000, 1 / 4000]


def test_failed_convergence_stands_beside_every_number(parallel_fit: xr.DataTree) -> None:
    draws = parallel_fit["posterior"]["log_rate_ratio"].to_numpy().copy()
    draws[0] += 3.0
    table = summarize(doctored(parallel_fit, log_rate_ratio=draws))
    assert table["verdict"].str.startswith("check failed: R-hat").all()


def test_statements_are_repeatable(parallel_fit: xr.DataTree) -> None:
    assert summarize(parallel_fit).equals(summarize(parallel_fit))
    other = summarize(parallel_fit, seed=2)
    fewer = "prob_new_patient_fewer"
    assert row(other, fewer) != row(summarize(parallel_fit), fewer)
    assert row(other, "rate_ratio") == row(summarize(parallel_fit), "rate_ratio")


def test_summary_agrees_with_arviz(crossover_fit: xr.DataTree) -> None:
    ratio = np.exp(crossover_fit["posterior"]["log_rate_ratio"])
    ours = row(summarize(crossover_fit), "rate_ratio")
    assert [ours["lower"], ours["upper"]] == pytest.approx(
        az.eti(ratio.to_numpy().ravel(), prob=0.95).tolist(), rel=5e-3
    )
