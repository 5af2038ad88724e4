"""Count distributions with the patient effect integrated out (PyTensor and Numba, no PyMC)."""

from __future__ import annotations

from typing import Any

from bayes_msc.counts.families import FAMILIES, Family
from bayes_msc.counts.integral import patient_integral
from bayes_msc.counts.lanes import DROP
from bayes_msc.counts.moments import no_event, variance
from bayes_msc.counts.operations import PatientEffects, PatientLogpGradient, value_only

__all__ = [
    "DROP",
    "FAMILIES",
    "Family",
    "PatientEffects",
    "marginal_logp",
    "no_event",
    "patient_integral",
    "value_only",
    "variance",
]


def marginal_logp(
    family: str,
    count: Any,
    eta: Any,
    loading: Any,
    seen: Any,
    overdispersion: Any,
    zero_part: Any,
    n_nodes: int = 0,
) -> Any:
    """Log likelihood of each patient with the patient effect integrated out.

    Parameters
    ----------
    family : str
        A key of ``FAMILIES``.
    count, eta, loading, seen : TensorVariable, shape (patients, rows)
        Counts; log means without the patient effect; what multiplies the standard-normal patient
        effect in the log mean (0 on all of a patient's rows: there is no effect to integrate);
        1 where seen and 0 where padded or missing.
    overdispersion, zero_part : TensorVariable, shape (patients, rows)
        The family's parameters of each row; 0 where it has none.
    n_nodes : int
        Quadrature nodes a patient; 0 for as many as each patient needs.

    Returns
    -------
    TensorVariable, shape (patients,)
    """
    operation = PatientLogpGradient(family, n_nodes)
    return operation(count, eta, loading, seen, overdispersion, zero_part)[0]
