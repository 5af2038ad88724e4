"""Build the PyMC model of a trial: the only module that writes PyMC graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_msc.counts import FAMILIES, NODES, conditional_logp, marginal_logp
from bayes_msc.model import Model
from bayes_msc.prior import Prior
from bayes_msc.rows import Rows, arrange
from bayes_msc.trial import Trial

#: PyMC's form of every prior distribution, given its numbers as one vector.
_DISTRIBUTIONS: Mapping[str, Callable[[str, Any], Any]] = {
    "normal": lambda name, p: pm.Normal(name, p[0], p[1]),
    "student_t": lambda name, p: pm.StudentT(name, nu=p[0], mu=p[1], sigma=p[2]),
    "normal_mixture": lambda name, p: pm.NormalMixture(name, w=p[0], mu=p[1], sigma=p[2]),
    "half_normal": lambda name, p: pm.HalfNormal(name, p[0]),
    "half_cauchy": lambda name, p: pm.HalfCauchy(name, p[0]),
    "exponential": lambda name, p: pm.Exponential(name, lam=p[0]),
    "gamma": lambda name, p: pm.Gamma(name, alpha=p[0], beta=p[1]),
    "lognormal": lambda name, p: pm.LogNormal(name, p[0], p[1]),
}


def build(model: Model, trial: Trial, n_nodes: int = NODES) -> pm.Model:
    """Build the PyMC model of a trial.

    Every number (counts, exposures, design, hyperparameters) is ``pm.Data``: another trial or
    another prior of the same kind changes data, not structure.

    Parameters
    ----------
    model : Model
    trial : Trial
    n_nodes : int
        Quadrature nodes a patient, where the patient effect is integrated out.

    Returns
    -------
    pymc.Model
        Free variables are named as on the card; the observed variable ``count`` has one log
        likelihood a patient.

    Raises
    ------
    ModelError
        If the model does not fit the trial.
    """
    rows = arrange(trial, model)
    coords = {
        "patient": list(rows.patients),
        "row": np.arange(rows.count.shape[1]),
        "term": list(rows.coefficients),
    }
    with pm.Model(coords=coords) as graph:
        parameters = _parameters(model, trial)
        eta = _linear_predictor(rows, parameters)
        _likelihood(model, rows, eta, parameters, n_nodes)
    return graph


def data_of(model: Model, trial: Trial) -> dict[str, Any]:
    """Numbers of a trial and of the priors, by the names of the ``pm.Data`` they go into."""
    return {**_row_data(arrange(trial, model)), **_prior_data(model, trial)}


def _row_data(rows: Rows) -> dict[str, Any]:
    return {
        "observed": rows.count,
        "seen": rows.seen,
        "log_exposure": rows.log_exposure,
        "design": rows.design,
    }


def _prior_data(model: Model, trial: Trial) -> dict[str, Any]:
    return {
        f"prior_{name}": np.array(prior.parameters, dtype=float)
        for name, prior in model.priors_for(trial).items()
    }


def _parameters(model: Model, trial: Trial) -> dict[str, Any]:
    numbers = _prior_data(model, trial)
    parameters = {
        name: _parameter(name, prior, numbers[f"prior_{name}"])
        for name, prior in model.priors_for(trial).items()
    }
    if "sqrt_overdispersion" in parameters:
        parameters["overdispersion"] = pm.Deterministic(
            "overdispersion", parameters["sqrt_overdispersion"] ** 2
        )
    return parameters


def _parameter(name: str, prior: Prior, numbers: Any) -> Any:
    return _DISTRIBUTIONS[prior.distribution](name, pm.Data(f"prior_{name}", numbers))


def _linear_predictor(rows: Rows, parameters: Mapping[str, Any]) -> Any:
    log_exposure = pm.Data("log_exposure", rows.log_exposure, dims=("patient", "row"))
    design = pm.Data("design", rows.design, dims=("patient", "row", "term"))
    eta = log_exposure + parameters["log_rate"]
    for k, name in enumerate(rows.coefficients):
        eta = eta + parameters[name] * design[:, :, k]
    return eta


def _likelihood(
    model: Model, rows: Rows, eta: Any, parameters: Mapping[str, Any], n_nodes: int
) -> None:
    observed = pm.Data("observed", rows.count, dims=("patient", "row"))
    seen = pm.Data("seen", rows.seen, dims=("patient", "row"))
    overdispersion = parameters.get("overdispersion", pt.constant(0.0))
    if model.patient_effect == "integrated":
        logp, random = _integrated(model.family, n_nodes)
        arguments = (eta, seen, parameters["patient_sd"], overdispersion)
    else:
        z = pm.Normal("z", 0.0, 1.0, dims="patient")
        effect = pm.Deterministic("patient_effect", parameters["patient_sd"] * z, dims="patient")
        logp, random = _sampled(model.family)
        arguments = (eta + effect[:, None], seen, pt.constant(0.0), overdispersion)
    pm.CustomDist(
        "count",
        *arguments,
        logp=logp,
        random=random,
        signature="(j),(j),(),()->(j)",
        dtype="float64",
        observed=observed,
        dims=("patient", "row"),
    )


def _integrated(family: str, n_nodes: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def logp(count: Any, eta: Any, seen: Any, patient_sd: Any, overdispersion: Any) -> Any:
        return marginal_logp(family, count, eta, seen, patient_sd, overdispersion, n_nodes)

    return logp, _random(family)


def _sampled(family: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def logp(count: Any, eta: Any, seen: Any, patient_sd: Any, overdispersion: Any) -> Any:
        return conditional_logp(family, count, eta, seen, overdispersion)

    return logp, _random(family)


def _random(family: str) -> Callable[..., Any]:
    row = FAMILIES[family]

    def random(
        eta: Any, seen: Any, patient_sd: Any, overdispersion: Any, rng: Any = None, size: Any = None
    ) -> Any:
        shape = np.broadcast_shapes(eta.shape, size or ())
        sd = np.broadcast_to(np.asarray(patient_sd), shape[:-1])
        effect = sd * rng.normal(size=shape[:-1])
        k = np.broadcast_to(np.asarray(overdispersion), shape[:-1])
        return row.random(rng, np.exp(eta + effect[..., None]), k[..., None]) * seen.astype(float)

    return random
