"""Where the nodes lie of patients whose counts are Poisson or negative binomial (Numba).

In the patient effect z the logarithm of the integrand is ``start + slope z - z^2 / 2`` less a
convex part for every row, ``(count + 1/k) log(1 + k mean)`` or, for Poisson, the mean. Rows of one
mean share one such part: what the integral costs goes with the number of different means, not with
that of scans.

The mode and the two ends of the interval are found for ``LANES`` patients at once: one array holds
all numbers of a search, a row of lanes each, at offsets that the compiler knows, and so turns the
loops over lanes into vector instructions. A lane that has arrived stays where it is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayes_msc.counts.special import compiled
from bayes_msc.counts.vector import exponential, log1p, logarithm

#: Patients that are searched at once.
LANES = 16
#: By how much the log integrand has fallen at the ends of the interval.
DROP = 18.0
_BEYOND = 0.05 * DROP
#: Nodes for an integrand that is all but normal. More are laid, up to the family's number, as the
#: interval is wide in units of the integrand's own width, and as it is skew; all of them where the
#: patient effect is so wide that a bend may hide away from the mode.
FEWEST = 16
_NORMAL_WIDTH = 12.0
_PER_WIDTH = 8.0
_PER_SKEWNESS = 16.0
_WIDE_LOADING = 1.5
BEND = 0.5
#: What a bend of one moves the ends by.
_REACH = math.sqrt(1.0 + BEND**2) - BEND
#: As good as Poisson: everything below stays finite, and all digits are kept.
_SMALLEST_K = 1e-100
#: Beyond this log mean, on either side, a step has gone astray: the integrand goes on as a line.
LARGEST = 300.0
#: Below this a log likelihood has no digits left behind the point.
_LOWEST = -1e12

# places of the rows of lanes
START, SLOPE, _WIDEST, MODE, TOP, WIDTH, TURN, NODES = (LANES * row for row in range(8))
_Z, _VALUE, _SCORE, _INFORMATION, _FACTOR = (LANES * row for row in range(8, 13))
_LOW, _HIGH, _LEFT, _RIGHT, _SHARPNESS = (LANES * row for row in range(13, 18))
_ROWS = 18
# places within a convex part
SCALE, WEIGHT, LOADING = (LANES * row for row in range(3))
PART = 3 * LANES


@compiled
def scratch(rows: int) -> tuple[Any, Any]:
    """Room for a search: rows of lanes; convex parts, then a flag for each with other loadings."""
    return np.empty(_ROWS * LANES), np.empty(rows * (PART + 1))


@compiled
def lay(
    first: int,
    count: Any,
    eta: Any,
    loading: Any,
    seen: Any,
    k: Any,
    poisson: bool,
    n_nodes: int,
    most_nodes: int,
    s: Any,
    p: Any,
) -> int:
    """Search the nodes of patients ``first`` and after, as many as there are lanes.

    ``MODE``, ``TOP`` (the log integrand there), ``WIDTH`` and ``TURN`` (slope and bend of the map)
    and ``NODES`` (one where there is no patient effect) of each lane are left in ``s``. A value of
    minus infinity stands for a patient who is far astray.

    Returns
    -------
    int
        The largest number of convex parts.
    """
    parts = prepare(first, count, eta, loading, seen, k, poisson, s, p)
    _climb(parts, poisson, s, p)
    for m in range(LANES):
        s[MODE + m], s[TOP + m], s[_SHARPNESS + m] = (
            s[_Z + m],
            s[_VALUE + m],
            s[_INFORMATION + m],
        )
    _descend(-1.0, parts, poisson, s, p)
    _descend(1.0, parts, poisson, s, p)
    for m in range(LANES):
        left, right, mode = s[_LEFT + m], s[_RIGHT + m], s[MODE + m]
        s[WIDTH + m] = 0.5 * (right - left)
        s[TURN + m] = 0.5 * ((right - mode) + (left - mode)) / _REACH
        width = (right - left) * math.sqrt(s[_SHARPNESS + m])
        skewness = abs(left + right - 2.0 * mode) / (right - left)
        extra = _PER_WIDTH * max(0.0, width - _NORMAL_WIDTH) + _PER_SKEWNESS * skewness
        nodes = float(most_nodes)
        if s[_WIDEST + m] < _WIDE_LOADING:
            nodes = min(nodes, FEWEST + math.floor(extra))
        s[NODES + m] = nodes if n_nodes == 0 else float(n_nodes)
        if s[_WIDEST + m] == 0.0:
            s[NODES + m] = 1.0
        # so far astray that no digits are left, or that the doubles around the mode are all alike
        if not (s[TOP + m] > _LOWEST and left < right):
            s[TOP + m], s[NODES + m] = -math.inf, float(FEWEST)
    return parts


@compiled
def prepare(
    first: int, count: Any, eta: Any, loading: Any, seen: Any, k: Any, poisson: bool, s: Any, p: Any
) -> int:
    """Write the integrands into ``s`` and their convex parts into ``p``, and a guess of the mode.

    Lanes without a patient, and parts that a patient has less than others, are left at zero. The
    guess is where the mode would be, had the patient's rate a gamma distribution.
    """
    patients, rows = eta.shape
    here = min(LANES, patients - first)
    for m in range(_ROWS * LANES):
        s[m] = 0.0
    for j in range(rows):
        for m in range(PART):
            p[j * PART + m] = 0.0
        for m in range(here):
            p[j * PART + SCALE + m] = max(-LARGEST, min(LARGEST, eta[first + m, j]))
        for m in range(LANES):
            s[_FACTOR + m] = exponential(p[j * PART + SCALE + m])
        for m in range(LANES):
            p[j * PART + WEIGHT + m] = s[_FACTOR + m]
    most = 0
    for m in range(here):
        i = first + m
        n, start, slope, widest = 0, 0.0, 0.0, 0.0
        total, expected, prior, spread = 0.0, 0.0, 1.0, 1.0
        for j in range(rows):
            if seen[i, j] == 0.0:
                continue
            y, load = count[i, j], loading[i, j]
            log_mean, mean = p[j * PART + SCALE + m], p[j * PART + WEIGHT + m]
            start += y * log_mean
            slope += y * load
            widest = max(widest, abs(load))
            if load > 0.05:
                total += y
                expected += mean
                prior, spread = 1.0 / (load * load), load
            scale, weight = mean, 1.0
            if not poisson:
                dispersion = max(k[i, j], _SMALLEST_K)
                scale, weight = dispersion * mean, y + 1.0 / dispersion
            last, here_part = (n - 1) * PART + m, n * PART + m
            if n > 0 and p[last + LOADING] == load and (poisson or p[last + SCALE] == scale):
                if poisson:
                    p[last + SCALE] += scale
                else:
                    p[last + WEIGHT] += weight
            else:
                p[here_part + SCALE], p[here_part + WEIGHT] = scale, weight
                p[here_part + LOADING] = load
                n += 1
        for j in range(n, rows):
            p[j * PART + SCALE + m] = p[j * PART + WEIGHT + m] = 0.0
        s[START + m], s[SLOPE + m], s[_WIDEST + m] = start, slope, widest
        s[_LOW + m], s[_HIGH + m] = (total + prior) / (expected + prior), 1.0 / spread
        most = max(most, n)
    for m in range(here, LANES):
        s[_LOW + m] = 1.0
    for m in range(LANES):
        s[_Z + m] = logarithm(s[_LOW + m]) * s[_HIGH + m]
    for g in range(most):
        apart = 1.0 if g == 0 else 0.0
        for m in range(here if g > 0 else 0):
            part = g * PART + m
            if p[part + WEIGHT] > 0.0 and p[part + LOADING] != p[part + LOADING - PART]:
                apart = 1.0
        p[rows * PART + g] = apart
    return most


@compiled
def _evaluate(parts: int, poisson: bool, s: Any, p: Any) -> None:
    """Value, score and information of the log integrands at the lanes' z."""
    flags = len(p) // (PART + 1) * PART
    for m in range(LANES):
        z = s[_Z + m]
        s[_VALUE + m] = s[START + m] + s[SLOPE + m] * z - 0.5 * z * z
        s[_SCORE + m] = s[SLOPE + m] - z
        s[_INFORMATION + m] = 1.0
    for g in range(parts):
        part = g * PART
        if p[flags + g] > 0.0:
            for m in range(LANES):
                exponent = p[part + LOADING + m] * s[_Z + m]
                s[_FACTOR + m] = exponential(max(-LARGEST, min(LARGEST, exponent)))
        for m in range(LANES):
            load, x = p[part + LOADING + m], p[part + SCALE + m] * s[_FACTOR + m]
            if poisson:
                s[_VALUE + m] -= x
                s[_SCORE + m] -= load * x
                s[_INFORMATION + m] += load * load * x
            else:
                weight, one_by = p[part + WEIGHT + m], 1.0 / (1.0 + x)
                pull = weight * load * x * one_by
                s[_VALUE + m] -= weight * log1p(x)
                s[_SCORE + m] -= pull
                s[_INFORMATION + m] += load * pull * one_by


