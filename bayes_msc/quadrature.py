"""One-dimensional integrals of a density in pieces, refined until the error is negligible."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msc.errors import BayesMSCError

Array = NDArray[np.float64]
LogDensity = Callable[[Array], Array]

ORDER = 20
TOLERANCE = 1e-13
MAX_ROUNDS = 60


@cache
def _rule() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(ORDER)
    return (nodes + 1) / 2, weights / 2


def _nodes(low: Array, high: Array) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights of each piece, of shape (piece, node)."""
    nodes, weights = _rule()
    width = (high - low)[:, None]
    return low[:, None] + width * nodes, width * weights


def refine(log_density: LogDensity, edges: Iterable[float]) -> tuple[Array, float]:
    """Split pieces until Gauss-Legendre quadrature of the density has converged on each.

    Parameters
    ----------
    log_density : callable
        Log of the density, up to a constant; takes and returns an array.
    edges : iterable of float
        Edges of the first pieces; they must bracket the mass and show where it is.

    Returns
    -------
    edges : ndarray
        Edges of the final pieces, rising.
    peak : float
        Largest log density met, for scaling.

    Raises
    ------
    BayesMSCError
        If the density vanishes everywhere or the integral does not settle.
    """
    ends = np.unique(np.asarray(list(edges), dtype=float))
    for _ in range(MAX_ROUNDS):
        low, high = ends[:-1], ends[1:]
        middle = (low + high) / 2
        grids = [_nodes(low, high), _nodes(low, middle), _nodes(middle, high)]
        logs = [_log(log_density, nodes) for nodes, _ in grids]
        peak = max(float(np.max(log)) for log in logs)
        if not np.isfinite(peak):
            break
        whole, left, right = (
            np.sum(np.exp(log - peak) * weights, axis=1)
            for log, (_, weights) in zip(logs, grids, strict=True)
        )
        wrong = np.abs(whole - left - right) > TOLERANCE * np.sum(left + right)
        if not np.any(wrong):
            return ends, peak
        ends = np.unique(np.concatenate([ends, middle[wrong]]))
    raise BayesMSCError("the density cannot be integrated: its mass is too narrow, or not finite")


def _log(log_density: LogDensity, x: Array) -> Array:
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        values = np.asarray(log_density(x), dtype=float)
    return np.where(np.isnan(values), -np.inf, values)


@dataclass(frozen=True, eq=False)
class Grid:
    """A density on the line, known through a log density and pieces on which it integrates.

    Parameters
    ----------
    log_density : callable
        Log density up to a constant.
    edges : ndarray
        Edges of the pieces.
    peak : float
        Subtracted from the log density before exponentiating.
    masses : ndarray
        Integral of each piece, scaled by ``peak``.

    Notes
    -----
    It offers ``pdf``, ``cdf``, ``ppf`` and ``expect``; ``nodes`` gives the quadrature itself.
    """

    log_density: LogDensity
    edges: Array
    peak: float
    masses: Array

    @classmethod
    def of(cls, log_density: LogDensity, edges: Iterable[float]) -> Grid:
        """Integrate a density, given edges that show where its mass is.

        Raises
        ------
        BayesMSCError
            If it cannot be integrated.
        """
        ends, peak = refine(log_density, edges)
        nodes, weights = _nodes(ends[:-1], ends[1:])
        masses = np.sum(np.exp(_log(log_density, nodes) - peak) * weights, axis=1)
        return cls(log_density, ends, peak, masses)

    @property
    def log_total(self) -> float:
        """Log of the integral of the density."""
        return self.peak + float(np.log(np.sum(self.masses)))

    def nodes(self) -> tuple[Array, Array]:
        """Points and probabilities (summing to 1) that integrate smooth functions of the value."""
        nodes, weights = _nodes(self.edges[:-1], self.edges[1:])
        mass = np.exp(_log(self.log_density, nodes) - self.peak) * weights
        flat = mass.ravel() / np.sum(mass)
        return nodes.ravel(), flat

    def pdf(self, x: ArrayLike) -> Array:
        """Density at ``x``, of the same shape."""
        points = np.asarray(x, dtype=float)
        return np.asarray(np.exp(_log(self.log_density, points) - self.log_total))

    def cdf(self, x: ArrayLike) -> Array:
        """Probability below ``x``, of the same shape."""
        points = np.atleast_1d(np.asarray(x, dtype=float))
        inside = np.clip(points, self.edges[0], self.edges[-1]).ravel()
        piece = np.clip(np.searchsorted(self.edges, inside, "right") - 1, 0, len(self.masses) - 1)
        nodes, weights = _nodes(self.edges[piece], inside)
        part = np.sum(np.exp(_log(self.log_density, nodes) - self.peak) * weights, axis=1)
        before = np.concatenate([[0.0], np.cumsum(self.masses)])[piece]
        below = np.clip((before + part) / np.sum(self.masses), 0.0, 1.0)
        return np.asarray(below.reshape(np.shape(x)))

    def ppf(self, q: ArrayLike) -> Array:
        """Quantile at probability ``q``, of the same shape."""
        from scipy import optimize

        low, high = float(self.edges[0]), float(self.edges[-1])

        def one(p: float) -> float:
            if p <= 0 or p >= 1:
                return low if p <= 0 else high
            return float(optimize.brentq(lambda x: float(self.cdf(x)) - p, low, high, xtol=1e-13))

        return np.asarray(np.vectorize(one, otypes=[float])(np.asarray(q, dtype=float)))

    def expect(self, function: Callable[[Array], Array]) -> float:
        """Mean of a function of the value."""
        points, probabilities = self.nodes()
        return float(function(points) @ probabilities)
