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
from bayes_msc.counts.special import compiled

DROP = 18.0
#: Nodes for an integrand that is all but normal. More are laid, up to the family's number, as the
#: interval is wide in units of the integrand's own width, and as it is skew; all of them where the
#: patient effect is so wide that a bend may hide away from the mode. A family whose integrand may
#: be anything gets three quarters of its number, or all of them.
FEWEST = 16
_NORMAL_WIDTH = 12.0
_PER_WIDTH = 8.0
_PER_SKEWNESS = 16.0
_WIDE_LOADING = 1.5
_BEND = 0.5
#: Beyond this log mean, on either side, a step has gone astray: the kernel goes on as a line.
_LARGEST = 300.0
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
    row = FAMILIES[family]
    kernel, constant, information_of = row.kernel, row.constant, row.information
    smooth, most_nodes, inflated = row.smooth, row.nodes, row.inflated

    @compiled
    def log_integrand(
        z: float, count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, bound: bool = False
    ) -> tuple[float, float, float]:
        """Value, score and information in z, up to a constant.

        With ``bound`` rows of no events take no part: their log probability is below 0.
        """
        value, score, information = -0.5 * z * z, -z, 1.0
        for j in range(eta.shape[0]):
            if seen[j] == 0.0 or (bound and count[j] == 0.0):
                continue
            asked = eta[j] + loading[j] * z
            log_mean = max(-_LARGEST, min(_LARGEST, asked))
            mean = math.exp(log_mean)
            part, slope, _, _ = kernel(count[j], log_mean, mean, k[j], p[j])
            value += part + slope * (asked - log_mean)
            score += loading[j] * slope
            information += loading[j] ** 2 * information_of(count[j], mean, k[j], p[j])
        return value, score, information

    @compiled
    def data_side(count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any) -> float:
        """Effect that brings the means to the counts, shrunken as a normal integrand would."""
        pull, weight = 0.0, 1.0
        for j in range(eta.shape[0]):
            if seen[j] != 0.0 and count[j] > 0.0:
                share = loading[j] * information_of(count[j], count[j], k[j], p[j])
                pull += share * (math.log(count[j]) - eta[j])
                weight += share * loading[j]
        return pull / weight

    @compiled
    def climb(
        z: float, count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any
    ) -> tuple[float, float, float]:
        """Mode, value and information there: Newton steps inside a shrinking bracket.

        The value is minus infinity if the climb, which comes down from an exploding mean by about
        one unit of its logarithm a step, does not arrive.
        """
        low, high, last = -math.inf, math.inf, math.inf
        value, score, information = log_integrand(z, count, eta, loading, seen, k, p)
        for _ in range(1000):
            if score > 0.0:
                low = z
            else:
                high = z
            # far to the right the score explodes and a full step would leave the plausible range
            step = max(-4.0, min(4.0, score / information))
            if step * step * information < 1e-4:
                return z, value, information
            ahead = z + step
            # where the information is a stand-in, steps may go to and fro without getting shorter
            if high - low < math.inf and (abs(step) > 0.5 * last or not low < ahead < high):
                ahead = 0.5 * (low + high)
            z, last = ahead, abs(ahead - z)
            value, score, information = log_integrand(z, count, eta, loading, seen, k, p)
        return z, -math.inf, information

    @compiled
    def mode_of(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any
    ) -> tuple[float, float, float]:
        """Mode; the higher of two where the counts may draw one and the prior another."""
        found = climb(0.0, count, eta, loading, seen, k, p)
        if not smooth:
            row = (count, eta, loading, seen, k, p)
            other = climb(data_side(*row), *row)
            if other[1] > found[1]:
                found = other
        return found

    @compiled
    def edge(
        mode: float,
        top: float,
        side: float,
        count: Any,
        eta: Any,
        loading: Any,
        seen: Any,
        k: Any,
        p: Any,
    ) -> float:
        """Point on one side of the mode where the log integrand has fallen by DROP.

        A log-concave integrand falls at least as fast as the standard normal, so the search starts
        outside and tangent steps come in without passing the point. Otherwise it is bracketed.
        With an excess of zeros there may be a second hump beyond a valley, so that what must have
        fallen is a bound of the integrand that has one hump.
        """
        inside, z = mode, mode + side * math.sqrt(2.0 * DROP)
        value, score, _ = log_integrand(z, count, eta, loading, seen, k, p, inflated)
        reach = 4.0
        while not smooth and value > top - DROP and reach < 1e6:
            inside, z, reach = z, z + side * reach, 1.5 * reach
            value, score, _ = log_integrand(z, count, eta, loading, seen, k, p, inflated)
        outside = z
        for m in range(80):
            excess = top - DROP - value
            if -0.05 * DROP < excess < 0.05 * DROP:
                break
            if excess < 0.0:
                inside = z
            else:
                outside = z
            step = excess / score
            z += step
            # tangents come in by one unit of the log mean a step: too slow from an exploding mean
            if m > 20 or not (min(inside, outside) < z < max(inside, outside)):
                z = 0.5 * (inside + outside)
            value, score, _ = log_integrand(z, count, eta, loading, seen, k, p, inflated)
        return z

    @compiled
    def interval(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> tuple[float, float, float, float, int]:
        """Mode, value there, slope and bend of the map, and number of nodes."""
        mode, top, information = mode_of(count, eta, loading, seen, k, p)
        if top == -math.inf:
            return mode, top, 1.0, 0.0, FEWEST
        left = edge(mode, top, -1.0, count, eta, loading, seen, k, p)
        right = edge(mode, top, 1.0, count, eta, loading, seen, k, p)
        slope = 0.5 * (right - left)
        bend = 0.5 * ((right - mode) + (left - mode)) / (math.sqrt(1.0 + _BEND**2) - _BEND)
        nodes = n_nodes if n_nodes > 0 else most_nodes
        if n_nodes == 0 and np.max(np.abs(loading)) < _WIDE_LOADING:
            if smooth:
                width = (right - left) * math.sqrt(information)
                skewness = abs(left + right - 2.0 * mode) / (right - left)
                extra = _PER_WIDTH * max(0.0, width - _NORMAL_WIDTH) + _PER_SKEWNESS * skewness
                nodes = min(most_nodes, FEWEST + int(extra))
            else:
                nodes = 3 * most_nodes // 4
        return mode, top, slope, bend, nodes

    @compiled
    def node(mode: float, slope: float, bend: float, m: int, nodes: int) -> tuple[float, float]:
        """Place and log weight (with the normal density) of one node."""
        t = -1.0 + 2.0 * m / (nodes - 1)
        root = math.sqrt(t * t + _BEND**2)
        z = mode + slope * t + bend * (root - _BEND)
        width = (slope + bend * t / root) * 2.0 / (nodes - 1)
        return z, width

    @compiled
    def patient(
        count: Any, eta: Any, loading: Any, seen: Any, k: Any, p: Any, n_nodes: int
    ) -> float:
        if not np.any(loading * seen):
            value = log_integrand(0.0, count, eta, loading, seen, k, p)[0]
        else:
            mode, top, slope, bend, nodes = interval(count, eta, loading, seen, k, p, n_nodes)
            if top == -math.inf:
                return top
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
            log_mean = max(-_LARGEST, min(_LARGEST, asked))
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
        out[:] = 0.0
        if not np.any(loading * seen):
            value = accumulate(0.0, count, eta, loading, seen, k, p, slopes)
            for j in range(rows):
                if seen[j] != 0.0:
                    out[0, j], out[2, j], out[3, j] = slopes[0, j], slopes[1, j], slopes[2, j]
        else:
            mode, top, slope, bend, nodes = interval(count, eta, loading, seen, k, p, n_nodes)
            if top == -math.inf:
                return top
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
            out /= total
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
