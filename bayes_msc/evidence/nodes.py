"""Quadrature under a prior."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayes_msc.prior import Prior

Array = NDArray[np.float64]


def prior_nodes(prior: Prior, pieces: int = 24, order: int = 12) -> tuple[Array, Array]:
    """Points and probabilities of a prior, by Gauss-Legendre quadrature in its quantiles.

    Parameters
    ----------
    prior : Prior
    pieces, order : int
        Number of pieces of the unit interval, and nodes in each.

    Returns
    -------
    points, probabilities : ndarray, shape (pieces * order,)
    """
    x, w = np.polynomial.legendre.leggauss(order)
    # finer towards both ends, where a quantile function is steep
    edges = (1 - np.cos(np.linspace(0, math.pi, pieces + 1))) / 2
    low, width = edges[:-1, None], np.diff(edges)[:, None]
    u = low + width * (x + 1) / 2
    return prior.ppf(u.ravel()), np.asarray((width * w / 2).ravel())
