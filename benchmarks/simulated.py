"""Simulated crossovers of any size, made from plain arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayes_msc.trial import Trial

LOG_RATE, LOG_RATE_RATIO, PERIOD_EFFECT, PATIENT_SD, OVERDISPERSION = 1.0, -0.7, 0.1, 0.8, 0.5


def crossover(patients: int, rows: int = 2, seed: int = 1) -> Trial:
    """Simulate a negative binomial crossover.

    Parameters
    ----------
    patients : int
    rows : int
        Scans of each patient, an even number: half of them in each period.
    seed : int
    """
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rows)
    scan = np.tile(np.arange(rows), patients)
    second = scan >= rows // 2
    treated = second == (patient % 2 == 1)
    log_mean = (
        LOG_RATE
        + LOG_RATE_RATIO * treated
        + PERIOD_EFFECT * second
        + PATIENT_SD * rng.normal(size=patients)[patient]
    )
    mixed = rng.gamma(1.0 / OVERDISPERSION, OVERDISPERSION, size=len(patient))
    table = pd.DataFrame(
        {
            "patient": np.char.add("P", (patient + 1).astype(str)),
            "period": 1 + second,
            "scan": scan + 1,
            "treatment": np.where(treated, "drug", "placebo"),
            "count": rng.poisson(np.exp(log_mean) * mixed),
        }
    )
    return Trial(
        table,
        design="crossover",
        control="placebo",
        active="drug",
        name=f"{patients} patients",
        provenance="simulated",
    )
