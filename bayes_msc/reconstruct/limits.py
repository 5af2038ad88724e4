"""From a printed summary to shifted sums and the limits of single values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayes_msc.reconstruct.depth_first import Limits
from bayes_msc.reconstruct.summary import Band, GroupSummary


@dataclass(frozen=True)
class Problem:
    """A summary as the searches want it: values shifted so that the smallest possible is 0.

    Attributes
    ----------
    n : int
    shift : int
        Add it to get the values back.
    bands : list of (total, low, high)
        Of the shifted values.
    squares : bool
        Whether the sum of squares is limited at all.
    limits : Limits
    """

    n: int
    shift: int
    bands: list[tuple[int, int, int]]
    squares: bool
    limits: Limits


def problem_of(summary: GroupSummary) -> Problem | None:
    """Return the shifted problem, or None where no value at all is possible."""
    bands = summary.bands()
    low, high = _ends(summary, bands)
    if not bands or low > high:
        return None
    shifted = [
        (
            band.total - summary.n * low,
            band.low - 2 * low * band.total + summary.n * low**2,
            band.high - 2 * low * band.total + summary.n * low**2,
        )
        for band in bands
    ]
    kept = [(total, max(first, 0), last) for total, first, last in shifted if total >= 0]
    limits = _limits(summary, low, high)
    if limits is None or not kept:
        return None
    return Problem(summary.n, low, kept, "sd" in summary.facts, limits)


def _ends(summary: GroupSummary, bands: list[Band]) -> tuple[int, int]:
    """Smallest and largest value that any band leaves possible."""
    lows, highs = [], []
    for band in bands:
        reach = _reach(summary.n, band)
        lows.append(math.floor(band.total / summary.n - reach))
        highs.append(math.ceil(band.total / summary.n + reach))
    low, high = min(lows, default=0), max(highs, default=-1)
    if not summary.signed:
        low = max(low, 0)
        high = min(high, max((band.total for band in bands), default=-1))
    for key in ("minimum", "maximum"):
        if key in summary.facts:
            possible = summary.facts[key].whole_numbers()
            if not possible:
                return 1, 0
            if key == "minimum":
                low = max(low, min(possible))
            else:
                high = min(high, max(possible))
    return low, high


def _reach(n: int, band: Band) -> float:
    """How far from the mean one of n values can lie, given the sum of squares (Samuelson)."""
    around = band.high - band.total**2 / n
    return math.sqrt(max(around, 0.0) * (n - 1) / n) + 1e-9


def _limits(summary: GroupSummary, low: int, high: int) -> Limits | None:
    facts, n, size = summary.facts, summary.n, high - low + 1
    values = range(low, high + 1)
    largest, smallest = np.ones(size, bool), np.ones(size, bool)
    if "maximum" in facts:
        possible = facts["maximum"].whole_numbers()
        largest = np.array([value in possible for value in values])
    if "minimum" in facts:
        possible = facts["minimum"].whole_numbers()
        smallest = np.array([value in possible for value in values])
    spread, middle = np.ones(size, bool), np.ones(2 * size - 1, bool)
    if "spread" in facts:
        possible = facts["spread"].whole_numbers()
        spread = np.array([value in possible for value in range(size)])
    if "median" in facts:
        twice = facts["median"].whole_numbers(2)
        middle = np.array([value + 2 * low in twice for value in range(2 * size - 1)])
    zeros = np.ones(n + 1, bool)
    if "zeros" in facts:
        possible = facts["zeros"].whole_numbers()
        zeros = np.array([value in possible for value in range(n + 1)])
    flags = (largest, smallest, spread, middle, zeros)
    if not all(bool(flag.any()) for flag in flags):
        return None
    zero = -low if low <= 0 <= high else -1
    return Limits(high - low, largest, smallest, spread, middle, zero, zeros)
