"""What a model says of every row, given the parameters: one function for PyTensor and NumPy.

The formula is written once, with operators that both share. ``bayes_msc.graph`` hands it scalars
and matrices of PyTensor; predictions hand it draws with two trailing axes, for patients and rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.model import Model
from bayes_msc.parameters import derived
from bayes_msc.rows import Rows, arrange
from bayes_msc.trial import Trial

Draws = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class RowParameters:
    """Parameters of the count distribution of every row, the patient effect apart.

    Attributes
    ----------
    eta : array, shape (..., patients, rows)
        Log mean of a patient whose effect is 0, log exposure included.
    loading : array, shape (..., patients, rows)
        What the patient's standard normal effect is multiplied by on the row.
    overdispersion, zero_part : array, shape (..., patients, rows)
        0 where the family has none.
    """

    eta: Any
    loading: Any
    overdispersion: Any
    zero_part: Any


def predict(columns: Mapping[str, Any], parameters: Mapping[str, Any]) -> RowParameters:
    """Compute the parameters of every row.

    Parameters
    ----------
    columns : mapping of str to array, shape (patients, rows)
        As ``Rows.names`` names them.
    parameters : mapping of str to number or array
        Free parameters and what follows from them, of shapes that broadcast against
        (..., patients, rows). ``patient_log_rate_ratio``, one a patient, takes the place of
        ``log_rate_ratio`` where it is given.

    Returns
    -------
    RowParameters
        Of shapes that broadcast to (..., patients, rows).

    Notes
    -----
    Serial dependence is that of Zeger & Qaqish (1988, Biometrics 44:1019): a scan keeps the share
    ``serial_dependence`` of the departure of the scan directly before from its expected log count,
    zero counts entering as one half. As the patient effect is part of what was expected, its
    loading shrinks by the same share. It takes the departures to fade by that share from scan to
    scan, and the rate ratio to hold between scans whose predecessors departed alike.
    """
    eta = linear(columns, parameters)
    loading = parameters["patient_sd"]
    if "serial_dependence" in parameters:
        share = parameters["serial_dependence"] * columns["follows"]
        eta = eta + share * (columns["log_before"] - linear(columns, parameters, "_before"))
        loading = loading * (1.0 - share)
    return RowParameters(eta, loading, _overdispersion(columns, parameters), _zero_part(parameters))


def linear(columns: Mapping[str, Any], parameters: Mapping[str, Any], suffix: str = "") -> Any:
    """Linear predictor of every row, or of the scan before it (suffix ``"_before"``)."""
    ratio = parameters.get("patient_log_rate_ratio", parameters["log_rate_ratio"])
    values = {**parameters, "log_rate_ratio": ratio}
    eta = columns[f"log_exposure{suffix}"] + values["log_rate"]
    for name in values:
        if f"{name}{suffix}" in columns:
            eta = eta + values[name] * columns[f"{name}{suffix}"]
    return eta


def _overdispersion(columns: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    if "overdispersion_control" not in parameters:
        return parameters.get("overdispersion", 0.0)
    control, active = parameters["overdispersion_control"], parameters["overdispersion_active"]
    return control + (active - control) * columns["log_rate_ratio"]


def _zero_part(parameters: Mapping[str, Any]) -> Any:
    return parameters.get("zero_inflation", parameters.get("zero_overdispersion", 0.0))


def row_parameters(model: Model, rows: Rows | Trial, draws: Draws) -> RowParameters:
    """Parameters of every row at each draw.

    Parameters
    ----------
    model : Model
    rows : Rows or Trial
        A trial is laid out for the model first.
    draws : mapping of str to ndarray
        As ``draws_of`` takes them from a fit: shape (draws,), or (draws, patients) for
        ``patient_log_rate_ratio``.

    Returns
    -------
    RowParameters
        Arrays of shape (draws, patients, rows), some of them views that repeat their values.
    """
    placed = rows if isinstance(rows, Rows) else arrange(rows, model)
    found = predict(placed.columns(), with_axes(draws))
    shape = (len(draws["log_rate"]), *placed.count.shape)
    return RowParameters(*(np.broadcast_to(value, shape) for value in vars(found).values()))


def with_axes(draws: Draws) -> dict[str, NDArray[np.float64]]:
    """Give draws trailing axes for patients and rows; add what follows from them."""
    values = {
        name: np.asarray(value).reshape(len(value), -1, 1)
        for name, value in draws.items()
        if np.ndim(value) == 1 or name == "patient_log_rate_ratio"
    }
    return {**values, **{n: v for n, v in derived(values).items() if n not in values}}


def draws_of(fit: xr.DataTree) -> dict[str, NDArray[np.float64]]:
    """Posterior draws of a fit, chains one after another.

    Returns
    -------
    dict of str to ndarray, shape (draws,) or (draws, patients)
    """
    posterior = fit["posterior"].dataset
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    return {
        str(name): array.to_numpy().reshape(total, *array.shape[2:])
        for name, array in posterior.data_vars.items()
    }
