"""A small trial together with other trials of the same question: the normal-normal hierarchy.

Each trial i has an estimate y_i with standard error s_i:

    y_i ~ Normal(theta_i, s_i),  theta_i ~ Normal(mu, tau)

Given tau everything is normal, so the posterior is a mixture of normals over tau, and only one
dimension needs quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msc.errors import PriorError, PublishedError
from bayes_msc.exact import (
    components,
    log_marginal_likelihood,
    log_normal_density,
    mixture,
)
from bayes_msc.prior import Prior
from bayes_msc.quadrature import Grid

Array = NDArray[np.float64]
_QUANTILES = (1e-14, 1e-8, 1e-4, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_UPPER_TAILS = (1e-4, 1e-8, 1e-15, 1e-60, 1e-250)


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Exact posterior of the normal-normal hierarchy.

    Parameters
    ----------
    tau : Grid
        Posterior of the standard deviation between trials.
    mean_effect, new_trial : Prior
        Posterior of mu, and of the true effect in a new trial: mixtures of normals.
    trials : tuple of Prior
        Posterior of each trial's own effect, in the order given.
    """

    tau: Grid
    mean_effect: Prior
    new_trial: Prior
    trials: tuple[Prior, ...]


def check_estimates(estimates: Sequence[float], ses: Sequence[float], tau_prior: Prior) -> None:
    """Raise unless every estimate has a standard error above 0 and tau's prior is positive.

    Raises
    ------
    PriorError, PublishedError
        Naming what is wrong.
    """
    if len(estimates) != len(ses) or len(estimates) == 0:
        raise PublishedError("every trial needs one estimate and one standard error")
    if not np.all(np.isfinite(estimates)) or not np.all(np.isfinite(ses)):
        raise PublishedError("estimates and standard errors must be finite")
    if min(ses) <= 0:
        raise PublishedError(f"a standard error is {min(ses):g}: it must be above 0")
    if tau_prior.support != "positive":
        raise PriorError(
            f"the prior of tau is {tau_prior}: a standard deviation cannot be negative, so choose "
            "half_normal, half_student_t, half_cauchy, exponential, gamma or lognormal"
        )


def _pooled(y: Array, s: Array, tau: Array) -> tuple[Array, Array, Array]:
    """Precision-weighted mean, its SE, and the log likelihood left over, for each tau."""
    variance = s**2 + tau[..., None] ** 2
    precision = 1 / variance
    total = np.sum(precision, axis=-1)
    centre = np.sum(precision * y, axis=-1) / total
    se = 1 / np.sqrt(total)
    logs = np.sum(log_normal_density(y, centre[..., None], np.sqrt(variance)), axis=-1)
    return centre, se, logs + np.log(se) + 0.5 * math.log(2 * math.pi)


def tau_posterior(
    estimates: Sequence[float], ses: Sequence[float], mu_prior: Prior, tau_prior: Prior
) -> Grid:
    """Posterior of the standard deviation between trials, by quadrature.

    Parameters
    ----------
    estimates, ses : sequence of float
        One estimate and standard error a trial.
    mu_prior : Prior
        Of the mean effect: any prior on the whole line.
    tau_prior : Prior
        Any positive prior.

    Returns
    -------
    Grid
        Its nodes carry the mixture over tau.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a number is impossible.
    """
    check_estimates(estimates, ses, tau_prior)
    y, s = np.asarray(estimates, dtype=float), np.asarray(ses, dtype=float)
    frozen = tau_prior.frozen()

    def log_density(tau: Array) -> Array:
        centre, se, left_over = _pooled(y, s, tau)
        return np.asarray(frozen.logpdf(tau)) + left_over + _log_marginal(mu_prior, centre, se)

    scale = max(float(np.max(s)), float(np.ptp(y)), 1e-8)
    marks = np.concatenate(
        [
            frozen.ppf(_QUANTILES),
            frozen.isf(_UPPER_TAILS),
            np.outer([float(np.min(s)), scale], 10.0 ** np.arange(-3, 4)).ravel(),
        ]
    )
    top = min(float(frozen.isf(_UPPER_TAILS[-1])), 1e8 * scale)
    return Grid.of(log_density, [0.0, *marks[(marks > 0) & (marks < top)], top])


