"""LOO-PIT against predictions in closed form: gamma-Poisson, one rate for all patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from report_samples import constant_data, crossover, fake_fit
from scipy import stats

from bayes_msc.diagnostics import leave_one_out
from bayes_msc.errors import ModelError
from bayes_msc.pit import PIT_COLUMNS, loo_pit, loo_pit_curve
from bayes_msc.trial import Trial

SHAPE, INVERSE_SCALE = 2.0, 0.5
SCANS = 3


def counts_trial(counts: np.ndarray) -> Trial:
    """Build a parallel trial of counts (patients, scans), the patients' arms taking turns."""
    index = np.indices(counts.shape)
    table = pd.DataFrame(
        {
            "patient": index[0].ravel(),
            "scan": index[1].ravel() + 1,
            "treatment": np.where(index[0].ravel() % 2 == 0, "placebo", "drug"),
            "count": counts.ravel(),
        }
    )
    return Trial(table, design="parallel", control="placebo", active="drug", scan="scan")


def conjugate_fit(counts: np.ndarray, seed: int = 1) -> xr.DataTree:
    """Draw from the exact posterior of one rate common to all patients."""
    rng = np.random.default_rng(seed)
    trial = counts_trial(counts)
    rate = rng.gamma(SHAPE + counts.sum(), 1 / (INVERSE_SCALE + counts.size), (4, 2000))
    each = stats.poisson(rate[:, :, None, None]).logpmf(counts).sum(axis=-1)
    dims = ("chain", "draw")
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"rate": (dims, rate)}),
            "log_likelihood": xr.Dataset(
                {"count": ((*dims, "patient"), each)}, {"patient": list(trial.patients)}
            ),
            "posterior_predictive": xr.Dataset(
                {
                    "count": (
                        (*dims, "observation"),
                        rng.poisson(rate[:, :, None], (4, 2000, counts.size)),
                    )
                }
            ),
            "observed_data": xr.Dataset({"count": ("observation", counts.ravel())}),
            "constant_data": xr.Dataset(constant_data(trial)),
        }
    )
    tree.attrs.update(fake_fit(trial).attrs)
    return tree


def left_out(counts: np.ndarray, scans: int) -> stats.rv_discrete:
    """Exact prediction of each patient's sum of some scans from all other patients."""
    others = counts.sum() - counts.sum(axis=1)
    rate = INVERSE_SCALE + counts.size - counts.shape[1]
    return stats.nbinom(SHAPE + others, rate / (rate + scans))


def exact_table(counts: np.ndarray) -> pd.DataFrame:
    total = counts.sum(axis=1)
    predicted = left_out(counts, counts.shape[1])
    below, at_or_below = predicted.cdf(total - 1), predicted.cdf(total)
    patient = range(len(total))
    return pd.DataFrame(
        {"group": "all", "patient": patient, "below": below, "at_or_below": at_or_below}
    )


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    drawn = np.random.default_rng(21).poisson(1.5, (9, SCANS))
    drawn[0] = 0
    drawn[1] = [4, 3, 4]
    return drawn


def test_sums_of_patients_fall_where_the_exact_prediction_says(counts: np.ndarray) -> None:
    table = loo_pit(conjugate_fit(counts))
    assert tuple(table.columns) == PIT_COLUMNS
    whole = table[table["group"] == "all"]
    exact = exact_table(counts)
    assert list(whole["count"]) == list(counts.sum(axis=1))
    assert (whole["rows"] == SCANS).all()
    np.testing.assert_allclose(whole["below"], exact["below"], atol=0.025)
    np.testing.assert_allclose(whole["at_or_below"], exact["at_or_below"], atol=0.025)


def test_a_patients_own_counts_take_no_part_in_its_prediction() -> None:
    counts = np.array([[1, 0, 1], [3, 3, 3], [1, 2, 0], [2, 0, 1], [1, 1, 1]])
    whole = loo_pit(conjugate_fit(counts, seed=2)).query("group == 'all'")
    rate = INVERSE_SCALE + counts.size
    kept = stats.nbinom(SHAPE + counts.sum(), rate / (rate + SCANS)).cdf(counts.sum(axis=1))
    off = np.abs(whole["at_or_below"] - exact_table(counts)["at_or_below"])
    assert np.abs(whole["at_or_below"] - kept).mean() > 0.03
    assert off.mean() < 0.01


def test_single_rows_use_the_weights_of_their_patient(counts: np.ndarray) -> None:
    table = loo_pit(conjugate_fit(counts), unit="row")
    whole = table[table["group"] == "all"]
    assert list(whole["count"]) == list(counts.ravel())
    assert (whole["rows"] == 1).all()
    exact = left_out(counts, 1).cdf(counts.T).T.ravel()
    np.testing.assert_allclose(whole["at_or_below"], exact, atol=0.025)
    placebo = table[table["group"] == "placebo"]
    np.testing.assert_allclose(
        placebo["at_or_below"], whole["at_or_below"].to_numpy().reshape(9, -1)[::2].ravel()
    )


