"""The gate: sound fits pass, doctored ones and wrong models are caught, each by the right row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import make_parallel
from scipy import special

from bayes_msc.convergence import COLUMNS, convergence
from bayes_msc.diagnostics import converged, diagnose, leave_one_out
from bayes_msc.effects import recover
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.predictor import draws_of, row_parameters
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial


def changed(fit_: xr.DataTree, group: str, **variables: np.ndarray) -> xr.DataTree:
    """Copy a fit and put other values in one of its groups."""
    tree = fit_.copy(deep=True)
    data = tree[group].to_dataset()
    for name, values in variables.items():
        data[name] = (data[name].dims, values)
    tree[group] = xr.DataTree(data)
    return tree


def failed(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table.loc[~table["ok"], "check"]))


@pytest.mark.parametrize("name", ["crossover_fit", "parallel_fit"])
def test_sound_fits_pass(name: str, request: pytest.FixtureRequest) -> None:
    fit_ = request.getfixturevalue(name)
    table = diagnose(fit_)
    assert tuple(table.columns) == COLUMNS
    assert set(table["check"]) == {
        "R-hat",
        "bulk ESS",
        "tail ESS",
        "divergences",
        "E-BFMI",
        "MCSE of probability",
        "Pareto k",
        "posterior predictive p",
    }
    # in a trial of nine, one patient may be too influential for the short cut of leaving out
    assert set(failed(table)) <= {"Pareto k"}
    assert ((table["hint"] == "") == table["ok"]).all()
    assert converged(table)
    patients = list(fit_["log_likelihood"]["patient"].to_numpy())
    assert list(table.loc[table["check"] == "Pareto k", "target"]) == [
        f"patient {p}" for p in patients
    ]
    assert set(table.loc[table["check"] == "posterior predictive p", "target"]) == {
        "mean",
        "variance",
        "share of zeros",
        "maximum",
    }


def test_real_trial_passes_but_for_the_number_of_draws(epilepsy_fit: xr.DataTree) -> None:
    # half the usual draws, which the second decimal of a probability may notice
    assert set(failed(diagnose(epilepsy_fit))) <= {"MCSE of probability"}


def test_divergences_are_counted(parallel_fit: xr.DataTree) -> None:
    diverging = np.zeros((4, 1000), dtype=bool)
    diverging[1, 5:9] = True
    table = diagnose(changed(parallel_fit, "sample_stats", diverging=diverging))
    assert failed(table[table["affects"] == "posterior"]) == ["divergences"]
    row = table[table["check"] == "divergences"].iloc[0]
    assert row["value"] == 4
    assert "target_accept" in row["hint"]
    assert not converged(table)


def test_a_chain_of_its_own_is_caught(parallel_fit: xr.DataTree) -> None:
    draws = parallel_fit["posterior"]["log_rate_ratio"].to_numpy().copy()
    draws[2] += 5 * draws.std()
    table = convergence(changed(parallel_fit, "posterior", log_rate_ratio=draws))
    assert "R-hat" in failed(table)
    assert table.set_index("check").loc["R-hat", "target"] == "log_rate_ratio"
    assert "chains disagree" in table.set_index("check").loc["R-hat", "hint"]


def test_a_patient_effect_that_has_not_mixed_is_named(parallel_fit: xr.DataTree) -> None:
    draws = parallel_fit["posterior"]["patient_effect"].to_numpy().copy()
    draws[0, :, 4] += 10
    table = convergence(changed(parallel_fit, "posterior", patient_effect=draws))
    assert table.set_index("check").loc["R-hat", "target"] == "patient_effect[P5]"


def test_short_chains_are_caught(parallel_fit: xr.DataTree) -> None:
    short = xr.DataTree.from_dict(
        {
            group: node.to_dataset().isel(draw=slice(0, 60)) if "draw" in node.dims else node
            for group, node in parallel_fit.children.items()
        }
    )
    short.attrs.update(parallel_fit.attrs)
    table = diagnose(short)
    assert {"bulk ESS", "tail ESS", "MCSE of probability"} <= set(failed(table))
    assert table.loc[table["check"] == "bulk ESS", "hint"].str.contains("more draws").all()


def test_slow_energy_is_caught(parallel_fit: xr.DataTree) -> None:
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(size=(4, 1000)), axis=1)
    table = convergence(changed(parallel_fit, "sample_stats", energy=walk))
    assert failed(table) == ["E-BFMI"]


def test_a_parameter_that_never_moves_is_caught(parallel_fit: xr.DataTree) -> None:
    with np.errstate(invalid="ignore", divide="ignore"):
        stuck = changed(parallel_fit, "posterior", log_rate=np.zeros((4, 1000)))
        table = convergence(stuck)
    assert "R-hat" in failed(table)
    assert table.set_index("check").loc["R-hat", "target"] == "log_rate"


def test_counts_beyond_poisson_are_caught() -> None:
    # most scans clean, and now and then very many lesions, in every patient alike
    rng = np.random.default_rng(3)
    counts = rng.negative_binomial(0.15, 0.15 / (0.15 + 6.0), size=(10, 6)).astype(float)
    trial = make_parallel(counts.tolist())
    poisson = diagnose(fit(trial, "count-poisson", seed=1))
    predictive = poisson[poisson["check"] == "posterior predictive p"].set_index("target")
    assert not predictive.loc["share of zeros", "ok"]
    assert "another family" in predictive.loc["share of zeros", "hint"]
    assert predictive.loc["share of zeros", "affects"] == "predictions"
    assert converged(poisson)
    binomial = diagnose(fit(trial, "count-negative-binomial", seed=1))
    assert binomial.loc[binomial["check"] == "posterior predictive p", "ok"].all()


def test_predictive_p_counts_ties_half(parallel_fit: xr.DataTree) -> None:
    observed = parallel_fit["observed_data"]["count"].to_numpy()
    same = np.broadcast_to(observed, (4, 1000, len(observed)))
    table = diagnose(changed(parallel_fit, "posterior_predictive", count=same))
    values = table.loc[table["check"] == "posterior predictive p", "value"]
    assert (values == 0.5).all()


def test_leave_one_out_against_fits_without_the_patient(parallel: Trial) -> None:
    model = Model.load("count-poisson").with_prior(
        "log_rate", Prior.normal(0.3, 1.5, why="the same whoever is left out")
    )
    whole = fit(parallel, model, seed=5)
    table = leave_one_out(whole).set_index("patient")
    rows = arrange(parallel, model)
    patient, data = "P7", parallel.data
    rest = Trial(data[data["patient"] != patient], **parallel.meta())
    without = fit(rest, model, seed=6)
    at = row_parameters(model, rows, draws_of(without))
    rng = np.random.default_rng(1)
    _, log_likelihood = recover("poisson", rows, *vars(at).values(), rng)
    one = log_likelihood[:, rows.patients.index(patient)]
    exact = special.logsumexp(one) - np.log(len(one))
    assert table.loc[patient, "ok"]
    assert table.loc[patient, "elpd"] == pytest.approx(exact, abs=0.1)


def test_a_patient_who_cannot_be_left_out_is_named(parallel_fit: xr.DataTree) -> None:
    log_likelihood = parallel_fit["log_likelihood"]["count"].to_numpy().copy()
    rng = np.random.default_rng(2)
    log_likelihood[:, :, 3] = -2.0 * rng.exponential(size=(4, 1000))
    # of the others no draw is worth more than another
    others = np.arange(log_likelihood.shape[2]) != 3
    log_likelihood[:, :, others] = -2.0 + 0.1 * rng.normal(size=(4, 1000, others.sum()))
    table = diagnose(changed(parallel_fit, "log_likelihood", count=log_likelihood))
    bad = table[~table["ok"]]
    assert list(bad["check"]) == ["Pareto k"]
    assert list(bad["target"]) == ["patient P4"]
    assert list(bad["affects"]) == ["leave-one-out"]
    assert "fit again without the patient" in bad["hint"].iloc[0]
    assert converged(table)


def test_what_the_prior_alone_informs_is_a_check_of_the_interpretation(
    parallel_fit: xr.DataTree,
) -> None:
    said = parallel_fit.copy(deep=True)
    said.attrs["warnings"] = '["period_effect: only its prior informs it"]'
    table = diagnose(said)
    (row,) = table[table["check"] == "identification"].to_dict("records")
    assert (row["target"], row["affects"]) == ("period_effect", "interpretation")
    assert row["hint"] == "only its prior informs it"
    assert not row["ok"]
    assert converged(table)
    assert "identification" not in set(diagnose(parallel_fit)["check"])
