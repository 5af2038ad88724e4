"""The interim look: what will be known is, in the mean, what is known now."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_msc.errors import DesignError
from bayes_msc.fit import fit, trial_of
from bayes_msc.missing import plan_of
from bayes_msc.predictor import draws_of
from bayes_msc.rule import Rule
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.interim import _completed, _pending, predict_success
from bayes_msc.simulation.rules import IntervalRule
from bayes_msc.trial import Trial


def test_prediction_lies_between_what_is_known_and_what_will_be(parallel_fit: xr.DataTree) -> None:
    ratio = parallel_fit["posterior"]["log_rate_ratio"].to_numpy()
    benefit = float((ratio < 0).mean())
    rules = [Rule(1.0, 0.5), Rule(1.0, 0.95), IntervalRule()]
    further = Design("parallel", active=20, control=20, scans=4)
    found = predict_success(parallel_fit, further, rules=rules, pending=[], trials=40, workers=1)
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
    assert found.width_now == pytest.approx(high - low, rel=0.05)


@pytest.fixture(scope="module")
def half_way(parallel: Trial) -> xr.DataTree:
    """The nine patients with two of four scans yet to come in six of them."""
    table = parallel.data
    later = table.groupby("patient").cumcount() >= 2
    table.loc[later & table["patient"].isin(patients_of(parallel)[3:]), "count"] = np.nan
    trial = parallel.with_counts_of(table, "half way", "", "simulated")
    return fit(trial, "count-poisson", engine="fast", seed=15)


def patients_of(trial: Trial) -> list[str]:
    return list(dict.fromkeys(trial.data["patient"]))


def test_follow_up_is_completed_given_what_was_seen(half_way: xr.DataTree) -> None:
    draws = 400
    so_far = trial_of(half_way)
    pending = patients_of(so_far)[4:]
    plan = _pending(plan_of(so_far), pending)
    complete = _completed(half_way, plan, None, draws, np.random.default_rng(3))
    seen = so_far.data["count"].notna()
    own = so_far.data["patient"].isin(pending)
    for trial in complete[:20]:
        table = trial.data
        pd.testing.assert_series_equal(table["count"][seen], so_far.data["count"][seen])
        assert table["count"][own].notna().all()
        # one who left does not come back
        assert (table["count"][~own].isna() == so_far.data["count"][~own].isna()).all()
    # what is drawn goes on as the patient's effect says: the means of the fit's own posterior
    counts = np.array([trial.data["count"][own & ~seen].to_numpy() for trial in complete])
    posterior = draws_of(half_way)
    treated = (so_far.data["treatment"] == so_far.active)[own & ~seen].to_numpy()
    who = [patients_of(so_far).index(p) for p in so_far.data["patient"][own & ~seen]]
    log_mean = (
        posterior["log_rate"][:, None]
        + posterior["patient_effect"][:, who]
        + posterior["log_rate_ratio"][:, None] * treated
    )
    expected = np.exp(log_mean).mean(axis=0)
    error = counts.std(axis=0) / np.sqrt(draws)
    assert np.abs((counts.mean(axis=0) - expected) / error).max() < 4


def test_what_follow_up_will_tell_is_expected_now(half_way: xr.DataTree) -> None:
    trial = trial_of(half_way)
    found = predict_success(
        half_way, rules=[Rule(1.0, 0.9)], pending=patients_of(trial)[3:], trials=80, workers=1
    )
    now = float((half_way["posterior"]["log_rate_ratio"] < 0).mean())
    later = found.refits["prob_below_1"]
    assert later.mean() == pytest.approx(now, abs=4 * later.std() / np.sqrt(80) + 0.01)
    assert later.std() > 0.02
    assert found.width[0] < found.width_now
    assert "the 95 % interval" in found._repr_html_()


def test_whose_scans_are_to_come_must_be_said(half_way: xr.DataTree) -> None:
    with pytest.raises(DesignError, match=r"pending=\[\] if those patients have left"):
        predict_success(half_way, Design("parallel", active=2, control=2), rules=[Rule()])
    with pytest.raises(DesignError, match="nothing is still to come"):
        predict_success(half_way, rules=[Rule()], pending=[])
    with pytest.raises(DesignError, match="unknown patient with scans still to come 'P99'"):
        predict_success(half_way, rules=[Rule()], pending=["P99"])


def test_further_patients_must_fit_the_trial(parallel_fit: xr.DataTree) -> None:
    with pytest.raises(DesignError, match="they must be of one kind"):
        predict_success(
            parallel_fit, Design("crossover", active=2, control=2), rules=[Rule()], pending=[]
        )
    with pytest.raises(DesignError, match="at least one rule"):
        predict_success(parallel_fit, Design("parallel", active=2, control=2), rules=[])
