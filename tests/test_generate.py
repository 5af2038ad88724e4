"""Simulated trials: their counts by formula, and the numbers a model gets from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_msc.errors import DesignError
from bayes_msc.fit import save_fit
from bayes_msc.graph import data_of
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.simulation.design import Design, DropOut
from bayes_msc.simulation.generate import generate
from bayes_msc.simulation.layout import Layout
from bayes_msc.simulation.plan import Plan
from bayes_msc.simulation.truth import Truth, UncertainTruth
from bayes_msc.trial import Trial

CROSSOVER = Design("crossover", active=5, control=4, scans=2)
MANY = 20_000


def test_means_follow_the_formula() -> None:
    truth = Truth(0.5, 3.0, patient_sd=0.4, overdispersion=0.6, period_ratio=1.3, carryover=0.5)
    trials = generate(CROSSOVER, truth, MANY, np.random.default_rng(1))
    median = 3.0 * np.exp(0.5 * 0.4**2)
    mean = trials.count.mean(axis=0)
    for patients, rows, expected in (
        (slice(0, 5), slice(0, 2), 0.5),
        (slice(0, 5), slice(2, 4), 1.3 * 0.5**0.5),
        (slice(5, 9), slice(0, 2), 1.0),
        (slice(5, 9), slice(2, 4), 1.3 * 0.5),
    ):
        assert mean[patients, rows].mean() == pytest.approx(median * expected, rel=0.02)


def test_variance_of_one_patient_and_between_patients() -> None:
    truth = Truth(1.0, 4.0, patient_sd=0.5, overdispersion=0.3)
    design = Design("parallel", active=1, control=1, scans=2, exposure=2.0)
    first, second = generate(design, truth, 60_000, np.random.default_rng(2)).count[:, 1].T
    mean = 8.0 * np.exp(0.125)
    square = 64.0 * np.exp(0.5)
    # variance given the rate, averaged over patients, and the variance of the rates
    assert first.var() == pytest.approx(mean + 0.3 * square + square - mean**2, rel=0.05)
    assert np.cov(first, second)[0, 1] == pytest.approx(square - mean**2, rel=0.05)


def test_own_treatment_effects_and_an_outlier() -> None:
    truth = Truth(0.5, 5.0, treatment_sd=0.6, outlier=4.0)
    design = Design("crossover", active=2, control=2, scans=1)
    trials = generate(design, truth, 40_000, np.random.default_rng(3))
    control, active = trials.count[:, :2, 1], trials.count[:, :2, 0]
    # one patient of four has four times the rate
    outlying = 1 + (4.0 - 1) / 4
    assert control.mean() == pytest.approx(5.0 * outlying, rel=0.02)
    assert active.mean() == pytest.approx(2.5 * np.exp(0.5 * 0.6**2) * outlying, rel=0.03)
    assert (trials.count[:, :, :].max(axis=(1, 2)) >= 12).mean() > 0.95


def test_zero_inflation_keeps_the_mean() -> None:
    truth = Truth(1.0, 2.0, zero_inflation=0.4, family="zero-inflated-poisson")
    count = generate(CROSSOVER, truth, MANY, np.random.default_rng(4)).count
    assert count.mean() == pytest.approx(2.0, rel=0.02)
    assert (count == 0).mean() == pytest.approx(0.4 + 0.6 * np.exp(-2 / 0.6), abs=0.005)


def test_patients_leave_at_random() -> None:
    design = Design("parallel", active=3, control=3, scans=4, drop_out=DropOut(0.2))
    trials = generate(design, Truth(1.0, 3.0), MANY, np.random.default_rng(5))
    assert trials.seen.mean(axis=(0, 1)) == pytest.approx(0.8 ** np.arange(4), abs=0.005)
    assert not trials.count[~trials.seen].any()
    assert (np.diff(trials.seen.astype(int), axis=2) <= 0).all()


def test_patients_leave_because_of_their_counts() -> None:
    drop_out = DropOut(0.05, per_doubling=1.0, on_control_only=True)
    design = Design("crossover", active=3, control=3, scans=2, drop_out=drop_out)
    trials = generate(design, Truth(1.0, 3.0, overdispersion=1.0), MANY, np.random.default_rng(6))
    on_control, stayed = trials.count[:, 3:, 0], trials.seen[:, 3:, 1]
    for count in (0, 1, 3):
        odds = 0.05 / 0.95 * np.exp(np.log2(1 + count))
        left = 1 - stayed[on_control == count].mean()
        assert left == pytest.approx(odds / (1 + odds), abs=0.01)
    assert trials.seen[:, :3, 2].all()


@pytest.mark.parametrize(
    "model",
    [
        Model.load("crossover-negative-binomial"),
        Model.load("crossover-negative-binomial-serial").without_term("baseline"),
        Model.load("crossover-negative-binomial-carryover").with_term(
            "baseline-joint", Prior.normal(0, 1)
        ),
        Model.load("crossover-poisson").with_term("baseline-count", Prior.normal(0, 1)),
    ],
    ids=lambda model: "-".join(model.terms),
)
def test_numbers_are_those_of_the_same_trial(model: Model) -> None:
    design = Design("crossover", active=3, control=2, scans=2, exposure=1.5, baseline=True)
    trials = generate(design, Truth(0.7, 2.0, patient_sd=0.5), 3, np.random.default_rng(7))
    layout = Layout(design, model)
    for index in range(3):
        trial = trials.trial(index)
        expected = data_of(model, Trial(trial.data, **trial.meta()))
        found = layout.numbers(trials, index)
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12)


def test_numbers_of_a_trial_that_patients_leave_are_masked() -> None:
    drop_out = DropOut(0.3)
    design = Design("crossover", active=3, control=3, scans=2, drop_out=drop_out)
    trials = generate(design, Truth(0.7, 2.0), 40, np.random.default_rng(8))
    model = Model.load("crossover-negative-binomial-serial")
    layout = Layout(design, model)
    checked = 0
    for index in range(40):
        expected = data_of(model, trials.trial(index))
        found = layout.numbers(trials, index)
        if expected["observed"].shape == found["observed"].shape:
            checked += 1
            np.testing.assert_allclose(found["rows"], expected["rows"], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found["prior_numbers"], expected["prior_numbers"])
        assert found["observed"].sum() == expected["observed"].sum()
    assert checked > 5


def test_the_copy_of_a_trial_is_a_trial() -> None:
    design = Design("parallel", active=2, control=2, scans=2, baseline=True, drop_out=DropOut(0.5))
    trials = generate(design, Truth(0.7, 2.0), 2, np.random.default_rng(9))
    first, second = trials.trial(0), trials.trial(1)
    assert first.sha256 != second.sha256 != design.blank.sha256
    again = Trial(first.data, **first.meta())
    assert again.sha256 == first.sha256
    assert first.provenance == "simulated"
    assert int(first.seen["count"].sum()) == trials.count[0].sum()


def test_truths_may_differ_from_trial_to_trial() -> None:
    prior = Prior.normal(-0.5, 0.3)
    root = Prior.half_normal(1.0)
    truth = UncertainTruth(Truth(1.0, 2.0), {"log_rate_ratio": prior, "sqrt_overdispersion": root})
    values = truth.parameters(MANY, np.random.default_rng(10))
    assert values["log_rate_ratio"].mean() == pytest.approx(-0.5, abs=0.01)
    assert values["log_rate_ratio"].std() == pytest.approx(0.3, abs=0.01)
    assert values["overdispersion"].mean() == pytest.approx(1.0, abs=0.04)
    assert (values["log_rate"] == np.log(2.0)).all()
    with pytest.raises(DesignError, match="unknown parameter of a truth 'slope'"):
        UncertainTruth(Truth(1.0, 2.0), {"slope": prior})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Design("factorial", 3, 3), "kind of design 'factorial': choose one of parallel"),
        (lambda: Design("parallel", 0, 3), "active of the design is 0: a whole number, 1 or more"),
        (lambda: Design("parallel", 3, 3, exposure=0.0), "exposure of the design is 0: above 0"),
        (lambda: DropOut(1.0), "drop-out probability is 1: it must be between 0 and 1"),
        (lambda: Truth(-0.5, 3.0), "rate_ratio of the truth is -0.5: it must be above 0"),
        (lambda: Truth(0.5, 3.0, patient_sd=-1), "patient_sd of the truth is -1: it must be 0"),
        (lambda: Truth(0.5, 3.0, zero_inflation=0.2), "set family to one of zero-inflated-poisson"),
        (lambda: Truth(0.5, 3.0, family="normal"), "unknown count family 'normal'"),
    ],
)
def test_impossible_designs_and_truths_are_refused(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DesignError, match=message):
        make()


def test_another_number_of_patients_keeps_the_allocation() -> None:
    assert CROSSOVER.with_patients(90).active == 50
    assert (CROSSOVER.with_patients(2).active, CROSSOVER.with_patients(2).control) == (1, 1)
    assert CROSSOVER.words() == "crossover of 9 patients (5:4), 2 x 2 scans"


def test_truth_of_a_fit_is_its_posterior(reconstruction_fit: xr.DataTree) -> None:
    posterior = reconstruction_fit["posterior"]
    truth = Truth.of_fit(reconstruction_fit, rate_ratio=0.5)
    assert truth.rate_ratio == 0.5
    assert truth.control_rate == pytest.approx(np.exp(posterior["log_rate"].median().item()))
    assert truth.period_ratio == pytest.approx(np.exp(posterior["period_effect"].median().item()))
    assert truth.overdispersion == pytest.approx(posterior["overdispersion"].median().item())
    assert "posterior medians of crossover-negative-binomial fitted to" in truth.source
    assert "reconstruction, not data" in truth.source
    # words change no trial
    assert truth.to_table() == replace(truth, source="").to_table()
    drawn = UncertainTruth.of_fit(reconstruction_fit, rate_ratio=0.5)
    assert set(drawn.parameters(50, np.random.default_rng(1))["log_rate_ratio"]) == {np.log(0.5)}
    assert drawn.draws is not None
    assert len(drawn.draws) == posterior.sizes["chain"] * posterior.sizes["draw"]


def test_what_the_baseline_explains_is_part_of_how_patients_differ(
    reconstruction_fit: xr.DataTree, reconstruction: Trial
) -> None:
    # by hand: log(1 + baseline) of nine patients, at every draw
    first = reconstruction.data.groupby("patient")["baseline"].first()
    spread = float(np.log1p(first).std(ddof=1))
    posterior = reconstruction_fit["posterior"]
    slope, rest = (posterior[n].to_numpy().ravel() for n in ("baseline_slope", "patient_sd"))
    drawn = UncertainTruth.of_fit(reconstruction_fit).draws
    assert drawn is not None
    np.testing.assert_allclose(drawn["patient_sd"], np.hypot(rest, slope * spread), rtol=1e-9)


def test_fits_that_no_truth_can_hold_are_refused(reconstruction_fit: xr.DataTree) -> None:
    def as_if(model: Model) -> xr.DataTree:
        other = reconstruction_fit.copy()
        other.attrs |= {"model_card": model.to_toml(), "model_name": model.name}
        return other

    card = Model.load("crossover-negative-binomial")
    with pytest.raises(DesignError, match="ties each scan to the one before it"):
        Truth.of_fit(as_if(Model.load("crossover-negative-binomial-serial")))
    with pytest.raises(DesignError, match="an overdispersion of each arm"):
        UncertainTruth.of_fit(as_if(card.with_dispersion("per-arm")))


def test_carryover_apart_from_the_rate_ratio() -> None:
    draws = pd.DataFrame({"carryover_effect": [0.7] * 3})
    trials = generate(
        CROSSOVER, UncertainTruth(Truth(1.0, 3.0), draws=draws), MANY, np.random.default_rng(6)
    )
    mean = trials.count.mean(axis=0)
    assert mean[:5, 2:].mean() == pytest.approx(3.0 * np.exp(0.7), rel=0.02)
    assert mean[5:].mean() == pytest.approx(3.0, rel=0.02)


def test_plan_takes_its_truths_from_a_saved_fit(
    reconstruction_fit: xr.DataTree, tmp_path: Path
) -> None:
    save_fit(reconstruction_fit, tmp_path / "fit.nc")
    text = """
[designs.founding]
kind = "crossover"
active = 5
control = 4
[truths.drawn]
fit = "fit.nc"
[truths.middle]
fit = "fit.nc"
take = "medians"
rate_ratio = 0.5
[rules.classical]
kind = "p-value"
method = "hills-armitage"
"""
    drawn, middle = (cell.truth for cell in Plan.from_toml(text, folder=tmp_path).cells)
    assert isinstance(drawn, UncertainTruth)
    assert drawn.to_table() == UncertainTruth.of_fit(reconstruction_fit).to_table()
    assert middle == Truth.of_fit(reconstruction_fit, rate_ratio=0.5)
    for old, new, message in (
        ("fit.nc", "none.nc", "the truth 'drawn' is impossible: there is no fit at"),
        ("medians", "means", "take of the truth 'middle'"),
        ("take", "control_rate", "'control_rate'"),
    ):
        with pytest.raises(DesignError, match=message):
            Plan.from_toml(text.replace(old, new, 1), folder=tmp_path)
