"""Weighted draws by tilted importance sampling, for groups too large for the exact methods.

Values are drawn independently from a distribution proportional to exp(a v + b v²), whose mean and
mean square are those printed; the last two are solved for. The weight 1 / probability makes the
draws uniform over labelled sequences, and its mean is their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from bayes_msc.reconstruct.compiled import compiled
from bayes_msc.reconstruct.limits import Problem

Numbers = NDArray[np.float64]
BATCH = 20_000
MOST_ROWS = 2_000_000


@dataclass(frozen=True, eq=False)
class Weighted:
    """Draws with weights.

    Attributes
    ----------
    rows : ndarray of int, shape (draws, n)
        Shifted values.
    log_weight : ndarray of float, shape (draws,)
        Up to nothing: their mean over all ``tried`` rows is the number of labelled sequences.
    tried : int
        Rows drawn, those without a completion included.
    """

    rows: NDArray[np.int64]
    log_weight: Numbers
    tried: int

    @property
    def log_count(self) -> float:
        """Log of the estimated number of labelled sequences."""
        if not len(self.log_weight):
            return -math.inf
        return float(logsumexp(self.log_weight) - math.log(self.tried))

    @property
    def effective_size(self) -> float:
        """Effective number of draws, a row without a completion counted as a weight of 0."""
        if not len(self.log_weight):
            return 0.0
        return float(np.exp(2 * logsumexp(self.log_weight) - logsumexp(2 * self.log_weight)))

    @property
    def relative_error(self) -> float:
        """Standard error of the count, as a share of it."""
        if not len(self.log_weight):
            return math.inf
        return math.sqrt(max(1 / self.effective_size - 1 / self.tried, 0.0))


def tilt(problem: Problem, forced: tuple[int, ...], allowed: NDArray[np.bool_]) -> Numbers:
    """Return log probabilities of the values, with the mean and mean square that are wanted.

    Parameters
    ----------
    problem : Problem
    forced : tuple of int
        Shifted values that stand already: the others make up for them.
    allowed : ndarray of bool, shape (highest + 1,)
        Values that may be drawn.
    """
    bands, left = np.array(problem.bands, float), problem.n - len(forced)
    total = bands[:, 0].mean() - sum(forced)
    middle = (bands[:, 1] + np.minimum(bands[:, 2], bands[:, 0] * problem.limits.highest)) / 2
    squares = middle.mean() - sum(v * v for v in forced)
    scale = max(problem.limits.highest, 1)
    v = np.arange(problem.limits.highest + 1) / scale
    features = np.stack([v, v * v])
    aim = np.array([total / left / scale, squares / left / scale**2])
    if not problem.squares:
        features, aim = features[:1], aim[:1]
    off = np.where(allowed, 0.0, -np.inf)

    def dual(point: Numbers) -> tuple[float, Numbers]:
        score = point @ features + off
        norm = logsumexp(score)
        chance = np.exp(score - norm)
        # a little weight on small coefficients keeps aims at the edge of the possible finite
        value = norm - point @ aim + 1e-6 * point @ point
        return float(value), features @ chance - aim + 2e-6 * point

    found = minimize(dual, np.zeros(len(aim)), jac=True, method="BFGS", options={"maxiter": 200})
    score = found.x @ features + off
    return np.asarray(score - logsumexp(score))


@compiled
def _complete(
    drawn: NDArray[np.int64], n: int, fixed: int, bands: NDArray[np.int64], highest: int,
    allowed: NDArray[np.bool_], log_p: Numbers, picks: Numbers, log_weight: Numbers,
) -> None:  # fmt: skip
    """Solve the last two values of every row; one completion each, weighted by how many there are.

    Rows hold n values of which the last two are filled in here, and the first ``fixed`` stand.
    """
    for row in range(drawn.shape[0]):
        x = drawn[row]
        s, q, lp = 0, 0, 0.0
        for k in range(n - 2):
            s += x[k]
            q += x[k] * x[k]
            if k >= fixed:
                lp += log_p[x[k]]
        found, kept_a, kept_b = 0, 0, 0
        for turn in range(2):
            wanted = int(picks[row] * found) if turn else -1
            seen = 0
            for band in range(bands.shape[0]):
                rest = bands[band, 0] - s
                low, high = bands[band, 1] - q, bands[band, 2] - q
                if rest < 0 or high < 0:
                    continue
                for a in range(max(0, rest - highest), min(rest, highest) + 1):
                    b = rest - a
                    both = a * a + b * b
                    if low <= both <= high and allowed[a] and allowed[b]:
                        if turn and seen == wanted:
                            kept_a, kept_b = a, b
                        seen += 1
            if turn == 0:
                found = seen
                if found == 0:
                    break
        if found == 0:
            log_weight[row] = -np.inf
            continue
        x[n - 2], x[n - 1] = kept_a, kept_b
        log_weight[row] = math.log(found) - lp


def draw(problem: Problem, rng: np.random.Generator, *, wanted: float = 1000.0) -> Weighted:
    """Draw until the effective size is reached, or 2 million rows are spent.

    A printed minimum and maximum are put into slots of their own (each way to do so weighted by
    one over its number), a printed number of zeros likewise; other limits are kept by rejection.
    """
    rows: list[NDArray[np.int64]] = []
    weights: list[Numbers] = []
    tried = 0
    plans = _plans(problem)
    if not plans:
        return Weighted(np.empty((0, problem.n), np.int64), np.empty(0), 1)
    while tried < MOST_ROWS:
        for forced, allowed, log_slots in plans:
            got, weight = _batch(problem, forced, allowed, rng)
            kept = weight > -np.inf
            rows.append(got[kept])
            weights.append(weight[kept] + log_slots)
        # every plan is tried once a batch, and their counts add up
        tried += BATCH
        result = Weighted(np.concatenate(rows), np.concatenate(weights), tried)
        if result.effective_size >= wanted:
            break
    return result


Plan = tuple[tuple[int, ...], NDArray[np.bool_], float]


def _plans(problem: Problem) -> list[Plan]:
    """Ways to fix what is printed exactly: forced values, values left to the others, slots."""
    limits, n = problem.limits, problem.n
    zeros: list[int | None] = [None]
    if limits.zero >= 0 and not limits.zeros.all():
        zeros = [int(k) for k in np.flatnonzero(limits.zeros)]
    plans: list[Plan] = []
    for low, high in _extremes(problem):
        for count in zeros:
            plan = _plan(problem, low, high, count, n)
            if plan is not None:
                plans.append(plan)
    return plans


def _extremes(problem: Problem) -> list[tuple[int | None, int | None]]:
    """Pairs of minimum and maximum to force; a printed range forces both."""
    limits = problem.limits
    if limits.spread.all():
        return list(product(_choices(limits.smallest), _choices(limits.largest)))
    most = max(band[0] for band in problem.bands) // problem.n
    return [
        (int(low), int(low + width))
        for width in np.flatnonzero(limits.spread)
        for low in np.flatnonzero(limits.smallest[: most + 1])
        if low + width <= limits.highest and limits.largest[low + width]
    ]


def _choices(flags: NDArray[np.bool_]) -> list[int | None]:
    """The single values that an extreme may have; nothing to force where all are allowed."""
    return [None] if flags.all() else [int(v) for v in np.flatnonzero(flags)]


def _plan(
    problem: Problem, low: int | None, high: int | None, zeros: int | None, n: int
) -> Plan | None:
    limits = problem.limits
    allowed = np.ones(limits.highest + 1, bool)
    if low is not None:
        allowed[:low] = False
    if high is not None:
        allowed[high + 1 :] = False
    forced: list[int] = []
    log_slots = 0.0
    if zeros is not None:
        forced += [limits.zero] * zeros
        log_slots += math.log(math.comb(n, zeros))
        allowed[limits.zero] = False
    free = n - len(forced)
    for value in dict.fromkeys(v for v in (low, high) if v is not None):
        if value in forced:
            continue
        if not allowed[value]:
            return None
        forced.append(value)
        log_slots += math.log(free)
        free -= 1
    inside = all((low is None or v >= low) and (high is None or v <= high) for v in forced)
    return (tuple(forced), allowed, log_slots) if free >= 2 and inside else None


def _batch(
    problem: Problem, forced: tuple[int, ...], allowed: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], Numbers]:
    n, fixed, limits = problem.n, len(forced), problem.limits
    log_p = tilt(problem, forced, allowed)
    drawn = np.zeros((BATCH, n), np.int64)
    drawn[:, :fixed] = forced
    chance = np.exp(log_p) / np.exp(log_p).sum()
    drawn[:, fixed : n - 2] = rng.choice(len(chance), p=chance, size=(BATCH, n - 2 - fixed))
    weight = np.empty(BATCH)
    bands = np.array(problem.bands, np.int64)
    _complete(
        drawn, n, fixed, bands, limits.highest, allowed, log_p, rng.random(BATCH), weight
    )  # fmt: skip
    for value in dict.fromkeys(v for v in forced if allowed[v]):
        weight = weight - np.log((drawn == value).sum(axis=1).clip(1))
    return drawn, np.where(keeps(drawn, problem), weight, -np.inf)


def keeps(rows: NDArray[np.int64], problem: Problem) -> NDArray[np.bool_]:
    """Whether each row keeps the limits on extremes, range, median and zeros."""
    limits, ordered, n = problem.limits, np.sort(rows, axis=1), problem.n
    ordered = ordered.clip(0, limits.highest)
    low, high = ordered[:, 0], ordered[:, -1]
    middle = ordered[:, (n - 1) // 2] + ordered[:, n // 2]
    kept = limits.largest[high] & limits.smallest[low] & limits.spread[high - low]
    zeros = (rows == limits.zero).sum(axis=1)
    return np.asarray(kept & limits.middle[middle] & limits.zeros[zeros])
