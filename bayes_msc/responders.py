"""Patients who differ in their response: how many benefit, and how little few patients tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from bayes_msc.errors import ModelError
from bayes_msc.fit import model_of, trial_of
from bayes_msc.monte_carlo import errors_of

COLUMNS = ("statement", "label", "expected", "lower", "upper", "of", "prior_expected", "caution")


def patients_benefiting(fit: xr.DataTree) -> pd.DataFrame:
    """Count the patients whose own log rate ratio is below 0.

    Parameters
    ----------
    fit : xarray.DataTree
        Of a model with the term ``treatment-varies``.

    Returns
    -------
    DataFrame
        One row: ``expected`` (posterior mean of the number of patients who benefit), ``lower``
        and ``upper`` (95 % equal-tailed; whole numbers), ``of`` (patients), ``prior_expected``
        (what the priors expected before the counts), ``label`` and ``caution`` in words.

    Raises
    ------
    ModelError
        If the model gives every patient the same rate ratio.
    """
    if "patient_log_rate_ratio" not in fit["posterior"]:
        raise ModelError(
            f"{model_of(fit).name} gives every patient the same rate ratio, so that either all "
            "benefit or none: fit model.with_varying_treatment(prior)"
        )
    trial = trial_of(fit)
    ratio = fit["posterior"]["patient_log_rate_ratio"].to_numpy()
    number = (ratio < 0).sum(axis=-1)
    lower, upper = np.quantile(number, [0.025, 0.975], method="inverted_cdf")
    patients = ratio.shape[-1]
    row = (
        "patients_benefiting",
        f"patients of the trial with fewer {trial.endpoint} on {trial.active} than they would "
        f"have on {trial.control}, in the long run",
        float(number.mean()),
        int(lower),
        int(upper),
        patients,
        patients * _prior_probability(fit),
        _caution(fit, patients),
    )
    return pd.DataFrame([row], columns=list(COLUMNS))


def patient_ratios(fit: xr.DataTree) -> pd.DataFrame:
    """Rate ratio of each patient, with the probability that it is below 1.

    Returns
    -------
    DataFrame
        One row a patient: ``patient``, ``median``, ``lower``, ``upper`` (95 % equal-tailed) of the
        patient's own rate ratio, ``probability`` that it is below 1, and its ``mcse``.
    """
    if "patient_log_rate_ratio" not in fit["posterior"]:
        patients_benefiting(fit)
    array = fit["posterior"]["patient_log_rate_ratio"]
    rows, errors = [], errors_of(fit)
    for patient in array["patient"].to_numpy():
        draws = array.sel(patient=patient).to_numpy()
        lower, median, upper = np.exp(np.quantile(draws, [0.025, 0.5, 0.975]))
        below = draws < 0
        rows.append(
            (str(patient), median, lower, upper, below.mean(), errors.of_probability(below))
        )
    columns = ["patient", "median", "lower", "upper", "probability", "mcse"]
    return pd.DataFrame(rows, columns=columns)


def _prior_probability(fit: xr.DataTree) -> float:
    """Prior probability that a patient benefits."""
    prior = fit["prior"]
    ratio = prior["log_rate_ratio"].to_numpy().ravel()
    spread = prior["treatment_sd"].to_numpy().ravel()
    own = np.random.default_rng(1).normal(size=ratio.shape)
    return float((ratio + spread * own < 0).mean())


def _caution(fit: xr.DataTree, patients: int) -> str:
    spread = fit["posterior"]["treatment_sd"].to_numpy()
    lower, upper = np.quantile(spread, [0.025, 0.975])
    return (
        f"{patients} patients say little about who responds: a patient's counts vary from scan to "
        "scan whatever the treatment does, so most of what looks like a response of one's own is "
        "chance, and the number leans on the priors. The data leave the spread of the log rate "
        f"ratio between patients anywhere from {lower:.2f} to {upper:.2f}; a spread of 0 means "
        "that all respond alike."
    )
