"""The likelihood of patients in any family, one patient and one node at a time (Numba)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msc.counts.drawing import between
from bayes_msc.counts.families import Family
from bayes_msc.counts.interval import search
from bayes_msc.counts.lanes import LARGEST
from bayes_msc.counts.special import compiled

Matrix = NDArray[np.float64]


def functions(row: Family) -> tuple[Any, Any, Any, Any]:
    """Compile the integral of a family: what ``PatientIntegral`` holds."""
    kernel, constant = row.kernel, row.constant
    laid = search(row)
    largest, log_integrand, guess = laid.largest, laid.log_integrand, laid.guess
    interval, node = laid.interval, laid.node

    @compiled
    def log_likelihood(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> float:
        patient = (count, eta, loading, seen, k, p)
        widest = largest(loading, seen)
        value: float
        if widest == 0.0:
            value = log_integrand(0.0, patient)[0]
        else:
            z = guess(count, eta, loading, seen)
            mode, top, slope, bend, nodes = interval(z, patient, widest, n_nodes)
            if top == -math.inf:
                return -math.inf
            total = 0.0
            for m in range(nodes):
                z, width = node(mode, slope, bend, m, nodes)
                total += width * math.exp(log_integrand(z, patient)[0] - top)
            value = top + math.log(total) - 0.5 * math.log(2.0 * math.pi)
        for j in range(eta.shape[0]):
            if seen[j] != 0.0:
                value += constant(count[j], k[j], p[j])[0]
        return value

    @compiled
    def accumulate(
        z: float, count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, by: Any
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
            z = guess(count, eta, loading, seen)
            patient = (count, eta, loading, seen, k, p)
            mode, top, slope, bend, nodes = interval(z, patient, widest, n_nodes)
            if top == -math.inf:
                return -math.inf
            total = 0.0
            for m in range(nodes):
                z, width = node(mode, slope, bend, m, nodes)
                weight = width * math.exp(accumulate(z, count, eta, loading, seen, k, p, by) - top)
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
            values[i] = log_likelihood(count[i], eta[i], loading[i], seen[i], k[i], p[i], n_nodes)
        return values

    @compiled
    def logp_and_gradient(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
        n, rows = eta.shape
        values = np.empty(n)
        by_eta, by_loading = np.empty((n, rows)), np.empty((n, rows))
        by_k, by_p = np.empty((n, rows)), np.empty((n, rows))
        by, out = np.zeros((3, rows)), np.empty((4, rows))
        for i in range(n):
            values[i] = patient_gradient(
                count[i], eta[i], loading[i], seen[i], k[i], p[i], n_nodes, by, out
            )
            for j in range(rows):
                by_eta[i, j], by_loading[i, j] = out[0, j], out[1, j]
                by_k[i, j], by_p[i, j] = out[2, j], out[3, j]
        return values, by_eta, by_loading, by_k, by_p

    @compiled
    def n_nodes_of(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any) -> Any:
        nodes = np.empty(eta.shape[0], dtype=np.int64)
        for i in range(eta.shape[0]):
            patient = (count[i], eta[i], loading[i], seen[i], k[i], p[i])
            z = guess(count[i], eta[i], loading[i], seen[i])
            nodes[i] = interval(z, patient, largest(loading[i], seen[i]), 0)[4]
        return nodes

    @compiled
    def draw(
        count: Any, seen: Any, eta: Any, loading: Any, k: Any, p: Any, uniform: Any, n_nodes: int
    ) -> tuple[Matrix, Matrix]:
        draws, n, _ = eta.shape
        effect, values = np.empty((draws, n)), np.empty((draws, n))
        places, heights = np.empty(n_nodes), np.empty(n_nodes)
        for d in range(draws):
            for i in range(n):
                y, e, w, u = count[i], eta[d, i], loading[d, i], seen[i]
                values[d, i] = log_likelihood(y, e, w, u, k[d, i], p[d, i], 0)
                patient = (y, e, w, u, k[d, i], p[d, i])
                mode, top, slope, bend, _ = interval(guess(y, e, w, u), patient, 0.0, n_nodes)
                for m in range(n_nodes):
                    places[m], _ = node(mode, slope, bend, m, n_nodes)
                    heights[m] = math.exp(log_integrand(places[m], patient)[0] - top)
                effect[d, i] = between(places, heights, n_nodes, uniform[0, d, i], uniform[1, d, i])
        return effect, values

    return logp, logp_and_gradient, n_nodes_of, draw
