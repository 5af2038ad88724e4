"""Calibration of a user's own card and design: it passes what is right and catches what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_msc.effects import recover
from bayes_msc.errors import DesignError
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.simulation import calibrating as module
from bayes_msc.simulation.calibrating import Calibration, blank_of, calibrate
from bayes_msc.simulation.design import Design, DropOut
from bayes_msc.simulation.sbc import shares, simulated
from bayes_msc.trial import Trial

QUANTITIES = ("log_rate", "log_rate_ratio", "patient_sd", "patient_effect", "log_likelihood")
DESIGN = Design("parallel", active=4, control=4, drop_out=DropOut(0.1))
CARD = (
    Model.load("count-poisson")
    .with_prior("log_rate", Prior.normal(0.7, 0.8))
    .with_prior("patient_sd", Prior.half_normal(0.7))
)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibrate(
        CARD, DESIGN, trials=120, seed=2, workers=1, cache=tmp_path_factory.mktemp("cache")
    )


def test_right_model_passes(right: Calibration) -> None:
    assert right.passed, right.table.to_string()
    assert set(right.table["quantity"]) == set(QUANTITIES)
    assert right.table["trials"].eq(120).all()
    assert "all ranks are uniform" in right.words()
    inside = (right.curves["difference"] >= right.curves["lower"] - 1e-9) & (
        right.curves["difference"] <= right.curves["upper"] + 1e-9
    )
    assert inside.mean() > 0.95


def test_error_in_a_prior_is_caught(right: Calibration) -> None:
    wrong = CARD.with_prior("log_rate_ratio", Prior.normal(0.8, 0.5, why="wrong"))
    found = shares(CARD, DESIGN.blank, 120, fitted=wrong)
    failed = Calibration(CARD, DESIGN, found)
    assert not failed.passed
    p = failed.table.set_index("quantity")["p_adjusted"]
    assert p["log_rate_ratio"] < 0.001
    assert "it FAILED for" in failed.words()
    assert "log_rate_ratio" in failed.words()


def test_result_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = calibrate(CARD, DESIGN, trials=20, workers=1, cache=tmp_path)
    monkeypatch.setattr(module, "shares", lambda *_, **__: pytest.fail("computed again"))
    again = calibrate(CARD, DESIGN, trials=20, workers=1, cache=tmp_path)
    pd.testing.assert_frame_equal(first.shares, again.shares)
    assert len(list(tmp_path.iterdir())) == 1
    other = CARD.with_prior("log_rate_ratio", Prior.normal(0, 0.9))
    for model, design, seed in (
        (other, DESIGN, 1),
        (CARD, replace(DESIGN, active=5), 1),
        (CARD, DESIGN, 2),
    ):
        with pytest.raises(pytest.fail.Exception, match="computed again"):
            calibrate(model, design, trials=20, seed=seed, workers=1, cache=tmp_path)


def test_what_cannot_be_calibrated_is_refused(tmp_path: Path) -> None:
    joint = CARD.with_term("baseline-joint", Prior.normal(0, 1))
    with pytest.raises(DesignError, match=r"cannot be calibrated in this design: .* needs"):
        calibrate(joint, DESIGN, cache=tmp_path)
    with pytest.raises(DesignError, match="trials is 5: 20 at least"):
        calibrate(CARD, DESIGN, trials=5, cache=tmp_path)
    aged = CARD.with_covariate("age", Prior.normal(0, 1))
    with pytest.raises(DesignError, match="'age' has 3 numbers, and the design 8 patients"):
        calibrate(aged, DESIGN, covariates={"age": [1, 2, 3]}, cache=tmp_path)
    with pytest.raises(DesignError, match="unknown covariate of count-poisson 'sex'"):
        calibrate(aged, DESIGN, covariates={"sex": [1] * 8}, cache=tmp_path)


def test_design_gets_what_the_model_needs() -> None:
    aged = CARD.with_covariate("age", Prior.normal(0, 1))
    blank = blank_of(replace(DESIGN, baseline=True), aged)
    assert blank.data["baseline"].nunique() > 3
    by_patient = blank.data.groupby("patient", sort=False)["age"].agg(["first", "nunique"])
    assert by_patient["nunique"].eq(1).all()
    np.testing.assert_allclose(
        np.sort(by_patient["first"]), stats.norm.ppf((np.arange(8) + 0.5) / 8)
    )
    given = blank_of(DESIGN, aged, {"age": range(20, 28)}).data.groupby("patient", sort=False)
    assert given["age"].first().tolist() == list(range(20, 28))


JOINT = CARD.without_term("baseline").with_term("baseline-joint", Prior.normal(0, 0.7))


def test_joint_baseline_is_simulated_and_its_errors_are_caught(tmp_path: Path) -> None:
    design = replace(DESIGN, baseline=True, drop_out=None)
    found = calibrate(JOINT, design, trials=80, workers=1, cache=tmp_path)
    assert found.passed, found.table.to_string()
    assert "baseline_level" in set(found.table["quantity"])
    assert (found.trials, found.design) == (80, design)
    wrong = JOINT.with_prior("baseline_level", Prior.normal(1.5, 0.5, why="wrong"))
    failed = Calibration(JOINT, design, shares(JOINT, blank_of(design, JOINT), 80, fitted=wrong))
    p = failed.table.set_index("quantity")["p_adjusted"]
    assert p["baseline_level"] < 0.001


def test_simulated_baseline_shares_the_patients_effect() -> None:
    design = Design("parallel", active=300, control=300, scans=1, baseline=True)
    fixed = JOINT.with_fixed("patient_sd", 1.0).with_fixed("baseline_level", 0.5)
    fixed = fixed.with_fixed("log_rate", 1.0).with_fixed("log_rate_ratio", 0.0)
    trial, truth = simulated(fixed, blank_of(design, fixed), np.random.default_rng(4))
    table = trial.data
    assert table["baseline"].mean() == pytest.approx(np.exp(1.5 + 0.5), rel=0.25)
    effect = truth["z"][0]
    for column in ("baseline", "count"):
        assert np.corrcoef(np.log1p(table[column]), effect)[0, 1] > 0.75


def test_a_trial_is_a_design_of_its_own(reconstruction: Trial) -> None:
    card = Model.load("crossover-negative-binomial")
    trial, _ = simulated(
        card.with_prior("log_rate", Prior.normal(0, 1)), reconstruction, np.random.default_rng(5)
    )
    new, old = trial.data, reconstruction.data
    assert (new["count"].isna() == old["count"].isna()).all()
    pd.testing.assert_frame_equal(new.drop(columns="count"), old.drop(columns="count"))
    assert trial.sha256 != reconstruction.sha256
    assert module._key(card, trial, 20, 1) == module._key(card, reconstruction, 20, 1)
    with pytest.raises(DesignError, match="has its own covariates"):
        calibrate(card, reconstruction, covariates={"age": [1]})


def test_likelihood_given_sampled_effects_has_nothing_to_integrate() -> None:
    blank = DESIGN.blank
    rows = arrange(blank, CARD)
    rng = np.random.default_rng(6)
    eta = rng.normal(size=(5, *rows.count.shape))
    nothing = np.zeros(eta.shape)
    _, found = recover("poisson", rows, eta, nothing, nothing, nothing, rng)
    exact = (stats.poisson.logpmf(rows.count, np.exp(eta)) * rows.seen).sum(axis=2)
    np.testing.assert_allclose(found, exact, atol=1e-9)


VARIES = (
    Model.load("crossover-poisson")
    .with_prior("log_rate", Prior.normal(0.7, 0.8))
    .with_prior("patient_sd", Prior.half_normal(0.7))
    .with_varying_treatment(Prior.half_normal(0.5))
)


def test_own_treatment_effects_are_simulated() -> None:
    design = Design("crossover", active=200, control=200, scans=1)
    fixed = VARIES.with_fixed("treatment_sd", 0.8).with_fixed("log_rate_ratio", -0.5)
    fixed = fixed.with_fixed("log_rate", 3.0).with_fixed("period_effect", 0.0)
    trial, truth = simulated(fixed, blank_of(design, fixed), np.random.default_rng(7))
    own = truth["patient_log_rate_ratio"][0]
    assert own.mean() == pytest.approx(-0.5, abs=0.15)
    assert own.std() == pytest.approx(0.8, rel=0.12)
    counts = trial.data.pivot_table(
        index="patient", columns="treatment", values="count", sort=False
    )
    seen = np.log1p(counts["active"]) - np.log1p(counts["control"])
    assert np.corrcoef(seen, own)[0, 1] > 0.85


@pytest.mark.slow
def test_treatment_effects_that_differ_are_calibrated(tmp_path: Path) -> None:
    design = Design("crossover", active=4, control=4, scans=2)
    found = calibrate(VARIES, design, trials=300, seed=2, cache=tmp_path)
    assert found.passed, found.table.to_string()
    for inside in found.table["inside"]:
        assert stats.binomtest(inside, 300, 0.95).pvalue > 1e-3, found.table.to_string()
    assert {"treatment_sd", "patient_log_rate_ratio", "log_likelihood"} <= set(
        found.table["quantity"]
    )
    assert found.table["nuts"].eq(300).all()


@pytest.mark.slow
def test_covariates_are_calibrated(tmp_path: Path) -> None:
    aged = CARD.with_covariate("age", Prior.normal(0, 0.5))
    found = calibrate(aged, DESIGN, trials=150, cache=tmp_path)
    assert found.passed, found.table.to_string()
    assert "covariate_age" in set(found.table["quantity"])


def test_error_in_the_quadrature_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayes_msc import graph
    from bayes_msc.counts import marginal_logp
    from bayes_msc.sampler import Sampler

    def mistaken(family: str):  # type: ignore[no-untyped-def]
        # nodes for exp(-z²) where those for exp(-z²/2) are meant
        return lambda count, eta, loading, *rest: marginal_logp(
            family, count, eta, loading / np.sqrt(2.0), *rest
        )

    # several scans a patient tell how much the patients differ
    design = replace(DESIGN, scans=4)
    sound = Calibration(CARD, design, shares(CARD, design.blank, 150))
    assert sound.passed, sound.table.to_string()
    monkeypatch.setattr(Sampler, "_compiled", {})
    monkeypatch.setattr(graph, "_logp", mistaken)
    broken = Calibration(CARD, design, shares(CARD, design.blank, 150))
    assert not broken.passed, broken.table.to_string()
    p = broken.table.set_index("quantity")["p_adjusted"]
    assert p["patient_sd"] < 1e-3, broken.table.to_string()
    assert np.isfinite(broken.table["p"]).all()


@pytest.mark.slow
def test_too_few_nodes_of_the_quadrature_are_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pytensor.tensor as pt

    from bayes_msc import graph
    from bayes_msc.counts import marginal_logp
    from bayes_msc.sampler import Sampler

    # three Gauss-Hermite nodes for every patient: fair where patients differ little
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    heights = np.log(weights / weights.sum())

    def coarse(family: str):  # type: ignore[no-untyped-def]
        def logp(count, eta, loading, *rest):  # type: ignore[no-untyped-def]
            alone = pt.zeros_like(loading)
            parts = [
                marginal_logp(family, count, eta + loading * z, alone, *rest) + height
                for z, height in zip(nodes, heights, strict=True)
            ]
            return pt.logsumexp(pt.stack(parts), axis=0)

        return logp

    wide = CARD.with_prior("patient_sd", Prior.half_normal(1.5))
    design = replace(DESIGN, scans=2, drop_out=None)
    # a trial depends on the seed and its number: these are the same trials
    sound = calibrate(wide, design, trials=150, workers=1, cache=tmp_path / "sound")
    assert sound.passed, sound.table.to_string()
    monkeypatch.setattr(Sampler, "_compiled", {})
    monkeypatch.setattr(graph, "_logp", coarse)
    broken = calibrate(wide, design, trials=60, workers=1, cache=tmp_path / "broken")
    same = sound.shares[sound.shares["trial"] < 60].reset_index(drop=True)
    pd.testing.assert_series_equal(same["largest"], broken.shares["largest"])
    assert Calibration(wide, design, same).passed
    assert not broken.passed
    p = broken.table.set_index("quantity")["p_adjusted"]
    assert p["patient_sd"] < 1e-3, broken.table.to_string()


def test_error_in_the_likelihood_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayes_msc import graph
    from bayes_msc.counts import marginal_logp
    from bayes_msc.sampler import Sampler

    def mistaken(family: str):  # type: ignore[no-untyped-def]
        # every rate is a fifth too high
        return lambda count, eta, *rest: marginal_logp(family, count, eta + np.log(1.2), *rest)

    monkeypatch.setattr(Sampler, "_compiled", {})
    monkeypatch.setattr(graph, "_logp", mistaken)
    broken = Calibration(CARD, DESIGN, shares(CARD, DESIGN.blank, 240))
    assert not broken.passed, broken.table.to_string()
    p = broken.table.set_index("quantity")["p_adjusted"]
    assert p["log_rate"] < 0.01
