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
#: Points of less than this share of the largest weight take no part in a fit.
_LEAST_WEIGHT = 1e-9
#: Log of the largest widening that a fit takes out of a residual.
_WIDEST = 20.0
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
        Centre of each coordinate: coefficients of one and, for each variable before it in turn, of
        the variable and of its products with those up to itself.
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

    def points(self, normal: Array) -> tuple[Array, Array]:
        """Map normal variables to points.

        Parameters
        ----------
        normal : ndarray of float, shape (points, d)

        Returns
        -------
        points : ndarray of float, shape (points, d)
        log_density : ndarray of float, shape (points,)
            Of the proposal at these points.
        """
        before = _Before(len(self.order), len(normal))
        points = np.empty_like(normal)
        wide = (np.arcsinh(normal) + self.skew) / self.tail
        residual = self.scale * (np.sinh(wide) - self.shift)
        widening = np.zeros(len(normal))
        for j, place in enumerate(self.order):
            wider = self.slopes[j] @ before.variables
            points[:, place] = self.curves[j] @ before.features + np.exp(wider) * residual[:, j]
            before.add(normal[:, j])
            widening += wider
        return points, self._log_density(normal.T, wide.T, widening)

    def log_density(self, points: Array) -> Array:
        """Log density of the proposal at points, shape (points, d) to (points,)."""
        # what overflows lies so far out under this proposal that its density there is zero
        with np.errstate(over="ignore", invalid="ignore"):
            value = self._log_density(*self._normal_of(points))
        return np.where(np.isfinite(value), value, -np.inf)

    def _normal_of(self, points: Array) -> tuple[Array, Array, Array]:
        """Undo ``points``: the normals, what was widened, and by how much in all."""
        before = _Before(len(self.order), len(points))
        wide = np.empty((len(self.order), len(points)))
        widening = np.zeros(len(points))
        for j, place in enumerate(self.order):
            wider = self.slopes[j] @ before.variables
            residual = points[:, place] - self.curves[j] @ before.features
            residual *= np.exp(-wider) / self.scale[j]
            wide[j] = np.arcsinh(residual + self.shift[j])
            before.add(np.sinh(self.tail * wide[j] - self.skew[j]))
            widening += wider
        return before.variables, wide, widening

    def _log_density(self, normal: Array, wide: Array, widening: Array) -> Array:
        # d point / d normal is scale / tail * cosh(wide) / sqrt(1 + normal^2)
        squares = normal * normal
        each = 0.5 * (squares - np.log1p(squares)) + np.log(np.cosh(wide))
        constant = np.log(self.scale / self.tail).sum() + len(self.scale) * _LOG_ROOT_2PI
        return np.asarray(-each.sum(axis=0) - constant - widening)


class _Before:
    """The variables built so far, one a row, and the features a curve is made of."""

    def __init__(self, d: int, points: int) -> None:
        self.most = d
        self._variables = np.empty((d, points))
        self._features = np.empty((_count(d), points))
        self._features[0] = 1.0
        self._done = 0

    @property
    def variables(self) -> Array:
        """Shape (variables, points)."""
        return self._variables[: self._done]

    @property
    def features(self) -> Array:
        """Shape (features, points)."""
        return self._features[: _count(self._done)]

    def add(self, variable: Array) -> None:
        """Append a variable, and its products with those up to itself."""
        self._variables[self._done] = variable
        first = _count(self._done)
        self._done += 1
        self._features[first] = variable
        self._features[first + 1 : _count(self._done)] = variable * self.variables


def _count(variables: int) -> int:
    """Number of features of so many variables: one, themselves, their products."""
    return 1 + variables + variables * (variables + 1) // 2


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
    curves = []
    for j, place in enumerate(order):
        curve = np.zeros(_count(j))
        curve[0] = centre[place]
        curve[[_count(i) for i in range(j)]] = lower[j, :j]
        curves.append(curve)
    slopes = tuple(zero[:j] for j in range(len(order)))
    return Transport(order, tuple(curves), slopes, np.diag(lower).copy(), zero, zero, tail)


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
    # points far out have no weight, but numbers that overflow
    heavy = weights > _LEAST_WEIGHT * weights.max()
    points, weights = points[heavy], weights[heavy]
    weights = weights / weights.sum()
    size = 1.0 / float(weights @ weights)
    keep = size / (size + _SHRINK)
    skewness, means, sds = _moments(tail)
    before = _Before(len(order), len(points))
    regression = _Regression(before, weights, _SHRINK / size)
    curves, slopes = [], []
    scale, shift, skew = (np.empty(len(order)) for _ in range(3))
    for j, place in enumerate(order):
        curve, residual = regression.of(points[:, place])
        squares = residual * residual
        relative = weights * (squares / (weights @ squares) - 1.0)
        slope = 0.5 * keep * (before.variables @ relative)
        slope = np.minimum(np.maximum(slope, -_STEEPEST), _STEEPEST)
        if j > 0:
            wider = np.minimum(np.maximum(slope @ before.variables, -_WIDEST), _WIDEST)
            residual *= np.exp(-wider)
            squares = residual * residual
        sd = np.sqrt(weights @ squares)
        third = keep * (weights @ (squares * residual)) / sd**3
        skew[j] = np.interp(third, skewness, _SKEWS)
        shift[j] = np.interp(skew[j], _SKEWS, means)
        scale[j] = sd / np.interp(skew[j], _SKEWS, sds)
        before.add(np.sinh(tail * np.arcsinh(residual / scale[j] + shift[j]) - skew[j]))
        curves.append(curve)
        slopes.append(slope)
    return Transport(order, tuple(curves), tuple(slopes), scale, shift, skew, tail)


class _Regression:
    """Weighted quadratic regressions on more and more features, their bends shrunk."""

    def __init__(self, before: _Before, weights: Array, ridge: float) -> None:
        self._before, self._weights, self._ridge = before, weights, ridge
        most = _count(before.most)
        self._weighted = np.empty((most, len(weights)))
        self._products = np.zeros((most, most))
        self._done = 0

    def of(self, value: Array) -> tuple[Array, Array]:
        """Coefficients of the features there are now, and the centred residuals."""
        features = self._before.features
        self._extend(features)
        n = self._done
        curve = np.linalg.solve(self._products[:n, :n], self._weighted[:n] @ value)
        residual = value - curve @ features
        centre = self._weights @ residual
        curve[0] += centre
        residual -= centre
        return curve, residual

    def _extend(self, features: Array) -> None:
        """Add the products of the features that are new; only the first of them is straight."""
        first, self._done = self._done, len(features)
        new = slice(first, self._done)
        self._weighted[new] = features[new] * self._weights
        products = self._weighted[new] @ features.T
        self._products[new, : self._done] = products
        self._products[: self._done, new] = products.T
        diagonal = np.arange(first, self._done)
        self._products[diagonal, diagonal] += np.where(diagonal == first, 1e-9, self._ridge)


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
