"""Where the nodes of a patient's integral lie, in any family: mode, interval and map (Numba)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from bayes_msc.counts.families import Family
from bayes_msc.counts.lanes import BEND, DROP, FEWEST, LARGEST
from bayes_msc.counts.special import compiled

#: Below this a log likelihood has no digits left behind the point.
_LOWEST = -1e12
#: Beyond this patient effect a bend may hide away from the mode: all nodes are laid, else three
#: quarters of the family's number.
_WIDE_LOADING = 1.5


@dataclass(frozen=True)
class Search:
    """Compiled functions of one family that lay the nodes.

    A patient is ``(count, eta, loading, seen, k, p)``, arrays of shape (rows,).

    Attributes
    ----------
    largest : callable
        ``largest(loading, seen)``: the largest loading of a seen row.
    log_integrand : callable
        ``log_integrand(z, patient)``: value, score and information in z, up to a constant.
    guess : callable
        ``guess(count, eta, loading, seen)``: where the search for the mode starts.
    interval : callable
        ``interval(start, patient, widest, n_nodes)``: mode, value there, slope and bend of the
        map, and number of nodes; a value of minus infinity where the patient is far astray.
    node : callable
        ``node(mode, slope, bend, m, nodes)``: place and width of one node.
    """

    largest: Any
    log_integrand: Any
    guess: Any
    interval: Any
    node: Any


def search(row: Family) -> Search:
    """Compile the search of one family."""
    kernel, information_of = row.kernel, row.information
    most_nodes, inflated = row.nodes, row.inflated

    # array expressions are written as loops: Numba compiles those in a fraction of the time

    @compiled
    def largest(loading: Any, seen: Any) -> float:
        value = 0.0
        for j in range(loading.shape[0]):
            if seen[j] != 0.0:
                value = max(value, abs(loading[j]))
        return value

    @compiled
    def log_integrand(z: float, patient: Any, bound: bool = False) -> tuple[float, float, float]:
        """Value, score and information in z, up to a constant.

        With ``bound`` rows of no events take no part: their log probability is below 0.
        """
        count, eta, loading, seen, k, p = patient
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
    def guess(count: Any, eta: Any, loading: Any, seen: Any) -> float:
        """Where the mode would be, had the patient's rate a gamma distribution."""
        total, expected, z = 0.0, 0.0, 0.0
        for j in range(eta.shape[0]):
            if seen[j] != 0.0 and loading[j] > 0.05:
                total += count[j]
                expected += math.exp(max(-LARGEST, min(LARGEST, eta[j])))
                prior = 1.0 / (loading[j] * loading[j])
                z = loading[j]
        return math.log((total + prior) / (expected + prior)) / z if z > 0.0 else 0.0

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
    def climb(z: float, patient: Any) -> tuple[float, float, float]:
        """Mode, value and information there: Newton steps from z inside a shrinking bracket.

        The value is minus infinity if the climb, which comes down from an exploding mean by about
        one unit of its logarithm a step, does not arrive.
        """
        low, high, before = -math.inf, math.inf, math.inf
        value, score, information = log_integrand(z, patient)
        for _ in range(1000):
            if score > 0.0:
                low = z
            else:
                high = z
            # far to the right the score explodes and a full step would leave the plausible range
            step = max(-4.0, min(4.0, score / information))
            if step * step * information < 1e-4:
                return z, value, information
            z += step
            # where the information is a stand-in, steps of twice the length would go on for ever
            slow = abs(score) > 0.5 * before and high - low < math.inf
            if slow or not low < z < high:
                z = 0.5 * (low + high)
            before = abs(score)
            value, score, information = log_integrand(z, patient)
        return z, -math.inf, information

    @compiled
    def mode_of(z: float, patient: Any) -> tuple[float, float, float]:
        """Mode; the higher of two where the counts may draw one and the prior another."""
        found = climb(z, patient)
        count, eta, loading, seen, k, p = patient
        for start in (0.0, data_side(count, eta, loading, seen, k, p)):
            other = climb(start, patient)
            if other[1] > found[1]:
                found = other
        return found

    @compiled
    def edge(mode: float, top: float, information: float, side: float, patient: Any) -> float:
        """Point on one side of the mode where the log integrand has fallen by DROP, or just beyond.

        A log-concave integrand falls at least as fast as the standard normal, which brackets the
        point; tangent steps from where a normal would have it come from outside. As it need not be
        log-concave, the bracket is widened until it holds the point. With an excess of zeros
        there may be a second hump beyond a valley, so that what must have fallen is a bound of the
        integrand that has one hump.
        """
        inside, outside = mode, mode + side * math.sqrt(2.0 * DROP)
        z = mode + side * math.sqrt(2.0 * DROP / information)
        value, score, _ = log_integrand(z, patient, inflated)
        reach = 4.0
        while value > top - DROP and reach < 1e6:
            inside, z, reach = z, z + side * reach, 1.5 * reach
            outside = z
            value, score, _ = log_integrand(z, patient, inflated)
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
            value, score, _ = log_integrand(z, patient, inflated)
        return z

    @compiled
    def interval(
        z: float, patient: Any, widest: float, n_nodes: int
    ) -> tuple[float, float, float, float, int]:
        """Mode, value there, slope and bend of the map, and number of nodes."""
        mode, top, information = mode_of(z, patient)
        if not top > _LOWEST:
            return mode, -math.inf, 1.0, 0.0, FEWEST
        left = edge(mode, top, information, -1.0, patient)
        right = edge(mode, top, information, 1.0, patient)
        if not left < right:
            # so far astray that the doubles around the mode are all alike
            return mode, -math.inf, 1.0, 0.0, FEWEST
        slope = 0.5 * (right - left)
        bend = 0.5 * ((right - mode) + (left - mode)) / (math.sqrt(1.0 + BEND**2) - BEND)
        nodes = n_nodes if n_nodes > 0 else most_nodes
        if n_nodes == 0 and widest < _WIDE_LOADING:
            nodes = 3 * most_nodes // 4
        return mode, top, slope, bend, nodes

    @compiled
    def node(mode: float, slope: float, bend: float, m: int, nodes: int) -> tuple[float, float]:
        """Place and log weight (with the normal density) of one node."""
        t = -1.0 + 2.0 * m / (nodes - 1)
        root = math.sqrt(t * t + BEND**2)
        z = mode + slope * t + bend * (root - BEND)
        width = (slope + bend * t / root) * 2.0 / (nodes - 1)
        return z, width

    return Search(largest, log_integrand, guess, interval, node)
