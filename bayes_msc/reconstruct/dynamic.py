"""Exact counts and exact draws by dynamic programming over the sum and the sum of squares (Numba).

``f_k(s, q)`` is the weighted number of sequences of k values with sum s and sum of squares q. Only
half the levels are kept: a sequence of n values is two halves whose sums add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msc.reconstruct.compiled import compiled
from bayes_msc.reconstruct.depth_first import most_squares
from bayes_msc.reconstruct.limits import Problem

Numbers = NDArray[np.float64]
#: Above this the tables would take too long or too much memory (8 bytes a cell).
MOST_CELLS = 4e7
MOST_STEPS = 4e9


@dataclass(frozen=True, eq=False)
class Table:
    """The levels of one problem.

    Attributes
    ----------
    problem : Problem
    weight : ndarray of float, shape (highest + 1,)
        Of every (shifted) value; all 1 for counting sequences.
    levels : ndarray of float, shape (half + 1, largest total + 1, squares // 2 + 1)
        A sum of squares has the parity of the sum, so that every second one is kept.
    total : float
        The (weighted) number of sequences with the problem's sums; single values are limited
        to 0..highest only.
    """

    problem: Problem
    weight: Numbers
    levels: Numbers
    total: float


def cost(problem: Problem) -> tuple[float, float]:
    """Return the cells and the steps that the tables would need."""
    half = (problem.n + 1) // 2
    total, squares = _size(problem)
    cells = (half + 1) * (total + 1) * (squares // 2 + 1)
    return float(cells), float(cells) * (problem.limits.highest + 1)


def affordable(problem: Problem) -> bool:
    """Whether the tables fit into memory and into seconds."""
    cells, steps = cost(problem)
    return cells <= MOST_CELLS and steps <= MOST_STEPS


def _size(problem: Problem) -> tuple[int, int]:
    total = max(band[0] for band in problem.bands)
    squares = max(
        min(band[2], int(most_squares(band[0], problem.limits.highest))) for band in problem.bands
    )
    return total, squares if problem.squares else 1


def tabulate(problem: Problem, weight: Numbers | None = None) -> Table:
    """Fill the tables of a problem.

    Parameters
    ----------
    problem : Problem
    weight : ndarray of float, shape (highest + 1,), optional
        Weight of each shifted value, such as its probability under a model: draws are then exact
        draws of that model given the sums.
    """
    values = np.ones(problem.limits.highest + 1) if weight is None else weight
    total, squares = _size(problem)
    levels = _fill((problem.n + 1) // 2, total, squares // 2, values, problem.squares)
    bands = np.array(problem.bands, np.int64)
    whole = _all_splits(levels, problem.n, bands, problem.squares)
    return Table(problem, values, levels, whole)


@compiled
def _fill(half: int, total: int, pairs: int, weight: Numbers, squares: bool) -> Numbers:
    f = np.zeros((half + 1, total + 1, pairs + 1))
    f[0, 0, 0] = 1.0
    highest = weight.shape[0] - 1
    for k in range(1, half + 1):
        for v in range(min(highest, total) + 1):
            w = weight[v]
            if w == 0.0:
                continue
            for s in range(v, min(total, k * highest) + 1):
                # q = 2 j + parity of s
                step = (v * v - (s & 1) + ((s - v) & 1)) // 2 if squares else 0
                for j in range(step, pairs + 1):
                    f[k, s, j] += w * f[k - 1, s - v, j - step]
    return f


@compiled
def _all_splits(f: Numbers, n: int, bands: NDArray[np.int64], squares: bool) -> float:
    """Sum over all ways to split the sums between the halves."""
    one, two = (n + 1) // 2, n // 2
    whole = 0.0
    for b in range(bands.shape[0]):
        total = bands[b, 0]
        first, last = _pairs_of(total, bands[b, 1], bands[b, 2], squares)
        for s in range(total + 1):
            carry = ((s & 1) + ((total - s) & 1) - (total & 1)) // 2 if squares else 0
            for j in range(f.shape[2]):
                a = f[one, s, j]
                if a == 0.0:
                    continue
                low, high = max(first - j - carry, 0), min(last - j - carry, f.shape[2] - 1)
                for i in range(low, high + 1):
                    whole += a * f[two, total - s, i]
    return whole


@compiled
def _pairs_of(total: int, low: int, high: int, squares: bool) -> tuple[int, int]:
    """Range of (q - parity) / 2 for sums of squares from low to high."""
    if not squares:
        return 0, 0
    parity = total & 1
    return (low - parity + 1) // 2, (high - parity) // 2


@compiled
def _walk(
    f: Numbers, k: int, s: int, j: int, weight: Numbers, squares: bool, uniforms: Numbers,
    x: NDArray[np.int64], start: int,
) -> None:  # fmt: skip
    """Draw k values with sum s and pair index j, last one first."""
    for level in range(k, 0, -1):
        left = uniforms[level - 1] * f[level, s, j]
        chosen, chosen_step = -1, 0
        for v in range(min(weight.shape[0] - 1, s) + 1):
            step = (v * v - (s & 1) + ((s - v) & 1)) // 2 if squares else 0
            if step > j:
                break
            mass = weight[v] * f[level - 1, s - v, j - step]
            if mass > 0.0:
                chosen, chosen_step = v, step
                left -= mass
                if left <= 0.0:
                    break
        x[start + level - 1] = chosen
        s -= chosen
        j -= chosen_step


@compiled
def _draw(
    f: Numbers, n: int, bands: NDArray[np.int64], squares: bool, weight: Numbers,
    targets: Numbers, uniforms: Numbers,
) -> NDArray[np.int64]:  # fmt: skip
    """Draw one sequence for each target, a sorted place in the cumulative split weights."""
    one, two = (n + 1) // 2, n // 2
    out = np.zeros((targets.shape[0], n), np.int64)
    whole, row = 0.0, 0
    for b in range(bands.shape[0]):
        total = bands[b, 0]
        first, last = _pairs_of(total, bands[b, 1], bands[b, 2], squares)
        for s in range(total + 1):
            carry = ((s & 1) + ((total - s) & 1) - (total & 1)) // 2 if squares else 0
            for j in range(f.shape[2]):
                a = f[one, s, j]
                if a == 0.0:
                    continue
                low, high = max(first - j - carry, 0), min(last - j - carry, f.shape[2] - 1)
                for i in range(low, high + 1):
                    mass = a * f[two, total - s, i]
                    if mass == 0.0:
                        continue
                    whole += mass
                    while row < targets.shape[0] and targets[row] <= whole:
                        _walk(f, one, s, j, weight, squares, uniforms[row], out[row], 0)
                        _walk(
                            f,
                            two,
                            total - s,
                            i,
                            weight,
                            squares,
                            uniforms[row, one:],
                            out[row],
                            one,
                        )
                        row += 1
                    if row == targets.shape[0]:
                        return out
    return out


def draw(table: Table, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw sequences exactly, in proportion to their weight.

    Returns
    -------
    ndarray of int, shape (size, n)
        Shifted values in random order of the draws; limits other than 0..highest are not kept.
    """
    problem = table.problem
    targets = np.sort(rng.random(size)) * table.total * (1 - 1e-12)
    bands = np.array(problem.bands, np.int64)
    rows = _draw(
        table.levels, problem.n, bands, problem.squares, table.weight, targets,
        rng.random((size, problem.n)),
    )  # fmt: skip
    return np.asarray(rng.permutation(rows))
