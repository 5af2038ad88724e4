"""What one has to believe: Matthews' limits, the turning prior, and its worth in patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from bayes_msc.errors import BayesMSCError
from bayes_msc.exact import update
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.published import Published, load_published
from bayes_msc.refits import refit_many
from bayes_msc.rule import Rule
from bayes_msc.sensitivity.belief import credibility, needed_prior
from bayes_msc.sensitivity.credibility import HELD, MATTHEWS, Z, credibility_of_interval
from bayes_msc.sensitivity.patients import PlannedPatient, patients_seen, planned_patient
from bayes_msc.trial import Trial

CARD = "crossover-negative-binomial"


@pytest.fixture(scope="module")
def founding() -> Published:
    return load_published("llufriu2014")


def interval(estimate: float, se: float) -> tuple[float, float]:
    return math.exp(estimate - Z * se), math.exp(estimate + Z * se)


@pytest.mark.parametrize(("estimate", "se"), [(-1.2, 0.4), (0.9, 0.3), (-0.5, 0.4), (0.3, 0.5)])
def test_the_critical_prior_just_turns_the_posterior(estimate: float, se: float) -> None:
    found = credibility_of_interval(*interval(estimate, se))
    excluded = abs(estimate) > Z * se
    assert found.case == ("sceptical limit" if excluded else "advocacy limit")
    posterior = update(Prior.normal(found.prior_mean, found.prior_sd), estimate, se)
    ends = posterior.ppf([0.025, 0.975])
    assert np.abs(ends).min() == pytest.approx(0.0, abs=1e-9)
    if not excluded:
        low, high = found.ratio_range
        assert math.exp(found.limit) == pytest.approx(low if estimate < 0 else high)
        assert (high if estimate < 0 else low) == pytest.approx(1.0)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(estimate) / se))


def test_the_founding_trial_is_beyond_it(founding: Published) -> None:
    """Without carrying forward: 48.9 log units, from the ratio of 0.249 and the p of .065."""
    estimate = -1.391
    found = credibility_of_interval(*interval(estimate, abs(estimate) / stats.norm.isf(0.065 / 2)))
    assert abs(found.limit) == pytest.approx(48.9, abs=0.3)
    own = credibility(founding)
    assert own.case == "advocacy limit"
    assert own.limit == pytest.approx(-47.6, abs=0.1)
    assert not own.informative
    assert "uninformative" in own.sentence
    assert not own.intrinsic_matthews


def test_intrinsic_credibility_has_the_published_limits() -> None:
    assert 2 * stats.norm.sf(HELD * Z) == pytest.approx(0.0056, abs=5e-5)
    assert 2 * stats.norm.sf(MATTHEWS * Z) == pytest.approx(0.0127, abs=5e-5)
    assert pytest.approx(1.272, abs=1e-3) == MATTHEWS
    for z, held, matthews in ((1.26, False, False), (1.28, False, True), (1.42, True, True)):
        found = credibility_of_interval(*interval(-z * Z, 1.0))
        assert (found.intrinsic_held, found.intrinsic_matthews) == (held, matthews)
        # Matthews: the estimate lies beyond the sceptical limit; Held: U / L below 5.83
        assert (abs(found.lower + found.upper) / 2 > found.limit) == matthews
        assert (found.lower / found.upper < 3 + 2 * math.sqrt(2)) == held


def test_each_case_has_its_sentence() -> None:
    assert "sceptic" in credibility_of_interval(0.2, 0.8).sentence
    assert "reason beforehand" in credibility_of_interval(0.4, 1.7).sentence
    assert "adds nothing" in credibility_of_interval(0.01, 0.999).sentence
    assert "no advocate" in credibility_of_interval(0.5, 2.0).sentence
    assert "in harm" in credibility_of_interval(0.97, 9.0).sentence
    assert "in a benefit" in credibility_of_interval(0.97, 9.0, benefit="higher").sentence
    frame = credibility_of_interval(0.2, 0.8).to_frame()
    assert frame.loc[0, "prior_ratio_low"] == pytest.approx(1 / frame.loc[0, "prior_ratio_high"])


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.2), (0.8, 0.5), (1.0, 2.0), (0.5, math.inf)])
def test_impossible_intervals_are_refused(low: float, high: float) -> None:
    with pytest.raises(BayesMSCError):
        credibility_of_interval(low, high)


def test_the_turning_sceptic_of_printed_numbers_is_the_closed_form(founding: Published) -> None:
    row = needed_prior(founding).iloc[0]
    effect = founding.effect()[1]
    assert row["case"] == "sceptic"
    # Phi(|d| / se * sqrt(s^2 / (s^2 + se^2))) = 0.95
    z = abs(effect.log_rate_ratio) / effect.se
    share = (stats.norm.ppf(0.95) / z) ** 2
    sd = effect.se * math.sqrt(share / (1 - share))
    assert row["prior_sd"] == pytest.approx(sd, rel=1e-5)
    assert row["probability"] == pytest.approx(0.95)
    assert row["prior_ratio_high"] == pytest.approx(1 / row["prior_ratio_low"])
    assert row["patients"] == pytest.approx(9 * effect.se**2 / sd**2, rel=1e-5)
    assert math.isnan(row["patients_planned"])
    assert "2.3 patients" in row["sentence"]


def test_every_rule_gets_its_prior_or_the_reason_why_not(founding: Published) -> None:
    rules = [Rule(0.8, 0.8), Rule(0.5, 0.95), Rule(2.0, 0.9), Rule(0.0001, 0.999)]
    table = needed_prior(founding, rule=rules)
    assert list(table["case"]) == ["sceptic", "advocate", "no prior", "no prior"]
    np.testing.assert_allclose(table["probability"][:2], [0.8, 0.95])
    assert table.loc[1, "prior_mean"] < math.log(0.5)
    assert table.loc[1, "prior_sd"] == pytest.approx(0.4214)
    assert "however narrow" in table.loc[2, "sentence"]
    assert "hundredfold" in table.loc[3, "sentence"]


def test_the_turning_sceptic_of_counts_holds_in_a_new_fit(crossover: Trial) -> None:
    row = needed_prior(crossover, CARD, seed=3).iloc[0]
    assert row["case"] == "sceptic"
    assert row["probability"] == pytest.approx(0.95, abs=4.5 * row["mcse"])
    prior = Prior.normal(row["prior_mean"], row["prior_sd"])
    tree = fit(crossover, Model.load(CARD).with_prior("log_rate_ratio", prior), seed=31)
    below = float((tree["posterior"]["log_rate_ratio"] < 0).mean())
    assert below == pytest.approx(0.95, abs=0.02)
    # a tenth of an SD either way is told apart: the SD's own error is smaller
    assert 0 < row["prior_sd_mcse"] < 0.1 * row["prior_sd"]
    assert row["patients"] > 0
    assert row["patients_planned"] > 0


def test_the_advocate_of_counts(reconstruction: Trial) -> None:
    row = needed_prior(reconstruction, CARD, seed=3).iloc[0]
    assert row["case"] == "advocate"
    assert row["prior_mean"] < 0
    assert row["probability"] == pytest.approx(0.95, abs=4.5 * row["mcse"])
    assert row["prior_mean_mcse"] > 0


def test_credibility_of_counts_takes_the_interval_of_the_vague_stance(crossover: Trial) -> None:
    found = credibility(crossover, CARD)
    vague = Model.load(CARD).with_prior("log_rate_ratio", "vague")
    row = refit_many([(vague, crossover)]).iloc[0]
    assert math.exp(found.lower) == pytest.approx(row["lower"])
    assert math.exp(found.upper) == pytest.approx(row["upper"])


def test_planned_patients_are_the_mean_information_ratio() -> None:
    """By quadrature over the prior; and the printed one-arm formulas for Poisson and its kin."""
    prior, rate, kappa = Prior.normal(-0.3, 0.4), 2.5, 0.6

    def information(x: float) -> float:
        variance = (1 / (rate * math.exp(x)) + kappa) + (1 / rate + kappa)
        return float(prior.pdf(x)) * variance / 0.4**2

    direct = integrate.quad(information, -6, 6)[0]
    assert PlannedPatient(rate, kappa, 1).worth(prior) == pytest.approx(direct)
    assert PlannedPatient(rate, kappa, 2).worth(prior) == pytest.approx(2 * direct)
    one_arm = (math.exp(0.3 + 0.08) / rate + kappa) / 0.4**2
    rest = (1 / rate + kappa) / 0.4**2
    assert PlannedPatient(rate, kappa, 1).worth(prior) == pytest.approx(one_arm + rest)
    assert patients_seen(prior, 10, 0.4) == pytest.approx(10.0)


def test_planned_patients_against_simulated_trials(crossover: Trial) -> None:
    """The variance of a patient's own log rate ratio, from simulated counts with a high rate."""
    patient = planned_patient(crossover, Model.load(CARD), seed=2)
    assert patient is not None
    assert patient.per_contrast == 1
    rng = np.random.default_rng(1)
    rate, kappa, rows = 400.0, 0.04, 2
    counts = rng.negative_binomial(1 / kappa, 1 / (1 + kappa * rate), size=(40_000, 2, rows))
    spread = np.log(counts.sum(axis=2)).T
    planned = PlannedPatient(rate * rows, kappa / rows, 1)
    narrow = Prior.normal(0.0, 1e-3)
    assert planned.worth(narrow) * 1e-6 == pytest.approx(
        float(np.var(spread[0] - spread[1])), rel=0.03
    )
    assert planned_patient(crossover, Model.load("crossover-negative-binomial-1")) is None
