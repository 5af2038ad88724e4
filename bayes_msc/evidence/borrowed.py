"""A prior made of other trials: the exact mixture of normals, and what steers the borrowing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayes_msc.errors import PriorError
from bayes_msc.exact import log_normal_density, mixture
from bayes_msc.prior import Prior

Array = NDArray[np.float64]
NEGLIGIBLE = 1e-14


@dataclass(frozen=True, eq=False)
class Borrowed:
    """What other trials say of a parameter of this trial.

    Parameters
    ----------
    method : str
        ``"meta-analytic-predictive"``, ``"power"``, ``"normalised power"`` or ``"commensurate"``.
    why : str
        The reason, in words for a report.
    weights, locs, scales : ndarray, shape (component,)
        The exact prior: a mixture of normals with as many components as quadrature has nodes.
    steers : str
        Name of the number that steers the borrowing: ``"tau"``, ``"weight"`` or ``"spread"``;
        empty where it is set rather than estimated.
    values : ndarray, shape (component,)
        Its value in each component.
    """

    method: str
    why: str
    weights: Array
    locs: Array
    scales: Array
    steers: str
    values: Array

    @classmethod
    def of(
        cls,
        method: str,
        why: str,
        weights: ArrayLike,
        locs: ArrayLike,
        scales: ArrayLike,
        steers: str = "",
        values: ArrayLike = np.nan,
    ) -> Borrowed:
        """Normalise the weights and drop components without weight; arrays are broadcast."""
        arrays = np.broadcast_arrays(weights, locs, scales, values)
        w, m, s, v = (np.array(a, dtype=float).ravel() for a in arrays)
        w = w / w.sum()
        keep = w > NEGLIGIBLE
        return cls(method, why, w[keep] / w[keep].sum(), m[keep], s[keep], steers, v[keep])

    @cached_property
    def prior(self) -> Prior:
        """The exact prior; ``fit_mixture`` makes it a short one for a patient-level model."""
        return mixture(self.weights, self.locs, self.scales, self.why)

    def _updated(self, estimate: float, se: float) -> Array:
        logs = np.log(self.weights) + log_normal_density(
            estimate, self.locs, np.hypot(self.scales, se)
        )
        share = np.exp(logs - logs.max())
        return np.asarray(share / share.sum())

    def steering(self, estimate: float | None = None, se: float | None = None) -> pd.DataFrame:
        """What steers the borrowing, before and after the current trial's estimate is seen.

        Parameters
        ----------
        estimate, se : float, optional
            The current trial; without them only the prior is summarised.

        Returns
        -------
        DataFrame
            One row a state of knowledge: ``name, knowledge, mean, median, lower, upper``.

        Raises
        ------
        PriorError
            If it was set rather than estimated.
        """
        if not self.steers:
            raise PriorError(f"nothing steers a {self.method} prior: its weight was set")
        states = {"before this trial": self.weights}
        if estimate is not None and se is not None:
            states["after this trial"] = self._updated(estimate, se)
        return pd.DataFrame(
            {"name": self.steers, "knowledge": state} | _weighted_summary(self.values, weights)
            for state, weights in states.items()
        )


def _weighted_summary(values: Array, weights: Array) -> dict[str, float]:
    order = np.argsort(values, kind="stable")
    # nodes stand for the stretch around them, half of which lies below
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    low, middle, high = np.interp([0.025, 0.5, 0.975], below, values[order])
    mean = float(weights @ values)
    return {"mean": mean, "median": float(middle), "lower": float(low), "upper": float(high)}


def prior_densities(priors: Mapping[str, Prior], points: int = 401) -> pd.DataFrame:
    """Densities of several priors over one grid, for a figure.

    Parameters
    ----------
    priors : mapping of str to Prior
        By the name that a legend shows.
    points : int
        Points of the grid, which holds 99 % of every one of them.

    Returns
    -------
    DataFrame
        ``prior, value, density``.
    """
    ends = np.array([prior.interval(0.99) for prior in priors.values()])
    grid = np.linspace(ends[:, 0].min(), ends[:, 1].max(), points)
    return pd.concat(
        [
            pd.DataFrame({"prior": name, "value": grid, "density": prior.pdf(grid)})
            for name, prior in priors.items()
        ],
        ignore_index=True,
    )
