"""Covariates: what is standardised, what is kept, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_msc.covariates import coefficient, standardised
from bayes_msc.errors import ModelError
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

NORMAL = Prior.normal(0.0, 0.5, why="for a test")


def trial(**columns: list[object]) -> Trial:
    table = pd.DataFrame(
        {
            "patient": ["A", "A", "B", "C", "C", "D"],
            "treatment": ["p", "p", "d", "p", "p", "d"],
            "scan": [1, 2, 1, 1, 2, 1],
            "count": [2, 1, 0, 4, np.nan, 3],
            **columns,
        }
    )
    return Trial(
        table, design="parallel", control="p", active="d", covariates=list(columns), name="four"
    )


AGES = {"Age at entry": [30, 30, 40, 50, 50, 20]}


def test_every_patient_counts_once() -> None:
    four = trial(**AGES)
    values, centre, scale = standardised(four, "Age at entry", four.seen)
    ages = np.array([30.0, 40.0, 50.0, 20.0])
    assert (centre, scale) == (ages.mean(), ages.std(ddof=1))
    np.testing.assert_allclose(values, (np.array([30, 30, 40, 50, 20]) - 35) / ages.std(ddof=1))


def test_a_covariate_is_a_column_of_the_design_with_its_scale() -> None:
    four = trial(**AGES)
    model = Model.load("count-poisson").with_covariate("Age at entry", NORMAL)
    rows = arrange(four, model)
    assert rows.coefficients == ("log_rate_ratio", "covariate_age_at_entry")
    assert list(model.priors_for(four)) == [
        "log_rate",
        "log_rate_ratio",
        "covariate_age_at_entry",
        "patient_sd",
    ]
    assert rows.scales["covariate_age_at_entry"] == (35.0, pytest.approx(12.909944))
    np.testing.assert_allclose(
        rows.flat(rows.columns()["covariate_age_at_entry"])[2], 5 / 12.909944
    )


def test_a_card_with_a_covariate_survives_its_text() -> None:
    model = Model.load("count-poisson").with_covariate("Age at entry", NORMAL)
    assert Model.from_toml(model.to_toml(), model.name) == model
    assert '[covariates."Age at entry"]' in model.to_toml()
    assert model.without_covariate("Age at entry") == Model.load("count-poisson")
    with pytest.raises(ModelError, match="unknown covariate of count-poisson 'sex'"):
        model.without_covariate("sex")


def test_names_of_coefficients() -> None:
    assert coefficient("age") == "covariate_age"
    assert coefficient(" EDSS (entry) ") == "covariate_edss_entry"
    model = Model.load("count-poisson").with_covariate("age", NORMAL)
    with pytest.raises(ModelError, match="'covariate_age', which is no name of its own: rename"):
        model.with_covariate("Age", NORMAL)
    with pytest.raises(ModelError, match="no name of its own"):
        model.with_covariate("!", NORMAL)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"four has no covariate 'x' \(it keeps none\): .* covariates=\['x'\]"),
        ({"x": list("ffmmmf")}, r"'x' holds text \('f', 'm'\): recode it as numbers"),
        ({"x": [1, 1, np.nan, 2, 2, np.nan]}, "'x' is missing for patient B, D: fill it in"),
        ({"x": [3, 3, 3, 3, 3, 3]}, "'x' is 3 for every patient: it can explain nothing"),
    ],
)
def test_covariates_that_are_refused(columns: dict[str, list[object]], message: str) -> None:
    four = trial(**columns)
    model = Model.load("count-poisson").with_covariate("x", NORMAL)
    with pytest.raises(ModelError, match=message):
        arrange(four, model)


def test_a_value_missing_on_an_unseen_row_does_no_harm() -> None:
    four = trial(x=[1, 1, 2, 3, np.nan, 4])
    values, _, _ = standardised(four, "x", four.seen)
    assert np.isfinite(values).all()
