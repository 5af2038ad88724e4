"""The interim look: what will be known is, in the mean, what is known now."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayes_msc.errors import DesignError
from bayes_msc.rule import Rule
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.interim import predict_success
from bayes_msc.simulation.rules import IntervalRule


def test_prediction_lies_between_what_is_known_and_what_will_be(parallel_fit: xr.DataTree) -> None:
    ratio = parallel_fit["posterior"]["log_rate_ratio"].to_numpy()
    benefit = float((ratio < 0).mean())
    rules = [Rule(1.0, 0.5), Rule(1.0, 0.95), IntervalRule()]
    further = Design("parallel", active=20, control=20, scans=4)
    found = predict_success(parallel_fit, further, rules=rules, trials=40, workers=1)
    probability = found.table["probability"]
    # a martingale: P(benefit) now is the mean of what it will be
    later = found.refits["prob_below_1"]
    assert later.mean() == pytest.approx(benefit, abs=4 * later.std() / np.sqrt(40) + 0.02)
    assert later.std() > 0.05
    assert probability[0] >= probability[1] >= probability[2]
    assert found.table["now"].tolist()[:2] == [benefit >= 0.5, benefit >= 0.95]
    # five times as many patients know more
    low, high = np.quantile(ratio, [0.025, 0.975])
    assert found.width[0] < high - low


def test_further_patients_must_fit_the_trial(parallel_fit: xr.DataTree) -> None:
    with pytest.raises(DesignError, match="they must be of one kind"):
        predict_success(parallel_fit, Design("crossover", active=2, control=2), rules=[Rule()])
    with pytest.raises(DesignError, match="at least one rule"):
        predict_success(parallel_fit, Design("parallel", active=2, control=2), rules=[])
