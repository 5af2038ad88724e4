"""The groups of a fit: the sampler's draws and all that follows from them, as a DataTree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msc.effects import recover
from bayes_msc.model import Model
from bayes_msc.parameters import derived_alone
from bayes_msc.predictive import log_prior, prior_draws, simulate_counts
from bayes_msc.predictor import Draws, RowParameters, row_parameters
from bayes_msc.rows import Rows
from bayes_msc.trial import Trial

#: What is kept of the sampler's own records, by chain and draw.
SAMPLE_STATS = (
    "diverging",
    "energy",
    "logp",
    "depth",
    "n_steps",
    "step_size",
    "mean_tree_accept",
    "replicate",
)
#: Standardised effects of the sampled hierarchy: on the log scale they are kept, as such not.
SAMPLED = ("z", "treatment_z")
TREATMENT_NODES = 21


def assemble(
    trial: Trial,
    model: Model,
    rows: Rows,
    raw: xr.DataTree,
    seed: int,
) -> xr.DataTree:
    """Put the groups together: draws, what follows from them, what was known before.

    Parameters
    ----------
    trial, model, rows : Trial, Model, Rows
    raw : xarray.DataTree
        The sampler's ``posterior`` and ``sample_stats``.
    seed : int
        For patient effects, predictions and prior draws.

    Returns
    -------
    xarray.DataTree
        The groups that ``bayes_msc.fit`` describes.
    """
    streams = np.random.default_rng(seed).spawn(3)
    posterior = raw["posterior"].to_dataset().drop_vars(SAMPLED, errors="ignore")
    posterior = _with_fixed(posterior, model, trial)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    draws = {
        str(name): np.asarray(array).reshape(-1, *array.shape[2:])
        for name, array in posterior.data_vars.items()
    }
    z, log_likelihood = patient_likelihood(model, rows, draws, streams[0])
    simulated = simulate_counts(model, rows, draws, streams[1])
    if "patient_effect" not in posterior:
        effect = draws["patient_sd"][:, None] * z
        posterior["patient_effect"] = _by("patient", effect.reshape(*shape, -1))
        posterior["patient_effect"].attrs.update(posterior["patient_sd"].attrs)
    posterior = posterior.assign_coords(patient=list(rows.patients))
    patient = {"patient": list(rows.patients)}
    observations = {"observation": np.arange(len(rows.patient_index))}
    densities = log_prior(model, trial, draws)
    groups = {
        "posterior": posterior,
        "sample_stats": _kept(raw["sample_stats"].to_dataset()),
        "log_likelihood": _sampled_set(
            {"count": _by("patient", log_likelihood.reshape(*shape, -1))}, shape, patient
        ),
        "log_prior": _sampled_set(
            {n: (("chain", "draw"), v.reshape(shape)) for n, v in densities.items()}, shape, {}
        ),
        **_prior_groups(trial, model, rows, streams[2], observations),
        "posterior_predictive": _sampled_set(
            {"count": _by("observation", simulated.reshape(*shape, -1))}, shape, observations
        ),
        "observed_data": xr.Dataset(
            {"count": ("observation", rows.flat(rows.count).astype(np.int64))}, observations
        ),
        "constant_data": _constant_data(trial, rows, observations),
    }
    if "importance" in raw.children:
        groups["importance"] = raw["importance"].to_dataset()
    return xr.DataTree.from_dict(groups)


def _kept(stats: xr.Dataset) -> xr.Dataset:
    return stats[[name for name in SAMPLE_STATS if name in stats]]


def _with_fixed(posterior: xr.Dataset, model: Model, trial: Trial) -> xr.Dataset:
    """Add the parameters that are set, and what follows from them alone, marked as ``fixed``.

    A number that never moves has no R-hat: the mark tells the checks to pass it over.
    """
    priors = model.priors_for(trial)
    constant = {n: np.asarray(p["value"]) for n, p in priors.items() if p.is_fixed}
    constant |= derived_alone(constant)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    fixed = {
        name: xr.Variable(("chain", "draw"), np.full(shape, float(value)), {"fixed": 1})
        for name, value in constant.items()
    }
    return posterior.assign(fixed)


def patient_likelihood(
    model: Model, rows: Rows, draws: Draws, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standardised patient effects and each patient's log likelihood, shape (draws, patients).

    Parameters
    ----------
    model : Model
    rows : Rows
        Of any patients, also of some that the draws do not come from.
    draws : mapping of str to ndarray, shape (draws,)
    rng : numpy.random.Generator

    Notes
    -----
    Where patients differ in their treatment effects too, these are integrated out of the log
    likelihood on Gauss-Hermite nodes: it speaks of a patient of whom only the counts are known.
    """
    at = row_parameters(model, rows, draws)
    z, log_likelihood = _recover(model, rows, at, rng)
    if "treatment_sd" not in draws:
        return z, log_likelihood
    nodes, weights = np.polynomial.hermite_e.hermegauss(TREATMENT_NODES)
    terms = []
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        ratio = (draws["log_rate_ratio"] + draws["treatment_sd"] * node)[:, None]
        own = {**draws, "patient_log_rate_ratio": np.repeat(ratio, rows.n_patients, axis=1)}
        at = row_parameters(model, rows, own)
        terms.append(np.log(weight) + _recover(model, rows, at, rng)[1])
    return z, np.asarray(np.logaddexp.reduce(terms, axis=0))


def _recover(
    model: Model, rows: Rows, at: RowParameters, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return recover(model.family, rows, at.eta, at.loading, at.overdispersion, at.zero_part, rng)


def _by(dim: str, values: NDArray[Any]) -> tuple[tuple[str, str, str], NDArray[Any]]:
    return ("chain", "draw", dim), values


def _sampled_set(
    variables: Mapping[str, Any], shape: tuple[int, int], coords: Mapping[str, Any]
) -> xr.Dataset:
    chains, draws = shape
    return xr.Dataset(variables, {"chain": np.arange(chains), "draw": np.arange(draws), **coords})


def _prior_groups(
    trial: Trial,
    model: Model,
    rows: Rows,
    rng: np.random.Generator,
    observations: Mapping[str, Any],
    draws: int = 1000,
) -> dict[str, xr.Dataset]:
    prior = prior_draws(model, trial, draws, rng)
    counts = simulate_counts(model, rows, prior, rng)
    variables = {name: (("chain", "draw"), values[None]) for name, values in prior.items()}
    return {
        "prior": _sampled_set(variables, (1, draws), {}),
        "prior_predictive": _sampled_set(
            {"count": _by("observation", counts[None])}, (1, draws), observations
        ),
    }


def _constant_data(trial: Trial, rows: Rows, observations: Mapping[str, Any]) -> xr.Dataset:
    seen = trial.seen
    columns: dict[str, Any] = {
        "patient_index": rows.patient_index,
        "treated": (seen["treatment"] == trial.active).to_numpy(np.int64),
        "exposure": seen["exposure"].to_numpy(float),
    }
    for name in ("period", "scan", "month", "baseline"):
        if name in seen:
            columns[name] = seen[name].to_numpy(float)
    data = xr.Dataset({n: ("observation", v) for n, v in columns.items()}, observations)
    if rows.scales:
        centre, scale = zip(*rows.scales.values(), strict=True)
        data = data.assign_coords(coefficient=list(rows.scales))
        data = data.assign(centre=("coefficient", list(centre)), scale=("coefficient", list(scale)))
    return data
