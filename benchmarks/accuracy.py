"""How close adaptive importance sampling comes to the posterior, on hard simulated trials."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayes_msc.trial import Trial


def hard_trials(n: int, seed: int) -> list[Trial]:
    """Simulate crossover trials that are hard for an approximation.

    Rate ratios of 0.1 to 1, patient SDs of 0.3 to 2, overdispersions of 0.2 to 2.5, 4 to 20
    patients, one to three rows a period; every third trial loses patients in the second period,
    every tenth has not a single count on the active treatment.

    Parameters
    ----------
    n : int
    seed : int
        Trial i is the same whatever n is.
    """
    seeds = np.random.SeedSequence(seed).spawn(n)
    return [_hard_trial(i, np.random.default_rng(s)) for i, s in enumerate(seeds)]


def _hard_trial(number: int, rng: np.random.Generator) -> Trial:
    patients = int(rng.integers(4, 21))
    scans = int(rng.integers(1, 4))
    patient_sd, overdispersion = rng.uniform(0.3, 2.0), rng.uniform(0.2, 2.5)
    log_rate, log_rate_ratio = np.log(rng.uniform(0.5, 6.0)), np.log(rng.uniform(0.1, 1.0))
    period_effect = rng.normal(0.0, 0.2)
    effect = patient_sd * rng.normal(size=patients)
    baseline = _counts(rng, np.exp(log_rate + effect), overdispersion)
    dropped = rng.random(patients) < (0.25 if number % 3 == 0 else 0.0)
    rows = []
    for i in range(patients):
        order = ("drug", "placebo") if i % 2 else ("placebo", "drug")
        for period, treatment in enumerate(order, 1):
            treated = treatment == "drug"
            log_mean = (
                log_rate + effect[i] + treated * log_rate_ratio + (period == 2) * period_effect
            )
            for scan in range(scans):
                count = float(_counts(rng, np.exp(log_mean), overdispersion))
                if number % 10 == 9 and treated:
                    count = 0.0
                if dropped[i] and period == 2:
                    count = np.nan
                month = 6 * (period - 1) + scan + 1
                line = (
                    f"P{i + 1}",
                    "-".join(order),
                    period,
                    scan + 1 + scans * (period - 1),
                    month,
                )
                rows.append((*line, treatment, count, 1.0, float(baseline[i])))
    names = [
        "patient",
        "sequence",
        "period",
        "scan",
        "month",
        "treatment",
        "count",
        "exposure",
        "baseline",
    ]
    table = pd.DataFrame(rows, columns=names)
    return Trial(table, design="crossover", control="placebo", active="drug", name=f"hard {number}")


def _counts(rng: np.random.Generator, mean: np.ndarray, k: float) -> np.ndarray:
    return rng.poisson(rng.gamma(1.0 / k, k * np.asarray(mean)))
