"""What other trials say of the control arm: hierarchies of counts and of proportions, exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msc.errors import PublishedError
from bayes_msc.evidence.borrowed import Borrowed
from bayes_msc.evidence.hierarchy import check_estimates
from bayes_msc.evidence.nodes import prior_nodes
from bayes_msc.evidence.tau import tau_prior as named_tau_prior
from bayes_msc.exact import check_log_ratio_prior, log_normal_density
from bayes_msc.prior import Prior

Array = NDArray[np.float64]
LogLikelihood = Callable[[Array], Array]
_MEANS = 161
_REACH = 8.0
_EFFECTS = 24


def rate_prior(
    events: Sequence[int],
    exposure: Sequence[float],
    tau_prior: str | Prior,
    mu_prior: Prior,
    *,
    patients: Sequence[int] | None = None,
    overdispersion: float = 0.0,
) -> Borrowed:
    """Meta-analytic-predictive prior of the log rate of a control arm, from others' counts.

    Parameters
    ----------
    events : sequence of int
        Events in each control arm, 0 or more.
    exposure : sequence of float
        All exposure behind them, in the unit of the trial at hand (scans, say).
    tau_prior : str or Prior
        Of the standard deviation between trials of the log rate.
    mu_prior : Prior
        Of the mean log rate over trials: it depends on the unit, so it is asked for.
    patients : sequence of int, optional
        Patients in each arm; needed with an overdispersion.
    overdispersion : float
        Of one patient's count, variance mu + overdispersion mu^2; 0 is Poisson.

    Returns
    -------
    Borrowed
        A mixture of normals on the log scale: of the log **mean** rate over patients. It is the
        ``log_rate`` of a model whose ``patient_sd`` is set to 0; with patient effects ``log_rate``
        speaks of the median patient, whose rate is lower by the factor exp(patient_sd^2 / 2).

    Raises
    ------
    PriorError, PublishedError
        If a prior or a number is impossible.
    """
    y, t = _counts(events, "events"), np.asarray(exposure, dtype=float)
    if len(y) != len(t) or not np.all((t > 0) & np.isfinite(t)):
        raise PublishedError("every arm needs its events and an exposure above 0")
    if overdispersion > 0 and (patients is None or len(patients) != len(y)):
        raise PublishedError("with an overdispersion, give the number of patients of every arm")
    n = np.ones(len(y)) if patients is None else _counts(patients, "patients")
    if np.any(n < 1) or overdispersion < 0:
        raise PublishedError("patients must be 1 or more an arm, and the overdispersion 0 or more")
    kappa = overdispersion / n

    def log_likelihood(theta: Array) -> Array:
        mean = t[:, None] * np.exp(theta)
        if overdispersion == 0:
            return np.asarray(y[:, None] * theta - mean)
        k = kappa[:, None]
        return np.asarray(y[:, None] * theta - (y[:, None] + 1 / k) * np.log1p(k * mean))

    centre = np.log((y + 0.5) / t)
    se = np.sqrt(1 / (y + 0.5) + kappa)
    why = f"control rates of {len(y)} other trials"
    return _predictive(log_likelihood, centre, se, mu_prior, tau_prior, why)


def proportion_prior(
    responders: Sequence[int],
    patients: Sequence[int],
    tau_prior: str | Prior,
    mu_prior: Prior,
) -> Borrowed:
    """Meta-analytic-predictive prior of the log odds of a proportion, from others' control arms.

    Parameters
    ----------
    responders, patients : sequence of int
        Of each control arm: for example patients without a lesion, and all patients.
    tau_prior : str or Prior
        Of the standard deviation between trials of the log odds.
    mu_prior : Prior
        Of the mean log odds over trials.

    Returns
    -------
    Borrowed
        A mixture of normals on the logit scale; ``fit_beta_mixture`` turns it into betas.

    Raises
    ------
    PriorError, PublishedError
        If a prior or a number is impossible.
    """
    r, n = _counts(responders, "responders"), _counts(patients, "patients")
    if len(r) != len(n) or np.any(r > n) or np.any(n < 1):
        raise PublishedError("every arm needs its patients, and at most as many responders")

    def log_likelihood(theta: Array) -> Array:
        return np.asarray(r[:, None] * theta - n[:, None] * np.logaddexp(0, theta))

    centre = np.log((r + 0.5) / (n - r + 0.5))
    se = np.sqrt(1 / (r + 0.5) + 1 / (n - r + 0.5))
    why = f"control proportions of {len(r)} other trials"
    return _predictive(log_likelihood, centre, se, mu_prior, tau_prior, why)


def _counts(values: Sequence[int], name: str) -> Array:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or numbers.size == 0:
        raise PublishedError(f"{name} is {values!r}: a list with one number an arm is needed")
    if not np.all(np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers))):
        raise PublishedError(f"{name} is {values!r}: whole numbers, 0 or more, are needed")
    return numbers


def _predictive(
    log_likelihood: LogLikelihood,
    centre: Array,
    se: Array,
    mu_prior: Prior,
    tau_prior: str | Prior,
    why: str,
) -> Borrowed:
    """Mixture over tau and the mean; each arm's own parameter is integrated by quadrature.

    ``log_likelihood`` takes an array of shape (arm, point); ``centre`` and ``se`` place the nodes.
    """
    spread = named_tau_prior(tau_prior)
    check_log_ratio_prior(mu_prior, "mu_prior")
    check_estimates(centre.tolist(), se.tolist(), spread)
    tau, share = prior_nodes(spread, pieces=10, order=8)
    mu, step = _means(centre, se, tau, mu_prior)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_EFFECTS)
    rule = nodes, np.log(weights) + 0.5 * nodes**2
    logs = np.empty(mu.shape)
    for k in range(len(tau)):
        logs[k] = _arms(log_likelihood, centre, se, mu[k], float(tau[k]), rule)
    logs += _log_pdf(mu_prior, mu) + np.log(step)[:, None] + np.log(share)[:, None]
    mass = np.exp(logs - logs.max())
    mass /= mass.sum()
    locs, scales = _smooth(mass, mu, step)
    scale = np.hypot(scales, tau)[:, None]
    return Borrowed.of(
        "meta-analytic-predictive", f"{why}, tau ~ {spread}", mass, locs, scale, "tau", tau[:, None]
    )


def _log_pdf(prior: Prior, x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(prior.pdf(x))


def _means(centre: Array, se: Array, tau: Array, mu_prior: Prior) -> tuple[Array, Array]:
    """Even grid of the mean for each tau, where its posterior is, and the grid's step."""
    precision = 1 / (se**2 + tau[:, None] ** 2)
    prior_middle, prior_sd = mu_prior.frozen().mean(), mu_prior.frozen().std()
    total = precision.sum(axis=1) + prior_sd**-2.0
    middle = (precision @ centre + prior_middle * prior_sd**-2.0) / total
    sd = total**-0.5
    grid = middle[:, None] + sd[:, None] * np.linspace(-_REACH, _REACH, _MEANS)
    return grid, 2 * _REACH * sd / (_MEANS - 1)


