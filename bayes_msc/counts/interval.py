"""Where the integrand of a patient lies: its mode, its edges, and the nodes between them (Numba).

Nodes are laid between the two points where the integrand has fallen by ``exp(-DROP)``, by a smooth
map with a bend, so that a long tail on one side and a cliff on the other are both covered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

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
LARGEST = 300.0


@dataclass(frozen=True)
class PatientInterval:
    """Compiled functions of one family.

    Attributes
    ----------
    largest : callable
        ``largest(loading, seen)``: the largest loading of a seen row.
    log_integrand : callable
        ``log_integrand(z, count, eta, loading, seen, k, p)``: value, score and information in z.
    interval : callable
        ``interval(count, eta, loading, seen, k, p, n_nodes)``: mode, value there, slope and bend of
        the map, and number of nodes. The value is minus infinity where no mode was found.
    node : callable
        ``node(mode, slope, bend, m, nodes)``: place and width of node number m.
    """

    largest: Any
    log_integrand: Any
    interval: Any
    node: Any


@cache
def patient_interval(family: str) -> PatientInterval:
    """Compile the search of one family."""
    row = FAMILIES[family]
    kernel, information_of = row.kernel, row.information
    smooth, most_nodes, inflated = row.smooth, row.nodes, row.inflated

    # array expressions are written as loops: Numba compiles those in a fraction of the time

    @compiled
    def largest(loading: Any, seen: Any) -> float:
        value = 0.0
        for j in range(loading.shape[0]):
            if seen[j] != 0.0:
                value = max(value, abs(loading[j]))
        return value

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
            log_mean = max(-LARGEST, min(LARGEST, asked))
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
    def gamma_mode(count: Any, eta: Any, loading: Any, seen: Any) -> float:
        """Where the mode would be, had the patient's rate a gamma distribution."""
        total, expected, z = 0.0, 0.0, 0.0
        for j in range(eta.shape[0]):
            if seen[j] != 0.0 and loading[j] > 0.05:
                prior = 1.0 / (loading[j] * loading[j])
                total += count[j]
                expected += math.exp(min(eta[j], LARGEST))
                z = math.log((total + prior) / (expected + prior)) / loading[j]
        return z

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
        row = (count, eta, loading, seen, k, p)
        if smooth:
            return climb(gamma_mode(count, eta, loading, seen), *row)
        near, far = climb(0.0, *row), climb(data_side(*row), *row)
        return far if far[1] > near[1] else near

    @compiled
    def edge(
        mode: float,
        top: float,
        information: float,
        side: float,
        count: Any,
        eta: Any,
        loading: Any,
        seen: Any,
        k: Any,
        p: Any,
    ) -> float:
        """Point on one side of the mode where the log integrand has fallen by DROP, or just beyond.

        A log-concave integrand falls at least as fast as the standard normal, which brackets the
        point; tangent steps from where a normal would have it come from outside. Where it need not
        be log-concave, the bracket is widened until it holds the point. With an excess of zeros
        there may be a second hump beyond a valley, so that what must have fallen is a bound of the
        integrand that has one hump.
        """
        inside, outside = mode, mode + side * math.sqrt(2.0 * DROP)
        z, reach = outside, 4.0
        if smooth:
            z = mode + side * math.sqrt(2.0 * DROP / information)
        value, score, _ = log_integrand(z, count, eta, loading, seen, k, p, inflated)
        while not smooth and value > top - DROP and reach < 1e6:
            inside, z, reach = z, z + side * reach, 1.5 * reach
            outside = z
            value, score, _ = log_integrand(z, count, eta, loading, seen, k, p, inflated)
        for m in range(80):
            excess = top - DROP - value
            if 0.0 <= excess < 0.05 * DROP:
                break
            if excess < 0.0:
                inside = z
            else:
                outside = z
            z += excess / score
            # tangents come in by one unit of the log mean a step: too slow from an exploding mean
            if m > 20 or not min(inside, outside) < z < max(inside, outside):
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
        left = edge(mode, top, information, -1.0, count, eta, loading, seen, k, p)
        right = edge(mode, top, information, 1.0, count, eta, loading, seen, k, p)
        slope = 0.5 * (right - left)
        bend = 0.5 * ((right - mode) + (left - mode)) / (math.sqrt(1.0 + _BEND**2) - _BEND)
        nodes = n_nodes if n_nodes > 0 else most_nodes
        if n_nodes == 0 and largest(loading, seen) < _WIDE_LOADING:
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

    return PatientInterval(largest, log_integrand, interval, node)
