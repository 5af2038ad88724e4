"""Covariates by name: standardised columns of the linear predictor, with their scale kept."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import ModelError
from bayes_msc.parameters import COVARIATE
from bayes_msc.trial import Trial


def coefficient(covariate: str) -> str:
    """Name of a covariate's coefficient: ``covariate_`` and the name as an identifier."""
    return COVARIATE + re.sub(r"\W+", "_", covariate.strip()).strip("_").lower()


def standardised(
    trial: Trial, covariate: str, rows: pd.DataFrame
) -> tuple[NDArray[np.float64], float, float]:
    """Return a covariate of some rows, centred and scaled over the trial's patients.

    Parameters
    ----------
    trial : Trial
    covariate : str
        One of the trial's covariates, in numbers.
    rows : DataFrame
        Rows of the trial's table.

    Returns
    -------
    values : ndarray of float, shape (rows,)
        (covariate - centre) / scale.
    centre, scale : float
        Mean and standard deviation of the patients' means over their rows: a patient with more
        rows counts no more than another.

    Raises
    ------
    ModelError
        If the trial does not keep the covariate, it is text, a value is missing, or it is constant.
    """
    if covariate not in trial.covariates:
        kept = ", ".join(trial.covariates) or "none"
        raise ModelError(
            f"{trial.name} has no covariate {covariate!r} (it keeps {kept}): name it when the "
            f"trial is read, covariates=[{covariate!r}]"
        )
    values = trial.data[covariate]
    if not pd.api.types.is_numeric_dtype(values):
        found = ", ".join(repr(str(v)) for v in values.dropna().unique()[:4])
        raise ModelError(
            f"the covariate {covariate!r} holds text ({found}): recode it as numbers, two groups "
            "as 0 and 1"
        )
    _refuse_missing(trial, covariate)
    means = values.groupby(trial.data["patient"], sort=False).mean()
    centre, scale = float(means.mean()), float(means.std(ddof=1))
    if not scale > 1e-9 * max(1.0, abs(centre)):
        raise ModelError(
            f"the covariate {covariate!r} is {centre:g} for every patient: it can explain nothing, "
            "leave it out"
        )
    return (rows[covariate].to_numpy(float) - centre) / scale, centre, scale


def _refuse_missing(trial: Trial, covariate: str) -> None:
    seen = trial.seen
    missing = seen.loc[seen[covariate].isna(), "patient"].unique()
    if len(missing):
        raise ModelError(
            f"the covariate {covariate!r} is missing for patient "
            f"{', '.join(str(patient) for patient in missing)}: fill it in, or leave the covariate "
            f"out with model.without_covariate({covariate!r})"
        )
