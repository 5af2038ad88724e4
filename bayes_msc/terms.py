"""Terms of the linear predictor: each a row that turns a trial into one column of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import ModelError
from bayes_msc.trial import Trial


@dataclass(frozen=True)
class Term:
    """One term of the linear predictor.

    Attributes
    ----------
    coefficient : str
        Name of its parameter, on the log scale.
    words : str
        What the coefficient says, for the reader of a report.
    symbol : str
        The term in the model's formula.
    column : callable
        ``column(trial, rows)``: one number for each row of the table, shape (rows,).
    available : callable
        ``available(trial)``: whether the trial has what the term needs.
    needs : str
        What that is, for the error message.
    """

    coefficient: str
    words: str
    symbol: str
    column: Callable[[Trial, pd.DataFrame], NDArray[np.float64]]
    available: Callable[[Trial], bool]
    needs: str


def _treated(trial: Trial, rows: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(rows["treatment"] == trial.active, dtype=float)


def _second_period(trial: Trial, rows: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(rows["period"] == 2, dtype=float)


def _log_baseline(trial: Trial, rows: pd.DataFrame) -> NDArray[np.float64]:
    by_patient = trial.data.groupby("patient", sort=False)["baseline"].first()
    missing = [str(patient) for patient in by_patient.index[by_patient.isna()]]
    if missing:
        raise ModelError(
            f"the baseline count is missing for patient {', '.join(missing)}: fill it in, "
            "or leave the term out with model.without_term('baseline')"
        )
    centre = float(np.log1p(by_patient.to_numpy(float)).mean())
    return np.log1p(rows["baseline"].to_numpy(float)) - centre


def _always(trial: Trial) -> bool:
    return True


TERMS: Mapping[str, Term] = {
    "treatment": Term(
        "log_rate_ratio",
        "log of the rate on the active treatment over the rate on control",
        "log_rate_ratio * treated",
        _treated,
        _always,
        "two arms",
    ),
    "period": Term(
        "period_effect",
        "log of the rate in period 2 over the rate in period 1, on the same treatment",
        "period_effect * [period 2]",
        _second_period,
        lambda trial: trial.design == "crossover",
        "a crossover trial",
    ),
    "baseline": Term(
        "baseline_slope",
        "change of the log rate with the log of (baseline count + 1)",
        "baseline_slope * (log(baseline + 1) - mean)",
        _log_baseline,
        lambda trial: trial.has_baseline,
        "a baseline count",
    ),
}
