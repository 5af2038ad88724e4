"""What is said of parameters that the counts cannot inform, and that the rest passes in silence."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_parallel

from bayes_msc.identification import identification
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.trial import Trial

NORMAL = Prior.normal(0.0, 0.4, why="for a test")
HALF = Prior.half_normal(0.5, why="for a test")
NB = Model.load("crossover-negative-binomial")


def named(trial: Trial, model: Model) -> dict[str, str]:
    return dict(text.split(": ", 1) for text in identification(trial, model))


def part(trial: Trial, query: str) -> Trial:
    return Trial(trial.data.query(query), **trial.meta())


@pytest.mark.parametrize("card", ["crossover-poisson", "crossover-negative-binomial"])
def test_the_plain_models_of_a_whole_trial_are_silent(card: str, crossover: Trial) -> None:
    assert identification(crossover, Model.load(card)) == ()


def test_period_with_one_period_seen(crossover: Trial) -> None:
    data = crossover.data
    data.loc[data["period"] == 2, "count"] = np.nan
    said = named(Trial(data, **crossover.meta()), NB)
    assert set(said) == {"period_effect"}
    assert "only its prior" in said["period_effect"]
    assert "the same for every seen count" in said["period_effect"]


def test_treatment_hand_in_hand_with_the_period(crossover: Trial) -> None:
    one_sequence = part(crossover, "sequence == 'MSC-placebo'")
    said = named(one_sequence, NB)
    assert {"log_rate_ratio", "period_effect"} <= set(said)
    assert "hand in hand" in said["log_rate_ratio"]


@pytest.mark.parametrize("two_sided", [False, True])
def test_carryover_is_mainly_its_prior(crossover: Trial, two_sided: bool) -> None:
    said = named(crossover, NB.with_carryover(0.3, two_sided=two_sided))
    (name,) = said
    assert name == ("carryover_effect" if two_sided else "carryover_fraction")
    assert "difference between the two sequences, between 9 different patients" in said[name]


def test_carryover_that_nobody_could_show(crossover: Trial) -> None:
    late = part(crossover, "sequence == 'placebo-MSC' or period == 1")
    said = named(late, NB.with_carryover(0.3))
    assert "same for every seen count" in " ".join(
        text for text in identification(late, NB.with_carryover(0.3))
    )
    assert "carryover_fraction" in said


def test_one_row_a_patient() -> None:
    trial = make_parallel([[3.0], [1.0], [0.0], [4.0], [2.0], [2.0]])
    model = Model.load("count-negative-binomial")
    said = named(trial, model)
    assert set(said) == {"sqrt_overdispersion", "patient_sd"}
    assert "their split is the priors'" in said["patient_sd"]
    assert named(trial, model.with_fixed("overdispersion", 1.0)) == {}
    assert named(trial, Model.load("count-poisson")) == {}
    two = make_parallel([[3.0, 1.0], [1.0, 0.0], [0.0, 2.0], [4.0, 1.0]])
    assert named(two, model) == {}


def test_own_treatment_effects(crossover: Trial, parallel: Trial) -> None:
    assert named(crossover, NB.with_varying_treatment(HALF)) == {}
    apart = named(parallel, Model.load("count-poisson").with_varying_treatment(HALF))
    assert "and here 0 were" in apart["treatment_sd"]
    summed = named(crossover.by_period(), NB.with_varying_treatment(HALF))
    assert "cannot tell patients who differ in their response" in summed["treatment_sd"]


def test_zeros_that_were_never_seen() -> None:
    full = make_parallel([[3.0, 1.0], [1.0, 2.0], [2.0, 2.0], [4.0, 1.0]])
    said = named(full, Model.load("count-zero-inflated-poisson"))
    assert said == {"zero_inflation": "no zero count was seen: the counts limit it from above only"}
    some = make_parallel([[3.0, 1.0], [0.0, 2.0], [2.0, 2.0], [4.0, 1.0]])
    assert named(some, Model.load("count-zero-inflated-poisson")) == {}


def test_few_successive_scans(crossover: Trial, epilepsy: Trial) -> None:
    said = named(crossover, Model.load("crossover-negative-binomial-serial"))
    assert "there are 16 pairs" in said["serial_dependence"]
    many = Model.load("count-negative-binomial").with_term("serial", NORMAL)
    assert named(epilepsy, many) == {}


def test_more_coefficients_than_patients() -> None:
    trial = make_parallel([[3.0, 1.0], [1.0, 2.0], [0.0, 2.0]])
    data = trial.data.assign(age=[30, 30, 40, 40, 55, 55], edss=[2, 2, 3, 3, 5, 5])
    trial = Trial(data, **{**trial.meta(), "covariates": ["age", "edss"]})
    model = Model.load("count-poisson").with_covariate("age", NORMAL).with_covariate("edss", NORMAL)
    said = named(trial, model)
    assert {"covariate_age", "covariate_edss", "log_rate_ratio"} <= set(said)


def test_a_constant_baseline(crossover: Trial) -> None:
    flat = Trial(crossover.data.assign(baseline=3), **crossover.meta())
    assert "the same for every seen count" in named(flat, NB)["baseline_slope"]
