"""Checks of the counts: statistics by hand, expectations in closed form, misfit found where it is.

Most fits here are put together by hand from a Poisson model whose parameters are known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from report_samples import constant_data, crossover, fake_fit
from report_samples import parallel as parallel_sample
from scipy import stats

from bayes_msc.checks import (
    CHECK_COLUMNS,
    STATISTICS,
    compare,
    count_edges,
    predictive_checks,
    replicates,
    rootogram,
    row_groups,
)
from bayes_msc.diagnostics import diagnose
from bayes_msc.errors import ModelError
from bayes_msc.fit import fit, trial_of
from bayes_msc.model import Model
from bayes_msc.trial import Trial

DRAWS = (4, 1000)
#: Twenty patients who differ twentyfold, in both arms alike.
EFFECT = np.tile(np.linspace(-1.5, 1.5, 10), 2)
RATE, RATIO = 3.0, 0.4


def two_arms(counts: np.ndarray, patients: int) -> Trial:
    """Build a parallel trial: the patients of the first half on placebo."""
    scans = len(counts) // patients
    patient = np.repeat(np.arange(patients), scans)
    table = pd.DataFrame(
        {
            "patient": [f"P{i}" for i in patient],
            "treatment": np.where(patient < patients // 2, "placebo", "drug"),
            "scan": np.tile(np.arange(scans), patients) + 1,
            "count": counts,
        }
    )
    return Trial(table, design="parallel", control="placebo", active="drug")


def poisson_fit(trial: Trial, effect: np.ndarray, patient_sd: float = 1e-6) -> xr.DataTree:
    """Put a fit together in which every draw has the same, known parameters."""
    model = Model.load("count-poisson")
    rng = np.random.default_rng(8)
    dims = ("chain", "draw")
    values = {"log_rate": np.log(RATE), "log_rate_ratio": np.log(RATIO), "patient_sd": patient_sd}
    constant = constant_data(trial)
    mean = RATE * RATIO ** constant["treated"][1]
    own = rng.normal(0, patient_sd, (*DRAWS, trial.n_patients))[:, :, constant["patient_index"][1]]
    posterior: dict[str, Any] = {name: (dims, np.full(DRAWS, v)) for name, v in values.items()}
    posterior["patient_effect"] = (
        (*dims, "patient"),
        np.broadcast_to(effect, (*DRAWS, len(effect))),
    )
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior, {"patient": list(trial.patients)}),
            "posterior_predictive": xr.Dataset(
                {"count": ((*dims, "observation"), rng.poisson(mean * np.exp(own)))}
            ),
            "observed_data": xr.Dataset(
                {"count": ("observation", trial.seen["count"].to_numpy(int))}
            ),
            "constant_data": xr.Dataset(constant),
        }
    )
    tree.attrs.update(fake_fit(trial).attrs, model_card=model.to_toml(), model_name=model.name)
    return tree


@pytest.fixture(scope="module")
def known() -> xr.DataTree:
    rng = np.random.default_rng(4)
    counts = rng.poisson(np.repeat([RATE, RATE * RATIO], 60))
    return poisson_fit(two_arms(counts, 20), np.zeros(20))


def rows_of(table: pd.DataFrame, patients: str, group: str) -> pd.DataFrame:
    here = (table["patients"] == patients) & (table["group"] == group)
    return table[here].set_index("statistic")


def test_statistics_are_those_of_numpy_by_arm_and_period() -> None:
    tree = fake_fit(crossover())
    seen = trial_of(tree).seen
    drawn = tree["posterior_predictive"]["count"].to_numpy().reshape(-1, len(seen))
    table = predictive_checks(tree, patients=["new"])
    assert tuple(table.columns) == CHECK_COLUMNS
    masks = {"all": np.ones(len(seen), bool)}
    for arm in ("placebo", "drug"):
        masks[arm] = (seen["treatment"] == arm).to_numpy()
    for period in (1, 2):
        masks[f"period {period}"] = (seen["period"] == period).to_numpy()
        for arm in ("placebo", "drug"):
            masks[f"{arm}, period {period}"] = masks[arm] & masks[f"period {period}"]
    assert set(table["group"]) == set(masks)
    for group, mask in masks.items():
        own = seen.loc[mask, "count"].to_numpy()
        here = rows_of(table, "new", group)
        assert (here["rows"] == mask.sum()).all()
        expected = [own.mean(), own.var(), own.var() / own.mean(), (own == 0).mean(), own.max()]
        np.testing.assert_allclose(here.loc[list(STATISTICS), "observed"], expected)
        zeros = np.array([(trial == 0).sum() for trial in drawn[:, mask]]) / mask.sum()
        columns = ["lower", "median", "upper"]
        quantiles = np.quantile(zeros, [0.025, 0.5, 0.975])
        np.testing.assert_allclose(here.loc["share of zeros", columns].astype(float), quantiles)
        p = (zeros > (own == 0).mean() + 1e-9).mean()
        p += 0.5 * np.isclose(zeros, (own == 0).mean()).mean()
        assert here.loc["share of zeros", "p"] == pytest.approx(p)


def test_a_parallel_trial_has_no_periods(known: xr.DataTree) -> None:
    assert list(row_groups(known)) == ["all", "placebo", "drug"]


def test_an_arm_without_a_count_is_no_group() -> None:
    tree = fake_fit(parallel_sample(4))
    tree["constant_data"]["treated"] = ("observation", np.ones(12, int))
    assert list(row_groups(tree)) == ["all", "drug"]


def test_ties_count_half_and_extremes_are_named() -> None:
    observed = np.array([0, 0, 9])
    same = {row["statistic"]: row for row in compare(observed, np.tile(observed, (50, 1)))}
    assert all(row["p"] == 0.5 and row["flag"] == "" for row in same.values())
    other = {row["statistic"]: row for row in compare(observed, np.tile([1, 2, 1], (50, 1)))}
    assert other["maximum"]["p"] == 0
    assert other["maximum"]["flag"] == "higher than the model makes"
    rare = {
        row["statistic"]: row for row in compare(np.array([0, 0, 0]), np.tile([5, 5, 6], (9, 1)))
    }
    assert rare["maximum"]["p"] == 1
    assert rare["maximum"]["flag"] == "lower than the model makes"


def test_dispersion_of_nothing_has_no_p() -> None:
    drawn = np.array([[0, 0], [0, 4], [0, 2], [1, 1]])
    none = {row["statistic"]: row for row in compare(np.zeros(2, int), drawn)}
    assert np.isnan(none["variance / mean"]["p"])
    assert none["variance / mean"]["flag"] == ""
    some = {row["statistic"]: row for row in compare(np.array([0, 2]), drawn)}
    # of the three draws with a lesion the ratios are 2, 1 and 0, against 1
    assert some["variance / mean"]["p"] == pytest.approx(0.5)
    assert some["variance / mean"]["median"] == 1
    nothing = {row["statistic"]: row for row in compare(np.array([0, 2]), np.zeros((3, 2), int))}
    assert np.isnan(nothing["variance / mean"]["median"])
    assert np.isnan(nothing["variance / mean"]["p"])


def test_same_patients_have_their_own_means() -> None:
    tree = poisson_fit(two_arms(np.arange(120) % 5, 20), EFFECT)
    drawn = replicates(tree, "same", seed=3)
    mean = np.repeat(np.exp(EFFECT), 6) * np.repeat([RATE, RATE * RATIO], 60)
    z = (drawn.mean(axis=0) - mean) / np.sqrt(mean / len(drawn))
    assert np.abs(z).max() < 4
    np.testing.assert_allclose(drawn.var(axis=0), mean, rtol=0.15)
    assert (replicates(tree, "same", seed=3) == drawn).all()
    assert (replicates(tree, "same", seed=4) != drawn).any()
    assert (
        replicates(tree) == tree["posterior_predictive"]["count"].to_numpy().reshape(-1, 120)
    ).all()


def test_same_patients_see_zeros_that_new_ones_hide() -> None:
    # patients differ widely; within each, every second scan is clean and the rest are high
    mean = np.repeat(np.exp(EFFECT), 6) * np.repeat([RATE, RATE * RATIO], 60)
    counts = np.where(np.arange(120) % 2, 0, np.round(2 * mean))
    tree = poisson_fit(two_arms(counts, 20), EFFECT, patient_sd=1.0)
    table = predictive_checks(tree)
    flags = {kind: rows_of(table, kind, "drug").loc["share of zeros", "flag"] for kind in
             ("new", "same")}  # fmt: skip
    assert flags == {"new": "", "same": "higher than the model makes"}


def test_new_patients_see_that_patients_differ() -> None:
    # the model says all patients are alike; taken one by one they fit
    mean = np.repeat(np.exp(EFFECT), 6) * np.repeat([RATE, RATE * RATIO], 60)
    counts = np.random.default_rng(2).poisson(mean)
    table = predictive_checks(poisson_fit(two_arms(counts, 20), EFFECT))
    assert rows_of(table, "new", "all").loc["variance", "flag"] == "higher than the model makes"
    assert rows_of(table, "same", "all").loc["variance", "flag"] == ""


def test_flags_are_rare_where_the_model_is_true() -> None:
    rng = np.random.default_rng(10)
    drawn = rng.poisson(2.0, (2000, 30))
    p = np.array([[row["p"] for row in compare(rng.poisson(2.0, 30), drawn)] for _ in range(400)])
    assert (p <= 0.01).mean() < 0.02
    assert (p >= 0.99).mean() < 0.02
    for column in p.T[:2]:  # hardly any ties in mean and variance
        assert stats.kstest(column, "uniform").pvalue > 0.001


def test_unknown_kinds_are_named(known: xr.DataTree) -> None:
    with pytest.raises(ModelError, match="kind of patients 'old': choose one of new, same"):
        predictive_checks(known, patients=["old"])
    with pytest.raises(ModelError, match="kind of patients"):
        rootogram(known, patients="old")


@pytest.mark.parametrize("patients", ["new", "same"])
def test_rootogram_of_a_poisson_model_in_closed_form(known: xr.DataTree, patients: str) -> None:
    table = rootogram(known, patients=patients)
    for group, means in {
        "placebo": [RATE],
        "drug": [RATE * RATIO],
        "all": [RATE, RATE * RATIO],
    }.items():
        part = table[(table["group"] == group) & table["count"].str.fullmatch(r"\d+")]
        values = part["count"].astype(int).to_numpy()
        pmf = np.array([stats.poisson(m).pmf(values) for m in means])
        error = np.sqrt((60 * pmf * (1 - pmf)).sum(axis=0) / np.prod(DRAWS))
        assert (np.abs(part["expected"] - 60 * pmf.sum(axis=0)) < 4.5 * error + 1e-9).all()
        if len(means) == 1:
            for q, column in ((0.025, "lower"), (0.975, "upper")):
                exact = stats.binom(60, pmf[0]).ppf(q)
                assert np.abs(part[column] - exact).max() <= 1
                assert np.abs(part[column] - exact).mean() < 0.25
    both = table.pivot_table(index="count", columns="group", values="observed")
    assert (both["placebo"] + both["drug"] == both["all"]).all()


def test_rootogram_counts_every_row_once(known: xr.DataTree) -> None:
    table = rootogram(known)
    counts = known["observed_data"]["count"].to_numpy()
    whole = table[table["group"] == "all"].set_index("count")
    assert whole.index.is_unique
    assert whole["observed"].sum() == len(counts)
    assert whole["expected"].sum() == pytest.approx(len(counts))
    for value in range(5):
        assert whole.loc[str(value), "observed"] == (counts == value).sum()


@pytest.mark.parametrize("highest", [0, 3, 10, 11, 150, 4000])
def test_count_edges_rise_and_cover(highest: int) -> None:
    edges = count_edges(highest, np.array([[0.0, highest]]))
    assert edges[0] == 0
    assert np.isinf(edges[-1])
    assert np.all(np.diff(edges) > 0)
    assert np.all(np.diff(edges[:-1])[:10] == 1)
    assert len(edges) < 40


def test_a_real_fit_has_both_kinds_and_the_gate_agrees(crossover_fit: xr.DataTree) -> None:
    table = predictive_checks(crossover_fit)
    assert set(table["patients"]) == {"new", "same"}
    assert table["group"].nunique() == 9
    assert len(table) == 2 * 9 * len(STATISTICS)
    gate = diagnose(crossover_fit)
    gate = gate[gate["check"] == "posterior predictive p"].set_index("target")["value"]
    own = rows_of(table, "new", "all")["p"]
    pd.testing.assert_series_equal(own.loc[gate.index], gate, check_names=False)
    # the same patients are foretold more narrowly than new ones
    width = table["upper"] - table["lower"]
    spread = width[table["statistic"] == "mean"].groupby(table["patients"]).median()
    assert spread["same"] < spread["new"]


def test_same_patients_of_a_real_fit_are_where_their_effects_are(crossover: Trial) -> None:
    fit_ = fit(crossover, "crossover-poisson", seed=3)
    seen = crossover.seen
    drawn = pd.DataFrame(replicates(fit_, "same").T).groupby(seen["patient"]).sum()
    total = seen.groupby("patient")["count"].sum()
    # a Poisson patient's own total is what its effect was estimated from
    assert np.corrcoef(drawn.mean(axis=1), total)[0, 1] > 0.98