@compiled
def _climb(parts: int, poisson: bool, s: Any, p: Any) -> None:
    """Modes, with values and information there: Newton steps inside a shrinking bracket.

    The value is minus infinity where the climb, which comes down from an exploding mean by about
    one unit of its logarithm a step, does not arrive.
    """
    for m in range(LANES):
        s[_LOW + m], s[_HIGH + m] = -math.inf, math.inf
    for _ in range(1000):
        _evaluate(parts, poisson, s, p)
        moving = 0
        for m in range(LANES):
            z, score, information = s[_Z + m], s[_SCORE + m], s[_INFORMATION + m]
            low = z if score > 0.0 else s[_LOW + m]
            high = s[_HIGH + m] if score > 0.0 else z
            # far to the right the score explodes and a full step would leave the plausible range
            step = max(-4.0, min(4.0, score / information))
            there = z + step
            if not low < there < high:
                there = 0.5 * (low + high)
            arrived = step * step * information < 1e-4
            s[_Z + m] = z if arrived else there
            s[_LOW + m], s[_HIGH + m] = low, high
            moving += 0 if arrived else 1
        if moving == 0:
            return
    for m in range(LANES):
        step = s[_SCORE + m] / s[_INFORMATION + m]
        if not step * step * s[_INFORMATION + m] < 1e-4:
            s[_VALUE + m] = -math.inf


