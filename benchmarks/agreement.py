"""Do two engines sample the same posterior? Asked before any speed is quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Draws by parameter, each of shape (chains, draws).
Draws = Mapping[str, NDArray[np.float64]]
#: Parameters that every engine samples.
PARAMETERS = ("log_rate", "log_rate_ratio", "period_effect", "patient_sd", "overdispersion")
#: Monte Carlo standard errors that are allowed for, beyond the bounds.
ERRORS = 4.0


@dataclass(frozen=True)
class Bounds:
    """Largest differences between the statements of two engines.

    Attributes
    ----------
    mean : float
        Of the mean of log_rate_ratio, in posterior SDs.
    probability : float
        Of P(rate ratio < 1).
    """

    mean: float
    probability: float


#: Where model and priors are the same, and where a prior is only the nearest there is.
SAME, NEAREST = Bounds(0.05, 0.01), Bounds(0.5, 0.1)


@dataclass(frozen=True)
class Statement:
    """What an engine says of the rate ratio, with the effective size behind it."""

    mean: float
    sd: float
    probability: float
    ess: float


def bulk_ess(draws: NDArray[np.float64]) -> float:
    """Bulk effective size of draws of shape (chains, draws)."""
    from arviz_stats.base import array_stats  # type: ignore[attr-defined]

    return float(array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk"))


def worst_ess(draws: Draws) -> tuple[float, str]:
    """Smallest bulk effective size over the shared parameters, and whose it is."""
    sizes = {name: bulk_ess(draws[name]) for name in PARAMETERS}
    worst = min(sizes, key=lambda name: sizes[name])
    return sizes[worst], worst


def statement(runs: Sequence[Draws]) -> Statement:
    """Statement of several runs of one engine together."""
    values = [run["log_rate_ratio"] for run in runs]
    ess = sum(bulk_ess(value) for value in values)
    together = np.concatenate([value.ravel() for value in values])
    return Statement(
        float(together.mean()), float(together.std()), float((together < 0).mean()), ess
    )


def disagreement(one: Statement, other: Statement, bounds: Bounds) -> str:
    """Say where two statements differ by more than the bounds and chance; empty where nowhere.

    The SD by which the means are measured is that of ``other``.
    """
    chance = ERRORS * np.sqrt(1.0 / one.ess + 1.0 / other.ess)
    mean_off = abs(one.mean - other.mean) / other.sd
    spread = np.sqrt(max(other.probability * (1.0 - other.probability), 1e-4))
    probability_off = abs(one.probability - other.probability)
    faults = []
    if not mean_off <= bounds.mean + chance:
        faults.append(f"the mean of log RR is {mean_off:.2f} SD off")
    if not probability_off <= bounds.probability + chance * spread:
        faults.append(f"P(RR < 1) is {probability_off:.3f} off")
    return "; ".join(faults)
