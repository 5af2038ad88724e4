"""Patient effects after the fit: drawn from their exact posterior on the quadrature grid."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_msc.counts import log_terms
from bayes_msc.rows import Rows

#: A grid four times finer than the likelihood's, so that a draw between two nodes may be placed
#: on a straight line: the standard deviation of a drawn effect is off by less than one part in 500.
RECOVERY_NODES = 160


@cache
def _terms(family: str) -> Any:
    """Compile the log terms of the quadrature sum of every patient, for one parameter value."""
    count, eta, seen = pt.dmatrices("count", "eta", "seen")
    patient_sd, overdispersion = pt.dscalars("patient_sd", "overdispersion")
    outputs = log_terms(family, count, eta, seen, patient_sd, overdispersion, RECOVERY_NODES)
    inputs = [count, eta, seen, patient_sd, overdispersion]
    return pytensor.function(inputs, list(outputs), mode="NUMBA", trust_input=True)


def recover(
    family: str,
    rows: Rows,
    eta: NDArray[np.float64],
    patient_sd: NDArray[np.float64],
    overdispersion: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw patient effects given the population parameters, with each patient's log likelihood.

    Parameters
    ----------
    family : str
        A key of ``bayes_msc.counts.FAMILIES``.
    rows : Rows
        The trial.
    eta : ndarray of float, shape (draws, patients, rows)
        Log means without the patient effect.
    patient_sd, overdispersion : ndarray of float, shape (draws,)
    rng : numpy.random.Generator

    Returns
    -------
    effect, log_likelihood : ndarray of float, shape (draws, patients)
        Patient effects on the log scale, one draw from p(effect | parameters, counts) for each
        draw of the parameters; log likelihood of each patient with the effect integrated out.
    """
    terms = _terms(family)
    shape = (len(eta), rows.n_patients)
    effect, log_likelihood = np.empty(shape), np.empty(shape)
    uniform = rng.random((2, *shape))
    for d in range(len(eta)):
        log_term, nodes = terms(
            rows.count, eta[d], rows.seen, np.asarray(patient_sd[d]), np.asarray(overdispersion[d])
        )
        top = log_term.max(axis=1, keepdims=True)
        weight = np.exp(log_term - top)
        log_likelihood[d] = top[:, 0] + np.log(weight.sum(axis=1))
        effect[d] = patient_sd[d] * _draw(nodes, weight, uniform[:, d])
    return effect, log_likelihood


def _draw(
    nodes: NDArray[np.float64], weight: NDArray[np.float64], uniform: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw one value a patient from the density that is linear between the nodes."""
    cells = 0.5 * (weight[:, :-1] + weight[:, 1:])
    cumulative = np.cumsum(cells, axis=1)
    target = uniform[0] * cumulative[:, -1]
    cell = np.minimum((cumulative < target[:, None]).sum(axis=1), cells.shape[1] - 1)
    patient = np.arange(len(nodes))
    left, right = weight[patient, cell], weight[patient, cell + 1]
    # inverse of the distribution function left*x + (right-left)*x^2/2, in its stable form
    share = uniform[1] * 0.5 * (left + right)
    root = np.sqrt(left**2 + 2.0 * (right - left) * share)
    place = 2.0 * share / np.maximum(left + root, 1e-300)
    start, end = nodes[patient, cell], nodes[patient, cell + 1]
    return np.asarray(start + place * (end - start))
