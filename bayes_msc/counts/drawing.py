"""A draw from a density that is known at some places (Numba)."""

from __future__ import annotations

import math
from typing import Any

from bayes_msc.counts.special import compiled


@compiled
def between(places: Any, heights: Any, n: int, uniform: float, within: float) -> float:
    """Draw from a density that is linear between ``n`` places.

    Parameters
    ----------
    places, heights : ndarray of float
        In rising order, with the density there up to a constant.
    n : int
    uniform, within : float
        Uniform numbers: which cell, and where in it.
    """
    total = 0.0
    for m in range(1, n):
        total += 0.5 * (heights[m] + heights[m - 1]) * (places[m] - places[m - 1])
    target, m, below = uniform * total, 0, 0.0
    while m < n - 2:
        cell = 0.5 * (heights[m] + heights[m + 1]) * (places[m + 1] - places[m])
        if below + cell >= target:
            break
        below += cell
        m += 1
    # inverse of the distribution function left*x + (right-left)*x^2/2, in its stable form
    left, right = heights[m], heights[m + 1]
    share = within * 0.5 * (left + right)
    root = math.sqrt(max(left * left + 2.0 * (right - left) * share, 0.0))
    x = 2.0 * share / max(left + root, 1e-300)
    return float(places[m] + x * (places[m + 1] - places[m]))
