"""The likelihood of patients whose counts are Poisson or negative binomial (Numba).

Their integrands are log-concave, and cheap enough for whole vectors: ``bayes_msc.counts.lanes``
searches the nodes of several patients at once, and the sum of a patient goes over several nodes at
once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayes_msc.counts.drawing import between
from bayes_msc.counts.families import Family
from bayes_msc.counts.lanes import (
    BEND,
    LANES,
    LARGEST,
    LOADING,
    MODE,
    NODES,
    PART,
    SCALE,
    SLOPE,
    START,
    TOP,
    TURN,
    WEIGHT,
    WIDTH,
    lay,
    scratch,
)
from bayes_msc.counts.special import compiled
from bayes_msc.counts.vector import exponential, log1p

#: Rows of the room for a sum over nodes.
_WORK = 6


def functions(row: Family) -> tuple[Any, Any, Any, Any]:
    """Compile the integral of a family: what ``PatientIntegral`` holds."""
    constant, poisson, most_nodes = row.constant, not row.dispersed, row.nodes

    @compiled
    def room(n_nodes: int) -> Any:
        return np.empty((_WORK, max(n_nodes, most_nodes) + 7))

    @compiled
    def logp(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int) -> Any:
        n, rows = eta.shape
        values, work = np.empty(n), room(n_nodes)
        s, parts = scratch(rows)
        for first in range(0, n, LANES):
            most = lay(first, count, eta, loading, seen, k, poisson, n_nodes, most_nodes, s, parts)
            for lane in range(min(LANES, n - first)):
                i, nodes = first + lane, int(s[NODES + lane])
                value = integral(lane, most, poisson, nodes, s, parts, work)
                for j in range(rows):
                    if seen[i, j] != 0.0:
                        value += constant(count[i, j], k[i, j], p[i, j])[0]
                values[i] = value
        return values

    @compiled
    def logp_and_gradient(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> tuple[Any, Any, Any, Any, Any]:
        n, rows = eta.shape
        values, work = np.empty(n), room(n_nodes)
        by_eta, by_loading = np.zeros((n, rows)), np.zeros((n, rows))
        by_k, by_p = np.zeros((n, rows)), np.zeros((n, rows))
        s, parts = scratch(rows)
        for first in range(0, n, LANES):
            most = lay(first, count, eta, loading, seen, k, poisson, n_nodes, most_nodes, s, parts)
            for lane in range(min(LANES, n - first)):
                i, nodes = first + lane, int(s[NODES + lane])
                value = integral(lane, most, poisson, nodes, s, parts, work)
                held = math.nan
                for j in range(rows):
                    if seen[i, j] == 0.0 or value == -math.inf:
                        continue
                    if loading[i, j] != held:
                        held = loading[i, j]
                        powers(held, work[0], work[2], _padded(nodes))
                    by_eta[i, j], by_loading[i, j], slope = slopes(
                        count[i, j], eta[i, j], k[i, j], poisson, nodes, work
                    )
                    rest, rest_by_k, by_p[i, j] = constant(count[i, j], k[i, j], p[i, j])
                    by_k[i, j] = slope + rest_by_k
                    value += rest
                values[i] = value
        return values, by_eta, by_loading, by_k, by_p

    @compiled
    def n_nodes_of(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any) -> Any:
        n, rows = eta.shape
        nodes = np.empty(n, dtype=np.int64)
        s, parts = scratch(rows)
        for first in range(0, n, LANES):
            lay(first, count, eta, loading, seen, k, poisson, 0, most_nodes, s, parts)
            for lane in range(min(LANES, n - first)):
                nodes[first + lane] = int(s[NODES + lane])
        return nodes

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
    ) -> tuple[Any, Any]:
        draws, n, rows = eta.shape
        effect, values = np.empty((draws, n)), np.empty((draws, n))
        work = room(n_nodes)
        s, parts = scratch(rows)
        for d in range(draws):
            e, w, kd = eta[d], loading[d], k[d]
            for first in range(0, n, LANES):
                most = lay(first, count, e, w, seen, kd, poisson, 0, most_nodes, s, parts)
                for lane in range(min(LANES, n - first)):
                    i, nodes = first + lane, int(s[NODES + lane])
                    value = integral(lane, most, poisson, nodes, s, parts, work)
                    for j in range(rows):
                        if seen[i, j] != 0.0:
                            value += constant(count[i, j], kd[i, j], p[d, i, j])[0]
                    values[d, i] = value
                    integral(lane, most, poisson, n_nodes, s, parts, work)
                    for m in range(n_nodes):
                        # a share is a height times what its node stands for
                        work[1, m] /= work[3, m]
                    effect[d, i] = between(
                        work[0], work[1], n_nodes, uniform[0, d, i], uniform[1, d, i]
                    )
        return effect, values

    return logp, logp_and_gradient, n_nodes_of, draw


@compiled
def integral(lane: int, parts: int, poisson: bool, nodes: int, s: Any, p: Any, work: Any) -> float:
    """Log of the integral of a lane, without the factors that hold no mean.

    The nodes are left in ``work[0]`` and their shares of the sum in ``work[1]``, up to a whole
    number of vectors; those beyond the last node have no share. The loops hold no sums: only so
    does the compiler turn them into vector instructions.
    """
    z, share, factor, widths = work[0], work[1], work[2], work[3]
    start, slope, top = s[START + lane], s[SLOPE + lane], s[TOP + lane]
    mode, width, turn = s[MODE + lane], s[WIDTH + lane], s[TURN + lane]
    step, padded = 2.0 / (nodes - 1), _padded(nodes)
    if nodes == 1 or top == -math.inf:
        for m in range(padded):
            z[m], share[m] = mode, 1.0 if m == 0 else 0.0
        return float(top)
    for m in range(padded):
        t = -1.0 + step * m
        root = math.sqrt(t * t + BEND * BEND)
        z[m] = mode + width * t + turn * (root - BEND)
        share[m] = start + slope * z[m] - 0.5 * z[m] * z[m] - top
        widths[m] = (width + turn * t / root) if m < nodes else 0.0
    loading = 0.0
    for m in range(padded):
        factor[m] = 1.0
    for g in range(parts):
        part = g * PART + lane
        if p[part + WEIGHT] == 0.0:
            break
        if p[part + LOADING] != loading:
            loading = p[part + LOADING]
            powers(loading, z, factor, padded)
        scale, weight = p[part + SCALE], p[part + WEIGHT]
        if poisson:
            for m in range(padded):
                share[m] -= scale * factor[m]
        else:
            for m in range(padded):
                share[m] -= weight * log1p(scale * factor[m])
    for m in range(padded):
        share[m] = widths[m] * exponential(share[m])
    total = added(share, padded)
    for m in range(padded):
        share[m] /= total
    return float(top + math.log(total * step) - 0.5 * math.log(2.0 * math.pi))


@compiled
def slopes(
    count: float,
    eta: float,
    k: float,
    poisson: bool,
    nodes: int,
    work: Any,
) -> tuple[float, float, float]:
    """Derivatives of the log integral in a row's log mean, loading and overdispersion.

    They are averages over the nodes that ``integral`` has left in ``work``; ``powers`` has filled
    ``work[2]`` for this loading.
    """
    z, share, factor = work[0], work[1], work[2]
    by_mean, by_loading, by_k = work[3], work[4], work[5]
    padded = _padded(nodes)
    home = math.exp(max(-LARGEST, min(LARGEST, eta)))
    by_square = 1.0 / (k * k)
    for m in range(padded):
        mean = home * factor[m]
        x = k * mean
        one_by = 1.0 / (1.0 + x)
        by_mean[m] = share[m] * (count - mean) * one_by
        by_loading[m] = by_mean[m] * z[m]
        if poisson:
            by_k[m] = 0.0
        else:
            close = 0.5 - x * (2 / 3 - x * (3 / 4 - x * (4 / 5 - x * (5 / 6 - x * 6 / 7))))
            apart = (log1p(x) - x * one_by) * by_square
            excess = mean * mean * close if x < 2e-3 else apart
            by_k[m] = share[m] * (excess - count * mean * one_by)
    return added(by_mean, padded), added(by_loading, padded), added(by_k, padded)


@compiled
def powers(loading: float, z: Any, out: Any, n: int) -> None:
    """Write exp(loading z) into ``out``."""
    for m in range(n):
        out[m] = exponential(max(-LARGEST, min(LARGEST, loading * z[m])))


@compiled
def added(values: Any, n: int) -> float:
    """Sum ``n`` values, a multiple of eight: four sums at once, for each addition has to wait."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for m in range(0, n, 4):
        a += values[m]
        b += values[m + 1]
        c += values[m + 2]
        d += values[m + 3]
    return (a + b) + (c + d)


@compiled
def _padded(nodes: int) -> int:
    """Whole vectors that hold the nodes."""
    return (nodes + 7) // 8 * 8
