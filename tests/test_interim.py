"""The interim look: against the closed form of a normal posterior, and at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_parallel

from bayes_msc.errors import DesignError
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.rule import Rule
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.interim import predict_success
from bayes_msc.simulation.rules import IntervalRule

MODEL = Model.load("count-poisson").with_prior("log_rate", Prior.normal(1.5, 1.0))


def test_prediction_lies_between_what_is_known_and_what_will_be() -> None:
    trial = make_parallel([[6], [5], [8], [5], [7], [4]])
    so_far = fit(trial, MODEL, seed=1, engine="fast")
    benefit = float((so_far["posterior"]["log_rate_ratio"] < 0).mean())
    rules = [Rule(1.0, 0.5), Rule(1.0, 0.95), IntervalRule()]
    found = predict_success(
        so_far, Design("parallel", active=20, control=20), rules=rules, trials=60, workers=1
    )
    table = found.table.set_index("rule")["probability"]
    # a martingale: P(benefit) now is the mean of what it will be
    later = found.refits["prob_below_1"]
    assert later.mean() == pytest.approx(benefit, abs=4 * later.std() / np.sqrt(60) + 0.02)
    assert table.iloc[0] > table.iloc[1] >= table.iloc[2]
    assert found.table["now"].tolist() == [True, False, False]
    # three times as many patients and more know more
    now = np.log(so_far["posterior"]["log_rate_ratio"].quantile([0.025, 0.975]).diff("quantile"))
    assert found.width[0] < float(np.exp(now).item())


def test_further_patients_must_fit_the_trial() -> None:
    so_far = fit(make_parallel([[6], [5], [8], [5]]), MODEL, seed=1, engine="fast")
    with pytest.raises(DesignError, match="they must be of one kind"):
        predict_success(so_far, Design("crossover", active=2, control=2), rules=[Rule()])
    with pytest.raises(DesignError, match="at least one rule"):
        predict_success(so_far, Design("parallel", active=2, control=2), rules=[])
