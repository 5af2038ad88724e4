"""Each patient predicted from the others: by reweighting a fit, or by a fit without the patient."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_msc.convergence import PARETO_LIMIT
from bayes_msc.errors import TrialError
from bayes_msc.fit import fit, model_of, trial_of
from bayes_msc.groups import patient_likelihood
from bayes_msc.model import Model
from bayes_msc.monte_carlo import errors_of
from bayes_msc.predictor import draws_of
from bayes_msc.rows import Rows, arrange
from bayes_msc.trial import Trial

METHODS = ("reweighted", "fitted without the patient", "unreliable")


def psis(fitted: xr.DataTree) -> Any:
    """Leave each patient out by PSIS, without ArviZ's warning: the table's own k says it.

    Returns
    -------
    arviz_stats.utils.ELPDDataLOO
        With ``elpd_i``, ``pareto_k`` (by patient) and ``log_weights``.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")
        return az.loo(fitted, pointwise=True)


def leave_each_out(fitted: xr.DataTree, *, exact: bool, seed: int) -> tuple[Any, pd.DataFrame]:
    """Predict each patient from the others, with a new fit where reweighting cannot be trusted.

    Parameters
    ----------
    fitted : xarray.DataTree
        From ``bayes_msc.fit``.
    exact : bool
        Whether to fit again without each patient whose Pareto k is ``most_k`` or more.
    seed : int

    Returns
    -------
    elpd : arviz_stats.utils.ELPDDataLOO
        The values of the new fits in their places, with a Pareto k of 0, as ``arviz.reloo`` has it.
    patients : DataFrame
        One row a patient: ``patient``, ``elpd``, ``pareto_k`` (of the reweighting), ``method``
        (one of ``METHODS``), ``mcse`` (Monte Carlo standard error of ``elpd``; only known for new
        fits).

    Notes
    -----
    The fit without a patient has the same model as the whole one: covariates and baselines keep
    their centre and scale, and the prior of ``log_rate`` stays where all patients had put it. (So
    that prior has seen the patient who is left out, in every model alike.) Its draws then give the
    patient's counts the probability p = mean of L_i over the draws, with the patient effect
    integrated out of L_i.

    A trial whose one arm has no other patient cannot be fitted without this one: the method is
    then ``"unreliable"``.
    """
    elpd = psis(fitted)
    names = [str(name) for name in fitted["log_likelihood"]["patient"].to_numpy()]
    values = elpd.elpd_i.to_numpy().copy()
    pareto_k = elpd.pareto_k.to_numpy().copy()
    method = np.where(pareto_k < most_k(fitted), METHODS[0], METHODS[2]).astype(object)
    error = np.full(len(names), np.nan)
    for i in np.flatnonzero(method == METHODS[2]) if exact else ():
        found = _predicted(fitted, names[i], seed + 1 + int(i))
        if found is not None:
            values[i], error[i] = found
            method[i] = METHODS[1]
    columns = (names, values, pareto_k, method, error)
    labels = ("patient", "elpd", "pareto_k", "method", "mcse")
    table = pd.DataFrame(dict(zip(labels, columns, strict=True)))
    return _with_values(elpd, fitted, values, method == METHODS[1]), table


def _with_values(
    elpd: Any, fitted: xr.DataTree, values: NDArray[np.float64], new: NDArray[np.bool_]
) -> Any:
    """Put other pointwise values into ArviZ's result, and what follows from them."""
    log_likelihood = fitted["log_likelihood"]["count"].to_numpy()
    draws = log_likelihood.shape[0] * log_likelihood.shape[1]
    within = logsumexp(log_likelihood.reshape(draws, -1), axis=0) - np.log(draws)
    pareto_k = np.where(new, 0.0, elpd.pareto_k.to_numpy())
    return replace(
        elpd,
        elpd=float(values.sum()),
        se=float(np.sqrt(len(values) * np.var(values, ddof=1))) if len(values) > 1 else np.nan,
        p=float((within - values).sum()),
        warning=bool((pareto_k > elpd.good_k).any()),
        elpd_i=elpd.elpd_i.copy(data=values),
        pareto_k=elpd.pareto_k.copy(data=pareto_k),
    )


def _predicted(fitted: xr.DataTree, patient: str, seed: int) -> tuple[float, float] | None:
    """Log probability of a patient's counts given all others, and its Monte Carlo error."""
    trial, model = trial_of(fitted), model_of(fitted)
    try:
        rest = without_patient(trial, patient)
    except TrialError:
        return None
    return log_predictive(_refit(rest, as_for(model, trial), seed), trial, patient, seed)


def _refit(trial: Trial, model: Model, seed: int) -> xr.DataTree:
    return fit(trial, model, seed=seed, engine="auto", progress=False)


def most_k(fitted: xr.DataTree) -> float:
    """Pareto k from which a patient cannot be left out by reweighting the draws of a fit.

    0.7, and less where the draws of importance sampling stand for fewer than 2200 independent ones
    (Vehtari et al. 2024, JMLR 25:72).
    """
    if "importance" not in fitted.children:
        return PARETO_LIMIT
    size = float(fitted["importance"].attrs["effective_size"])
    return min(1.0 - 1.0 / float(np.log10(size)), PARETO_LIMIT)


def without_patient(trial: Trial, patient: str) -> Trial:
    """Return the trial as if none of a patient's scans had been seen.

    The patient's baseline and covariates stay, and with them what they are centred on.

    Raises
    ------
    TrialError
        If a treatment was given to nobody else.
    """
    table = trial.data
    table.loc[table["patient"].astype(str) == patient, "count"] = np.nan
    return Trial(table, **trial.meta())


def as_for(model: Model, trial: Trial) -> Model:
    """Return the model with the prior of ``log_rate`` that it has for a trial, for any other."""
    return model.with_prior("log_rate", model.priors_for(trial)["log_rate"])


def log_predictive(
    fitted: xr.DataTree, trial: Trial, patient: str, seed: int
) -> tuple[float, float]:
    """Log probability of one patient's counts, averaged over the draws of a fit.

    Parameters
    ----------
    fitted : xarray.DataTree
        To other patients.
    trial : Trial
        Holds the patient.
    patient : str
    seed : int

    Returns
    -------
    value, mcse : float
        The log probability of all of the patient's counts together, and its Monte Carlo standard
        error.
    """
    model = model_of(fitted)
    rows = only(arrange(trial, model), patient)
    # the effects of the patients in the fit are not this patient's
    draws = {name: values for name, values in draws_of(fitted).items() if values.ndim == 1}
    rng = np.random.default_rng(seed)
    log_likelihood = patient_likelihood(model, rows, draws, rng)[1][:, 0]
    value = float(logsumexp(log_likelihood) - np.log(len(log_likelihood)))
    likelihood = np.exp(log_likelihood - value).reshape(fitted["posterior"]["log_rate"].shape)
    # the likelihood is in units of its mean: the error of its logarithm is that of the mean
    return value, errors_of(fitted).of_mean(likelihood)


def only(rows: Rows, patient: str) -> Rows:
    """Return the rows of one patient."""
    i = rows.patients.index(patient)
    own = slice(i, i + 1)
    mine = rows.patient_index == i
    return replace(
        rows,
        patients=(patient,),
        count=rows.count[own],
        seen=rows.seen[own],
        log_exposure=rows.log_exposure[own],
        design=rows.design[own],
        patient_index=np.zeros(int(mine.sum()), dtype=np.int64),
        row_index=rows.row_index[mine],
        follows=None if rows.follows is None else rows.follows[own],
    )
