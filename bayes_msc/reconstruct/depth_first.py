"""Every multiset that fits, by depth-first search over non-increasing values (Numba)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msc.reconstruct.compiled import compiled

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """What is known about single values, all of them shifted so that the smallest possible is 0.

    Attributes
    ----------
    highest : int
        No value lies above it.
    largest, smallest : ndarray of bool, shape (highest + 1,)
        Which values the maximum and the minimum may have.
    spread : ndarray of bool, shape (highest + 1,)
        Which differences of maximum and minimum are allowed.
    middle : ndarray of bool, shape (2 * highest + 1,)
        Which values twice the median may have.
    zero : int
        The shifted value that stands for 0; -1 where there is none.
    zeros : ndarray of bool, shape (n + 1,)
        Which numbers of zeros are allowed.
    """

    highest: int
    largest: Flags
    smallest: Flags
    spread: Flags
    middle: Flags
    zero: int
    zeros: Flags


@compiled
def most_squares(total: int, highest: int) -> int:
    """Largest sum of squares of values from 0 to ``highest`` with this total."""
    if highest <= 0:
        return 0
    rest = total % highest
    return (total // highest) * highest * highest + rest * rest


@compiled
def _range_of_next(rest: int, low: int, high: int, left: int, previous: int) -> tuple[int, int]:
    """Smallest and largest next value of ``left`` non-increasing ones with these sums."""
    if high < 0 or rest < 0:
        return 1, 0
    upper = min(previous, rest, int(math.sqrt(high) + 1e-9))
    lower = (rest + left - 1) // left
    if rest > 0 and low > 0:
        lower = max(lower, (low + rest - 1) // rest)
    if left == 2:
        gap = 2 * high - rest * rest
        if gap < 0:
            return 1, 0
        upper = min(upper, int((rest + math.sqrt(gap)) / 2 + 1e-9))
        least = 2 * low - rest * rest
        if least > 0:
            lower = max(lower, math.ceil((rest + math.sqrt(least)) / 2 - 1e-9))
    return lower, upper


@compiled
def _fits(
    x: Integers, n: int, largest: Flags, smallest: Flags, spread: Flags, middle: Flags, zero: int,
    zeros: Flags,
) -> bool:  # fmt: skip
    if not (largest[x[0]] and smallest[x[n - 1]] and spread[x[0] - x[n - 1]]):
        return False
    if not middle[x[(n - 1) // 2] + x[n // 2]]:
        return False
    found = 0
    for k in range(n):
        found += x[k] == zero
    return bool(zeros[found])


@compiled
def _search(
    n: int, total: int, low: int, high: int, highest: int, largest: Flags, smallest: Flags,
    spread: Flags, middle: Flags, zero: int, zeros: Flags, out: Integers, start: int,
    most_steps: int,
) -> tuple[int, int]:  # fmt: skip
    """Write the multisets of one band into ``out`` from row ``start``; rows used, steps done.

    Stops when ``out`` is full or the steps are used up: steps are then above ``most_steps``.
    """
    x = np.zeros(n, np.int64)
    now, least = np.zeros(n, np.int64), np.zeros(n, np.int64)
    rest, lows, highs = (
        np.zeros(n + 1, np.int64),
        np.zeros(n + 1, np.int64),
        np.zeros(n + 1, np.int64),
    )
    middle_low, middle_high = 0, 2 * highest
    while middle_low < 2 * highest and not middle[middle_low]:
        middle_low += 1
    while middle_high > 0 and not middle[middle_high]:
        middle_high -= 1
    first_middle, last_middle = (n - 1) // 2, n // 2
    widest = highest
    while widest > 0 and not spread[widest]:
        widest -= 1
    rest[0], lows[0], highs[0] = total, low, high
    least[0], now[0] = _range_of_next(total, low, high, n, highest)
    if n == 1:
        least[0], now[0] = total, min(total, highest)
    least[0] = max(least[0], (middle_low + 1) // 2)
    depth, steps, row = 0, 0, start
    while depth >= 0:
        v = now[depth]
        if v < least[depth]:
            depth -= 1
            if depth >= 0:
                now[depth] -= 1
            continue
        steps += 1
        if steps > most_steps:
            return row, steps
        left = n - depth - 1
        s, q_low, q_high = rest[depth] - v, lows[depth] - v * v, highs[depth] - v * v
        if s < 0 or q_high < 0 or s > left * v or (depth == 0 and not largest[v]):
            now[depth] -= 1
            continue
        if left > 0 and (left * q_high < s * s or q_high < s or q_low > most_squares(s, v)):
            now[depth] -= 1
            continue
        x[depth] = v
        floor = max(x[0] - widest, 0)
        if v < floor or s < left * floor:
            now[depth] -= 1
            continue
        if left == 0:
            if (
                s == 0
                and q_low <= 0
                and _fits(x, n, largest, smallest, spread, middle, zero, zeros)
            ):
                if row >= out.shape[0]:
                    return row, most_steps + 1
                out[row] = x
                row += 1
            now[depth] -= 1
            continue
        depth += 1
        rest[depth], lows[depth], highs[depth] = s, q_low, q_high
        if left == 1:
            least[depth], now[depth] = s, min(s, v)
        else:
            least[depth], now[depth] = _range_of_next(s, q_low, q_high, left, v)
        least[depth] = max(least[depth], x[0] - widest)
        if depth <= first_middle:
            least[depth] = max(least[depth], (middle_low + 1) // 2)
        if depth >= last_middle:
            now[depth] = min(now[depth], middle_high // 2)
    return row, steps


def multisets(
    n: int, bands: list[tuple[int, int, int]], limits: Limits, *, most: int, most_steps: int
) -> tuple[NDArray[np.int16], bool]:
    """List the multisets that fit, largest value first.

    Parameters
    ----------
    n : int
        Number of values.
    bands : list of (total, low, high)
        Shifted sums: a total and the range of its sum of squares.
    limits : Limits
    most, most_steps : int
        Where to stop: so many multisets, so many steps.

    Returns
    -------
    rows : ndarray of int16, shape (multisets, n)
    complete : bool
        Whether these are all.
    """
    found: list[NDArray[np.int16]] = []
    steps_left, kept, size = most_steps, 0, min(most, 4096)
    for total, low, high in bands:
        if total < 0 or high < low:
            continue
        while True:
            out = np.empty((size, n), np.int64)
            rows, steps = _search(
                n, total, low, high, limits.highest, limits.largest, limits.smallest,
                limits.spread, limits.middle, limits.zero, limits.zeros, out, 0, steps_left,
            )  # fmt: skip
            full = rows == size and steps > steps_left
            if not full or size >= most:
                break
            size = min(8 * size, most)
        found.append(out[:rows].astype(np.int16))
        kept += rows
        steps_left -= steps
        if steps_left < 0 or kept > most:
            return _stacked(found, n)[:most], False
    return _stacked(found, n), True


def _stacked(found: list[NDArray[np.int16]], n: int) -> NDArray[np.int16]:
    return np.concatenate(found) if found else np.empty((0, n), np.int16)


def orderings(rows: NDArray[np.int16]) -> list[int]:
    """Return in how many orders each multiset can stand: n! over the factorials of its ties."""
    if not len(rows):
        return []
    n = rows.shape[1]
    run = np.ones(len(rows), np.int64)
    # the product of i-th places within each run of ties is the product of the factorials
    product = np.ones(len(rows), dtype=object if n > 20 else np.int64)
    for column in range(1, n):
        same = rows[:, column] == rows[:, column - 1]
        run = np.where(same, run + 1, 1)
        product = product * run
    whole = math.factorial(n)
    return [whole // int(value) for value in product]
