"""Negative binomial regression of totals on arm and baseline, from a few sums (Numba).

With the overdispersion fixed, patients of one arm with one baseline share a mean, and the fit needs
only the sum of their counts. The parameters are the log adjusted mean of either arm, at the mean
baseline, and the slope.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import nbinom, norm

from bayes_msc.errors import ReconstructionError
from bayes_msc.reconstruct.compiled import compiled

Numbers = NDArray[np.float64]
MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums of counts of patients who share arm, covariate and exposure.

    Attributes
    ----------
    total : ndarray of float, shape (cells,)
        Sum of their counts.
    size : ndarray of float, shape (cells,)
        Number of patients.
    covariate : ndarray of float, shape (cells,)
        Centred at the mean over all patients.
    arm : ndarray of int, shape (cells,)
        0 or 1.
    log_exposure : ndarray of float, shape (cells,)
    """

    total: Numbers
    size: Numbers
    covariate: Numbers
    arm: NDArray[np.int64]
    log_exposure: Numbers


@compiled
def solve3(a: Numbers, g: Numbers, x: Numbers) -> bool:
    """Solve a symmetric 3 x 3 system; False where it is singular."""
    c00 = a[1, 1] * a[2, 2] - a[1, 2] * a[1, 2]
    c01 = a[0, 2] * a[1, 2] - a[0, 1] * a[2, 2]
    c02 = a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1]
    det = a[0, 0] * c00 + a[0, 1] * c01 + a[0, 2] * c02
    if not abs(det) > 1e-300:
        return False
    c11 = a[0, 0] * a[2, 2] - a[0, 2] * a[0, 2]
    c12 = a[0, 1] * a[0, 2] - a[0, 0] * a[1, 2]
    c22 = a[0, 0] * a[1, 1] - a[0, 1] * a[0, 1]
    x[0] = (c00 * g[0] + c01 * g[1] + c02 * g[2]) / det
    x[1] = (c01 * g[0] + c11 * g[1] + c12 * g[2]) / det
    x[2] = (c02 * g[0] + c12 * g[1] + c22 * g[2]) / det
    return True


@compiled
def score_and_information(
    point: Numbers, total: Numbers, size: Numbers, covariate: Numbers, arm: NDArray[np.int64],
    log_exposure: Numbers, kappa: float, observed: bool, sloped: bool, g: Numbers, a: Numbers,
) -> None:  # fmt: skip
    """Fill in the slope of the log likelihood, and the information."""
    g[:] = 0.0
    a[:] = 0.0
    for c in range(total.shape[0]):
        k = arm[c]
        mu = math.exp(min(point[k] + point[2] * covariate[c] + log_exposure[c], 300.0))
        spread = 1.0 + kappa * mu
        residual = (total[c] - size[c] * mu) / spread
        if observed:
            weight = mu / spread * ((size[c] + kappa * total[c]) / spread)
        else:
            weight = size[c] * mu / spread
        g[k] += residual
        g[2] += residual * covariate[c]
        a[k, k] += weight
        a[k, 2] += weight * covariate[c]
        a[2, 2] += weight * covariate[c] * covariate[c]
    if not sloped:
        g[2], a[0, 2], a[1, 2], a[2, 2] = 0.0, 0.0, 0.0, 1.0
    a[2, 0], a[2, 1] = a[0, 2], a[1, 2]


@compiled
def maximise(
    point: Numbers, total: Numbers, size: Numbers, covariate: Numbers, arm: NDArray[np.int64],
    log_exposure: Numbers, kappa: float, sloped: bool,
) -> bool:  # fmt: skip
    """Newton steps from ``point`` to the maximum, in place; whether it was reached."""
    g, a, step = np.zeros(3), np.zeros((3, 3)), np.zeros(3)
    for _ in range(MOST_STEPS):
        score_and_information(
            point, total, size, covariate, arm, log_exposure, kappa, True, sloped, g, a
        )
        if not solve3(a, g, step):
            return False
        largest = max(abs(step[0]), abs(step[1]), 5.0 * abs(step[2]))
        factor = 1.0 if largest < 2.0 else 2.0 / largest
        for k in range(3):
            point[k] += factor * step[k]
        if largest < 1e-10:
            return True
        if not abs(point[0]) + abs(point[1]) < 100.0:
            return False
    return False


@dataclass(frozen=True)
class Fitted:
    """Figures of a fitted regression, as a paper prints them.

    Attributes
    ----------
    means, lowers, uppers : tuple of float
        Adjusted mean of arms 0 and 1 with 95 % Wald limits.
    p : float
        Wald p-value of the arm.
    slope, overdispersion : float
    """

    means: tuple[float, float]
    lowers: tuple[float, float]
    uppers: tuple[float, float]
    p: float
    slope: float
    overdispersion: float


def fit(
    cells: Cells, *, overdispersion: float | None, information: str, sloped: bool = True
) -> Fitted | None:
    """Fit the regression by maximum likelihood.

    Parameters
    ----------
    cells : Cells
    overdispersion : float, optional
        Fixed at this; None to estimate it (every cell must then be one patient), and to hold it at
        its estimate for the limits.
    information : {"observed", "expected"}
        Behind the limits and the p-value.
    sloped : bool
        Whether the covariate is in the model.

    Returns
    -------
    Fitted, or None where there is no finite maximum.
    """
    kappa = _best_overdispersion(cells, sloped) if overdispersion is None else overdispersion
    point = _maximum(cells, kappa, sloped)
    if point is None:
        return None
    g, a = np.zeros(3), np.zeros((3, 3))
    score_and_information(
        point, cells.total, cells.size, cells.covariate, cells.arm, cells.log_exposure, kappa,
        information == "observed", sloped, g, a,
    )  # fmt: skip
    try:
        spread = np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return None
    se = np.sqrt(np.diag(spread))
    z = norm.ppf(0.975)
    contrast = point[0] - point[1]
    se_contrast = math.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])
    return Fitted(
        means=(math.exp(point[0]), math.exp(point[1])),
        lowers=(math.exp(point[0] - z * se[0]), math.exp(point[1] - z * se[1])),
        uppers=(math.exp(point[0] + z * se[0]), math.exp(point[1] + z * se[1])),
        p=float(2 * norm.sf(abs(contrast) / se_contrast)),
        slope=float(point[2]),
        overdispersion=kappa,
    )


def _maximum(cells: Cells, kappa: float, sloped: bool) -> Numbers | None:
    start = np.zeros(3)
    for k in (0, 1):
        own = cells.arm == k
        weight = (cells.size * np.exp(cells.log_exposure))[own].sum()
        start[k] = math.log(max(cells.total[own].sum(), 0.5) / weight)
    reached = maximise(
        start, cells.total, cells.size, cells.covariate, cells.arm, cells.log_exposure, kappa,
        sloped,
    )  # fmt: skip
    return start if reached else None


def _best_overdispersion(cells: Cells, sloped: bool) -> float:
    if (cells.size != 1).any():
        raise ReconstructionError(
            "an estimated overdispersion needs every patient's count, not sums"
        )

    def loss(log_kappa: float) -> float:
        kappa = math.exp(log_kappa)
        point = _maximum(cells, kappa, sloped)
        if point is None:
            return 1e10
        mean = np.exp(
            np.where(cells.arm == 0, point[0], point[1])
            + point[2] * cells.covariate
            + cells.log_exposure
        )
        return -float(nbinom.logpmf(cells.total, 1 / kappa, 1 / (1 + kappa * mean)).sum())

    found = minimize_scalar(loss, bounds=(math.log(1e-6), math.log(1e3)), method="bounded")
    return float(math.exp(found.x))
