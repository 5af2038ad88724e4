"""Fits: the right posterior by several routes, repeatable, and explaining themselves."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from conftest import make_parallel
from pymc.stats import compute_log_prior
from scipy import special, stats

from bayes_msc.centring import log_pooled_rate
from bayes_msc.errors import ModelError, OutputError
from bayes_msc.estimands import summarize
from bayes_msc.fit import (
    PACKAGES,
    card_for,
    fit,
    fit_negative_binomial,
    fit_poisson,
    load_fit,
    model_of,
    save_fit,
    trial_of,
)
from bayes_msc.graph import build
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.sampler import Sampler, Settings, structure
from bayes_msc.trial import Trial

GROUPS = {
    "posterior",
    "sample_stats",
    "log_likelihood",
    "log_prior",
    "prior",
    "prior_predictive",
    "posterior_predictive",
    "observed_data",
    "constant_data",
}


def z_scores(one: xr.DataTree, other: xr.DataTree) -> dict[str, float]:
    """Difference of posterior means and SDs in Monte Carlo standard errors, element by element."""
    scores = {}
    for name in one["posterior"].data_vars:
        for method in ("mean", "sd"):
            errors = [az.mcse(f, var_names=[name], method=method)[name] for f in (one, other)]
            values = [
                getattr(f["posterior"][name], method.replace("sd", "std")) for f in (one, other)
            ]
            difference = values[0](["chain", "draw"]) - values[1](["chain", "draw"])
            ratio = difference / np.sqrt(errors[0] ** 2 + errors[1] ** 2)
            scores[f"{method} of {name}"] = float(np.abs(ratio).max())
    return scores


@pytest.mark.parametrize("name", ["crossover", "reconstruction", "epilepsy"])
def test_sampled_hierarchy_gives_the_same_posterior(
    name: str, request: pytest.FixtureRequest
) -> None:
    trial, integrated = (request.getfixturevalue(f) for f in (name, f"{name}_fit"))
    sampled = fit(trial, model_of(integrated).with_patient_effect("sampled"), seed=31)
    assert sampled["posterior"]["patient_effect"].dims == ("chain", "draw", "patient")
    assert set(sampled["posterior"].data_vars) == set(integrated["posterior"].data_vars)
    scores = z_scores(integrated, sampled)
    assert max(scores.values()) < 4.5, scores


def exact_posterior(trial: Trial) -> dict[str, float]:
    """Posterior of a parallel Poisson trial on a grid of both arms' log rates and patient_sd.

    The likelihood of a patient depends on the log rate of the own arm and on patient_sd only, so a
    grid of (log rate on control, log rate on active, patient_sd) holds the whole posterior.
    """
    log_rate, sd = np.linspace(-6.0, 5.0, 133), np.linspace(0.0, 6.0, 121)
    x, weight = np.polynomial.hermite_e.hermegauss(100)
    arm = {"placebo": np.zeros((133, 121)), "drug": np.zeros((133, 121))}
    for _, rows in trial.seen.groupby("patient"):
        y = rows["count"].to_numpy()
        log_mean = log_rate[:, None, None] + sd[None, :, None] * x
        logp = y.sum() * log_mean - len(y) * np.exp(log_mean) - special.gammaln(y + 1).sum()
        arm[rows["treatment"].iloc[0]] += special.logsumexp(logp, b=weight, axis=-1)
    control, active = log_rate[:, None], log_rate[None, :]
    prior = stats.norm.logpdf(control, log_pooled_rate(trial), 1.5)
    prior = prior + stats.norm.logpdf(active - control, 0.0, 1.0)
    joint = arm["placebo"][:, None, :] + arm["drug"][None, :, :] + prior[:, :, None]
    joint = joint + stats.halfnorm.logpdf(sd)
    mass = np.exp(joint - joint.max())
    mass[:, :, [0, -1]] *= 0.5
    mass /= mass.sum()

    def mean(values: Any) -> float:
        return float((mass * np.broadcast_to(values, mass.shape)).sum())

    ratio = (active - control)[:, :, None]
    numbers = {"log_rate": control[:, :, None], "log_rate_ratio": ratio, "patient_sd": sd}
    exact = {f"mean {name}": mean(values) for name, values in numbers.items()}
    for name, values in numbers.items():
        exact[f"sd {name}"] = np.sqrt(mean(values**2) - exact[f"mean {name}"] ** 2)
    # the cells on the line of no effect count half
    exact["probability"] = mean((ratio < -1e-9) + 0.5 * (np.abs(ratio) <= 1e-9))
    return exact


def test_posterior_against_a_grid() -> None:
    trial = make_parallel([[3, 5], [1, 0], [2, 4], [0, 2], [6, 3]])
    exact = exact_posterior(trial)
    ours = fit(trial, "count-poisson", seed=3, draws=2500)
    for name in ("log_rate", "log_rate_ratio", "patient_sd"):
        draws = ours["posterior"][name].to_numpy()
        for statistic, value in (("mean", draws.mean()), ("sd", draws.std())):
            error = float(az.mcse(draws, method=statistic))
            assert value == pytest.approx(exact[f"{statistic} {name}"], abs=4 * error), name
    row = summarize(ours).query("statement == 'prob_rate_ratio_below' and threshold == 1").iloc[0]
    assert row["probability"] == pytest.approx(exact["probability"], abs=4 * row["mcse"])


def test_groups_and_dimensions(reconstruction_fit: xr.DataTree, reconstruction: Trial) -> None:
    fit_, seen = reconstruction_fit, reconstruction.seen
    assert set(fit_.children) == GROUPS
    assert set(fit_["posterior"].data_vars) == {
        "log_rate",
        "log_rate_ratio",
        "period_effect",
        "baseline_slope",
        "sqrt_overdispersion",
        "overdispersion",
        "patient_sd",
        "patient_effect",
    }
    assert dict(fit_["log_likelihood"].sizes) == {"chain": 4, "draw": 1000, "patient": 9}
    np.testing.assert_array_equal(fit_["observed_data"]["count"], seen["count"])
    for group in ("posterior_predictive", "prior_predictive"):
        assert fit_[group]["count"].dims == ("chain", "draw", "observation")
        assert fit_[group].sizes["observation"] == len(seen)
    constant = fit_["constant_data"]
    np.testing.assert_array_equal(constant["treated"], seen["treatment"] == reconstruction.active)
    np.testing.assert_array_equal(constant["period"], seen["period"])
    patients = fit_["posterior"]["patient"].to_numpy()[constant["patient_index"]]
    assert list(patients) == list(seen["patient"])
    overdispersion = fit_["posterior"]["sqrt_overdispersion"] ** 2
    np.testing.assert_allclose(fit_["posterior"]["overdispersion"], overdispersion)


def test_parallel_fit_has_what_its_model_has(parallel_fit: xr.DataTree) -> None:
    names = {"log_rate", "log_rate_ratio", "patient_sd", "patient_effect"}
    assert set(parallel_fit["posterior"].data_vars) == names
    assert set(parallel_fit["log_prior"].data_vars) == names - {"patient_effect"}


def test_attributes_explain_the_fit(crossover_fit: xr.DataTree, crossover: Trial) -> None:
    attrs = crossover_fit.attrs
    assert attrs["model_name"] == "crossover-negative-binomial"
    assert attrs["model_sha256"] == Model.load("crossover-negative-binomial").sha256
    assert attrs["data_sha256"] == crossover.sha256
    assert attrs["label"] == "simulated, not data"
    assert attrs["seed"] == 11
    assert attrs["refitted"] == ""
    assert attrs["engine"] == "nutpie NUTS"
    assert set(json.loads(attrs["versions"])) == set(PACKAGES)
    assert json.loads(attrs["settings"]) == {
        "draws": 1000,
        "tune": 500,
        "chains": 4,
        "target_accept": 0.9,
    }


def test_log_prior_and_log_likelihood_are_those_of_pymc(
    crossover_fit: xr.DataTree, crossover: Trial
) -> None:
    model = Model.load("crossover-negative-binomial")
    few = xr.DataTree.from_dict(
        {"posterior": crossover_fit["posterior"].to_dataset().isel(draw=slice(0, 6))}
    )
    with build(model, crossover):
        quiet: dict[str, Any] = {"progressbar": False, "extend_inferencedata": False}
        likelihood = pm.compute_log_likelihood(few, **quiet)
        prior = compute_log_prior(few, **quiet)
    np.testing.assert_allclose(
        likelihood["count"], crossover_fit["log_likelihood"]["count"][:, :6], rtol=0, atol=1e-7
    )
    assert set(crossover_fit["log_prior"].data_vars) == set(prior.data_vars)
    for name, ours in crossover_fit["log_prior"].data_vars.items():
        np.testing.assert_allclose(prior[name], ours[:, :6], rtol=0, atol=1e-9)


def test_same_seed_same_draws(parallel: Trial, crossover: Trial) -> None:
    few: dict[str, Any] = {"tune": 300}
    first = fit(parallel, "count-poisson", seed=7, cores=1, **few)
    fit(make_parallel([[30, 1], [2, 9], [4, 4]]), "count-poisson", seed=8, **few)
    again = fit(parallel, "count-poisson", seed=7, cores=2, **few)
    other = fit(parallel, "count-poisson", seed=9, **few)
    for group in ("posterior", "log_likelihood", "posterior_predictive", "prior"):
        assert first[group].dataset.equals(again[group].dataset), group
    assert not first["posterior"].dataset.equals(other["posterior"].dataset)
    chains = first["posterior"]["log_rate"].to_numpy()
    assert len({chain.tobytes() for chain in chains}) == 4


def test_a_structure_is_compiled_once(parallel: Trial, crossover: Trial) -> None:
    model = Model.load("count-poisson")
    narrow = model.with_prior("log_rate_ratio", Prior.normal(0, 0.1, why="to be seen"))
    tiny = make_parallel([[1], [2], [0]])
    sampler = Sampler.of(model, parallel)
    assert Sampler.of(narrow, tiny) is sampler
    settings = Settings(draws=300, tune=300, chains=2)
    wide_sd, narrow_sd = (
        float(sampler.sample(m, parallel, settings, 1)["posterior"]["log_rate_ratio"].std())
        for m in (model, narrow)
    )
    assert narrow_sd < 0.15 < wide_sd
    student = model.with_prior("log_rate_ratio", Prior.student_t(4, 0, 1, why="another shape"))
    assert structure(student, parallel) != structure(model, parallel)
    assert structure(model, crossover) != structure(model, parallel)


def test_a_failed_fit_is_repeated_with_more_care(parallel: Trial) -> None:
    repeated = fit(parallel, "count-poisson", seed=1, draws=20, tune=20)
    assert "ESS" in repeated.attrs["refitted"]
    assert "limit > 400" in repeated.attrs["refitted"]
    settings = json.loads(repeated.attrs["settings"])
    assert settings == {"draws": 2000, "tune": 2000, "chains": 4, "target_accept": 0.99}
    assert repeated["posterior"].sizes["draw"] == 2000


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"draws": 0}, "draws is 0: it must be 1 or more"),
        ({"tune": -1}, "tune is -1"),
        ({"chains": 0}, "chains is 0"),
        ({"target_accept": 1.0}, "target_accept is 1.0: it must be between 0 and 1"),
    ],
)
def test_impossible_settings(parallel: Trial, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        fit(parallel, "count-poisson", **setting)


def test_unknown_models_are_refused_before_anything_is_compiled(parallel: Trial) -> None:
    with pytest.raises(ModelError, match="unknown model card 'poison'"):
        fit(parallel, "poison")
    with pytest.raises(ModelError, match="is for a crossover trial"):
        fit(parallel, "crossover-poisson")


def test_short_names_choose_the_card(
    parallel: Trial, crossover: Trial, parallel_fit: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert card_for(parallel, "poisson") == "count-poisson"
    again = fit_poisson(parallel, seed=14)
    assert again["posterior"].dataset.equals(parallel_fit["posterior"].dataset)
    asked: list[Any] = []
    module = sys.modules["bayes_msc.fit"]
    monkeypatch.setattr(module, "fit", lambda *names, **settings: asked.append((names, settings)))
    fit_negative_binomial(crossover, seed=3, progress=True)
    named = (crossover, "crossover-negative-binomial")
    assert asked == [(named, {"seed": 3, "progress": True})]


def test_patient_never_seen_is_left_out() -> None:
    nan = float("nan")
    trial = make_parallel([[3, 5], [1, 0], [nan, nan], [0, 2], [6, nan]])
    fit_ = fit(trial, "count-poisson", seed=4)
    assert list(fit_["posterior"]["patient"].to_numpy()) == ["P1", "P2", "P4", "P5"]
    assert fit_["posterior"]["patient_effect"].sizes["patient"] == 4
    assert trial_of(fit_).n_patients == 5


def test_trial_and_model_come_back_from_a_fit(
    reconstruction_fit: xr.DataTree, reconstruction: Trial
) -> None:
    trial = trial_of(reconstruction_fit)
    assert trial.sha256 == reconstruction.sha256
    assert trial.meta() == reconstruction.meta()
    assert trial.label == "reconstruction, not data"
    assert trial.data.equals(reconstruction.data)
    model = model_of(reconstruction_fit)
    assert model == Model.load("crossover-negative-binomial")
    assert model.sha256 == reconstruction_fit.attrs["model_sha256"]


def test_saved_fit_comes_back_whole(reconstruction_fit: xr.DataTree, tmp_path: Path) -> None:
    path = save_fit(reconstruction_fit, tmp_path / "fit.nc")
    again = load_fit(path)
    assert again.attrs == reconstruction_fit.attrs
    for group in GROUPS:
        xr.testing.assert_identical(
            again[group].to_dataset().drop_attrs(),
            reconstruction_fit[group].to_dataset().drop_attrs(),
        )
    assert summarize(again).equals(summarize(reconstruction_fit))
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


def test_a_fit_is_never_written_over_unasked(parallel_fit: xr.DataTree, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    path.write_text("precious")
    with pytest.raises(OutputError, match=r"fit\.nc is there already: .*force"):
        save_fit(parallel_fit, path)
    assert path.read_text() == "precious"
    save_fit(parallel_fit, path, force=True)
    assert load_fit(path).attrs["model_name"] == "count-poisson"
    with pytest.raises(OutputError, match="is a folder"):
        save_fit(parallel_fit, tmp_path, force=True)
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"):
        save_fit(parallel_fit, tmp_path / "nowhere" / "fit.nc")


def test_files_that_are_not_fits(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no fit at"):
        load_fit(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("not NetCDF")
    with pytest.raises(OutputError, match="not a NetCDF file of a fit"):
        load_fit(tmp_path / "text.nc")
    xr.Dataset({"x": ("n", [1.0, 2.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(OutputError, match="but not a fit that bayes_msc wrote"):
        load_fit(tmp_path / "other.nc")


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_arviz_works_on_a_fit(crossover_fit: xr.DataTree) -> None:
    summary = az.summary(crossover_fit, var_names=["log_rate_ratio"], ci_prob=0.95)
    draws = crossover_fit["posterior"]["log_rate_ratio"].to_numpy()
    assert float(summary.loc["log_rate_ratio", "mean"]) == pytest.approx(draws.mean(), abs=0.006)
    with warnings.catch_warnings():
        # one of nine patients may well be influential
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")
        loo = az.loo(crossover_fit, pointwise=True)
    assert loo.n_data_points == 9
    assert loo.elpd == pytest.approx(float(loo.elpd_i.sum()))
    table = az.psense_summary(crossover_fit, var_names=["log_rate_ratio", "patient_sd"])
    assert np.isfinite(table[["prior", "likelihood"]].to_numpy(float)).all()


def test_a_number_that_is_set(crossover: Trial, tmp_path: Path) -> None:
    model = Model.load("crossover-negative-binomial").with_fixed("overdispersion", 1.0)
    fixed = fit(crossover, model, seed=41)
    posterior = fixed["posterior"].dataset
    for name in ("sqrt_overdispersion", "overdispersion"):
        assert (posterior[name] == 1.0).all()
        assert posterior[name].attrs["fixed"] == 1
    assert "sqrt_overdispersion" not in fixed["log_prior"]
    table = summarize(fixed)
    assert (table["verdict"] == "ok").all()
    again = load_fit(save_fit(fixed, tmp_path / "fixed.nc"))
    assert (summarize(again)["verdict"] == "ok").all()
    assert model_of(again).priors["sqrt_overdispersion"].is_fixed
    # all patients one: the same trial without any patient effect is another number, not structure
    alike = fit(crossover, model.with_fixed("patient_sd", 0.0), seed=42)
    assert (alike["posterior"]["patient_effect"] == 0).all()
    assert (summarize(alike)["verdict"] == "ok").all()


def test_a_fit_without_weak_points_says_so(crossover_fit: xr.DataTree) -> None:
    assert json.loads(crossover_fit.attrs["warnings"]) == []


def test_scales_of_centred_columns_are_kept(crossover_fit: xr.DataTree, crossover: Trial) -> None:
    baseline = crossover.data.groupby("patient", sort=False)["baseline"].first()
    constant = crossover_fit["constant_data"]
    assert constant["centre"].sel(coefficient="baseline_slope").item() == pytest.approx(
        np.log1p(baseline).mean()
    )
    assert constant["scale"].sel(coefficient="baseline_slope").item() == 1.0
