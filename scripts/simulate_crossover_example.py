"""Simulate ``crossover_example``: invented counts in the founding trial's design. Not data.

Running the script writes the bundled table again; the numbers below are the truth behind it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SEED = 2014
PATIENTS = 9
ACTIVE_FIRST = 5
MONTHS = (3, 6, 9, 12)
LOG_RATE = float(np.log(2.0))
RATE_RATIO = 0.5
PERIOD_RATIO = 0.9
PATIENT_SD = 1.0
OVERDISPERSION = 0.5
#: The last patient is not seen after the first scan, whatever the counts are.
LAST_MONTH_OF_DROP_OUT = 3

TABLE = (
    Path(__file__).parent.parent
    / "bayes_msc"
    / "datasets"
    / "crossover_example"
    / "simulated_not_data.csv"
)


def negative_binomial(
    rng: np.random.Generator, mean: np.ndarray, overdispersion: float
) -> np.ndarray:
    """Draw counts with variance mean + overdispersion * mean**2, as a gamma mixture of Poissons."""
    return rng.poisson(mean * rng.gamma(1 / overdispersion, overdispersion, size=mean.shape))


def simulate(seed: int = SEED) -> pd.DataFrame:
    """Return the simulated table, one row a patient and scan.

    Parameters
    ----------
    seed : int
        Seed of the random numbers.

    Returns
    -------
    pandas.DataFrame
        ``patient``, ``sequence``, ``period``, ``scan``, ``month``, ``treatment``, ``count``
        (missing where not seen), ``baseline`` (count at month 0, before any treatment).
    """
    rng = np.random.default_rng(seed)
    effect = np.exp(LOG_RATE + PATIENT_SD * rng.standard_normal(PATIENTS))
    baseline = negative_binomial(rng, effect, OVERDISPERSION)
    active_first = np.arange(PATIENTS) < ACTIVE_FIRST
    period = np.array([1, 1, 2, 2])
    treated = active_first[:, None] == (period == 1)[None, :]
    mean = effect[:, None] * RATE_RATIO**treated * PERIOD_RATIO ** (period == 2)
    counts = negative_binomial(rng, mean, OVERDISPERSION)
    seen = np.ones_like(counts, dtype=bool)
    seen[-1] = np.array(MONTHS) <= LAST_MONTH_OF_DROP_OUT
    rows = len(MONTHS)
    return pd.DataFrame(
        {
            "patient": np.repeat([f"S{i + 1}" for i in range(PATIENTS)], rows),
            "sequence": np.repeat(np.where(active_first, "MSC-placebo", "placebo-MSC"), rows),
            "period": np.tile(period, PATIENTS),
            "scan": np.tile(np.arange(1, rows + 1), PATIENTS),
            "month": np.tile(MONTHS, PATIENTS),
            "treatment": np.where(treated, "MSC", "placebo").ravel(),
            "count": pd.array(np.where(seen, counts, 0).ravel(), dtype="Int64"),
            "baseline": np.repeat(baseline, rows),
        }
    ).assign(count=lambda table: table["count"].mask(~seen.ravel()))


def main() -> None:
    simulate().to_csv(TABLE, index=False, lineterminator="\n")
    print(f"wrote {TABLE}")


if __name__ == "__main__":
    main()
