"""Patient effects after the fit: drawn from their exact posterior on a quadrature grid."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_msc.counts import FAMILIES, PatientEffects
from bayes_msc.rows import Rows

#: A grid four times finer than the likelihood's, so that a draw between two nodes may be placed
#: on a straight line: the standard deviation of a drawn effect is off by less than one part in 500.
RECOVERY_NODES = 160


@cache
def _sampler(family: str) -> Any:
    """Compile the draws of one family."""
    parameters = [pt.dtensor3(n) for n in ("eta", "loading", "overdispersion", "zero_part", "u")]
    inputs = [*pt.dmatrices("count", "seen"), *parameters]
    n_nodes = max(RECOVERY_NODES, 2 * FAMILIES[family].nodes)
    outputs = PatientEffects(family, n_nodes)(*inputs)
    return pytensor.function(inputs, outputs, mode="NUMBA", trust_input=True)


def recover(
    family: str,
    rows: Rows,
    eta: NDArray[np.float64],
    loading: NDArray[np.float64],
    overdispersion: NDArray[np.float64],
    zero_part: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw patient effects given the population parameters, with each patient's log likelihood.

    Parameters
    ----------
    family : str
        A key of ``bayes_msc.counts.FAMILIES``.
    rows : Rows
        The trial.
    eta, loading, overdispersion, zero_part : ndarray of float, shape (draws, patients, rows)
        Log means without the patient effect, what multiplies it, and the family's parameters.
    rng : numpy.random.Generator

    Returns
    -------
    effect, log_likelihood : ndarray of float, shape (draws, patients)
        Standardised patient effects, one draw from p(effect | parameters, counts) for each draw of
        the parameters; log likelihood of each patient with the effect integrated out.
    """
    uniform = rng.random((2, len(eta), rows.n_patients))
    arrays = (rows.count, rows.seen, eta, loading, overdispersion, zero_part, uniform)
    effect, log_likelihood = _sampler(family)(*(np.ascontiguousarray(a, float) for a in arrays))
    return effect, log_likelihood
