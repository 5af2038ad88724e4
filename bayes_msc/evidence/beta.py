"""Mixtures of betas: priors of a proportion, such as the share of patients without a lesion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msc.errors import PriorError

Array = NDArray[np.float64]
_NODES = 160


@dataclass(frozen=True)
class BetaMixture:
    """A mixture of beta distributions.

    Parameters
    ----------
    weights, alphas, betas : tuple of float
        Of equal length; the weights sum to 1, the others are above 0.
    why : str
        The reason for the numbers.

    Raises
    ------
    PriorError
        If a number is impossible.

    Examples
    --------
    >>> BetaMixture((1.0,), (2.0,), (6.0,)).updated(3, 10).alphas
    (5.0,)
    """

    weights: tuple[float, ...]
    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    why: str = ""

    def __post_init__(self) -> None:
        for name in ("weights", "alphas", "betas"):
            values = tuple(float(v) for v in getattr(self, name))
            if not values or not all(v > 0 and math.isfinite(v) for v in values):
                raise PriorError(f"{name} of a beta mixture are {values}: all must be above 0")
            object.__setattr__(self, name, values)
        if len({len(self.weights), len(self.alphas), len(self.betas)}) != 1:
            raise PriorError("weights, alphas and betas of a beta mixture must be equally long")
        if abs(sum(self.weights) - 1) > 1e-6:
            raise PriorError(f"weights of a beta mixture sum to {sum(self.weights):g}, not to 1")
        total = sum(self.weights)
        object.__setattr__(self, "weights", tuple(w / total for w in self.weights))

    def _parts(self) -> tuple[Array, Array, Array]:
        return np.array(self.weights), np.array(self.alphas), np.array(self.betas)

    def _frozen(self) -> Any:
        from scipy import stats

        return stats.beta(self.alphas, self.betas)

    def pdf(self, p: ArrayLike) -> Array:
        """Density at ``p``, of the same shape."""
        return np.asarray(self._frozen().pdf(np.asarray(p)[..., None]) @ np.array(self.weights))

    def cdf(self, p: ArrayLike) -> Array:
        """Probability of a proportion below ``p``, of the same shape."""
        return np.asarray(self._frozen().cdf(np.asarray(p)[..., None]) @ np.array(self.weights))

    def ppf(self, q: ArrayLike) -> Array:
        """Quantile at probability ``q``, of the same shape."""
        from scipy import optimize

        def one(level: float) -> float:
            return float(optimize.brentq(lambda p: float(self.cdf(p)) - level, 0.0, 1.0))

        return np.asarray(np.vectorize(one, otypes=[float])(np.asarray(q, dtype=float)))

    @property
    def mean(self) -> float:
        """Mean proportion."""
        w, a, b = self._parts()
        return float(w @ (a / (a + b)))

    @property
    def sd(self) -> float:
        """Standard deviation of the proportion."""
        w, a, b = self._parts()
        second = w @ (a * (a + 1) / ((a + b) * (a + b + 1)))
        return math.sqrt(float(second) - self.mean**2)

    def updated(self, responders: int, patients: int) -> BetaMixture:
        """Return the posterior: every component updated, and weighted anew.

        Raises
        ------
        PriorError
            If there are more responders than patients, or fewer than none.
        """
        from scipy.special import betaln

        if not 0 <= responders <= patients:
            raise PriorError(f"{responders} of {patients} is impossible: from 0 to all patients")
        w, a, b = self._parts()
        after_a, after_b = a + responders, b + (patients - responders)
        logs = np.log(w) + betaln(after_a, after_b) - betaln(a, b)
        share = np.exp(logs - logs.max())
        share /= share.sum()
        return BetaMixture(tuple(share), tuple(after_a), tuple(after_b), self.why)

    def robust(self, weight: float, vague: tuple[float, float] = (1.0, 1.0)) -> BetaMixture:
        """Return the mixture with a vague beta added as its last component.

        Parameters
        ----------
        weight : float
            Of the vague component, between 0 and 1.
        vague : tuple of float
            Its two numbers.

        Raises
        ------
        PriorError
            If the weight is not between 0 and 1.
        """
        if not 0 < weight < 1:
            raise PriorError(f"the weight of the vague component is {weight:g}: between 0 and 1")
        return BetaMixture(
            (*(w * (1 - weight) for w in self.weights), weight),
            (*self.alphas, vague[0]),
            (*self.betas, vague[1]),
            self.why,
        )

    def exceeds(self, other: BetaMixture) -> float:
        """Probability that a proportion from here is above an independent one from ``other``.

        Exact up to quadrature error: components are integrated in the quantiles of this one.
        """
        x, w = np.polynomial.legendre.leggauss(_NODES)
        # quantiles bunch at the ends, where a beta's are steep: squeeze the nodes towards them
        u = (1 - np.cos(math.pi * (x + 1) / 2)) / 2
        slope = math.pi / 4 * np.sin(math.pi * (x + 1) / 2)
        below = other.cdf(self._frozen().ppf(u[:, None]))
        return float((w * slope) @ below @ np.array(self.weights))
