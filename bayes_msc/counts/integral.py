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

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msc.counts.families import FAMILIES
from bayes_msc.counts.interval import BEND, LARGEST, search
from bayes_msc.counts.smooth import SCRATCH, integral, slopes
from bayes_msc.counts.special import compiled

Matrix = NDArray[np.float64]


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
    kernel, constant = row.kernel, row.constant
    smooth, poisson, most_nodes = row.smooth, not row.dispersed, row.nodes
    nodes_by = search(family)
    largest, log_integrand, guess = nodes_by.largest, nodes_by.log_integrand, nodes_by.guess
    prepared, interval, node = nodes_by.prepared, nodes_by.interval, nodes_by.node

    @compiled
    def scratch(n_nodes: int) -> Any:
        return np.empty((SCRATCH, max(n_nodes, most_nodes) + 7))

    @compiled
    def log_likelihood(
        count: Any,
        eta: Any,
        loading: Any,
        seen: Any,
        k: Any,
        p: Any,
        n_nodes: int,
        parts: Any,
        work: Any,
    ) -> float:
        patient = prepared(count, eta, loading, seen, k, p, parts)
        widest = largest(loading, seen)
        value: float
        if widest == 0.0:
            value = log_integrand(0.0, patient)[0]
        else:
            z = guess(count, eta, loading, seen)
            mode, top, slope, bend, nodes = interval(z, patient, widest, n_nodes)
            if top == -math.inf:
                return -math.inf
            value = sum_of(patient, mode, top, slope, bend, nodes, work) - 0.5 * math.log(
                2.0 * math.pi
            )
        for j in range(eta.shape[0]):
            if seen[j] != 0.0:
                value += constant(count[j], k[j], p[j])[0]
        return value

    @compiled
    def sum_of(
        patient: Any, mode: float, top: float, slope: float, bend: float, nodes: int, work: Any
    ) -> float:
        """Log of the trapezoidal sum."""
        if smooth:
            start, gain, parts, n = patient
            return integral(
                start, gain, parts, n, poisson, mode, top, slope, bend, nodes, BEND, work
            )
        total = 0.0
        for m in range(nodes):
            z, width = node(mode, slope, bend, m, nodes)
            total += width * math.exp(log_integrand(z, patient)[0] - top)
        return top + math.log(total)

    @compiled
    def accumulate(
        z: float,
        count: Any,
        eta: Any,
        loading: Any,
        seen: Any,
        k: Any,
        p: Any,
        by: Any,
    ) -> float:
        """Log integrand at z; the rows' derivatives in log mean, k and p go into ``by``."""
        value = -0.5 * z * z
        for j in range(eta.shape[0]):
            if seen[j] == 0.0:
                continue
            asked = eta[j] + loading[j] * z
            log_mean = max(-LARGEST, min(LARGEST, asked))
            mean = math.exp(log_mean)
            part, by_mean, by_k, by_p = kernel(count[j], log_mean, mean, k[j], p[j])
            value += part + by_mean * (asked - log_mean)
            by[0, j], by[1, j], by[2, j] = by_mean, by_k, by_p
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
        by: Any,
        out: Any,
        parts: Any,
        work: Any,
    ) -> float:
        """Log likelihood of a patient; its derivatives are written into ``out``, (4, rows)."""
        rows = eta.shape[0]
        for j in range(rows):
            for derivative in range(4):
                out[derivative, j] = 0.0
        widest = largest(loading, seen)
        if widest == 0.0:
            value = accumulate(0.0, count, eta, loading, seen, k, p, by)
            for j in range(rows):
                if seen[j] != 0.0:
                    out[0, j], out[2, j], out[3, j] = by[0, j], by[1, j], by[2, j]
        else:
            patient = prepared(count, eta, loading, seen, k, p, parts)
            z = guess(count, eta, loading, seen)
            mode, top, slope, bend, nodes = interval(z, patient, widest, n_nodes)
            if top == -math.inf:
                return -math.inf
            value = -0.5 * math.log(2.0 * math.pi)
            if smooth:
                value += sum_of(patient, mode, top, slope, bend, nodes, work)
                for j in range(rows):
                    if seen[j] != 0.0:
                        out[0, j], out[1, j], out[2, j] = slopes(
                            count[j], eta[j], loading[j], k[j], poisson, nodes, work
                        )
            else:
                total = 0.0
                for m in range(nodes):
                    z, width = node(mode, slope, bend, m, nodes)
                    weight = width * math.exp(
                        accumulate(z, count, eta, loading, seen, k, p, by) - top
                    )
                    total += weight
                    for j in range(rows):
                        if seen[j] != 0.0:
                            out[0, j] += weight * by[0, j]
                            out[1, j] += weight * by[0, j] * z
                            out[2, j] += weight * by[1, j]
                            out[3, j] += weight * by[2, j]
                for j in range(rows):
                    for derivative in range(4):
                        out[derivative, j] /= total
                value += top + math.log(total)
        for j in range(rows):
            if seen[j] != 0.0:
                rest, by_k, by_p = constant(count[j], k[j], p[j])
                value += rest
                out[2, j] += by_k
                out[3, j] += by_p
        return value

    @compiled
    def logp(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int) -> Matrix:
        values, parts = np.empty(eta.shape[0]), np.empty((3, eta.shape[1]))
        work = scratch(n_nodes)
        for i in range(eta.shape[0]):
            values[i] = log_likelihood(
                count[i], eta[i], loading[i], seen[i], k[i], p[i], n_nodes, parts, work
            )
        return values

    @compiled
    def logp_and_gradient(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
        n, rows = eta.shape
        values = np.empty(n)
        by_eta, by_loading = np.empty((n, rows)), np.empty((n, rows))
        by_k, by_p = np.empty((n, rows)), np.empty((n, rows))
        by, out, parts = np.zeros((3, rows)), np.empty((4, rows)), np.empty((3, rows))
        work = scratch(n_nodes)
        for i in range(n):
            values[i] = patient_gradient(
                count[i], eta[i], loading[i], seen[i], k[i], p[i], n_nodes, by, out, parts, work
            )
            for j in range(rows):
                by_eta[i, j], by_loading[i, j] = out[0, j], out[1, j]
                by_k[i, j], by_p[i, j] = out[2, j], out[3, j]
        return values, by_eta, by_loading, by_k, by_p

    @compiled
    def nodes_of(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any) -> Any:
        nodes, parts = np.empty(eta.shape[0], dtype=np.int64), np.empty((3, eta.shape[1]))
        for i in range(eta.shape[0]):
            patient = prepared(count[i], eta[i], loading[i], seen[i], k[i], p[i], parts)
            z = guess(count[i], eta[i], loading[i], seen[i])
            nodes[i] = interval(z, patient, largest(loading[i], seen[i]), 0)[4]
        return nodes

    @compiled
    def draw_patient(
        z: float, patient: Any, uniform: float, place: float, nodes: Any, heights: Any
    ) -> float:
        """Draw z from its posterior, whose density is taken as linear between the nodes."""
        n_nodes = len(nodes)
        mode, top, slope, bend, _ = interval(z, patient, 0.0, n_nodes)
        total = 0.0
        for m in range(n_nodes):
            nodes[m], _ = node(mode, slope, bend, m, n_nodes)
            heights[m] = math.exp(log_integrand(nodes[m], patient)[0] - top)
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
        count: Any,
        seen: Any,
        eta: Any,
        loading: Any,
        k: Any,
        p: Any,
        uniform: Any,
        n_nodes: int,
    ) -> tuple[Matrix, Matrix]:
        draws, n, _ = eta.shape
        effect, values = np.empty((draws, n)), np.empty((draws, n))
        nodes, heights, parts = np.empty(n_nodes), np.empty(n_nodes), np.empty((3, eta.shape[2]))
        work = scratch(0)
        for d in range(draws):
            for i in range(n):
                y, e, w, s = count[i], eta[d, i], loading[d, i], seen[i]
                values[d, i] = log_likelihood(y, e, w, s, k[d, i], p[d, i], 0, parts, work)
                patient = prepared(y, e, w, s, k[d, i], p[d, i], parts)
                effect[d, i] = draw_patient(
                    guess(y, e, w, s), patient, uniform[0, d, i], uniform[1, d, i], nodes, heights
                )
        return effect, values

    return PatientIntegral(logp, logp_and_gradient, nodes_of, draw)
