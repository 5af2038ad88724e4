"""What this trial says by itself: to be set against its prior, and to count priors in patients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from bayes_msc.errors import ModelError, PriorError, PublishedError, one_of
from bayes_msc.evidence.robust import component_weights_of_draws, conflict, weight_table
from bayes_msc.evidence.trials import Evidence
from bayes_msc.exact import components
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.published import Published
from bayes_msc.trial import Trial

PARAMETERS = ("log_rate_ratio", "log_rate")
WIDE = 2.5


@dataclass(frozen=True)
class TrialAlone:
    """A trial's own estimate of a parameter, without the prior of that parameter.

    Parameters
    ----------
    estimate, se : float
        On the log scale.
    patients : int
        Patients who were randomised.
    """

    estimate: float
    se: float
    patients: int

    @property
    def unit_sd(self) -> float:
        """Standard deviation that one patient contributes: the standard error times root n."""
        return self.se * math.sqrt(self.patients)


def trial_alone(
    trial: Trial | Published | Evidence,
    model: Model | str | None = None,
    *,
    parameter: str = "log_rate_ratio",
    seed: int = 1,
) -> TrialAlone:
    """Estimate, standard error and information a patient of one trial.

    Parameters
    ----------
    trial : Trial, Published or Evidence
    model : Model or str, optional
        For a patient-level trial: the card. Priors of other parameters stay as they are.
    parameter : str
        ``"log_rate_ratio"`` or, for a patient-level trial, ``"log_rate"``.
    seed : int
        For the fit of a patient-level trial.

    Returns
    -------
    TrialAlone

    Raises
    ------
    ModelError, PublishedError
        If the model is missing or does not fit, or the numbers of patients are not known.

    Notes
    -----
    A patient-level trial is fitted with a normal prior of SD 2.5 on the parameter, whose precision
    is then taken out of the posterior's: exact where the likelihood is normal in the parameter, and
    close as soon as the trial says anything.
    """
    one_of(parameter, PARAMETERS, "parameter", ModelError)
    if isinstance(trial, Trial):
        if model is None:
            raise ModelError("a patient-level trial needs a model: name a card, see Model.names()")
        card = Model.load(model) if isinstance(model, str) else model
        return _of_patients(trial, card, parameter, seed)
    row = Evidence.from_published(trial) if isinstance(trial, Published) else trial
    if row.n is None or row.se is None:
        raise PublishedError(
            f"evidence {row.trial!r} needs se, n_active and n_control to say what a patient tells"
        )
    return TrialAlone(row.estimate, row.se, row.n)


def _of_patients(trial: Trial, model: Model, parameter: str, seed: int) -> TrialAlone:
    from bayes_msc.fit import fit

    centre = 0.0
    if parameter == "log_rate":
        centre = float(fit(trial, model, engine="auto", seed=seed)["posterior"][parameter].mean())
    wide = model.with_prior(parameter, Prior.normal(centre, WIDE, "to be taken out again"))
    draws = fit(trial, wide, engine="auto", seed=seed)["posterior"][parameter].to_numpy()
    variance = float(np.var(draws))
    precision = 1 / variance - WIDE**-2
    if precision <= 0:
        raise ModelError(f"{trial.name} says nothing of {parameter}: the posterior is the prior")
    estimate = (float(draws.mean()) / variance - centre * WIDE**-2) / precision
    return TrialAlone(estimate, precision**-0.5, trial.n_patients)


def posterior_weights(fit: xr.DataTree, parameter: str = "log_rate_ratio") -> pd.DataFrame:
    """Weights of the components of a mixture prior, before and after the trial, from a fit.

    Parameters
    ----------
    fit : xarray.DataTree
        Of a model whose prior of the parameter is a mixture of normals.
    parameter : str
        ``"log_rate_ratio"`` or ``"log_rate"``.

    Returns
    -------
    DataFrame
        ``component`` (from 1; the vague part of a robust prior is the last), ``mean, sd,
        prior_weight, posterior_weight, mcse``.

    Raises
    ------
    PriorError
        If the prior of the parameter is no mixture of normals.
    """
    from bayes_msc.fit import model_of
    from bayes_msc.monte_carlo import errors_of

    prior = model_of(fit).priors.get(parameter)
    if prior is None or prior.distribution != "normal_mixture":
        raise PriorError(
            f"the prior of {parameter} is {prior}: only a mixture of normals has weights to report"
        )
    draws = fit["posterior"][parameter].to_numpy()
    shares, means = component_weights_of_draws(prior, draws)
    errors = errors_of(fit)
    mcse = np.array([errors.of_mean(shares[..., k]) for k in range(shares.shape[-1])])
    return weight_table(*components(prior), means, mcse)


def prior_conflict(
    trial: Trial | Published | Evidence,
    prior: Prior,
    model: Model | str | None = None,
    *,
    parameter: str = "log_rate_ratio",
    seed: int = 1,
) -> pd.DataFrame:
    """Whether a trial contradicts a prior made of other trials.

    Parameters
    ----------
    trial, model, parameter, seed
        As in ``trial_alone``.
    prior : Prior
        A normal or a mixture of normals; of a robust one the last component is the vague part.

    Returns
    -------
    DataFrame
        One row, as ``conflict``.

    Raises
    ------
    ModelError, PriorError, PublishedError
        If the trial, the model or the prior is impossible.
    """
    alone = trial_alone(trial, model, parameter=parameter, seed=seed)
    return conflict(prior, alone.estimate, alone.se)