@compiled
def _descend(side: float, parts: int, poisson: bool, s: Any, p: Any) -> None:
    """Find the points on one side where the log integrands have fallen by DROP, or just beyond.

    A log-concave integrand falls at least as fast as the standard normal, which brackets the point;
    tangent steps from where a normal would have it come from outside.
    """
    for m in range(LANES):
        s[_LOW + m] = s[MODE + m]
        s[_HIGH + m] = s[MODE + m] + side * math.sqrt(2.0 * DROP)
        s[_Z + m] = s[MODE + m] + side * math.sqrt(2.0 * DROP / s[_SHARPNESS + m])
    for count in range(80):
        _evaluate(parts, poisson, s, p)
        moving = 0
        for m in range(LANES):
            z, excess = s[_Z + m], s[TOP + m] - DROP - s[_VALUE + m]
            inside = z if excess < 0.0 else s[_LOW + m]
            outside = s[_HIGH + m] if excess < 0.0 else z
            there = z + excess / s[_SCORE + m]
            # tangents come in by one unit of the log mean a step: too slow from an exploding mean
            if count > 20 or not min(inside, outside) < there < max(inside, outside):
                there = 0.5 * (inside + outside)
            arrived = 0.0 <= excess < _BEYOND
            s[_Z + m] = z if arrived else there
            s[_LOW + m], s[_HIGH + m] = inside, outside
            moving += 0 if arrived else 1
        if moving == 0:
            break
    place = _LEFT if side < 0.0 else _RIGHT
    for m in range(LANES):
        s[place + m] = s[_Z + m]
