"""What a fit says of the patients of the next trial: its posterior, in the terms of a truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayes_msc.errors import DesignError
from bayes_msc.model import Model
from bayes_msc.parameters import COVARIATE
from bayes_msc.predictor import Draws, draws_of
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

if TYPE_CHECKING:
    import xarray as xr

Values = dict[str, NDArray[np.float64]]


def parameter_draws(fit: xr.DataTree) -> Values:
    """Posterior draws of a fit, in the terms of a truth.

    A truth has neither a baseline slope nor covariates. What these tell of how patients differ is
    put back into ``patient_sd``, so that simulated patients differ as much as the trial's own:
    the square root of patient_sd² plus the variance between patients of what the slopes add.

    Parameters
    ----------
    fit : DataTree
        From ``bayes_msc.fit``.

    Returns
    -------
    dict of str to ndarray of float, shape (draws,)
        Parameters of a truth and others of the fit.

    Raises
    ------
    DesignError
        If the model has what no truth can have: serial dependence, an overdispersion of each arm.
    """
    from bayes_msc.fit import model_of, trial_of

    model, trial = model_of(fit), trial_of(fit)
    _refuse(model, trial)
    found = draws_of(fit)
    values = {name: value for name, value in found.items() if value.ndim == 1}
    values["patient_sd"] = np.hypot(values["patient_sd"], _explained_sd(model, trial, values))
    if "carryover_fraction" in values:
        # it follows from the fraction, for any rate ratio
        values.pop("carryover_effect", None)
    return values


def source_of(fit: xr.DataTree) -> str:
    """Say where the values of a truth that was taken from a fit come from."""
    from bayes_msc.fit import model_of, trial_of

    model, trial = model_of(fit), trial_of(fit)
    label = f" ({trial.label})" if trial.label and trial.label not in trial.title else ""
    return f"{model.name} fitted to {trial.title or trial.name}{label}"


def _refuse(model: Model, trial: Trial) -> None:
    if "serial" in model.terms_for(trial):
        raise DesignError(
            f"{model.name} ties each scan to the one before it, and a truth has no such tie: fit "
            "the model without it, model.without_term('serial')"
        )
    if model.dispersion != "common":
        raise DesignError(
            f"{model.name} has an overdispersion of each arm, and a truth has one: fit the model "
            'with model.with_dispersion("common")'
        )


def _explained_sd(model: Model, trial: Trial, values: Draws) -> NDArray[np.float64]:
    """Standard deviation between patients of what baseline and covariates add, at each draw."""
    rows = arrange(trial, model)
    names = [
        name for name in rows.coefficients if name == "baseline_slope" or name.startswith(COVARIATE)
    ]
    if not names or rows.n_patients < 2:
        return np.zeros(len(values["log_rate"]))
    slopes = np.column_stack([values[name] for name in names])
    columns = rows.design[:, :, [rows.coefficients.index(name) for name in names]]
    shares = rows.seen / rows.seen.sum(axis=1, keepdims=True)
    of_patient = np.einsum("pr,prk->pk", shares, columns)
    return np.asarray((of_patient @ slopes.T).std(axis=0, ddof=1))
