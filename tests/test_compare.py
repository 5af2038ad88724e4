"""Comparing models: against ArviZ, closed conditions and quadrature; what is said of the result."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from test_leaving_out import Grid, two_parameters, two_patients

from bayes_msc.compare import (
    AVERAGES,
    Comparison,
    arviz_comparison,
    average,
    compare,
    compare_fits,
    ladder,
    model_probabilities,
)
from bayes_msc.compare_words import indistinguishable, statement
from bayes_msc.errors import ModelError
from bayes_msc.fit import fit
from bayes_msc.leaving_out import leave_each_out, psis
from bayes_msc.model import Model
from bayes_msc.parameters import FAMILY_PARAMETERS
from bayes_msc.prior import Prior
from bayes_msc.trial import Trial

NAMES = ["crossover-negative-binomial", "crossover-poisson"]


@pytest.fixture(scope="module")
def comparison(crossover: Trial) -> Comparison:
    return compare(crossover, NAMES, seed=4)


def test_one_row_a_model_with_all_that_was_promised(
    comparison: Comparison, crossover: Trial
) -> None:
    models = comparison.models
    assert sorted(models["model"]) == NAMES
    numbers = models.drop(columns=["model", "told_apart", "verdict"])
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    assert (models["lower"] < models["rate_ratio"]).all()
    assert (models["rate_ratio"] < models["upper"]).all()
    assert models["elpd"].is_monotonic_decreasing
    assert models["elpd_difference"].iloc[0] == 0
    assert not models["told_apart"].iloc[0]
    assert models["stacking_weight"].sum() == pytest.approx(1)
    assert models["model_probability"].sum() == pytest.approx(1)
    assert list(models["verdict"]) == ["ok", "ok"]
    assert len(comparison.patients) == 2 * crossover.n_patients
    assert set(comparison.fits) == set(comparison.elpds) == set(NAMES)


def test_differences_and_weights_are_those_of_arviz(comparison: Comparison) -> None:
    theirs = az.compare(dict(comparison.elpds), method="stacking", round_to="none")
    ours = comparison.models.set_index("model")
    theirs = theirs.loc[ours.index]
    for own, their in [
        ("elpd", "elpd"),
        ("se", "se"),
        ("p_loo", "p"),
        ("elpd_difference", "elpd_diff"),
        ("difference_se", "dse"),
    ]:
        assert ours[own].to_numpy() == pytest.approx(theirs[their].to_numpy(dtype=float))
    assert ours["stacking_weight"].to_numpy() == pytest.approx(
        theirs["weight"].to_numpy(dtype=float), abs=1e-3
    )


def test_table_follows_from_the_patients(comparison: Comparison) -> None:
    table = comparison.patients.pivot_table(index="patient", columns="model", values="elpd")
    models = comparison.models.set_index("model")
    for name in NAMES:
        assert models.loc[name, "elpd"] == pytest.approx(table[name].sum())
    best, other = models.index
    difference = table[other] - table[best]
    assert models.loc[other, "elpd_difference"] == pytest.approx(difference.sum())
    assert models.loc[other, "difference_se"] == pytest.approx(
        np.sqrt(len(difference)) * difference.std(ddof=0)
    )
    new = comparison.patients["method"] == "fitted without the patient"
    for name in NAMES:
        assert models.loc[name, "refitted"] == (new & (comparison.patients["model"] == name)).sum()
    assert (models["unreliable"] == 0).all()


def elpds_of(values: np.ndarray, like: xr.DataTree) -> dict[str, object]:
    """Results of leaving out with invented values, shape (models, patients)."""
    from dataclasses import replace

    template = psis(like)
    return {
        f"model {k}": replace(template, elpd_i=template.elpd_i.copy(data=row), elpd=row.sum())
        for k, row in enumerate(values)
    }


def test_stacking_weights_are_optimal(crossover_fit: xr.DataTree) -> None:
    values = np.random.default_rng(3).normal(-8.0, 1.5, size=(4, 9))
    table = arviz_comparison(elpds_of(values, crossover_fit)).sort_index()
    weight = table["weight"].to_numpy(dtype=float)
    assert weight.sum() == pytest.approx(1)
    density = np.exp(values)
    # a concave maximum over the simplex: no model could gain by more weight
    gain = (density / (weight @ density)).mean(axis=1)
    assert (weight > 0.05).sum() >= 2
    assert gain[weight > 0.01] == pytest.approx(1.0, abs=0.01)
    assert (gain < 1.01).all()


def test_probabilities_too_small_for_a_double_change_nothing(crossover_fit: xr.DataTree) -> None:
    values = np.random.default_rng(3).normal(-8.0, 1.5, size=(4, 9))
    near = arviz_comparison(elpds_of(values, crossover_fit))
    far = arviz_comparison(elpds_of(values - 2000.0, crossover_fit))
    assert list(near.index) == list(far.index)
    for column in ("weight", "elpd_diff", "dse"):
        assert far[column].to_numpy(float) == pytest.approx(near[column].to_numpy(float), abs=1e-6)


def test_averaged_ratio_is_the_mixture(comparison: Comparison) -> None:
    models = comparison.models.assign(own=[0.3, 0.7])
    found = average(comparison.fits, models, "own")
    draws = {
        name: np.exp(tree["posterior"]["log_rate_ratio"].to_numpy().ravel())
        for name, tree in comparison.fits.items()
    }
    share = models.set_index("model")["own"]

    def below(c: float) -> float:
        return float(sum(share[name] * (draws[name] <= c).mean() for name in NAMES))

    # draws of importance sampling repeat a point as often as its weight asks for
    for key, probability in (("lower", 0.025), ("rate_ratio", 0.5), ("upper", 0.975)):
        assert below(0.9999 * found[key]) < probability <= below(found[key] * 1.0001)
    assert found["probability"] == pytest.approx(below(1.0), abs=1e-12)
    parts = models["own"] * models["mcse"]
    assert found["mcse"] == pytest.approx(np.hypot(*parts))
    alone = average(comparison.fits, models.assign(own=[1.0, 0.0]), "own")
    assert alone["rate_ratio"] == pytest.approx(models["rate_ratio"].iloc[0], rel=0.002)
    assert list(comparison.averages["weights"]) == list(AVERAGES)
    within = comparison.averages["probability"].between(
        models["probability"].min(), models["probability"].max()
    )
    assert within.all()


def test_a_failed_check_is_passed_on_to_the_average(comparison: Comparison) -> None:
    bad = comparison.models.assign(verdict=["check failed: R-hat 1.2", "ok"], own=[0.5, 0.5])
    name = bad["model"].iloc[0]
    assert average(comparison.fits, bad, "own")["verdict"] == f"check failed: {name}"
    assert average(comparison.fits, bad.assign(own=[0.0, 1.0]), "own")["verdict"] == "ok"


def test_model_probabilities() -> None:
    assert model_probabilities(np.log([1, 3]) - 900) == pytest.approx([0.25, 0.75])
    assert model_probabilities([-5.0]) == pytest.approx([1.0])
    assert np.isnan(model_probabilities([-5.0, np.nan])).all()


def test_marginal_likelihood_against_quadrature() -> None:
    grid = Grid(two_patients())
    tree = fit(two_patients(), two_parameters(), seed=3, engine="fast")
    found = compare_fits({"tiny": tree}).models.iloc[0]
    error = found["log_marginal_likelihood_se"]
    assert 0 < error < 0.02
    assert found["log_marginal_likelihood"] == pytest.approx(grid.integral("AB"), abs=4 * error)


def test_marginal_likelihood_and_leaving_out_agree() -> None:
    # p(y_A | y_B) is a ratio of marginal likelihoods: another route to the same number
    grid = Grid(two_patients())
    tree = fit(two_patients(), two_parameters(), seed=3, engine="fast")
    elpd, _ = leave_each_out(tree, exact=False, seed=1)
    for value, other in zip(elpd.elpd_i.to_numpy(), "BA", strict=True):
        assert value == pytest.approx(grid.integral("AB") - grid.integral(other), abs=0.08)


def test_without_marginal_likelihoods_there_are_no_model_probabilities(
    crossover_fit: xr.DataTree,
) -> None:
    result = compare_fits({"one": crossover_fit}, exact=False)
    assert np.isnan(result.models["log_marginal_likelihood"]).all()
    assert np.isnan(result.models["model_probability"]).all()
    stacked, probable = result.averages.to_dict("records")
    assert np.isfinite(stacked["rate_ratio"])
    assert np.isnan(probable["rate_ratio"])
    assert probable["verdict"] == "not known: no marginal likelihood"


def test_the_default_is_every_family_of_the_design(crossover: Trial, parallel: Trial) -> None:
    assert ladder(crossover) == tuple(f"crossover-{family}" for family in FAMILY_PARAMETERS)
    assert ladder(parallel) == tuple(f"count-{family}" for family in FAMILY_PARAMETERS)
    assert set(ladder(crossover) + ladder(parallel)) <= set(Model.names())


def test_models_that_cannot_be_compared_are_refused(
    crossover: Trial, crossover_fit: xr.DataTree, parallel_fit: xr.DataTree
) -> None:
    model = Model.load("crossover-poisson")
    with pytest.raises(ModelError, match="more than one model is called crossover-poisson: name"):
        compare(crossover, [model, model.with_fixed("patient_sd", 0.0)])
    joint = model.with_term("baseline-joint", Prior.normal(0, 1, "wide"))
    with pytest.raises(ModelError, match="joint foretell the baseline scan too"):
        compare(crossover, {"joint": joint, "given": model})
    with pytest.raises(ModelError, match="no model is given"):
        compare(crossover, [])
    with pytest.raises(ModelError, match="unknown model card 'crossover-gauss'"):
        compare(crossover, ["crossover-gauss"])
    with pytest.raises(ModelError, match="unknown engine 'slow'"):
        compare(crossover, "crossover-poisson", engine="slow")
    with pytest.raises(ModelError, match="different counts"):
        compare_fits({"a": crossover_fit, "b": parallel_fit})


def models_table(differences: list[float], errors: list[float], **columns: object) -> pd.DataFrame:
    table = pd.DataFrame({"elpd_difference": differences, "difference_se": errors})
    return table.assign(
        model=[f"m{k}" for k in range(len(table))],
        rate_ratio=np.linspace(0.4, 0.6, len(table)),
        probability=np.linspace(0.99, 0.9, len(table)),
        unreliable=0,
        told_apart=~indistinguishable(table["elpd_difference"], table["difference_se"]),
    ).assign(**columns)


def test_apart_only_with_a_large_gap_of_several_standard_errors() -> None:
    table = models_table([0.0, -3.9, -10.0, -10.0], [0.0, 0.1, 6.0, 4.0])
    assert table["told_apart"].tolist() == [False, False, False, True]


def test_statement_says_what_is_not_told_apart() -> None:
    said = statement(models_table([0.0, -1.0, -12.0], [0.0, 2.0, 3.0]), 9)
    assert "These 9 patients cannot tell m1 from m0, which foretells them best:" in said
    assert "m2 (elpd lower by 12.0, standard error 3.0) foretells them worse." in said
    assert "from 0.40 to 0.50" in said
    assert "With 9 patients the standard error of a difference is itself rough" in said
    everything = statement(models_table([0.0, -1.0, -2.0], [0.0, 2.0, 3.0]), 200)
    assert "cannot tell any of the other 2 models from m0, which" in everything
    assert "worse" not in everything
    assert "rough" not in everything
    assert "cannot tell m1 from m0" in statement(models_table([0.0, -1.0], [0.0, 2.0]), 9)
    clear = statement(models_table([0.0, -30.0, -40.0], [0.0, 2.0, 3.0]), 9)
    assert clear.startswith("m0 foretells these 9 patients best.")
    assert "foretell them worse." in clear
    assert "not to be trusted" not in clear
    assert "nothing to tell apart" in statement(models_table([0.0], [0.0]), 9)


def test_statement_names_models_whose_elpd_is_not_to_be_trusted() -> None:
    said = statement(models_table([0.0, -1.0], [0.0, 2.0], unreliable=[0, 1]), 9)
    assert "could not be left out reliably in m1:" in said


def test_comparison_prints_its_label_first(comparison: Comparison) -> None:
    assert comparison.label == "simulated, not data"
    assert str(comparison).startswith("SIMULATED, NOT DATA\n")
    assert comparison.statement in str(comparison)
    page = comparison._repr_html_()
    assert page.count("<table") == 2
    assert "SIMULATED, NOT DATA" in page
    assert comparison.models["model"].iloc[0] in page
