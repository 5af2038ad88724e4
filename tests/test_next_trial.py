"""What a trial foretells of the next one: closed forms, simulation, the trial that came."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayes_msc as bm
from bayes_msc import plots
from bayes_msc.errors import BayesMSCError, PublishedError
from bayes_msc.exact import update
from bayes_msc.next_trial import next_trial, replication
from bayes_msc.prediction import predict
from bayes_msc.prior import Prior, stance
from bayes_msc.published import Published, load_published

Z = 1.959963984540054


@pytest.fixture(scope="module")
def founding() -> Published:
    return load_published("llufriu2014")


@pytest.fixture(scope="module")
def mesems_se() -> float:
    return load_published("mesems2021").effect()[1].se


def test_normal_posterior_in_closed_form() -> None:
    table = next_trial(Prior.normal(-0.5, 0.3), se=[0.2, 0.4], thresholds=(1.0, 0.8))
    for row, se in zip(table.to_dict("records"), (0.2, 0.4), strict=True):
        spread = math.hypot(0.3, se)
        assert row["probability_below_1"] == pytest.approx(stats.norm.cdf(0.5 / spread))
        below = stats.norm.cdf((math.log(0.8) + 0.5) / spread)
        assert row["probability_below_0.8"] == pytest.approx(below)
        wholly = stats.norm.cdf((0.5 - Z * se) / spread)
        assert row["probability_interval_below_1"] == pytest.approx(wholly)
        harm = stats.norm.sf((Z * se + 0.5) / spread)
        assert row["probability_interval_above_1"] == pytest.approx(harm)
        assert math.log(row["predicted_upper"]) == pytest.approx(-0.5 + Z * spread)
        assert row["mcse"] == 0


def test_replication_is_the_flat_prior() -> None:
    table = replication(-0.7, 0.35, 0.25).set_index("statement")["probability"]
    flat = next_trial(Prior.normal(-0.7, 0.35), se=0.25).iloc[0]
    assert table.iloc[0] == pytest.approx(flat["probability_below_1"])
    assert table.iloc[1] == pytest.approx(flat["probability_interval_below_1"])
    fixed = next_trial(Prior.normal(-0.7, 1e-9), se=0.25).iloc[0]
    assert table.iloc[2] == pytest.approx(fixed["probability_interval_below_1"])
    # two trials of one size after p = 0.05: Killeen's number, and even odds of repeating p < 0.05
    again = replication(Z, 1.0, 1.0)["probability"]
    assert again[0] == pytest.approx(0.917, abs=1e-3)
    assert again[1] == pytest.approx(0.5, abs=1e-6)


def test_size_of_a_published_trial(founding: Published) -> None:
    effect = founding.effect()[1]
    by_patients = next_trial(founding, patients=[9, 144], prior="sceptical")
    assert by_patients["se"].tolist() == pytest.approx([effect.se, effect.se / 4])
    assert by_patients["patients"].tolist() == [9, 144]
    by_se = next_trial(founding, se=effect.se / 4, prior=stance("sceptical"))
    same = by_patients.iloc[1].drop("patients"), by_se.iloc[0].drop("patients")
    assert same[0].tolist() == pytest.approx(same[1].tolist())


@pytest.mark.parametrize("tau", [None, "half-normal-0.5"])
def test_what_the_founding_trial_foretold(
    founding: Published, mesems_se: float, tau: str | None
) -> None:
    table = next_trial(founding, se=mesems_se, prior="vague", tau_prior=tau)
    effect = founding.effect()[1]
    spread = None if tau is None else Prior.half_normal(0.5)
    forecast = predict(stance("vague"), effect.log_rate_ratio, effect.se, mesems_se, spread)
    assert table["probability_below_1"][0] == pytest.approx(float(forecast.cdf(0.0)))
    # what came lies inside what was foretold
    assert table["predicted_lower"][0] < 0.94 < table["predicted_upper"][0]


def test_heterogeneity_by_simulation() -> None:
    posterior = Prior.normal_mixture([0.5, 0.5], [-1.0, -0.2], [0.3, 0.2])
    rng = np.random.default_rng(8)
    n = 400_000
    tau = 0.5 * np.abs(rng.normal(size=n))
    new = posterior.frozen().rvs(n, rng) + math.sqrt(2) * tau * rng.normal(size=n)
    found = new + 0.3 * rng.normal(size=n)
    row = next_trial(posterior, se=0.3, tau_prior=Prior.half_normal(0.5)).iloc[0]
    assert row["probability_below_1"] == pytest.approx((found < 0).mean(), abs=3e-3)
    share = (found < -Z * 0.3).mean()
    assert row["probability_interval_below_1"] == pytest.approx(share, abs=3e-3)
    assert math.log(row["predicted"]) == pytest.approx(np.median(found), abs=5e-3)


def test_any_distribution() -> None:
    student = Prior.student_t(4, -0.4, 0.3)
    x = np.linspace(-40, 40, 200_001)
    share = student.pdf(x)
    brute = float(share @ stats.norm.cdf(0, x, 0.25) / share.sum())
    row = next_trial(student, se=0.25).iloc[0]
    assert row["probability_below_1"] == pytest.approx(brute, abs=1e-6)
    posterior = update(student, -0.6, 0.4)
    grid = next_trial(posterior, se=0.25).iloc[0]
    assert grid["probability_below_1"] > row["probability_below_1"]


def fake(n: int = 4000) -> xr.DataTree:
    rng = np.random.default_rng(2)
    names = {
        "log_rate": 0.5 + 0.2 * rng.normal(size=(4, n // 4)),
        "log_rate_ratio": -0.5 + 0.3 * rng.normal(size=(4, n // 4)),
        "overdispersion": np.abs(0.5 + 0.1 * rng.normal(size=(4, n // 4))),
        "patient_sd": np.abs(0.4 + 0.1 * rng.normal(size=(4, n // 4))),
    }
    draws = xr.Dataset({name: (("chain", "draw"), value) for name, value in names.items()})
    return xr.DataTree.from_dict({"posterior": draws, "sample_stats": xr.Dataset()})


def test_draws_agree_with_their_closed_form() -> None:
    drawn = next_trial(fake(), se=0.25).iloc[0]
    exact = next_trial(Prior.normal(-0.5, 0.3), se=0.25).iloc[0]
    for name in ("probability_below_1", "probability_interval_below_1"):
        assert 0 < drawn["mcse"] < 0.02
        assert drawn[name] == pytest.approx(exact[name], abs=4 * drawn["mcse"])
    assert drawn["predicted_lower"] == pytest.approx(exact["predicted_lower"], rel=0.05)
    wider = next_trial(fake(), se=0.25, tau_prior="half-normal-0.5").iloc[0]
    exact = next_trial(Prior.normal(-0.5, 0.3), se=0.25, tau_prior="half-normal-0.5").iloc[0]
    assert wider["probability_below_1"] == pytest.approx(exact["probability_below_1"], abs=0.02)


def test_standard_error_of_a_fit_by_simulated_trials() -> None:
    fit = fake()
    point = {name: float(value.mean()) for name, value in fit["posterior"].items()}
    single = xr.Dataset(
        {name: (("chain", "draw"), np.full((1, 2), value)) for name, value in point.items()}
    )
    tree = xr.DataTree.from_dict({"posterior": single, "sample_stats": xr.Dataset()})
    with np.errstate(divide="ignore", invalid="ignore"):
        se = float(next_trial(tree, patients=400, exposure=1.5, rows=2)["se"][0])
    rng = np.random.default_rng(7)

    def totals(extra: float) -> np.ndarray:
        effect = np.exp(point["patient_sd"] * rng.normal(size=(1500, 200, 1)))
        mean = np.broadcast_to(1.5 * math.exp(point["log_rate"] + extra) * effect, (1500, 200, 2))
        size = 1 / point["overdispersion"]
        return rng.negative_binomial(size, size / (size + mean)).sum(axis=(1, 2))

    ratios = np.log(totals(point["log_rate_ratio"]) / totals(0.0))
    assert se == pytest.approx(float(ratios.std()), rel=0.06)


def test_a_real_fit(crossover_fit: xr.DataTree) -> None:
    table = next_trial(crossover_fit, patients=[20, 80, 320], exposure=1.0, rows=4)
    assert (np.diff(table["se"]) < 0).all()
    assert (table["mcse"] > 0).all()
    draws = crossover_fit["posterior"]["log_rate_ratio"].to_numpy()
    posterior = float((draws < 0).mean())
    # an endless trial would find what is true
    assert bm.next_trial(crossover_fit, se=1e-4)["probability_below_1"][0] == pytest.approx(
        posterior, abs=2e-3
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: next_trial(p), "either se or patients"),
        (lambda p: next_trial(p, se=0.2, patients=10), "either se or patients"),
        (lambda p: next_trial(p, se=0), "se is 0: numbers above 0"),
        (lambda p: next_trial(p, se="big"), "se is 'big'"),
        (lambda p: next_trial(Prior.normal(0, 1), patients=10), "patients need unit_sd"),
        (lambda p: next_trial(p, patients=10, exposure=2), "exposure is for a fit"),
        (lambda p: next_trial(0.3, se=0.2), "a float is no posterior"),
        (lambda p: next_trial(Prior.half_normal(1), se=0.2), "may be negative"),
        (lambda p: next_trial(p, se=0.2, thresholds=[0.0]), "thresholds is"),
        (lambda p: next_trial(p, se=0.2, benefit="less"), "lower, higher"),
        (lambda p: next_trial(p, se=0.2, tau_prior="wide"), "unknown prior of tau"),
        (lambda p: next_trial(p, se=0.2, prior="wild"), "unknown prior stance"),
        (lambda p: next_trial(fake(40), se=0.2, exposure=2), "with exposure give patients"),
        (lambda p: next_trial(fake(40), patients=9, exposure=1, rows=0), "rows is 0"),
        (lambda p: replication(-0.5, 0.0, 0.2), "se is"),
    ],
)
def test_faults(founding: Published, make: Callable[[Published], object], words: str) -> None:
    with pytest.raises(BayesMSCError, match=words):
        make(founding)


def test_models_without_a_simple_formula_are_refused() -> None:
    tree = fake(40)
    more = tree["posterior"].to_dataset().assign(zero_inflation=tree["posterior"]["log_rate"])
    odd = xr.DataTree.from_dict({"posterior": more, "sample_stats": xr.Dataset()})
    with pytest.raises(PublishedError, match=r"zero_inflation.*no simple formula"):
        next_trial(odd, patients=9, exposure=1.0)


def test_figure_draws_the_table(founding: Published) -> None:
    table = next_trial(founding, patients=[20, 60, 144, 400])
    figure = plots.next_trial(table)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(
        lines["finds a rate ratio below 1"].get_ydata(), table["probability_below_1"]
    )
    assert len(lines) == 3
