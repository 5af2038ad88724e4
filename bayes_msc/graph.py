"""Build the PyMC model of a trial: the only module that writes PyMC graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES, marginal_logp
from bayes_msc.errors import PriorError, one_of
from bayes_msc.model import Model
from bayes_msc.normal_tail import NormalTail
from bayes_msc.parameters import derived, sources
from bayes_msc.predictor import RowParameters, predict
from bayes_msc.prior import Prior
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

#: PyMC's form of every prior distribution, given its numbers as one vector.
_DISTRIBUTIONS: Mapping[str, Callable[[str, Any], Any]] = {
    "normal": lambda name, p: pm.Normal(name, p[0], p[1]),
    "student_t": lambda name, p: pm.StudentT(name, nu=p[0], mu=p[1], sigma=p[2]),
    "normal_mixture": lambda name, p: pm.NormalMixture(name, w=p[0], mu=p[1], sigma=p[2]),
    "half_normal": lambda name, p: pm.HalfNormal(name, p[0], default_transform=NormalTail()),
    "half_cauchy": lambda name, p: pm.HalfCauchy(name, p[0]),
    "half_student_t": lambda name, p: pm.HalfStudentT(name, nu=p[0], sigma=p[1]),
    "exponential": lambda name, p: pm.Exponential(name, lam=p[0], default_transform=NormalTail()),
    "gamma": lambda name, p: pm.Gamma(name, alpha=p[0], beta=p[1]),
    "lognormal": lambda name, p: pm.LogNormal(name, p[0], p[1]),
    "beta": lambda name, p: pm.Beta(name, alpha=p[0], beta=p[1]),
    # a number, not a variable: the posterior gets it after sampling
    "fixed": lambda name, p: p[0],
}


def build(model: Model, trial: Trial) -> pm.Model:
    """Build the PyMC model of a trial.

    Every number (counts, exposures, design, hyperparameters) is ``pm.Data``: another trial or
    another prior of the same kind changes data, not structure.

    Parameters
    ----------
    model : Model
    trial : Trial

    Returns
    -------
    pymc.Model
        Free variables are named as on the card; the observed variable ``count`` has one log
        likelihood a patient. A parameter that is fixed is no variable.

    Raises
    ------
    ModelError
        If the model does not fit the trial.

    Notes
    -----
    With serial dependence, the counts that the graph itself simulates follow the observed scans
    before them; ``bayes_msc.predictive.simulate_counts`` simulates whole trials in sequence.
    """
    rows = arrange(trial, model)
    coords = {
        "patient": list(rows.patients),
        "row": np.arange(rows.count.shape[1]),
        "column": list(rows.names),
    }
    numbers = data_of(model, trial)
    with pm.Model(coords=coords) as graph:
        observed = pm.Data("observed", numbers["observed"], dims=("patient", "row"))
        table = pm.Data("rows", numbers["rows"], dims=("patient", "row", "column"))
        parameters = _parameters(model, trial, pm.Data("prior_numbers", numbers["prior_numbers"]))
        effect = _sampled_effects(model, parameters)
        columns = {name: table[:, :, k] for k, name in enumerate(rows.names)}
        _likelihood(model, observed, columns["seen"], predict(columns, parameters), effect)
    return graph


def data_of(model: Model, trial: Trial) -> dict[str, NDArray[np.float64]]:
    """Numbers of a trial and of the priors, by the names of the ``pm.Data`` they go into.

    They are packed into three arrays, because nutpie compiles code for every array it is handed:
    three instead of a dozen halve the time of a first fit.

    Returns
    -------
    dict of str to ndarray of float
        ``observed``, shape (patients, rows): counts; ``rows``, shape (patients, rows, columns):
        the columns that ``Rows.names`` lists; ``prior_numbers``: hyperparameters, one after
        another.
    """
    rows = arrange(trial, model)
    numbers = [np.ravel(prior.parameters) for prior in model.priors_for(trial).values()]
    return {
        "observed": rows.count,
        "rows": rows.table,
        "prior_numbers": np.concatenate(numbers).astype(float),
    }


def _parameters(model: Model, trial: Trial, numbers: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    start, priors = 0, model.priors_for(trial)
    for name, prior in priors.items():
        stop = start + np.size(prior.parameters)
        make = _DISTRIBUTIONS[prior.distribution]
        parameters[name] = make(name, _shaped(numbers, start, np.shape(prior.parameters)))
        start = stop
    for name, value in derived(parameters).items():
        free = any(not priors[source].is_fixed for source in sources(name))
        parameters[name] = pm.Deterministic(name, value) if free else value
    return parameters


def variable_of(name: str, prior: Prior) -> Any:
    """Return a variable of the PyMC model around it, with a prior whose numbers stay what they are.

    Parameters
    ----------
    name : str
    prior : Prior

    Raises
    ------
    PriorError
        If PyMC has no such distribution, or the number is set: that is no variable.
    """
    known = [kind for kind in _DISTRIBUTIONS if kind != "fixed"]
    one_of(prior.distribution, known, "prior distribution", PriorError)
    numbers = [np.asarray(number) for number in prior.parameters]
    return _DISTRIBUTIONS[prior.distribution](name, numbers)


def _shaped(numbers: Any, start: int, shape: tuple[int, ...]) -> Any:
    """Hyperparameters one by one: to compile a reshaped slice takes a second."""
    if len(shape) == 1:
        return [numbers[start + i] for i in range(*shape)]
    return numbers[start : start + int(np.prod(shape))].reshape(shape)


def _sampled_effects(model: Model, parameters: dict[str, Any]) -> Any:
    """Patient effects that are sampled (None where they are integrated out).

    A treatment effect of each patient's own is put among the parameters.
    """
    if model.patient_effect == "integrated":
        return None
    z = pm.Normal("z", 0.0, 1.0, dims="patient")
    pm.Deterministic("patient_effect", parameters["patient_sd"] * z, dims="patient")
    if "treatment_sd" in parameters:
        own = pm.Normal("treatment_z", 0.0, 1.0, dims="patient")
        ratio = parameters["log_rate_ratio"] + parameters["treatment_sd"] * own
        pm.Deterministic("patient_log_rate_ratio", ratio, dims="patient")
        parameters["patient_log_rate_ratio"] = ratio[:, None]
    return z[:, None]


def _likelihood(model: Model, observed: Any, seen: Any, at: RowParameters, z: Any) -> None:
    # a product with what was seen makes a matrix of a number, without compiling a broadcast
    eta, loading = at.eta, at.loading * seen
    if z is not None:
        eta, loading = eta + loading * z, 0.0 * seen
    pm.CustomDist(
        "count",
        eta,
        loading,
        seen,
        at.overdispersion * seen,
        at.zero_part * seen,
        logp=_logp(model.family),
        random=_random(model.family),
        signature="(j),(j),(j),(j),(j)->(j)",
        dtype="float64",
        observed=observed,
        dims=("patient", "row"),
    )


def _logp(family: str) -> Callable[..., Any]:
    def logp(count: Any, *matrices: Any) -> Any:
        value = marginal_logp(family, count, *matrices)
        # A value that is no number is no likelihood. It also makes PyTensor fuse the sum over
        # patients and its derivatives into loops, which compile five times as fast as its sums.
        return pt.switch(pt.isnan(value), -np.inf, value)

    return logp


def _random(family: str) -> Callable[..., Any]:
    row = FAMILIES[family]

    def random(
        eta: Any,
        loading: Any,
        seen: Any,
        overdispersion: Any,
        zero_part: Any,
        rng: Any = None,
        size: Any = None,
    ) -> Any:
        shape = (*(size or eta.shape[:-1]), eta.shape[-1])
        z = rng.normal(size=shape[:-1])[..., None]
        mean = np.exp(np.broadcast_to(eta + loading * z, shape))
        return row.random(rng, mean, overdispersion, zero_part) * seen.astype(float)

    return random
