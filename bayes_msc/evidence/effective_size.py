"""How many patients a prior is worth: ELIR, moments, Morita."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msc.errors import PriorError
from bayes_msc.evidence.beta import BetaMixture
from bayes_msc.exact import components, log_normal_density
from bayes_msc.prior import Prior

Array = NDArray[np.float64]
Information = Callable[[Array], Array]
METHODS = ("elir", "moment", "morita")
#: Largest over smallest of the three, from which on they are said to disagree.
DISAGREE = 1.5
_VAGUER = 100.0
_REACH = 7.0
_PIECES = 300


def effective_size(
    prior: Prior | BetaMixture,
    *,
    unit_sd: float | None = None,
    exposure: float | None = None,
    overdispersion: float = 0.0,
) -> pd.DataFrame:
    """Number of patients of this trial that a prior is worth.

    Parameters
    ----------
    prior : Prior or BetaMixture
        A normal or a mixture of normals, of ``log_rate_ratio`` (then give ``unit_sd``) or of
        ``log_rate`` (then give ``exposure``); or a mixture of betas of a proportion.
    unit_sd : float, optional
        Standard deviation that one patient of this trial contributes to the log rate ratio: its
        standard error times the root of the number of patients. ``unit_sd`` gives it.
    exposure : float, optional
        Scans (or other exposure) of one patient of this trial, for a prior of ``log_rate``.
    overdispersion : float
        Of a patient's count, variance mu + overdispersion mu^2, for a prior of ``log_rate``.

    Returns
    -------
    DataFrame
        ``method, patients, note``: ``elir``, the expected local-information ratio, which grows by
        n when n patients are added; ``moment``, of the conjugate prior with the same mean and SD;
        ``morita``, from the curvature at the mode. ``note`` warns where they differ by a factor of
        1.5 or more.

    Raises
    ------
    PriorError
        If the prior is of another kind, or what it needs is missing.

    Notes
    -----
    Neuenschwander 2020, Biometrics 76:578; Morita 2008, Biometrics 64:595, with Neuenschwander's
    equation 9. The information of one patient about a log rate is 1 / (1 / (rate x exposure) +
    overdispersion).
    """
    if isinstance(prior, BetaMixture):
        sizes = _of_betas(prior)
    elif exposure is not None and unit_sd is None:
        sizes = _of_normals(prior, _of_counts(exposure, overdispersion))
    elif unit_sd is not None and exposure is None:
        sizes = _of_normals(prior, _of_known_sd(unit_sd))
    else:
        raise PriorError(
            "give either unit_sd (for a prior of log_rate_ratio) or exposure (for one of log_rate)"
        )
    note = _disagreement(sizes)
    return pd.DataFrame({"method": METHODS, "patients": sizes, "note": note})


def _disagreement(sizes: tuple[float, float, float]) -> str:
    low, high = min(sizes), max(sizes)
    if low > 0 and high / low < DISAGREE:
        return ""
    return (
        f"the methods disagree ({low:.1f} to {high:.1f} patients): the prior is not shaped as the "
        "information of patients would be, heavy in the tails or of several parts. Report elir; "
        "moment understates and morita overstates it."
    )


def _of_known_sd(unit_sd: float) -> Information:
    if not (unit_sd > 0 and math.isfinite(unit_sd)):
        raise PriorError(f"unit_sd is {unit_sd:g}: it must be above 0")
    return lambda theta: np.full(np.shape(theta), unit_sd**-2.0)


def _of_counts(exposure: float, overdispersion: float) -> Information:
    if not (exposure > 0 and math.isfinite(exposure)):
        raise PriorError(f"exposure is {exposure:g}: it must be above 0")
    if not (overdispersion >= 0 and math.isfinite(overdispersion)):
        raise PriorError(f"overdispersion is {overdispersion:g}: it must be 0 or more")
    return lambda theta: 1 / (np.exp(-theta) / exposure + overdispersion)


def _of_normals(prior: Prior, information: Information) -> tuple[float, float, float]:
    w, m, s = components(prior)

    def pdf(x: Array) -> Array:
        return np.asarray(np.exp(log_normal_density(x[:, None], m, s)) @ w)

    ends = float(np.min(m - _REACH * s)), float(np.max(m + _REACH * s))
    x, mass = _quadrature(ends, float(w @ m), float(np.min(s)), pdf)
    curvature = _normal_curvature(x, w, m, s)
    per_patient = 1 / information(x)
    mean = float(w @ m)
    variance = float(w @ (s**2 + m**2)) - mean**2
    top = _mode(x, pdf)
    vague = 1 / (_VAGUER * float(np.max(s)) ** 2)
    at_top = float(_normal_curvature(top, w, m, s)[0]) - vague
    return (
        float(mass @ (curvature * per_patient)),
        float(mass @ per_patient) / variance,
        at_top / float(information(top)[0]),
    )


def _of_betas(prior: BetaMixture) -> tuple[float, float, float]:
    w, a, b = (np.array(v) for v in (prior.weights, prior.alphas, prior.betas))
    if min(*a, *b) < 1:
        raise PriorError(
            "a beta with a number below 1 has no expected curvature: fit a mixture whose numbers "
            "are all at least 1"
        )
    # log odds reach where neither p nor 1 - p loses its digits
    z, mass = _quadrature((-30.0, 30.0), 0.0, 1.0, lambda z: _logit_pdf(prior, z))
    x = 1 / (1 + np.exp(-z))
    elir = float(mass @ (_beta_curvature(x, w, a, b) * x * (1 - x)))
    moment = prior.mean * (1 - prior.mean) / prior.sd**2 - 1
    top = _mode(x, prior.pdf)
    p = float(top[0])
    # the same mode, worth a hundredth of a patient
    vague = (p / _VAGUER - 1) / p**2 + ((1 - p) / _VAGUER - 1) / (1 - p) ** 2
    expected = prior.mean / p**2 + (1 - prior.mean) / (1 - p) ** 2
    return elir, moment, (float(_beta_curvature(top, w, a, b)[0]) - vague) / expected


def _logit_pdf(prior: BetaMixture, z: Array) -> Array:
    p = 1 / (1 + np.exp(-z))
    return np.asarray(prior.pdf(p) * p / (1 + np.exp(z)))


def _quadrature(
    ends: tuple[float, float], middle: float, scale: float, pdf: Callable[[Array], Array]
) -> tuple[Array, Array]:
    """Points and probabilities that integrate smooth functions under a density."""
    low, high = np.arcsinh((np.array(ends) - middle) / scale)
    edges = np.linspace(low, high, _PIECES + 1)
    nodes, weights = np.polynomial.legendre.leggauss(6)
    half = np.diff(edges)[:, None] / 2
    u = (edges[:-1, None] + half * (nodes + 1)).ravel()
    x = middle + scale * np.sinh(u)
    mass = (half * weights).ravel() * scale * np.cosh(u) * pdf(x)
    return x, mass / mass.sum()


def _mode(x: Array, pdf: Callable[..., Array]) -> Array:
    """Point of the highest density, as an array of one."""
    from scipy import optimize

    best = int(np.argmax(pdf(x)))
    ends = (float(x[max(best - 1, 0)]), float(x[min(best + 1, len(x) - 1)]))
    found: Any = optimize.minimize_scalar(
        lambda t: -float(pdf(np.array([t]))[0]),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-12},
    )
    return np.array([float(found.x)])


def _normal_curvature(x: Array, w: Array, m: Array, s: Array) -> Array:
    """Minus the second derivative of the log density of a mixture of normals."""
    logs = np.log(w) + log_normal_density(x[:, None], m, s)
    return _curvature(logs, -(x[:, None] - m) / s**2, -1 / s**2)


def _beta_curvature(x: Array, w: Array, a: Array, b: Array) -> Array:
    """Minus the second derivative of the log density of a mixture of betas."""
    from scipy.stats import beta

    at = x[:, None]
    logs = np.log(w) + beta(a, b).logpdf(at)
    slope = (a - 1) / at - (b - 1) / (1 - at)
    return _curvature(logs, slope, -(a - 1) / at**2 - (b - 1) / (1 - at) ** 2)


def _curvature(logs: Array, slope: Array, bend: Array) -> Array:
    share = np.exp(logs - logs.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    mean = np.sum(share * slope, axis=1)
    return np.asarray(mean**2 - np.sum(share * (bend + slope**2), axis=1))
