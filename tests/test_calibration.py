"""Calibration of the cards, and of the test that judges it."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msc.model import Model
from bayes_msc.prior import Prior
from benchmarks.calibration import (
    CARDS,
    RANKS,
    WORDS,
    band,
    calibration_model,
    design_table,
    ranks,
    simulate,
    uniformity_p,
    verdicts,
)

#: Chance that any one of all quantities of all cards is called uneven although all is well.
LEVEL = 0.01
QUANTITIES = 6 + 7 + 7 + 8


def test_uniform_ranks_are_judged_uniform_at_the_stated_rate() -> None:
    rng = np.random.default_rng(1)
    p = [uniformity_p(rng.integers(0, RANKS + 1, 200)) for _ in range(1000)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) < level) == pytest.approx(level, abs=0.05)


def test_band_holds_whole_curves() -> None:
    rng = np.random.default_rng(2)
    low, high = band(200)
    share = np.arange(1, RANKS + 1) / (RANKS + 1)
    inside = 0
    for _ in range(1000):
        sample = rng.integers(0, RANKS + 1, 200)
        curve = (sample[None, :] < np.arange(1, RANKS + 1)[:, None]).mean(axis=1) - share
        inside += bool(((curve >= low - 1e-12) & (curve <= high + 1e-12)).all())
    assert inside / 1000 == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(
    ("a", "b"),
    [(1.5, 1.0), (1.0, 1.5), (0.6, 0.6), (1.8, 1.8)],
    ids=["too low", "too high", "too narrow", "too wide"],
)
def test_biased_ranks_are_caught(a: float, b: float) -> None:
    rng = np.random.default_rng(3)
    sample = np.floor(rng.beta(a, b, 200) * (RANKS + 1)).astype(int)
    assert uniformity_p(sample) < 0.01


def test_simulated_trials_are_the_founding_design() -> None:
    crossover, parallel = design_table("crossover"), design_table("parallel")
    assert len(crossover) == len(parallel) == 36
    first = crossover[crossover["period"] == 1].groupby("patient")["treatment"].first()
    assert (first == "active").sum() == 5
    assert len(parallel.drop_duplicates(["patient", "treatment"])) == 9
    rng = np.random.default_rng(4)
    truth = {
        "log_rate": 1.0,
        "log_rate_ratio": -0.7,
        "baseline_slope": 0.0,
        "patient_sd": 0.3,
        "overdispersion": 0.5,
    }
    counts = np.array([simulate(parallel, truth, rng)[0] for _ in range(4000)])
    active = (parallel["treatment"] == "active").to_numpy()
    mean = np.exp(1.0 + 0.5 * 0.3**2)
    assert counts[:, ~active].mean() == pytest.approx(mean, rel=0.03)
    assert counts[:, active].mean() == pytest.approx(mean * np.exp(-0.7), rel=0.03)


def test_cards_that_are_calibrated_below() -> None:
    assert set(CARDS) <= set(Model.names())
    assert calibration_model("count-poisson").log_rate_centre == "none"


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "card"), list(enumerate(CARDS, 1)))
def test_ranks_of_the_truth_are_uniform(seed: int, card: str) -> None:
    table = verdicts(ranks(calibration_model(card), 200, seed))
    assert set(table["quantity"]) <= set(WORDS)
    assert {"log_rate_ratio", "patient_effect", "log_likelihood"} <= set(table["quantity"])
    uneven = table[table["p"] < LEVEL / QUANTITIES]
    assert uneven.empty, uneven.to_string()


@pytest.mark.slow
def test_a_narrower_prior_at_the_fit_is_caught() -> None:
    model = calibration_model("count-poisson")
    wrong = model.with_prior("log_rate_ratio", Prior.normal(0, 0.5, why="half as wide: wrong"))
    table = verdicts(ranks(model, 200, seed=11, fitted=wrong)).set_index("quantity")
    assert table.loc["log_rate_ratio", "p"] < LEVEL / QUANTITIES


@pytest.mark.slow
def test_the_wrong_family_at_the_fit_is_caught() -> None:
    model = calibration_model("crossover-negative-binomial")
    table = verdicts(ranks(model, 200, seed=12, fitted=calibration_model("crossover-poisson")))
    p = table.set_index("quantity")["p"]
    assert p[["log_rate_ratio", "patient_sd", "log_likelihood"]].max() < LEVEL / QUANTITIES