def _arms(
    log_likelihood: LogLikelihood, centre: Array, se: Array, mu: Array, tau: float, rule: Any
) -> Array:
    """Log likelihood of all arms for each mean, their own parameters integrated out."""
    nodes, log_weights = rule
    variance = 1 / (tau**-2.0 + se[:, None] ** -2.0)
    place = variance * (mu * tau**-2.0 + (centre * se**-2.0)[:, None])
    sd = np.sqrt(variance)[..., None]
    theta = place[..., None] + sd * nodes
    flat = log_likelihood(theta.reshape(len(centre), -1)).reshape(theta.shape)
    logs = flat + log_normal_density(theta, mu[None, :, None], tau) + log_weights + np.log(sd)
    peak = logs.max(axis=-1)
    total = peak + np.log(np.exp(logs - peak[..., None]).sum(axis=-1))
    return np.asarray(total.sum(axis=0))


def _smooth(mass: Array, mu: Array, step: Array) -> tuple[Array, Array]:
    """Give every point of an even grid the width of a step; mean and variance stay as they were."""
    total = mass.sum(axis=1)
    total = np.where(total > 0, total, 1.0)
    mean = (mass * mu).sum(axis=1) / total
    variance = (mass * (mu - mean[:, None]) ** 2).sum(axis=1) / total
    width = np.minimum(step, np.sqrt(variance) / 2)
    shrink = np.sqrt(1 - width**2 / np.maximum(variance, 1e-300))
    return mean[:, None] + (mu - mean[:, None]) * shrink[:, None], width
