"""Proposals for importance sampling: triangular maps of independent normal variables.

Coordinate j is a quadratic in the normal variables of the coordinates before it, plus a residual
whose spread changes with them and whose skewness and tails come from a sinh-arcsinh map (Jones and
Pewsey 2009, Biometrika 96:761). Such a Knothe-Rosenblatt map has its density in closed form,
follows a bent or funnel-shaped posterior, and leaves the first coordinate a function of the first
normal variable alone, so that quasi-random points cover its distribution without gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Draws that a bend, a slope or a skewness is shrunk by, as if they had been seen without it.
_SHRINK = 20.0
_STEEPEST = 0.4
_LOG_ROOT_2PI = 0.5 * np.log(2.0 * np.pi)
_SKEWS = np.linspace(-1.2, 1.2, 97)


@dataclass(frozen=True, eq=False)
class Transport:
    """A triangular map of d independent standard normal variables.

    Attributes
    ----------
    order : ndarray of int, shape (d,)
        The coordinates in the order in which they are built; the following are in that order.
    curves : tuple of ndarray of float
        Centre of each coordinate: the coefficients of one, the variables before it and, where
        there are more of them, the products of two of these.
    slopes : tuple of ndarray of float
        Change of the log of each residual's spread with the variables before it.
    scale, shift, skew : ndarray of float, shape (d,)
        Of each residual: ``scale * (sinh((arcsinh(normal) + skew) / tail) - shift)``.
    tail : float
        1 is normal, less is heavier.
    """

    order: NDArray[np.int64]
    curves: tuple[Array, ...]
    slopes: tuple[Array, ...]
    scale: Array
    shift: Array
    skew: Array
    tail: float

    def points(self, normal: Array) -> Array:
        """Map normal variables to points, shape (points, d) to (points, d)."""
        wide = (np.arcsinh(normal) + self.skew) / self.tail
        residual = self.scale * (np.sinh(wide) - self.shift)
        points = np.empty_like(normal)
        for j, place in enumerate(self.order):
            before = normal[:, :j]
            spread = np.exp(before @ self.slopes[j])
            points[:, place] = _features(before, self.curves[j]) @ self.curves[j]
            points[:, place] += spread * residual[:, j]
        return points

    def log_density(self, points: Array) -> Array:
        """Log density of the proposal at points, shape (points, d) to (points,)."""
        normal, wide = np.empty_like(points), np.empty_like(points)
        widening = np.zeros(len(points))
        for j, place in enumerate(self.order):
            before = normal[:, :j]
            wider = before @ self.slopes[j]
            centre = _features(before, self.curves[j]) @ self.curves[j]
            residual = (points[:, place] - centre) * np.exp(-wider) / self.scale[j]
            wide[:, j] = np.arcsinh(residual + self.shift[j])
            normal[:, j] = np.sinh(self.tail * wide[:, j] - self.skew[j])
            widening += wider
        squares = normal * normal
        # d point / d normal is scale / tail * cosh(wide) / sqrt(1 + normal^2)
        each = 0.5 * (squares - np.log1p(squares)) + np.log(np.cosh(wide))
        constant = np.log(self.scale / self.tail).sum() + len(self.scale) * _LOG_ROOT_2PI
        return np.asarray(-each.sum(axis=1) - constant - widening)


def elliptical(
    centre: Array, covariance: Array, order: NDArray[np.int64], tail: float
) -> Transport:
    """Make a proposal around a mode: straight lines, no skewness.

    Parameters
    ----------
    centre : ndarray of float, shape (d,)
    covariance : ndarray of float, shape (d, d)
    order : ndarray of int, shape (d,)
    tail : float
    """
    lower = np.linalg.cholesky(covariance[np.ix_(order, order)])
    zero = np.zeros(len(centre))
    curves = tuple(np.append(centre[place], lower[j, :j]) for j, place in enumerate(order))
    slopes = tuple(zero[:j] for j in range(len(order)))
    return Transport(order, curves, slopes, np.diag(lower).copy(), zero, zero, tail)


def fitted(points: Array, weights: Array, order: NDArray[np.int64], tail: float) -> Transport:
    """Fit a proposal to weighted points, coordinate by coordinate, by weighted moments.

    Parameters
    ----------
    points : ndarray of float, shape (points, d)
    weights : ndarray of float, shape (points,)
        Summing to one.
    order : ndarray of int, shape (d,)
    tail : float
    """
    size = 1.0 / float(np.sum(weights**2))
    keep = size / (size + _SHRINK)
    skewness, means, sds = _moments(tail)
    normal = np.empty_like(points)
    curves, slopes = [], []
    scale, shift, skew = (np.empty(len(order)) for _ in range(3))
    for j, place in enumerate(order):
        before = normal[:, :j]
        curve, residual = _curve(before, points[:, place], weights, _SHRINK / size)
        variance = weights @ residual**2
        slope = 0.5 * keep * ((weights * (residual**2 / variance - 1.0)) @ before)
        slope = np.clip(slope, -_STEEPEST, _STEEPEST)
        residual = residual * np.exp(-before @ slope)
        sd = np.sqrt(weights @ residual**2)
        third = keep * (weights @ residual**3) / sd**3
        skew[j] = np.interp(third, skewness, _SKEWS)
        shift[j] = np.interp(skew[j], _SKEWS, means)
        scale[j] = sd / np.interp(skew[j], _SKEWS, sds)
        normal[:, j] = np.sinh(tail * np.arcsinh(residual / scale[j] + shift[j]) - skew[j])
        curves.append(curve)
        slopes.append(slope)
    return Transport(order, tuple(curves), tuple(slopes), scale, shift, skew, tail)


def _curve(before: Array, value: Array, weights: Array, ridge: float) -> tuple[Array, Array]:
    """Weighted quadratic regression, its bends shrunk; coefficients and centred residuals."""
    j = before.shape[1]
    count = 1 + j + j * (j + 1) // 2
    matrix = _features(before, np.empty(count))
    weighted = weights[:, None] * matrix
    penalty = np.full(count, ridge)
    penalty[: 1 + j] = 1e-9
    curve = np.linalg.solve(matrix.T @ weighted + np.diag(penalty), weighted.T @ value)
    residual = value - matrix @ curve
    centre = weights @ residual
    curve[0] += centre
    return curve, residual - centre


def _features(before: Array, curve: Array) -> Array:
    """One, the variables and, where the curve has them, their products, shape (points, ...)."""
    n, j = before.shape
    parts = [np.ones((n, 1)), before]
    if len(curve) > 1 + j:
        left, right = np.tril_indices(j)
        parts.append(before[:, left] * before[:, right])
    return np.concatenate(parts, axis=1)


@cache
def _moments(tail: float) -> tuple[Array, Array, Array]:
    """Skewness, mean and SD of the sinh-arcsinh variable, each over the grid of skews."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    value = np.sinh((np.arcsinh(nodes) + _SKEWS[:, None]) / tail)
    mean = value @ weights
    residual = value - mean[:, None]
    sd = np.sqrt(residual**2 @ weights)
    return residual**3 @ weights / sd**3, mean, sd
