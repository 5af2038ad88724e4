"""Exact posteriors of a log rate ratio whose estimate is normal: closed forms, else quadrature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msc.errors import PriorError
from bayes_msc.prior import Prior
from bayes_msc.quadrature import Grid

Array = NDArray[np.float64]
Distribution = Prior | Grid
"""Offers ``pdf``, ``cdf`` and ``ppf``."""

CONJUGATE = ("normal", "normal_mixture")
NEGLIGIBLE = 1e-18
_LIKELIHOOD_STEPS = (0, 0.5, 1, 2, 3, 4, 6, 8, 12, 20, 38)
_TAILS = (1e-14, 1e-10, 1e-6, 1e-4, 0.01, 0.05, 0.25, 0.45)


def log_normal_density(x: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> Array:
    """Log density of a normal distribution, broadcast over its arguments."""
    scale = np.asarray(scale, dtype=float)
    z = (np.asarray(x, dtype=float) - np.asarray(loc, dtype=float)) / scale
    return np.asarray(-0.5 * z**2 - np.log(scale) - 0.5 * math.log(2 * math.pi))


def mixture(weights: ArrayLike, locs: ArrayLike, scales: ArrayLike, why: str = "") -> Prior:
    """Mixture of normals from unnormalised weights; components without weight are dropped.

    Parameters
    ----------
    weights, locs, scales : array_like
        Of equal length after flattening.
    why : str
        What the distribution is.
    """
    flat = [np.asarray(v, dtype=float).ravel() for v in (weights, locs, scales)]
    share = flat[0] / np.sum(flat[0])
    keep = share > NEGLIGIBLE
    w, m, s = share[keep] / np.sum(share[keep]), flat[1][keep], flat[2][keep]
    if len(w) == 1:
        return Prior.normal(float(m[0]), float(s[0]), why)
    return Prior.normal_mixture(w.tolist(), m.tolist(), s.tolist(), why)


def components(distribution: Prior) -> tuple[Array, Array, Array]:
    """Weights, means and standard deviations of a normal distribution or mixture of normals.

    Raises
    ------
    PriorError
        For any other distribution.
    """
    if distribution.distribution not in CONJUGATE:
        raise PriorError(
            f"{distribution} is not built of normals: choose one of {', '.join(CONJUGATE)}"
        )
    numbers = [np.atleast_1d(np.asarray(v, dtype=float)) for v in distribution.parameters]
    if distribution.distribution == "normal":
        numbers = [np.ones(1), *numbers]
    return numbers[0], numbers[1], numbers[2]


def check_log_ratio_prior(prior: Prior, what: str) -> None:
    """Raise unless the prior lives on the whole line, as a log rate ratio does.

    Raises
    ------
    PriorError
        If it allows positive values only.
    """
    if prior.support != "real":
        raise PriorError(
            f"{what} is {prior}: a log rate ratio may be negative, so choose normal, student_t or "
            "normal_mixture"
        )


def update(prior: Prior, estimate: float, se: float) -> Distribution:
    """Posterior of a parameter whose estimate is normal with a known standard error.

    Parameters
    ----------
    prior : Prior
        On the whole line.
    estimate, se : float
        The estimate and its standard error.

    Returns
    -------
    Prior or Grid
        In closed form for a normal prior (a normal) and a mixture of normals (a mixture, each
        component weighted anew by its marginal likelihood); otherwise by quadrature.

    Raises
    ------
    PriorError
        If the prior allows positive values only.
    """
    check_log_ratio_prior(prior, "the prior")
    if prior.distribution not in CONJUGATE:
        return _update_grid(prior, estimate, se)
    weights, locs, scales = components(prior)
    log_weight = np.log(weights) + log_normal_density(estimate, locs, np.hypot(scales, se))
    precision = 1 / scales**2 + 1 / se**2
    centre = (locs / scales**2 + estimate / se**2) / precision
    return mixture(np.exp(log_weight - np.max(log_weight)), centre, 1 / np.sqrt(precision))


def _update_grid(prior: Prior, estimate: float, se: float) -> Grid:
    frozen = prior.frozen()

    def log_density(x: Array) -> Array:
        return np.asarray(frozen.logpdf(x)) + log_normal_density(x, estimate, se)

    steps = np.array(_LIKELIHOOD_STEPS) * se
    low, high = estimate - steps[-1], estimate + steps[-1]
    quantiles = np.concatenate([frozen.ppf(_TAILS), [frozen.median()], frozen.isf(_TAILS)])
    marks = np.concatenate([estimate - steps, estimate + steps, quantiles])
    return Grid.of(log_density, marks[(marks >= low) & (marks <= high)])


def log_marginal_likelihood(prior: Prior, estimate: float, se: float) -> float:
    """Log prior predictive density of the estimate."""
    if prior.distribution not in CONJUGATE:
        return _update_grid(prior, estimate, se).log_total
    weights, locs, scales = components(prior)
    logs = np.log(weights) + log_normal_density(estimate, locs, np.hypot(scales, se))
    peak = float(np.max(logs))
    return peak + math.log(float(np.sum(np.exp(logs - peak))))


def as_components(distribution: Distribution) -> tuple[Array, Array, Array]:
    """Mixture form: weights, means, SDs; a grid gives its nodes with SD 0.

    The nodes integrate smooth functions exactly, so that adding independent normal noise to them
    gives an exact mixture of normals.
    """
    if isinstance(distribution, Grid):
        points, probabilities = distribution.nodes()
        return probabilities, points, np.zeros_like(points)
    return components(distribution)


def add_noise(distribution: Distribution, scale: float) -> Prior:
    """Distribution of the value plus independent normal noise of the given SD."""
    weights, locs, scales = as_components(distribution)
    return mixture(weights, locs, np.hypot(scales, scale))


def mean_ratio(distribution: Distribution) -> float:
    """Mean of exp(value): of the rate ratio itself; NaN where it does not exist."""
    if isinstance(distribution, Grid):
        return distribution.expect(np.exp)
    if distribution.distribution not in CONJUGATE:
        return math.nan
    weights, locs, scales = components(distribution)
    with np.errstate(over="ignore"):
        mean = float(weights @ np.exp(locs + scales**2 / 2))
    return mean if math.isfinite(mean) else math.nan


def ratio_summary(distribution: Distribution) -> Mapping[str, Any]:
    """Median, mean and 95 % equal-tailed interval of the rate ratio."""
    low, middle, high = np.exp(distribution.ppf([0.025, 0.5, 0.975]))
    return {
        "median": float(middle),
        "mean": mean_ratio(distribution),
        "lower": float(low),
        "upper": float(high),
    }


def beyond(distribution: Distribution, thresholds: ArrayLike, benefit: str) -> Array:
    """Probability that the rate ratio lies on the good side of each threshold.

    Parameters
    ----------
    distribution : Prior or Grid
        Of the log rate ratio.
    thresholds : array_like
        Rate ratios, above 0.
    benefit : str
        ``"lower"``: below the threshold is good; ``"higher"``: above it.
    """
    below = np.asarray(distribution.cdf(np.log(np.asarray(thresholds, dtype=float))))
    return below if benefit == "lower" else np.asarray(1 - below)
