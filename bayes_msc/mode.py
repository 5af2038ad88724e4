"""The mode and the curvature of a log density of few dimensions, from batches of values alone.

A quadratic through a cross of points gives slope and curvature in one call, at the cost of as many
evaluations as a gradient and its differences, and without a gradient to compile. The points stand a
third of a standard deviation apart, so that the curvature is that of the whole top.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bayes_msc.errors import ModelError

Array = NDArray[np.float64]

_STEP = 0.3
_MOST_ROUNDS = 30
#: Rise of the log density that a further step would bring, at which the search ends.
_CLOSE = 0.05
#: Steps tried at once along Newton's direction.
_FRACTIONS = np.array([1.0, 0.5, 0.2, 0.05])
_FLATTEST = 0.05


def find_mode(
    log_density: Callable[[Array], Array], start: Array, spread: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Climb to a mode by Newton's method, with steps and curvature kept within bounds.

    Parameters
    ----------
    log_density : callable
        From points, shape (points, d), to values, shape (points,); -inf is allowed.
    start : ndarray of float, shape (d,)
    spread : float
        A rough standard deviation, for the first quadratic.
    rng : numpy.random.Generator
        For other starting points, used only where the density is zero at the start.

    Returns
    -------
    mode : ndarray of float, shape (d,)
        Or the highest point reached.
    covariance : ndarray of float, shape (d, d)
        Inverse of the negative curvature there, made positive definite.

    Raises
    ------
    ModelError
        If the density is zero at the start and everywhere around it.
    """
    point = _finite_start(log_density, start, spread, rng)
    factor = spread * np.eye(len(point))
    step_size = _STEP
    for _ in range(_MOST_ROUNDS):
        top, slope, curvature = _quadratic(log_density, point, factor, step_size)
        values, axes = np.linalg.eigh(-curvature)
        safe = np.maximum(np.abs(values), max(_FLATTEST * values.max(), 1e-8))
        along = axes.T @ slope
        direction = factor @ (axes @ (along / safe))
        gain = 0.5 * float(np.sum(along**2 / safe))
        factor = np.linalg.cholesky(_product(factor @ (axes / np.sqrt(safe))))
        candidates = point + _FRACTIONS[:, None] * direction
        if gain < _CLOSE and values.min() > 0.0:
            return candidates[0], _product(factor)
        heights = log_density(candidates)
        best = int(np.argmax(heights))
        if heights[best] > top:
            point = candidates[best]
        else:
            step_size *= 0.5
    return point, _product(factor)


def _finite_start(
    log_density: Callable[[Array], Array], start: Array, spread: float, rng: np.random.Generator
) -> Array:
    for width in (0.0, spread, 4.0 * spread):
        points = start + width * rng.normal(size=(64 if width else 1, len(start)))
        values = log_density(points)
        if np.isfinite(values).any():
            return np.asarray(points[np.argmax(values)])
    raise ModelError("the log density is not finite at the start of the search or anywhere near it")


@cache
def _cross(d: int) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """The points of a quadratic: centre, both ways along each axis, and each pair of axes."""
    left, right = np.tril_indices(d, -1)
    axes = np.eye(d)
    return np.concatenate([np.zeros((1, d)), axes, -axes, axes[left] + axes[right]]), left, right


def _quadratic(
    log_density: Callable[[Array], Array], point: Array, factor: Array, step: float
) -> tuple[float, Array, Array]:
    """Height, slope and curvature at a point, in units of the columns of ``factor``."""
    d = len(point)
    cross, left, right = _cross(d)
    values = log_density(point + step * cross @ factor.T)
    top = float(values[0])
    # a point where the density is zero counts as very low: the search turns away from it
    values = np.maximum(values, top - 1e4)
    up, down, both = values[1 : d + 1], values[d + 1 : 2 * d + 1], values[2 * d + 1 :]
    curvature = np.diag((up + down - 2.0 * top) / step**2)
    mixed = (both - up[left] - up[right] + top) / step**2
    curvature[left, right] = curvature[right, left] = mixed
    return top, (up - down) / (2.0 * step), curvature


def _product(factor: Array) -> Array:
    return np.asarray(factor @ factor.T)
