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
to the derivative of the integrand, and comes with the value in one pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msc.counts.families import FAMILIES
from bayes_msc.counts.interval import LARGEST, patient_interval
from bayes_msc.counts.special import compiled

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class PatientIntegral:
    """Compiled functions of one family; 0 for ``n_nodes`` means as many as a patient needs.

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
    kernel, constant = FAMILIES[family].kernel, FAMILIES[family].constant
    search = patient_interval(family)
    largest, log_integrand = search.largest, search.log_integrand
    interval, node = search.interval, search.node

    @compiled
    def patient(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> float:
        if largest(loading, seen) == 0.0:
            value: float = log_integrand(0.0, count, eta, loading, seen, k, p)[0]
        else:
            mode, top, slope, bend, nodes = interval(count, eta, loading, seen, k, p, n_nodes)
            if top == -math.inf:
                return -math.inf
            total = 0.0
            for m in range(nodes):
                z, width = node(mode, slope, bend, m, nodes)
                total += width * math.exp(
                    log_integrand(z, count, eta, loading, seen, k, p)[0] - top
                )
            value = top + math.log(total) - 0.5 * math.log(2.0 * math.pi)
        for j in range(eta.shape[0]):
            if seen[j] != 0.0:
                value += constant(count[j], k[j], p[j])[0]
        return value

    @compiled
    def accumulate(
        z: float, count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, slopes: Any
    ) -> float:
        """Log integrand at z; the rows' derivatives in log mean, k and p go into ``slopes``."""
        value = -0.5 * z * z
        for j in range(eta.shape[0]):
            if seen[j] == 0.0:
                continue
            asked = eta[j] + loading[j] * z
            log_mean = max(-LARGEST, min(LARGEST, asked))
            part, by_mean, by_k, by_p = kernel(count[j], log_mean, math.exp(log_mean), k[j], p[j])
            value += part + by_mean * (asked - log_mean)
            slopes[0, j], slopes[1, j], slopes[2, j] = by_mean, by_k, by_p
        return value

    @compiled
    def patient_gradient(
        count: Any,
        eta: Any,
        loading: Any,
        seen: Any,
        k: Any,
        p: Any,
        n_nodes: int,
        slopes: Any,
        out: Any,
    ) -> float:
        """Log likelihood of a patient; its derivatives are added up in ``out``, (4, rows)."""
        rows = eta.shape[0]
        for j in range(rows):
            for derivative in range(4):
                out[derivative, j] = 0.0
        if largest(loading, seen) == 0.0:
            value = accumulate(0.0, count, eta, loading, seen, k, p, slopes)
            for j in range(rows):
                if seen[j] != 0.0:
                    out[0, j], out[2, j], out[3, j] = slopes[0, j], slopes[1, j], slopes[2, j]
        else:
            mode, top, slope, bend, nodes = interval(count, eta, loading, seen, k, p, n_nodes)
            if top == -math.inf:
                return -math.inf
            total = 0.0
            for m in range(nodes):
                z, width = node(mode, slope, bend, m, nodes)
                weight = width * math.exp(
                    accumulate(z, count, eta, loading, seen, k, p, slopes) - top
                )
                total += weight
                for j in range(rows):
                    if seen[j] != 0.0:
                        out[0, j] += weight * slopes[0, j]
                        out[1, j] += weight * slopes[0, j] * z
                        out[2, j] += weight * slopes[1, j]
                        out[3, j] += weight * slopes[2, j]
            for j in range(rows):
                for derivative in range(4):
                    out[derivative, j] /= total
            value = top + math.log(total) - 0.5 * math.log(2.0 * math.pi)
        for j in range(rows):
            if seen[j] != 0.0:
                rest, by_k, by_p = constant(count[j], k[j], p[j])
                value += rest
                out[2, j] += by_k
                out[3, j] += by_p
        return value

    @compiled
    def logp(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int) -> Matrix:
        values = np.empty(eta.shape[0])
        for i in range(eta.shape[0]):
            values[i] = patient(count[i], eta[i], loading[i], seen[i], k[i], p[i], n_nodes)
        return values

    @compiled
    def logp_and_gradient(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
        n, rows = eta.shape
        values = np.empty(n)
        by_eta, by_loading = np.empty((n, rows)), np.empty((n, rows))
        by_k, by_p = np.empty((n, rows)), np.empty((n, rows))
        slopes, out = np.zeros((3, rows)), np.empty((4, rows))
        for i in range(n):
            values[i] = patient_gradient(
                count[i], eta[i], loading[i], seen[i], k[i], p[i], n_nodes, slopes, out
            )
            for j in range(rows):
                by_eta[i, j], by_loading[i, j] = out[0, j], out[1, j]
                by_k[i, j], by_p[i, j] = out[2, j], out[3, j]
        return values, by_eta, by_loading, by_k, by_p

    @compiled
    def nodes_of(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any) -> Any:
        nodes = np.empty(eta.shape[0], dtype=np.int64)
        for i in range(eta.shape[0]):
            nodes[i] = interval(count[i], eta[i], loading[i], seen[i], k[i], p[i], 0)[4]
        return nodes

    @compiled
    def draw_patient(
        count: Any,
        eta: Any,
        loading: Any,
        seen: Any,
        k: Any,
        p: Any,
        uniform: float,
        place: float,
        n_nodes: int,
        nodes: Any,
        heights: Any,
    ) -> float:
        """Draw z from its posterior, whose density is taken as linear between the nodes."""
        mode, top, slope, bend, _ = interval(count, eta, loading, seen, k, p, n_nodes)
        total = 0.0
        for m in range(n_nodes):
            nodes[m], _ = node(mode, slope, bend, m, n_nodes)
            heights[m] = math.exp(log_integrand(nodes[m], count, eta, loading, seen, k, p)[0] - top)
            if m > 0:
                total += 0.5 * (heights[m] + heights[m - 1]) * (nodes[m] - nodes[m - 1])
        target, m, below = uniform * total, 0, 0.0
        while m < n_nodes - 2:
            cell = 0.5 * (heights[m] + heights[m + 1]) * (nodes[m + 1] - nodes[m])
            if below + cell >= target:
                break
            below += cell
            m += 1
        # inverse of the distribution function left*x + (right-left)*x^2/2, in its stable form
        left, right = heights[m], heights[m + 1]
        share = place * 0.5 * (left + right)
        root = math.sqrt(max(left * left + 2.0 * (right - left) * share, 0.0))
        x = 2.0 * share / max(left + root, 1e-300)
        return float(nodes[m] + x * (nodes[m + 1] - nodes[m]))

    @compiled
    def draw(
        count: Any, seen: Any, eta: Any, loading: Any, k: Any, p: Any, uniform: Any, n_nodes: int
    ) -> tuple[Matrix, Matrix]:
        draws, n, _ = eta.shape
        effect, values = np.empty((draws, n)), np.empty((draws, n))
        nodes, heights = np.empty(n_nodes), np.empty(n_nodes)
        for d in range(draws):
            for i in range(n):
                row = (count[i], eta[d, i], loading[d, i], seen[i], k[d, i], p[d, i])
                values[d, i] = patient(*row, 0)
                places = (uniform[0, d, i], uniform[1, d, i])
                effect[d, i] = draw_patient(*row, *places, n_nodes, nodes, heights)
        return effect, values

    return PatientIntegral(logp, logp_and_gradient, nodes_of, draw)
