"""Draws of a fit, weighted for another question: smoothed weights, and when to distrust them.

Weights are Pareto-smoothed (Vehtari et al. 2024, JMLR 25:72); the shape of their tail says whether
the draws reach far enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Effective draws below which no answer is given: as for the draws of a fit.
LEAST_EFFECTIVE = 400
#: Largest logs of weights that differ by less are the same but for rounding.
_EQUAL = 1e-4
_MASS = (0.025, 0.5, 0.975)


@dataclass(frozen=True)
class Reweighted:
    """Rate ratio under other weights of the draws.

    Attributes
    ----------
    median, lower, upper : float
        With its 95 % equal-tailed interval; NaN where the draws do not reach.
    probability, mcse : float
        That the rate ratio is below 1, with its Monte Carlo standard error; NaN likewise.
    pareto_k : float
        Shape of the weights' tail; minus infinity where all are equal.
    effective : float
        Independent draws that the weighted ones are worth.
    ok : bool
        Whether the draws reach far enough.
    """

    median: float
    lower: float
    upper: float
    probability: float
    mcse: float
    pareto_k: float
    effective: float
    ok: bool


def reweighted(draws: Array, log_weight: Array, efficiency: float) -> Reweighted:
    """Answer from weighted draws of the log rate ratio.

    Parameters
    ----------
    draws : ndarray of float, shape (draws,)
        Log rate ratios.
    log_weight : ndarray of float, shape (draws,)
        Log of the weights, up to a constant.
    efficiency : float
        Independent draws that each is worth, at most 1.
    """
    weights, k = smoothed(log_weight, efficiency)
    effective = efficiency / float(np.sum(weights**2))
    ok = bool(k < most_k(len(draws) * efficiency)) and effective >= LEAST_EFFECTIVE
    below = draws < 0
    chance = float(weights @ below)
    error = math.sqrt(float(np.sum((weights * (below - chance)) ** 2)) / efficiency)
    lower, median, upper = np.exp(quantiles(draws, weights, _MASS)).tolist()
    if not ok:
        lower = median = upper = chance = error = math.nan
    return Reweighted(median, lower, upper, chance, error, k, effective, ok)


def smoothed(log_ratio: Array, efficiency: float) -> tuple[Array, float]:
    """Weights that sum to 1, and the shape of their tail."""
    from arviz_stats.base import array_stats

    size = len(log_ratio)
    tail = 3 * math.sqrt(size / efficiency) if size * efficiency > 225 else size / 5
    if np.ptp(np.sort(log_ratio)[-math.floor(tail) :]) < _EQUAL:
        weights = np.exp(log_ratio - np.max(log_ratio))
        return np.asarray(weights / np.sum(weights)), -math.inf
    logs, k = array_stats.psislw(-log_ratio, r_eff=efficiency)
    return np.exp(np.asarray(logs)), float(k)


def most_k(size: float) -> float:
    """Largest shape of the tail that so many draws can bear (Vehtari et al. 2024)."""
    return min(1 - 1 / math.log10(size), 0.7)


def quantiles(draws: Array, weights: Array, probabilities: tuple[float, ...]) -> Array:
    """Quantiles of weighted draws: middles of the steps, joined by lines."""
    order = np.argsort(draws, kind="stable")
    middles = np.cumsum(weights[order]) - weights[order] / 2
    return np.interp(probabilities, middles, draws[order])


def effective_draws(fit: xr.DataTree) -> float:
    """Independent draws that those of the log rate ratio are worth."""
    if "importance" in fit.children:
        return float(fit["importance"].attrs["effective_size"])
    import arviz as az

    sizes = [
        float(az.ess(fit, var_names=["log_rate_ratio"], method=method)["log_rate_ratio"])
        for method in ("bulk", "tail")
    ]
    return min(sizes)
