"""Patients who benefit: against counting by hand, and against the sampled model's own limits."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

from bayes_msc.errors import ModelError
from bayes_msc.estimands import summarize
from bayes_msc.fit import fit
from bayes_msc.model import Model
from bayes_msc.predictor import draws_of, row_parameters
from bayes_msc.prior import Prior
from bayes_msc.responders import patient_ratios, patients_benefiting
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

PRIOR = Prior.half_normal(0.5, why="a response may differ threefold between patients")
MODEL = Model.load("crossover-negative-binomial").with_varying_treatment(PRIOR)


@pytest.fixture(scope="module")
def varying(crossover: Trial) -> xr.DataTree:
    return fit(crossover, MODEL, seed=31)


def test_number_of_patients_who_benefit(varying: xr.DataTree) -> None:
    (row,) = patients_benefiting(varying).to_dict("records")
    own = varying["posterior"]["patient_log_rate_ratio"].to_numpy()
    by_hand = [sum(ratio < 0 for ratio in draw) for draw in own.reshape(-1, 9)]
    assert row["expected"] == pytest.approx(np.mean(by_hand))
    assert row["lower"] <= row["expected"] <= row["upper"] <= row["of"] == 9
    assert row["lower"] == sorted(by_hand)[int(np.ceil(0.025 * len(by_hand))) - 1]
    assert "9 patients say little about who responds" in row["caution"]
    # before the counts a patient is as likely to benefit as not
    assert row["prior_expected"] == pytest.approx(4.5, abs=4 * 9 * 0.5 / np.sqrt(1000))
    assert row["expected"] > row["prior_expected"]


def test_each_patient(varying: xr.DataTree) -> None:
    table = patient_ratios(varying).set_index("patient")
    own = varying["posterior"]["patient_log_rate_ratio"]
    for patient in ("S1", "S9"):
        draws = own.sel(patient=patient).to_numpy()
        assert table.loc[patient, "probability"] == (draws < 0).mean()
        assert table.loc[patient, "median"] == pytest.approx(np.exp(np.median(draws)), rel=1e-3)
    assert table["probability"].sum() == pytest.approx(
        patients_benefiting(varying)["expected"].item()
    )


def test_a_common_treatment_effect_has_no_responders(crossover_fit: xr.DataTree) -> None:
    for function in (patients_benefiting, patient_ratios):
        with pytest.raises(ModelError, match=r"the same rate ratio.*with_varying_treatment"):
            function(crossover_fit)


def test_statements_say_whose_ratio_it_is(varying: xr.DataTree) -> None:
    labels = summarize(varying).set_index("statement")["label"]
    assert "in the middle of all responses" in labels["rate_ratio"]
    assert "by construction" not in labels["rate_ratio_marginal"]


def test_log_likelihood_integrates_both_effects_out(varying: xr.DataTree, crossover: Trial) -> None:
    rows = arrange(crossover, MODEL)
    draws = {name: values[:3] for name, values in draws_of(varying).items()}
    ours = varying["log_likelihood"]["count"].to_numpy().reshape(-1, 9)
    for d in range(3):
        one = {n: v[d : d + 1] for n, v in draws.items() if n != "patient_log_rate_ratio"}
        eta = row_parameters(MODEL, rows, one).eta[0]
        treated, k = rows.columns()["log_rate_ratio"], one["overdispersion"][0]
        for i in (0, 8):
            here = rows.seen[i] == 1

            def density(own: float, z: float, i: int = i, here: np.ndarray = here) -> float:
                effect = one["patient_sd"][0] * z + one["treatment_sd"][0] * own * treated[i][here]  # noqa: B023
                mean = np.exp(eta[i][here] + effect)  # noqa: B023
                p = stats.nbinom.pmf(rows.count[i][here], 1 / k, 1 / (1 + k * mean)).prod()  # noqa: B023
                return float(p * np.exp(-0.5 * (z * z + own * own)) / (2 * np.pi))

            grid = np.linspace(-6, 6, 81)
            values = [[density(own, z) for own in grid] for z in grid]
            exact = np.log(integrate.trapezoid(integrate.trapezoid(values, grid), grid))
            assert ours[d, i] == pytest.approx(exact, abs=1e-4)
