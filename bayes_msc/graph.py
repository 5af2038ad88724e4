"""Build the PyMC model of a trial: the only module that writes PyMC graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES, NODES, conditional_logp, marginal_logp
from bayes_msc.model import Model
from bayes_msc.rows import arrange
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
        "column": ["seen", "log_exposure", *rows.coefficients],
    }
    numbers = data_of(model, trial)
    with pm.Model(coords=coords) as graph:
        observed = pm.Data("observed", numbers["observed"], dims=("patient", "row"))
        table = pm.Data("rows", numbers["rows"], dims=("patient", "row", "column"))
        parameters = _parameters(model, trial, pm.Data("prior_numbers", numbers["prior_numbers"]))
        eta = table[:, :, 1] + parameters["log_rate"]
        for k, name in enumerate(rows.coefficients):
            eta = eta + parameters[name] * table[:, :, 2 + k]
        _likelihood(model, observed, table[:, :, 0], eta, parameters, n_nodes)
    return graph


def data_of(model: Model, trial: Trial) -> dict[str, NDArray[np.float64]]:
    """Numbers of a trial and of the priors, by the names of the ``pm.Data`` they go into.

    They are packed into three arrays, because nutpie compiles code for every array it is handed:
    three instead of a dozen halve the time of a first fit.

    Returns
    -------
    dict of str to ndarray of float
        ``observed``, shape (patients, rows): counts; ``rows``, shape (patients, rows, 2 + terms):
        whether seen, log exposure, design; ``prior_numbers``: hyperparameters, one after another.
    """
    rows = arrange(trial, model)
    numbers = [np.ravel(prior.parameters) for prior in model.priors_for(trial).values()]
    return {
        "observed": rows.count,
        "rows": np.concatenate([np.stack([rows.seen, rows.log_exposure], -1), rows.design], -1),
        "prior_numbers": np.concatenate(numbers).astype(float),
    }


def _parameters(model: Model, trial: Trial, numbers: Any) -> dict[str, Any]:
    parameters, start = {}, 0
    for name, prior in model.priors_for(trial).items():
        shape = np.shape(prior.parameters)
        stop = start + int(np.prod(shape))
        make = _DISTRIBUTIONS[prior.distribution]
        parameters[name] = make(name, numbers[start:stop].reshape(shape))
        start = stop
    if "sqrt_overdispersion" in parameters:
        parameters["overdispersion"] = pm.Deterministic(
            "overdispersion", parameters["sqrt_overdispersion"] ** 2
        )
    return parameters


def _likelihood(
    model: Model,
    observed: Any,
    seen: Any,
    eta: Any,
    parameters: Mapping[str, Any],
    n_nodes: int,
) -> None:
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
        patients = size or eta.shape[:-1]
        effect = np.broadcast_to(patient_sd, patients) * rng.normal(size=patients)
        k = np.broadcast_to(overdispersion, patients)
        return row.random(rng, np.exp(eta + effect[..., None]), k[..., None]) * seen.astype(float)

    return random