def test_arms_of_a_crossover_are_summed_apart() -> None:
    tree = fake_fit(crossover())
    table = loo_pit(tree)
    weight = np.asarray(tree["posterior_predictive"]["count"])
    for arm in ("placebo", "drug"):
        part = table[table["group"] == arm].set_index("patient")
        treated = tree["constant_data"]["treated"].to_numpy() == (arm == "drug")
        own = treated & (tree["constant_data"]["patient_index"].to_numpy() == 2)
        seen = tree["observed_data"]["count"].to_numpy()[own]
        assert part.loc["P3", "count"] == seen.sum()
        assert part.loc["P3", "rows"] == len(seen) == 2
        # nearly equal weights: the plain share of draws is close
        share = (weight[:, :, own].sum(axis=-1) < seen.sum()).mean()
        assert part.loc["P3", "below"] == pytest.approx(share, abs=0.03)
    assert table.loc[table["group"] == "all", "rows"].sum() == len(treated)


def test_agrees_with_arviz_where_a_patient_has_one_row() -> None:
    import arviz as az

    counts = np.random.default_rng(3).poisson(4.0, (30, 1))
    tree = conjugate_fit(counts)
    own = loo_pit(tree)
    own = own[own["group"] == "all"]
    aligned = tree.copy()
    aligned["log_likelihood"] = xr.DataTree(
        tree["log_likelihood"].to_dataset().drop_vars("patient").rename(patient="observation")
    )
    theirs = az.loo_pit(aligned, random_state=5)["count"].to_numpy()
    assert (theirs >= own["below"] - 1e-9).all()
    assert (theirs <= own["at_or_below"] + 1e-9).all()


def test_pareto_k_is_that_of_leaving_out_patients(crossover_fit: xr.DataTree) -> None:
    table = loo_pit(crossover_fit)
    whole = table[table["group"] == "all"].set_index("patient")
    other = leave_one_out(crossover_fit).set_index("patient")
    np.testing.assert_allclose(whole["pareto_k"], other["pareto_k"])
    assert (whole["ok"] == other["ok"]).all()
    assert table["pit"].between(table["below"], table["at_or_below"]).all()
    assert (loo_pit(crossover_fit)["pit"] == table["pit"]).all()
    assert (loo_pit(crossover_fit, seed=2)["pit"] != table["pit"]).any()


def test_curve_is_the_mean_over_random_points(counts: np.ndarray) -> None:
    table = exact_table(counts)
    curve = loo_pit_curve(table)
    rng = np.random.default_rng(6)
    low, high = table["below"].to_numpy(), table["at_or_below"].to_numpy()
    random = low + rng.random((20_000, len(table))) * (high - low)
    for row in curve.iloc[::10].to_dict("records"):
        assert row["difference"] == pytest.approx((random <= row["u"]).mean() - row["u"], abs=0.005)
    ends = curve.iloc[[0, -1]][["difference", "lower", "upper"]].to_numpy()
    np.testing.assert_allclose(ends, 0, atol=1e-12)


def test_a_count_never_foretold_is_a_step() -> None:
    table = pd.DataFrame(
        {"group": "all", "patient": ["a", "b"], "below": [1.0, 0.4], "at_or_below": [1.0, 0.4]}
    )
    curve = loo_pit_curve(table).set_index("u")
    assert curve["difference"].iloc[30] == pytest.approx(-0.3)
    assert curve["difference"].iloc[50] == pytest.approx(0.5 - 0.5)
    assert curve["difference"].iloc[99] == pytest.approx(0.5 - 0.99)
    assert curve["difference"].iloc[100] == pytest.approx(0)


def leaves(table: pd.DataFrame) -> bool:
    curve = loo_pit_curve(table)
    return not curve["difference"].between(curve["lower"] - 1e-9, curve["upper"] + 1e-9).all()


@pytest.mark.parametrize(("patients", "scans", "rate"), [(9, 3, 1.0), (9, 3, 8.0), (40, 2, 2.0)])
def test_the_curve_seldom_leaves_the_band_of_a_right_model(
    patients: int, scans: int, rate: float
) -> None:
    rng = np.random.default_rng(7)
    left = [leaves(exact_table(rng.poisson(rate, (patients, scans)))) for _ in range(300)]
    assert np.mean(left) < 0.04


def test_the_random_points_are_uniform_under_a_right_model() -> None:
    rng = np.random.default_rng(9)
    tables = pd.concat([exact_table(rng.poisson(1.0, (9, 2))) for _ in range(150)])
    jump = tables["at_or_below"] - tables["below"]
    pit = tables["below"] + rng.random(len(tables)) * jump
    assert stats.kstest(pit, "uniform").pvalue > 0.01
    assert stats.kstest(tables["at_or_below"], "uniform").pvalue < 1e-6


def test_patients_who_differ_leave_the_band_of_a_model_that_says_they_do_not() -> None:
    rng = np.random.default_rng(11)
    rate = 3 * rng.gamma(1.0, 1.0, (40, 1))
    tree = conjugate_fit(rng.poisson(rate, (40, SCANS)))
    table = loo_pit(tree)
    assert leaves(table[table["group"] == "all"])
    assert leaves(loo_pit(tree, unit="row").query("group == 'all'"))


def test_nine_patients_show_little() -> None:
    table = pd.DataFrame({"group": "all", "patient": range(9), "below": 0.3, "at_or_below": 0.6})
    middle = loo_pit_curve(table).set_index("u").iloc[50]
    # between one and eight of nine may lie in the lower half of their predictions
    assert 9 * (middle["lower"] + 0.5) == pytest.approx(1)
    assert 9 * (middle["upper"] + 0.5) == pytest.approx(8)


def test_unknown_unit_is_named(crossover_fit: xr.DataTree) -> None:
    with pytest.raises(ModelError, match="unit 'scan': choose one of patient, row"):
        loo_pit(crossover_fit, unit="scan")
