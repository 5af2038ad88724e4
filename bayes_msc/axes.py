"""Coordinates in which a posterior of few parameters is nearly normal.

On the log scale a standard deviation that the data cannot tell from zero has a long exponential
tail to the left. The distribution function of an exponential variable followed by the normal
quantile function turns any power-law tail at zero into a normal one; the logistic distribution does
the same for both ends of a number between two bounds. Normal parameters stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, log_ndtr, ndtri_exp

_LOG_ROOT_2PI = 0.5 * np.log(2.0 * np.pi)
#: Beyond this, coordinates stand for numbers that no double can hold.
_FARTHEST = 35.0


class Axes:
    """A map of each unconstrained coordinate to one with nearly normal tails.

    Parameters
    ----------
    kinds : sequence of {"real", "scale", "positive", "unit"}
        What each coordinate was before it was unconstrained. Positive numbers come on the log
        scale, those between two bounds on the logit scale; a ``"scale"`` has a normal tail at zero
        already (``bayes_msc.normal_tail``).
    centre : ndarray of float, shape (dimension,)
        A typical value of each coordinate; it fixes the scale of positive numbers.
    """

    def __init__(self, kinds: Sequence[str], centre: NDArray[np.float64]) -> None:
        self._positive = [i for i, kind in enumerate(kinds) if kind == "positive"]
        self._unit = [i for i, kind in enumerate(kinds) if kind == "unit"]
        self._log_scale = np.asarray(centre, dtype=float)[self._positive]

    def to_point(self, z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map normal coordinates back, with the log of the derivative.

        Parameters
        ----------
        z : ndarray of float, shape (points, dimension)

        Returns
        -------
        points : ndarray of float, shape (points, dimension)
        log_derivative : ndarray of float, shape (points,)
        """
        point = np.array(z)
        log_derivative = np.zeros(len(z))
        if self._positive:
            x = np.clip(z[:, self._positive], -_FARTHEST, _FARTHEST)
            # exponential: survival exp(-s) = ndtr(-x)
            log_s = np.log(-log_ndtr(-x))
            point[:, self._positive] = log_s + self._log_scale
            log_normal = -0.5 * x * x - _LOG_ROOT_2PI
            log_derivative += (log_normal + np.exp(log_s) - log_s).sum(axis=1)
        if self._unit:
            x = np.clip(z[:, self._unit], -_FARTHEST, _FARTHEST)
            below, above = log_ndtr(x), log_ndtr(-x)
            point[:, self._unit] = below - above
            log_derivative += (-0.5 * x * x - _LOG_ROOT_2PI - below - above).sum(axis=1)
        return point, log_derivative

    def from_point(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map unconstrained coordinates to normal ones, shape (points, dimension)."""
        z = np.array(point)
        if self._positive:
            survival = -np.exp(point[:, self._positive] - self._log_scale)
            z[:, self._positive] = -ndtri_exp(survival)
        if self._unit:
            z[:, self._unit] = ndtri_exp(log_expit(point[:, self._unit]))
        return z
