"""Inverse search: which sums of counts give the printed figures of a regression (Numba).

With z = y + n / kappa and w = 1 / (1 + kappa mu), the likelihood equations of the two adjusted
means and of the slope are linear in the sums y for given means and slope. The printed means are
known within rounding; over a short interval of slopes the weights are, too. So whole branches of
sums are ruled out before anything is fitted, and the rest is fitted one by one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayes_msc.reconstruct.compiled import compiled
from bayes_msc.reconstruct.negative_binomial import maximise, score_and_information, solve3

Numbers = NDArray[np.float64]
#: Slopes are sought as long as the means of two patients differ less than exp(10)-fold.
STEEPEST = 10.0
INTERVALS = 160
SMALLEST_OVERDISPERSION = 1e-6
_Z = 1.959963984540054


@compiled
def _bounds(
    low_mean: Numbers, high_mean: Numbers, low: float, high: float, covariate: Numbers,
    arm: NDArray[np.int64], log_exposure: Numbers, kappa: float, wl: Numbers, wh: Numbers,
) -> None:  # fmt: skip
    """Smallest and largest weight of each cell over a box of means and slopes."""
    for c in range(covariate.shape[0]):
        ends = low * covariate[c], high * covariate[c]
        exposure = math.exp(log_exposure[c])
        least = low_mean[arm[c]] * math.exp(min(ends[0], ends[1])) * exposure
        most = high_mean[arm[c]] * math.exp(max(ends[0], ends[1])) * exposure
        wl[c], wh[c] = 1.0 / (1.0 + kappa * most), 1.0 / (1.0 + kappa * least)


@compiled
def _figures(
    point: Numbers, total: Numbers, size: Numbers, covariate: Numbers, arm: NDArray[np.int64],
    log_exposure: Numbers, kappa: float, observed: bool, sloped: bool, low: Numbers, high: Numbers,
) -> bool:  # fmt: skip
    """Whether means, limits and |z| of the arm lie within the printed intervals."""
    g, a = np.zeros(3), np.zeros((3, 3))
    score_and_information(
        point, total, size, covariate, arm, log_exposure, kappa, observed, sloped, g, a
    )
    spread = np.zeros((3, 3))
    for k in range(3):
        unit = np.zeros(3)
        unit[k] = 1.0
        if not solve3(a, unit, spread[k]):
            return False
    if not (spread[0, 0] > 0.0 and spread[1, 1] > 0.0):
        return False
    for k in range(2):
        reach = _Z * math.sqrt(spread[k, k])
        found = (math.exp(point[k]), math.exp(point[k] - reach), math.exp(point[k] + reach))
        for j in range(3):
            if not low[3 * k + j] <= found[j] <= high[3 * k + j]:
                return False
    variance = spread[0, 0] + spread[1, 1] - 2.0 * spread[0, 1]
    if variance <= 0.0:
        return False
    z = abs(point[0] - point[1]) / math.sqrt(variance)
    return bool(low[6] <= z <= high[6])


@compiled
def hunt(
    size: Numbers, covariate: Numbers, arm: NDArray[np.int64], log_exposure: Numbers,
    least: NDArray[np.int64], settled: NDArray[np.int64], whole: int, kappa: float,
    observed: bool, sloped: bool, low: Numbers, high: Numbers, edges: Numbers,
    out: NDArray[np.int64],
) -> tuple[int, int]:  # fmt: skip
    """Find all sums of the cells, at least ``least``, that give the figures.

    Parameters
    ----------
    size, covariate, arm, log_exposure
        See ``negative_binomial.Cells``.
    least : ndarray of int
        Smallest sum of each cell.
    settled : ndarray of int
        Sums that are known; -1 where they are not. Open cells come first.
    whole : int
        Sum over all cells.
    kappa, observed, sloped
        Of the regression.
    low, high : ndarray of float, shape (7,)
        Intervals of mean, lower, upper of arm 0, of arm 1, and |z|.
    edges : ndarray of float
        Slopes at which intervals end.
    out : ndarray of int, shape (rows, cells)
        For the sums found.

    Returns
    -------
    found, fits : int
        Number of sums found (may exceed the rows of ``out``), and of regressions fitted.
    """
    cells = size.shape[0]
    bound_kappa = max(kappa, 1e-6)
    free = 0
    rest = whole
    for c in range(cells):
        if settled[c] < 0:
            free += 1
            rest -= least[c]
        else:
            rest -= settled[c]
    if rest < 0:
        return 0, 0
    low_mean, high_mean = np.array([low[0], low[3]]), np.array([high[0], high[3]])
    wl, wh = np.zeros(cells), np.zeros(cells)
    cl, ch = np.zeros((3, cells)), np.zeros((3, cells))
    # over the cells from c on: sums of what stands, smallest and largest weight of what is open
    base_low, base_high = np.zeros((3, cells + 1)), np.zeros((3, cells + 1))
    least_w, most_w = np.zeros((3, cells + 1)), np.zeros((3, cells + 1))
    aim = np.zeros(3)
    for c in range(cells):
        aim[arm[c]] += size[c] / bound_kappa
        aim[2] += covariate[c] * size[c] / bound_kappa
    y = np.zeros(cells, np.int64)
    left = np.zeros(cells + 1, np.int64)
    part_low, part_high = np.zeros((3, cells + 1)), np.zeros((3, cells + 1))
    total = np.zeros(cells)
    point = np.zeros(3)
    found, fits = 0, 0
    rules = 3 if sloped else 2
    for interval in range(edges.shape[0] - 1):
        _bounds(
            low_mean,
            high_mean,
            edges[interval],
            edges[interval + 1],
            covariate,
            arm,
            log_exposure,
            bound_kappa,
            wl,
            wh,
        )
        for c in range(cells):
            for r in range(2):
                inside = arm[c] == r
                cl[r, c] = wl[c] if inside else 0.0
                ch[r, c] = wh[c] if inside else 0.0
            up = covariate[c] > 0
            cl[2, c] = covariate[c] * (wl[c] if up else wh[c])
            ch[2, c] = covariate[c] * (wh[c] if up else wl[c])
        for r in range(3):
            base_low[r, cells] = 0.0
            base_high[r, cells] = 0.0
            least_w[r, cells] = 1e300
            most_w[r, cells] = -1e300
            for c in range(cells - 1, -1, -1):
                stands = size[c] / bound_kappa + (settled[c] if settled[c] >= 0 else least[c])
                base_low[r, c] = base_low[r, c + 1] + stands * cl[r, c]
                base_high[r, c] = base_high[r, c + 1] + stands * ch[r, c]
                least_w[r, c], most_w[r, c] = least_w[r, c + 1], most_w[r, c + 1]
                if settled[c] < 0:
                    least_w[r, c] = min(least_w[r, c], cl[r, c])
                    most_w[r, c] = max(most_w[r, c], ch[r, c])
        depth = 0
        left[0] = rest
        part_low[:, 0] = 0.0
        part_high[:, 0] = 0.0
        y[0] = -1
        while depth >= 0:
            last = depth == free - 1
            y[depth] = left[depth] if last and y[depth] < 0 else y[depth] + 1
            if y[depth] > left[depth]:
                depth -= 1
                continue
            here = y[depth]
            stands = size[depth] / bound_kappa + least[depth] + here
            more = left[depth] - here
            open_cells = not last
            kept = True
            for r in range(rules):
                a = part_low[r, depth] + stands * cl[r, depth]
                b = part_high[r, depth] + stands * ch[r, depth]
                part_low[r, depth + 1] = a
                part_high[r, depth + 1] = b
                a += base_low[r, depth + 1]
                b += base_high[r, depth + 1]
                if open_cells:
                    a += more * least_w[r, depth + 1]
                    b += more * most_w[r, depth + 1]
                slack = 1e-9 * (abs(a) + abs(b))
                if a - slack > aim[r] or b + slack < aim[r]:
                    kept = False
                    break
            if not kept:
                continue
            if not last:
                left[depth + 1] = more
                depth += 1
                y[depth] = -1
                continue
            for c in range(cells):
                total[c] = settled[c] if settled[c] >= 0 else least[c] + y[c]
            fits += 1
            point[0] = math.log(0.5 * (low_mean[0] + high_mean[0]))
            point[1] = math.log(0.5 * (low_mean[1] + high_mean[1]))
            point[2] = 0.5 * (edges[interval] + edges[interval + 1]) if sloped else 0.0
            if not maximise(point, total, size, covariate, arm, log_exposure, kappa, sloped):
                continue
            if sloped and not edges[interval] <= point[2] < edges[interval + 1]:
                continue
            if _figures(
                point, total, size, covariate, arm, log_exposure, kappa, observed, sloped, low, high
            ):
                if found < out.shape[0]:
                    for c in range(cells):
                        out[found, c] = int(total[c])
                found += 1
    return found, fits
