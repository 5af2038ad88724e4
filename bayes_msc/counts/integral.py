r"""The likelihood of a patient with the patient effect integrated out (Numba).

For patient i with standard-normal effect z, which enters row j with its loading, the likelihood is

.. math:: L_i = \int \prod_j p(y_{ij} \mid \eta_{ij} + \lambda_{ij} z) \, \phi(z) \, dz.

The integrand is analytic and falls off on both sides, so the trapezoidal rule on an interval that
holds the whole of it converges geometrically in the number of nodes (Trefethen & Weideman 2014,
SIAM Review 56:385). For every patient the mode and the two points where the integrand has fallen
by ``exp(-DROP)`` are found anew at each parameter value; a smooth map lays the nodes between them
so that a long tail on one side and a cliff on the other (a patient without a single lesion) are
both covered. Gauss-Hermite nodes, whose density is tied to one scale, need fewer for an easy
patient and still err by 1e-5 with 100 nodes for the hardest: see ``benchmarks/quadrature.py``.

The nodes are constants in the gradient: the derivative of the sum is then the same rule applied
to the derivative of the integrand, and takes its weights from the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from bayes_msc.counts import general, smooth
from bayes_msc.counts.families import FAMILIES


@dataclass(frozen=True)
class PatientIntegral:
    """Compiled functions of one family.

    ``n_nodes`` is the number of quadrature nodes; 0 stands for as many as each patient needs for a
    relative error below 1e-8.

    Attributes
    ----------
    logp : callable
        ``logp(count, eta, loading, seen, k, p, n_nodes)``: log likelihood of every patient, from
        arrays of shape (patients, rows).
    logp_and_gradient : callable
        The same, with the derivatives in eta, loading, k and p, each of shape (patients, rows).
    n_nodes : callable
        ``n_nodes(count, eta, loading, seen, k, p)``: nodes that every patient gets.
    draw : callable
        ``draw(count, seen, eta, loading, k, p, uniform, n_nodes)``: effects z and log likelihoods,
        for parameters of shape (draws, patients, rows) and uniforms of shape (2, draws, patients).
    """

    logp: Any
    logp_and_gradient: Any
    n_nodes: Any
    draw: Any


@cache
def patient_integral(family: str) -> PatientIntegral:
    """Compile the integral of one family."""
    row = FAMILIES[family]
    return PatientIntegral(*(smooth if row.smooth else general).functions(row))