def _log_marginal(prior: Prior, estimates: Array, ses: Array) -> Array:
    """Log prior predictive density of each estimate; quick for normals and their mixtures."""
    if prior.distribution in ("normal", "normal_mixture"):
        weights, locs, scales = components(prior)
        scale = np.hypot(scales, ses[..., None])
        logs = np.log(weights) + log_normal_density(estimates[..., None], locs, scale)
        peak = np.max(logs, axis=-1)
        return np.asarray(peak + np.log(np.sum(np.exp(logs - peak[..., None]), axis=-1)))
    one = np.vectorize(lambda y, s: log_marginal_likelihood(prior, y, s), otypes=[float])
    return np.asarray(one(estimates, ses))


@dataclass(frozen=True, eq=False)
class Conditional:
    """The mean effect given tau, on the quadrature nodes of tau.

    Parameters
    ----------
    grid : Grid
        Posterior of tau.
    tau : ndarray, shape (node,)
    share, mean, sd : ndarray, shape (node, component of the prior of mu)
        Probability of the pair, mean and SD of mu given it.
    """

    grid: Grid
    tau: Array
    share: Array
    mean: Array
    sd: Array


def conditional(
    estimates: Sequence[float], ses: Sequence[float], mu_prior: Prior, tau_prior: Prior
) -> Conditional:
    """Posterior of the mean effect given each node of tau; for the rest see ``hierarchy``."""
    weights, locs, scales = components(mu_prior)
    grid = tau_posterior(estimates, ses, mu_prior, tau_prior)
    y, s = np.asarray(estimates, dtype=float), np.asarray(ses, dtype=float)
    tau, probability = grid.nodes()
    keep = probability > 1e-18
    tau, probability = tau[keep], probability[keep]
    centre, se, _ = _pooled(y, s, tau)
    # one row a node of tau, one column a component of the prior of mu
    logs = np.log(weights) + log_normal_density(
        centre[:, None], locs, np.hypot(scales, se[:, None])
    )
    share = np.exp(logs - np.max(logs, axis=1, keepdims=True))
    share *= (probability / np.sum(share, axis=1))[:, None]
    precision = 1 / scales**2 + 1 / se[:, None] ** 2
    mean = (locs / scales**2 + centre[:, None] / se[:, None] ** 2) / precision
    sd = 1 / np.sqrt(precision)
    return Conditional(grid, tau, share, mean, sd)


def hierarchy(
    estimates: Sequence[float], ses: Sequence[float], mu_prior: Prior, tau_prior: Prior
) -> Hierarchy:
    """Exact posterior of the normal-normal hierarchical model.

    Parameters
    ----------
    estimates, ses : sequence of float
        One log rate ratio and standard error a trial.
    mu_prior : Prior
        Of the mean effect: a normal or a mixture of normals.
    tau_prior : Prior
        Of the standard deviation between trials: any positive prior.

    Returns
    -------
    Hierarchy
        Mixtures of normals over the quadrature nodes of tau.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a number is impossible.

    Notes
    -----
    Röver 2020 (Journal of Statistical Software 93(6)) describes the same semi-analytic approach.
    """
    given = conditional(estimates, ses, mu_prior, tau_prior)
    tau, share, mean, sd = given.tau, given.share, given.mean, given.sd
    return Hierarchy(
        tau=given.grid,
        mean_effect=mixture(share, mean, sd, "posterior of the mean effect"),
        new_trial=mixture(share, mean, np.hypot(sd, tau[:, None]), "effect in a new trial"),
        trials=tuple(
            _shrunken(float(y), float(s), tau, share, mean, sd)
            for y, s in zip(estimates, ses, strict=True)
        ),
    )


def _shrunken(y: float, s: float, tau: Array, share: Array, mean: Array, sd: Array) -> Prior:
    """Posterior of one trial's own effect: its estimate pulled towards the mean effect."""
    pull = (s**2 / (s**2 + tau**2))[:, None]
    own = tau[:, None] * s / np.hypot(tau[:, None], s)
    return mixture(share, pull * mean + (1 - pull) * y, np.hypot(own, pull * sd), "own effect")
