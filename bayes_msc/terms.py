"""Terms of a model: most turn a trial into one column of the linear predictor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import ModelError
from bayes_msc.trial import Trial

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """One term of a model.

    Attributes
    ----------
    parameter : str
        Name of its free parameter, which has the prior.
    coefficient : str
        What its column is multiplied by: the parameter, or what follows from it; empty for a term
        that acts otherwise than through a column.
    symbol : str
        The term in the model's formula.
    column : callable
        ``column(trial, rows)``: one number for each row of the table, shape (rows,).
    available : callable
        ``available(trial)``: whether the trial has what the term needs.
    needs : str
        What that is, for the error message.
    kind : str
        Of terms of one kind (the forms of a baseline, of carryover) a model has at most one.
    """

    parameter: str
    coefficient: str
    symbol: str
    column: Callable[[Trial, pd.DataFrame], Column]
    available: Callable[[Trial], bool]
    needs: str
    kind: str = ""


def _treated(trial: Trial, rows: pd.DataFrame) -> Column:
    return np.asarray(rows["treatment"] == trial.active, dtype=float)


def _second_period(trial: Trial, rows: pd.DataFrame) -> Column:
    return np.asarray(rows["period"] == 2, dtype=float)


def _after_active(trial: Trial, rows: pd.DataFrame) -> Column:
    data = trial.data
    first = (data["period"] == 1) & (data["treatment"] == trial.control)
    control_first = rows["patient"].isin(data.loc[first, "patient"].unique())
    on_control = rows["treatment"] == trial.control
    return np.asarray((rows["period"] == 2) & on_control & ~control_first, dtype=float)


def _baselines(trial: Trial) -> pd.Series:
    """One baseline a patient.

    Raises
    ------
    ModelError
        Naming the patients without one.
    """
    by_patient = trial.data.groupby("patient", sort=False)["baseline"].first()
    missing = [str(patient) for patient in by_patient.index[by_patient.isna()]]
    if missing:
        raise ModelError(
            f"the baseline count is missing for patient {', '.join(missing)}: fill it in, "
            "leave the term out with model.without_term('baseline'), or take the term "
            "'baseline-joint', which does without"
        )
    return by_patient


def baseline_centre(trial: Trial, term: str) -> float:
    """Mean over the patients of log(baseline + 1), or of the count for ``baseline-count``."""
    baselines = _baselines(trial).to_numpy(float)
    return float((baselines if term == "baseline-count" else np.log1p(baselines)).mean())


def _log_baseline(trial: Trial, rows: pd.DataFrame) -> Column:
    return np.log1p(rows["baseline"].to_numpy(float)) - baseline_centre(trial, "baseline")


def _baseline_count(trial: Trial, rows: pd.DataFrame) -> Column:
    return rows["baseline"].to_numpy(float) - baseline_centre(trial, "baseline-count")


def _nothing(trial: Trial, rows: pd.DataFrame) -> Column:
    return np.zeros(len(rows))


def _always(trial: Trial) -> bool:
    return True


def _is_crossover(trial: Trial) -> bool:
    return trial.design == "crossover"


def _has_baseline(trial: Trial) -> bool:
    return trial.has_baseline


def follows(trial: Trial) -> NDArray[np.bool_]:
    """Tell for each seen row whether the scan directly before it was seen too.

    Directly before means: the row above in the trial's table, of the same patient and period, with
    a scan number one lower where there are scan numbers.

    Returns
    -------
    ndarray of bool, shape (seen rows,)
    """
    data = trial.data
    same = data["patient"] == data["patient"].shift()
    if "period" in data:
        same &= data["period"] == data["period"].shift()
    if "scan" in data:
        same &= data["scan"] == data["scan"].shift() + 1
    seen = data["count"].notna()
    return np.asarray((same & seen.shift(fill_value=False))[seen], dtype=bool)


def _has_successive(trial: Trial) -> bool:
    return bool(follows(trial).any())


TERMS: Mapping[str, Term] = {
    "treatment": Term(
        "log_rate_ratio",
        "log_rate_ratio",
        "log_rate_ratio * treated",
        _treated,
        _always,
        "two arms",
    ),
    "period": Term(
        "period_effect",
        "period_effect",
        "period_effect * [period 2]",
        _second_period,
        _is_crossover,
        "a crossover trial",
    ),
    "carryover": Term(
        "carryover_fraction",
        "carryover_effect",
        "carryover_fraction * log_rate_ratio * [on control after active]",
        _after_active,
        _is_crossover,
        "a crossover trial",
        "carryover",
    ),
    "carryover-two-sided": Term(
        "carryover_effect",
        "carryover_effect",
        "carryover_effect * [on control after active]",
        _after_active,
        _is_crossover,
        "a crossover trial",
        "carryover",
    ),
    "baseline": Term(
        "baseline_slope",
        "baseline_slope",
        "baseline_slope * (log(baseline + 1) - mean)",
        _log_baseline,
        _has_baseline,
        "a baseline count",
        "baseline",
    ),
    "baseline-count": Term(
        "baseline_slope",
        "baseline_slope",
        "baseline_slope * (baseline - mean)",
        _baseline_count,
        _has_baseline,
        "a baseline count",
        "baseline",
    ),
    # the column is 1 on the baseline row alone, which is none of the trial's rows
    "baseline-joint": Term(
        "baseline_level",
        "baseline_level",
        "baseline_level * [the baseline scan, one more row of the patient]",
        _nothing,
        _has_baseline,
        "a baseline count",
        "baseline",
    ),
    "serial": Term(
        "serial_dependence",
        "",
        "serial_dependence * (log(count before) - log(mean before))",
        _nothing,
        _has_successive,
        "patients with successive scans in one period",
    ),
    "treatment-varies": Term(
        "treatment_sd",
        "",
        "treatment_sd * patient's own standard normal * treated",
        _nothing,
        _always,
        "two arms",
    ),
}
