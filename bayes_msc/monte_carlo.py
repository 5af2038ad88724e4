"""Monte Carlo errors of what is computed from a fit's draws, by either engine."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

MCSE_LIMIT = 0.01


class ChainErrors:
    """Errors of the draws of Markov chains, of shape (chains, draws)."""

    def of_mean(self, values: NDArray[np.float64]) -> float:
        """Standard error of the mean."""
        return _mcse(values, "mean")

    def of_median(self, values: NDArray[np.float64]) -> float:
        """Standard error of the median; 0 for a number that is set."""
        return _mcse(values, "median") if np.ptp(values) > 0 else 0.0

    def of_probability(self, happens: NDArray[np.bool_]) -> float:
        """Standard error of a probability; one draw's worth where all draws agree."""
        if happens.all() or not happens.any():
            return 1.0 / happens.size
        return self.of_mean(happens.astype(float))

    def of_expected(self, chances: NDArray[np.float64]) -> float:
        """Standard error of a probability that is known, or simulated, given each draw.

        One draw's worth where all agree that it is 0 or 1.
        """
        if np.ptp(chances) == 0:
            return 1.0 / chances.size if chances.flat[0] in (0.0, 1.0) else 0.0
        return self.of_mean(chances)


class ReplicateErrors(ChainErrors):
    """Errors of draws that stand for weighted points, from the replicates the points belong to.

    Draws of equal weight repeat the points, so that their number says nothing about the error;
    what the replicates of the experiment contribute to a mean differs by it.

    Parameters
    ----------
    replicate : ndarray of int, shape (chains, draws)
    """

    def __init__(self, replicate: NDArray[np.int64]) -> None:
        self._replicate = replicate.ravel()
        self._count = int(self._replicate.max()) + 1

    def of_mean(self, values: NDArray[np.float64]) -> float:
        """Standard error of the mean."""
        residual = (values - values.mean()).ravel() / values.size
        sums = np.bincount(self._replicate, residual, self._count)
        return float(np.sqrt(np.sum(sums**2) * self._count / (self._count - 1)))

    def of_median(self, values: NDArray[np.float64]) -> float:
        """Standard error of the median: that of the share below it, over the density there."""
        low, median, high = np.quantile(values, [0.4, 0.5, 0.6])
        return self.of_mean((values < median).astype(float)) * float(high - low) / 0.2


def errors_of(fit: xr.DataTree) -> ChainErrors:
    """Monte Carlo errors as the engine of a fit has them."""
    stats = fit["sample_stats"]
    if "replicate" in stats:
        return ReplicateErrors(stats["replicate"].to_numpy())
    return ChainErrors()


def _mcse(values: NDArray[np.float64], of: str) -> float:
    # a worker of a simulation is ready sooner without all of ArviZ
    import arviz as az

    return float(az.mcse(values, method=of))
