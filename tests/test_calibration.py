"""Calibration of the cards, and of the test that judges it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_msc.model import Model
from bayes_msc.predictive import prior_draws
from bayes_msc.prior import Prior
from bayes_msc.simulation.sbc import (
    adjusted,
    posterior_of,
    simulate_trials,
    verdicts,
)
from bayes_msc.simulation.uniformity import (
    RANKS,
    SHARES,
    band,
    difference,
    rank_of,
    uniformity_p,
)
from benchmarks.calibration import (
    as_trial,
    blank_trial,
    calibration_model,
    design_table,
    shares,
    write,
)
from benchmarks.calibration_figure import WORDS

#: Chance that any one of all quantities of a card is called uneven although all is well.
LEVEL = 0.01
CARDS = (
    "count-poisson",
    "count-negative-binomial-1",
    "crossover-poisson",
    "crossover-negative-binomial",
    "crossover-negative-binomial-carryover",
)


def test_uniform_ranks_are_judged_uniform_at_the_stated_rate() -> None:
    rng = np.random.default_rng(1)
    p = [uniformity_p(rng.integers(0, RANKS + 1, 200)) for _ in range(1000)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) < level) == pytest.approx(level, abs=0.05)


def test_band_holds_whole_curves() -> None:
    rng = np.random.default_rng(2)
    low, high = band(200)
    inside = 0
    for _ in range(1000):
        sample = rng.integers(0, RANKS + 1, 200)
        curve = (sample[None, :] < np.arange(1, RANKS + 1)[:, None]).mean(axis=1) - SHARES
        assert difference(sample) == pytest.approx(curve)
        inside += bool(((curve >= low - 1e-12) & (curve <= high + 1e-12)).all())
    assert inside / 1000 == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(
    ("a", "b"),
    [(1.5, 1.0), (1.0, 1.5), (0.6, 0.6), (1.8, 1.8)],
    ids=["too low", "too high", "too narrow", "too wide"],
)
def test_biased_ranks_are_caught(a: float, b: float) -> None:
    share = np.random.default_rng(3).beta(a, b, 200)
    assert uniformity_p(rank_of(share)) < 0.01


def test_shares_fall_into_places_of_equal_width() -> None:
    assert rank_of(np.array([0.0, 0.0099, 0.01, 0.5, 0.999, 1.0])).tolist() == [0, 0, 1, 50, 99, 99]


def test_simulated_trials_are_the_founding_design() -> None:
    crossover, parallel = design_table("crossover"), design_table("parallel")
    assert len(crossover) == len(parallel) == 36
    first = crossover[crossover["period"] == 1].groupby("patient")["treatment"].first()
    assert (first == "active").sum() == 5
    assert len(parallel.drop_duplicates(["patient", "treatment"])) == 9


def test_simulated_counts_follow_the_formula_on_the_card() -> None:
    rng = np.random.default_rng(4)
    model = calibration_model("crossover-negative-binomial")
    blank = blank_trial(model)
    truth = {
        "log_rate": 1.0,
        "log_rate_ratio": -0.7,
        "period_effect": 0.4,
        "baseline_slope": 0.0,
        "patient_sd": 0.3,
        "overdispersion": 0.5,
    }
    repeated = {name: np.full(4000, value) for name, value in truth.items()}
    counts, effect = simulate_trials(model, blank, repeated, rng)
    active = (blank.data["treatment"] == "active").to_numpy()
    second = (blank.data["period"] == 2).to_numpy()
    mean = np.exp(1.0 + 0.5 * 0.3**2)
    assert counts[:, ~active & ~second].mean() == pytest.approx(mean, rel=0.03)
    assert counts[:, active & ~second].mean() == pytest.approx(mean * np.exp(-0.7), rel=0.03)
    assert counts[:, active & second].mean() == pytest.approx(mean * np.exp(-0.3), rel=0.03)
    assert effect.std() == pytest.approx(0.3, rel=0.04)
    # of the first patient, whose counts it must therefore move
    assert np.corrcoef(effect, counts[:, :4].sum(axis=1))[0, 1] > 0.3
    assert abs(np.corrcoef(effect, counts[:, 4:8].sum(axis=1))[0, 1]) < 0.06


def test_priors_of_the_calibration_do_not_look_at_the_data() -> None:
    for card in Model.names():
        model = calibration_model(card)
        assert model.log_rate_centre == "none"
        assert set(model.priors) <= set(WORDS)
        others = set(model.priors) - {"log_rate"}
        assert all(model.priors[name] == Model.load(card).priors[name] for name in others)


def test_a_trial_depends_on_its_number_and_not_on_its_company() -> None:
    model = calibration_model("count-poisson")
    together = shares(model, 3, seed=5)
    alone = shares(model, range(2, 3), seed=5)
    same = together[together["trial"] == 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, alone)
    other = shares(model, range(2, 3), seed=6)
    assert not np.allclose(other["share"], alone["share"])


def test_both_engines_find_the_truth_in_the_same_place() -> None:
    model = calibration_model("count-poisson")
    blank, rng = blank_trial(model), np.random.default_rng(7)
    truth = prior_draws(model, blank, 1, rng)
    trial = as_trial(simulate_trials(model, blank, truth, rng)[0][0], blank.design)
    fast, nuts = (posterior_of(model, trial, 8, engine) for engine in ("auto", "nuts"))
    assert fast is not None
    assert nuts is not None
    assert (fast.engine, nuts.engine) == ("fast", "nuts")
    for name in model.priors:
        below = [float(p.weights @ (p.points[name] < truth[name])) for p in (fast, nuts)]
        assert below[0] == pytest.approx(below[1], abs=0.05), name


def made_up(share: np.ndarray, card: str = "count-poisson") -> pd.DataFrame:
    table = pd.DataFrame({"share": share, "card": card, "quantity": "log_rate_ratio"})
    return table.assign(trial=range(len(share)), engine="fast", checked=True, largest=7)


def test_coverage_counts_the_truths_inside_the_interval() -> None:
    share = np.array([0.01, 0.02, 0.03, 0.5, 0.97, 0.98, np.nan])
    table = made_up(share)
    table["engine"] = ["fast"] * 5 + ["nuts", "none"]
    table["checked"] = [True] * 5 + [False, False]
    row = verdicts(table).iloc[0]
    assert (row["trials"], row["inside"], row["coverage"]) == (6, 3, 0.5)
    assert (row["fast"], row["nuts"], row["none"], row["unchecked"]) == (5, 1, 1, 1)
    # Clopper and Pearson's ends in closed form: probabilities 0.025 of as many, and of as few
    from scipy import stats

    assert stats.binom.sf(2, 6, row["lower"]) == pytest.approx(0.025)
    assert stats.binom.cdf(3, 6, row["upper"]) == pytest.approx(0.025)


def test_correction_for_the_number_of_quantities() -> None:
    # by hand: 0.01 * 3, 0.04 * 2 and never less than the one before
    assert adjusted([0.04, 0.01, 0.05]) == pytest.approx([0.08, 0.03, 0.08])


def test_cards_that_are_not_run_again_keep_their_lines(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    write(made_up(rng.random(40)), tmp_path)
    write(made_up(rng.random(50), "crossover-poisson"), tmp_path)
    write(made_up(rng.random(60)), tmp_path)
    lines = pd.read_csv(tmp_path / "calibration.csv").set_index("card")
    assert lines["trials"].to_dict() == {"count-poisson": 60, "crossover-poisson": 50}
    figure = (tmp_path / "calibration-crossover-poisson.svg").read_text(encoding="utf-8")
    write(made_up(np.random.default_rng(9).random(40)), tmp_path / "again")
    first = tmp_path / "again" / "calibration-count-poisson.svg"
    text = first.read_text(encoding="utf-8")
    write(made_up(np.random.default_rng(9).random(40)), tmp_path / "again")
    assert first.read_text(encoding="utf-8") == text != figure


def test_cards_are_calibrated_in_the_docs() -> None:
    lines = pd.read_csv(Path(__file__).parents[1] / "docs" / "_static" / "calibration.csv")
    assert set(lines["card"]) == set(Model.names())
    for card, group in lines.groupby("card"):
        free = set(calibration_model(str(card)).priors)
        assert set(group["quantity"]) == free | {"patient_effect", "log_likelihood"}
    assert (lines["trials"] + lines["none"]).min() >= 300
    assert adjusted(lines["p"]).min() > LEVEL


@pytest.mark.slow
def test_processes_do_not_change_the_table() -> None:
    model = calibration_model("count-poisson")
    apart = shares(model, 30, seed=5, workers=2)
    pd.testing.assert_frame_equal(apart, shares(model, 30, seed=5))


@pytest.mark.slow
@pytest.mark.parametrize("card", CARDS)
def test_ranks_of_the_truth_are_uniform(card: str) -> None:
    table = verdicts(shares(calibration_model(card), 200, seed=2))
    assert set(table["quantity"]) <= set(WORDS)
    assert {"log_rate_ratio", "patient_effect", "log_likelihood"} <= set(table["quantity"])
    assert (table["fast"] > 0.9 * table["trials"]).all()
    uneven = table[adjusted(table["p"]) < LEVEL / len(CARDS)]
    assert uneven.empty, uneven.to_string()


@pytest.mark.slow
def test_a_narrower_prior_at_the_fit_is_caught() -> None:
    model = calibration_model("count-poisson")
    wrong = model.with_prior("log_rate_ratio", Prior.normal(0, 0.5, why="half as wide: wrong"))
    table = verdicts(shares(model, 200, seed=11, fitted=wrong))
    p = pd.Series(adjusted(table["p"]), index=table["quantity"])
    assert p["log_rate_ratio"] < LEVEL


@pytest.mark.slow
def test_the_wrong_family_at_the_fit_is_caught() -> None:
    model = calibration_model("crossover-negative-binomial")
    wrong = calibration_model("crossover-poisson")
    table = verdicts(shares(model, 200, seed=12, fitted=wrong)).set_index("quantity")
    p = pd.Series(adjusted(table["p"]), index=table.index)
    assert p[["log_rate_ratio", "patient_sd", "log_likelihood"]].max() < LEVEL
    assert table["upper"]["log_rate_ratio"] < 0.95
