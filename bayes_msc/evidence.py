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
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import PriorError, PublishedError, one_of
from bayes_msc.exact import (
    Distribution,
    beyond,
    components,
    log_marginal_likelihood,
    log_normal_density,
    mixture,
)
from bayes_msc.prior import Prior
from bayes_msc.quadrature import Grid

Array = NDArray[np.float64]
METHODS = ("quadrature", "pymc")
TARGETS = ("this trial", "mean effect", "new trial")
TAU_PRIORS = (
    Prior.half_normal(0.5, why="trials of one question mostly differ by less than twofold"),
    Prior.half_normal(1.0, why="trials of one question may differ severalfold"),
)
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


def _check(estimates: Sequence[float], ses: Sequence[float], tau_prior: Prior) -> None:
    if len(estimates) != len(ses) or len(estimates) == 0:
        raise PublishedError("every trial needs one estimate and one standard error")
    if not np.all(np.isfinite(estimates)) or not np.all(np.isfinite(ses)):
        raise PublishedError("estimates and standard errors must be finite")
    if min(ses) <= 0:
        raise PublishedError(f"a standard error is {min(ses):g}: it must be above 0")
    if tau_prior.support != "positive":
        raise PriorError(
            f"the prior of tau is {tau_prior}: a standard deviation cannot be negative, so choose "
            "half_normal, half_cauchy, exponential, gamma or lognormal"
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
    _check(estimates, ses, tau_prior)
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
    return Hierarchy(
        tau=grid,
        mean_effect=mixture(share, mean, sd, "posterior of the mean effect"),
        new_trial=mixture(share, mean, np.hypot(sd, tau[:, None]), "effect in a new trial"),
        trials=tuple(_shrunken(y[i], s[i], tau, share, mean, sd) for i in range(len(y))),
    )


def _shrunken(y: float, s: float, tau: Array, share: Array, mean: Array, sd: Array) -> Prior:
    """Posterior of one trial's own effect: its estimate pulled towards the mean effect."""
    pull = (s**2 / (s**2 + tau**2))[:, None]
    own = tau[:, None] * s / np.hypot(tau[:, None], s)
    return mixture(share, pull * mean + (1 - pull) * y, np.hypot(own, pull * sd), "own effect")


def combine(
    estimates: Sequence[float],
    ses: Sequence[float],
    mu_prior: Prior,
    tau_priors: Sequence[Prior] = TAU_PRIORS,
    thresholds: Sequence[float] = (1.0, 0.8, 0.5),
    benefit: str = "lower",
    method: str = "quadrature",
    seed: int = 0,
) -> pd.DataFrame:
    """Combine a trial with others, under each prior of the standard deviation between trials.

    Parameters
    ----------
    estimates, ses : sequence of float
        Log rate ratios and standard errors; the first is this trial.
    mu_prior : Prior
        Of the mean effect.
    tau_priors : sequence of Prior
        Shown side by side.
    thresholds : sequence of float
        Rate ratios.
    benefit : str
        ``"lower"`` or ``"higher"``.
    method : str
        ``"quadrature"`` (exact) or ``"pymc"`` (NUTS, as a check from another side).
    seed : int
        For ``"pymc"``.

    Returns
    -------
    DataFrame
        ``tau_prior, mu_prior, target, rate_ratio, lower, upper``, one ``probability_below_C``
        (``probability_above_C`` where more is better) for each threshold, ``method``, and ``mcse``,
        the largest Monte Carlo standard error of the probabilities in the row (0: exact).

    Raises
    ------
    PriorError, PublishedError
        If a prior, a number or the method is impossible.
    """
    one_of(method, METHODS, "method", PublishedError)
    rows = []
    for tau_prior in tau_priors:
        if method == "quadrature":
            exact = hierarchy(estimates, ses, mu_prior, tau_prior)
            posteriors: tuple[Distribution, ...]
            posteriors = (exact.trials[0], exact.mean_effect, exact.new_trial)
            found = [_exact_numbers(p, thresholds, benefit) for p in posteriors]
        else:
            draws = sample_hierarchy(estimates, ses, mu_prior, tau_prior, seed=seed)
            found = _sampled_numbers(draws, thresholds, benefit)
        for target, (ratio, probabilities, mcse) in zip(TARGETS, found, strict=True):
            names = [probability_column(c, benefit) for c in thresholds]
            rows.append(
                {"tau_prior": str(tau_prior), "mu_prior": str(mu_prior), "target": target}
                | dict(zip(("rate_ratio", "lower", "upper"), ratio, strict=True))
                | dict(zip(names, probabilities, strict=True))
                | {"method": method, "mcse": mcse}
            )
    return pd.DataFrame(rows)


def probability_column(threshold: float, benefit: str) -> str:
    """Name of the column that holds the probability on the good side of a threshold."""
    return f"probability_{'below' if benefit == 'lower' else 'above'}_{threshold:g}"


Numbers = tuple[list[float], list[float], float]


def _exact_numbers(posterior: Distribution, thresholds: Sequence[float], benefit: str) -> Numbers:
    low, middle, high = np.exp(posterior.ppf([0.025, 0.5, 0.975])).tolist()
    return [middle, low, high], beyond(posterior, thresholds, benefit).tolist(), 0.0


def _sampled_numbers(draws: Any, thresholds: Sequence[float], benefit: str) -> list[Numbers]:
    import arviz as az

    posterior = draws["posterior"]
    sign = 1.0 if benefit == "lower" else -1.0
    found = []
    for values in (posterior["theta"].isel(trial=0), posterior["mu"], posterior["theta_new"]):
        low, middle, high = np.exp(np.quantile(values, [0.025, 0.5, 0.975])).tolist()
        good = [(sign * (values - math.log(c)) < 0).astype(float) for c in thresholds]
        errors = [float(az.mcse(g.values, method="mean")) if g.std() > 0 else 0.0 for g in good]
        found.append(([middle, low, high], [float(g.mean()) for g in good], max(errors)))
    return found


def sample_hierarchy(
    estimates: Sequence[float],
    ses: Sequence[float],
    mu_prior: Prior,
    tau_prior: Prior,
    seed: int = 0,
    draws: int = 4000,
    chains: int = 4,
) -> Any:
    """Sample the same hierarchy with PyMC (non-centred), as a check on the quadrature.

    Parameters
    ----------
    estimates, ses : sequence of float
        One log rate ratio and standard error a trial.
    mu_prior, tau_prior : Prior
        Any known distribution.
    seed : int
        Same seed, same draws.
    draws, chains : int
        Draws a chain, and chains.

    Returns
    -------
    xarray.DataTree
        With ``mu``, ``tau``, ``theta`` (dimension ``trial``) and ``theta_new`` in ``posterior``.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a number is impossible.
    """
    import pymc as pm

    _check(estimates, ses, tau_prior)
    with pm.Model(coords={"trial": np.arange(len(estimates))}):
        mu = _pymc_prior("mu", mu_prior)
        tau = _pymc_prior("tau", tau_prior)
        z = pm.Normal("z", 0, 1, dims="trial")
        z_new = pm.Normal("z_new", 0, 1)
        theta = pm.Deterministic("theta", mu + tau * z, dims="trial")
        pm.Deterministic("theta_new", mu + tau * z_new)
        pm.Normal("estimate", theta, np.asarray(ses), observed=np.asarray(estimates), dims="trial")
        return pm.sample(
            draws,
            tune=1000,
            chains=chains,
            cores=1,
            random_seed=seed,
            nuts_sampler="nutpie",
            nuts={"target_accept": 0.95},
            progressbar=False,
            quiet=True,
        )


def _pymc_prior(name: str, prior: Prior) -> Any:
    """One PyMC variable for a prior."""
    import pymc as pm

    builders = {
        "normal": ("Normal", ("mu", "sigma")),
        "student_t": ("StudentT", ("nu", "mu", "sigma")),
        "normal_mixture": ("NormalMixture", ("w", "mu", "sigma")),
        "half_normal": ("HalfNormal", ("sigma",)),
        "half_cauchy": ("HalfCauchy", ("beta",)),
        "exponential": ("Exponential", ("lam",)),
        "gamma": ("Gamma", ("alpha", "beta")),
        "lognormal": ("LogNormal", ("mu", "sigma")),
    }
    one_of(prior.distribution, builders, "prior distribution", PriorError)
    kind, names = builders[prior.distribution]
    numbers = {n: np.asarray(v) for n, v in zip(names, prior.parameters, strict=True)}
    return getattr(pm, kind)(name, **numbers)
