"""A reader's prior in Python: exact for printed numbers, and draws that know where they end."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from report_samples import crossover, fake_fit, founding
from scipy import integrate, stats

from bayes_msc.fit import fit, model_of, trial_of
from bayes_msc.prior import Prior, stances
from bayes_msc.report import build, from_json, to_json
from bayes_msc.report.panel import LEAST_EFFECTIVE, panel_answer, panel_of_fit


@pytest.fixture(scope="module")
def printed() -> dict[str, Any]:
    return dict(build(founding())[0].panel)


def drawn(loc: float, scale: float, prior: Prior, size: int = 4000) -> dict[str, Any]:
    """Independent draws from the posterior of a normal prior and a normal likelihood."""
    rng = np.random.default_rng(8)
    precision = 1 / scale**2 + 1 / prior["scale"] ** 2
    centre = (loc / scale**2 + prior["loc"] / prior["scale"] ** 2) / precision
    draws = rng.normal(centre, precision**-0.5, size)
    return {
        "kind": "draws",
        "draws": draws,
        "log_prior": prior.frozen().logpdf(draws),
        "efficiency": 1.0,
        "unit_sd": 1.0,
        "benefit": "lower",
        "thresholds": [1.0, 0.8],
    }


def test_printed_answers_are_those_of_the_stances(printed: dict[str, Any]) -> None:
    table = founding().statements
    for name, prior in stances().items():
        own = table[table["stance"] == name].set_index("statement")
        found = panel_answer(printed, prior)
        assert found.median == pytest.approx(own.loc["rate_ratio", "median"], rel=1e-12)
        chances = own.loc["prob_rate_ratio_below"].set_index("threshold")["probability"]
        for c, p in found.probabilities.items():
            assert p == pytest.approx(chances[c], abs=1e-12)


def test_printed_answer_is_the_integral(printed: dict[str, Any]) -> None:
    prior = Prior.normal(0.3, 0.6)

    def density(x: float) -> float:
        return float(prior.pdf(x) * stats.norm.pdf(x, printed["estimate"], printed["se"]))

    whole = integrate.quad(density, -8, 8)[0]
    for c, p in panel_answer(printed, prior).probabilities.items():
        assert p == pytest.approx(integrate.quad(density, -8, math.log(c))[0] / whole, abs=1e-7)


def test_prior_is_worth_the_patients_that_would_say_as_much(printed: dict[str, Any]) -> None:
    prior = Prior.normal(0.0, 0.5)
    patients = panel_answer(printed, prior).patients
    assert patients is not None
    # that many more patients of the same kind shrink the standard error as the prior does
    se = printed["se"] * math.sqrt(printed["patients"] / (printed["patients"] + patients))
    assert se == pytest.approx((1 / printed["se"] ** 2 + 1 / 0.5**2) ** -0.5)


@pytest.mark.parametrize("prior", [*stances().values(), Prior.normal(-0.4, 0.3)], ids=str)
def test_reweighted_draws_find_the_exact_answer(prior: Prior) -> None:
    panel = drawn(-0.6, 0.35, Prior.normal(0.0, 1.0))
    found = panel_answer(panel, prior)
    exact = panel_answer({**panel, "kind": "normal", "estimate": -0.6, "se": 0.35}, prior)
    assert found.supported
    for c, p in found.probabilities.items():
        assert abs(p - exact.probabilities[c]) < 4 * found.mcse[c] + 1e-3
    assert found.median == pytest.approx(exact.median, rel=0.04)
    assert [found.lower, found.upper] == pytest.approx([exact.lower, exact.upper], rel=0.08)


def test_error_is_how_far_answers_of_other_draws_scatter() -> None:
    prior, own = Prior.normal(0.0, 0.4214), Prior.normal(0.0, 1.0)
    whole = drawn(-0.6, 0.35, own, 200_000)
    parts = [
        panel_answer({**whole, "draws": whole["draws"][i::100], "log_prior":
                      whole["log_prior"][i::100]}, prior)
        for i in range(100)
    ]  # fmt: skip
    scatter = float(np.std([part.probabilities[0.8] for part in parts]))
    claimed = float(np.mean([part.mcse[0.8] for part in parts]))
    assert claimed == pytest.approx(scatter, rel=0.3)


@pytest.mark.parametrize("prior", [Prior.normal(1.5, 0.2), Prior.normal(-0.6, 0.01)], ids=str)
def test_prior_beyond_the_draws_gets_no_number(prior: Prior) -> None:
    found = panel_answer(drawn(-0.6, 0.35, Prior.normal(0.0, 1.0)), prior)
    assert not found.supported
    assert found.effective < LEAST_EFFECTIVE or found.pareto_k > 0.7
    assert math.isnan(found.median)
    assert all(math.isnan(p) for p in found.probabilities.values())


def test_prior_in_the_tail_is_refused_before_it_misleads() -> None:
    panel = drawn(-0.6, 0.35, Prior.normal(0.0, 1.0))
    for loc in np.linspace(-0.6, 2.0, 27):
        prior = Prior.normal(float(loc), 0.2)
        found = panel_answer(panel, prior)
        exact = panel_answer({**panel, "kind": "normal", "estimate": -0.6, "se": 0.35}, prior)
        if found.supported:
            assert found.probabilities[1.0] == pytest.approx(exact.probabilities[1.0], abs=0.06)


def test_reweighted_fit_agrees_with_a_new_fit(parallel_fit: xr.DataTree) -> None:
    model, trial = model_of(parallel_fit), trial_of(parallel_fit)
    panel = panel_of_fit(parallel_fit, trial, model.priors_for(trial)["log_rate_ratio"])
    assert panel["patients"] == 9
    prior = stances()["sceptical"]
    found = panel_answer(panel, prior)
    again = fit(trial, model.with_prior("log_rate_ratio", prior), seed=15, progress=False)
    draws = again["posterior"]["log_rate_ratio"].to_numpy().ravel()
    assert found.supported
    assert found.median == pytest.approx(math.exp(np.median(draws)), rel=0.05)
    for c, p in found.probabilities.items():
        assert p == pytest.approx(float(np.mean(draws < math.log(c))), abs=0.035)


def test_own_prior_gives_the_report_its_numbers_back(parallel_fit: xr.DataTree) -> None:
    results = build(parallel_fit)[0]
    panel, table = results.panel, results.tables["statements"]
    own = panel["stances"][0]
    assert own["loc"] == panel["start"]["loc"]
    found = panel_answer(panel, Prior.normal(own["loc"], own["scale"]))
    rows = table[table["statement"] == "prob_rate_ratio_below"].set_index("threshold")
    for c, p in found.probabilities.items():
        assert p == pytest.approx(rows.loc[c, "probability"], abs=1e-6)
    assert found.patients == pytest.approx(panel["unit_sd"] ** 2 / own["scale"] ** 2)


def test_set_rate_ratio_has_no_panel() -> None:
    sample = fake_fit(crossover())
    assert panel_of_fit(sample, trial_of(sample), Prior.fixed(0.0)) == {}


def test_prior_with_heavy_tails_can_be_replaced() -> None:
    sample = fake_fit(crossover())
    panel = panel_of_fit(sample, trial_of(sample), Prior.student_t(3, 0.0, 1.0))
    assert [stance["name"] for stance in panel["stances"]] == list(stances())
    assert panel["start"] == {"loc": 0.0, "scale": 1.0}
    draws = np.array(panel["draws"])
    assert panel["log_prior"] == pytest.approx(stats.t(3).logpdf(draws), abs=1e-5)


def test_panel_survives_the_way_through_json() -> None:
    results = build(fake_fit(crossover()))[0]
    text = to_json(results)
    assert from_json(text).panel == results.panel
    older = {key: value for key, value in json.loads(text).items() if key != "panel"}
    assert from_json(json.dumps(older)).panel == {}


def test_long_chains_are_thinned_evenly() -> None:
    sample = fake_fit(crossover())
    long = sample.map_over_datasets(lambda data: data)
    draws = np.tile(sample["posterior"]["log_rate_ratio"].to_numpy(), (1, 4))
    long["posterior"] = xr.DataTree(xr.Dataset({"log_rate_ratio": (("chain", "draw"), draws)}))
    panel = panel_of_fit(long, trial_of(sample), Prior.normal(0.0, 1.0))
    assert len(panel["draws"]) == 4000
    assert np.mean(panel["draws"]) == pytest.approx(draws.mean(), abs=0.02)
    assert 0 < panel["efficiency"] <= 1


def test_higher_is_better_where_the_trial_says_so() -> None:
    panel = drawn(0.4, 0.3, Prior.normal(0.0, 1.0))
    up = panel_answer({**panel, "benefit": "higher", "thresholds": [1.0, 1.25]}, Prior.normal(0, 1))
    down = panel_answer(panel, Prior.normal(0, 1))
    assert up.probabilities[1.0] == pytest.approx(1 - down.probabilities[1.0])
    assert up.probabilities[1.25] < up.probabilities[1.0]


def test_notices_of_failed_checks_go_with_the_draws() -> None:
    assert build(fake_fit(crossover(), divergent=True))[0].panel["notices"]
    assert build(fake_fit(crossover()))[0].panel["notices"] == []


def test_other_priors_than_normal_are_not_offered() -> None:
    result = replace(founding(), stances={"heavy": Prior.student_t(4, 0, 1), **stances()})
    from bayes_msc.report.panel import panel_of_reanalysis

    names = [stance["name"] for stance in panel_of_reanalysis(result, "heavy")["stances"]]
    assert names == list(stances())
