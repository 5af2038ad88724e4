"""How close adaptive importance sampling comes to the posterior, on hard simulated trials.

Each trial is solved by ``bayes_msc.importance`` and by a reference: a run of 2^15 points with
another seed or, with ``--nuts``, 40,000 draws of NUTS. A trial passes where P(rate ratio < 1) is
within 0.01 and the mean of log_rate_ratio within 0.05 posterior SD. A miss that the result's own
``trusted`` gives away is counted apart: such a trial is fitted again by NUTS.

Divergences are counted in what ``bayes_msc.fit`` reports of the same trials by NUTS at its default
settings, its own second attempt included.

Run it as ``python -m benchmarks.accuracy [trials] [--nuts]``; ``python -m benchmarks --only
accuracy`` puts it into the table, by NUTS.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from bayes_msc.density import Density
from bayes_msc.fit import fit
from bayes_msc.graph import build, data_of
from bayes_msc.importance import EFFORT, sample, sample_twice
from bayes_msc.model import Model
from bayes_msc.trial import Trial
from benchmarks.measures import Measure

NAME = "accuracy"
CARD = "crossover-negative-binomial"
TRIALS, QUICK = 300, 6
MOST_PROBABILITY, MOST_MEAN = 0.01, 0.05
#: Stages of the reference, which ends with 2^15 points.
LARGE = replace(EFFORT, stages=(1024, 1024, 2048, 2**15 - 4096), extra=())


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


def answer(density: Density, seed: int, large: bool = False) -> dict[str, float]:
    """Solve the trial whose data the density holds."""
    interest = density.names.index("log_rate_ratio")
    where = density.logp, density.start(), density.axes
    start = time.perf_counter()
    if large:
        found = sample(*where, interest=interest, seed=seed, effort=LARGE)
    else:
        found = sample_twice(*where, interest=interest, seed=seed)
    seconds = time.perf_counter() - start
    value = found.points[:, interest]
    mean = found.mean(value)
    return {
        "probability": found.probability_below(0.0)[0],
        "mean": mean,
        "sd": float(np.sqrt(found.mean((value - mean) ** 2))),
        "log_marginal": found.log_marginal,
        "pareto_k": found.pareto_k,
        "share": found.ess / len(value),
        "evaluations": found.evaluations,
        "trusted": found.trusted,
        "ms": 1e3 * seconds,
    }


def nuts(model: Model, trial: Trial, seed: int) -> dict[str, float]:
    """40,000 draws of NUTS."""
    from bayes_msc.sampler import Sampler, Settings

    draws = Sampler.of(model, trial).sample(model, trial, Settings(draws=10_000), seed)
    value = draws["posterior"]["log_rate_ratio"].to_numpy().ravel()
    return {
        "probability": float((value < 0).mean()),
        "mean": float(value.mean()),
        "sd": float(value.std()),
        "log_marginal": np.nan,
    }


def compare(n: int, seed: int, by_nuts: bool) -> pd.DataFrame:
    """Solve trials twice; one row a trial."""
    model, trials = Model.load(CARD), hard_trials(n, seed)
    density = Density(build(model, trials[0]))
    density.logp(density.start()[None])
    rows = []
    for i, trial in enumerate(trials):
        density.set_data(data_of(model, trial))
        row = answer(density, i)
        reference = nuts(model, trial, i) if by_nuts else answer(density, i + n, large=True)
        row["probability_off"] = abs(row["probability"] - reference["probability"])
        row["mean_off"] = abs(row["mean"] - reference["mean"]) / reference["sd"]
        row["sd_ratio"] = row["sd"] / reference["sd"]
        row["log_marginal_off"] = row["log_marginal"] - reference["log_marginal"]
        row["reference_k"] = reference.get("pareto_k", np.nan)
        rows.append(row)
        if (i + 1) % 50 == 0:
            print(f"  {i + 1} of {n} trials", flush=True)
    return pd.DataFrame(rows)


def outside(rows: pd.DataFrame) -> pd.Series:
    """Whether each trial's answer is outside the bounds."""
    return ~((rows["probability_off"] < MOST_PROBABILITY) & (rows["mean_off"] < MOST_MEAN)).astype(
        bool
    )


def divergences(n: int, seed: int) -> pd.DataFrame:
    """Fit trials by NUTS at the default settings; one row a trial.

    Returns
    -------
    DataFrame
        Columns ``divergences`` (left in the fit that is reported) and ``refitted`` (why there was
        a second attempt; empty where there was none).
    """
    rows = []
    for i, trial in enumerate(hard_trials(n, seed)):
        reported = fit(trial, CARD, seed=i, progress=False)
        left = int(reported["sample_stats"]["diverging"].sum())
        rows.append({"divergences": left, "refitted": reported.attrs["refitted"]})
    return pd.DataFrame(rows)


def run(quick: bool = False, trials: int | None = None) -> list[Measure]:
    """Compare the fast engine with NUTS on hard trials, and count divergences."""
    n = trials or (QUICK if quick else TRIALS)
    rows = compare(n, 1, by_nuts=not quick)
    reported = divergences(n, 1)
    return [*_comparison(rows, quick), *_reported(reported)]


def _comparison(rows: pd.DataFrame, quick: bool) -> list[Measure]:
    missed, trusted = outside(rows), rows["trusted"].astype(bool)
    against = "the fast engine with 2^15 points" if quick else "40,000 draws of NUTS"
    note = f"{len(rows)} trials, against {against}"
    shares = {
        "share within the bounds": (~missed).mean(),
        "share within the bounds or refitted by NUTS": (~missed | ~trusted).mean(),
        "share not trusted, so refitted by NUTS": (~trusted).mean(),
        "trials outside the bounds that were trusted": (missed & trusted).sum(),
    }
    off = {
        "P(RR < 1) off": (rows["probability_off"], ""),
        "mean of log RR off": (rows["mean_off"], "SD"),
    }
    narrow = rows["sd_ratio"]
    error = f"its standard error {narrow.std() / np.sqrt(len(narrow)):.4f}"
    return [
        *(Measure(NAME, name, "fast", float(value), note=note) for name, value in shares.items()),
        Measure(NAME, "SD of log RR over the reference's, mean", "fast", narrow.mean(), note=error),
        *(
            Measure(
                NAME,
                f"{name}, largest",
                case,
                float(values[chosen].max()),
                unit=unit,
                note=f"median {values[chosen].median():.4f}",
            )
            for name, (values, unit) in off.items()
            for case, chosen in (("all", trusted | True), ("trusted", trusted))
        ),
        Measure(NAME, "milliseconds of a fast fit", "fast", float(rows["ms"].median()), unit="ms"),
    ]


def _reported(rows: pd.DataFrame) -> list[Measure]:
    case, again = "NUTS, default settings", rows["refitted"] != ""
    note = f"{len(rows)} trials; {int(again.sum())} were fitted a second time by fit() itself"
    left = rows["divergences"]
    first = rows["refitted"].str.contains("divergences").sum()
    return [
        Measure(NAME, "reported fits with divergences", case, float((left > 0).sum()), note=note),
        Measure(NAME, "divergences left in all reported fits", case, float(left.sum())),
        Measure(NAME, "first attempts with divergences", case, float(first)),
    ]


def summary(rows: pd.DataFrame) -> pd.Series:
    """Shares within the bounds, and the cost."""
    within = ~outside(rows)
    trusted = rows["trusted"].astype(bool)
    return pd.Series(
        {
            "trials": len(rows),
            "within the bounds": within.mean(),
            "not trusted, so fitted again": (~trusted).mean(),
            "within the bounds or fitted again": (within | ~trusted).mean(),
            "P(RR < 1) off, median": rows["probability_off"].median(),
            "P(RR < 1) off, largest where trusted": rows["probability_off"][trusted].max(),
            "mean off in SDs, median": rows["mean_off"].median(),
            "mean off in SDs, largest where trusted": rows["mean_off"][trusted].max(),
            "SD over the reference's, mean": rows["sd_ratio"].mean(),
            "log marginal off, root mean square": np.sqrt((rows["log_marginal_off"] ** 2).mean()),
            "Pareto k, median": rows["pareto_k"].median(),
            "Pareto k, largest": rows["pareto_k"].max(),
            "reference's Pareto k, largest": rows["reference_k"].max(),
            "effective share, median": rows["share"].median(),
            "evaluations, median": rows["evaluations"].median(),
            "evaluations, largest": rows["evaluations"].max(),
            "milliseconds, median": rows["ms"].median(),
        }
    )


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    table = compare(numbers[0] if numbers else TRIALS, 1, "--nuts" in sys.argv)
    print(summary(table).to_string(float_format="{:.4g}".format))
    missed = outside(table)
    if missed.any():
        print("\nOutside the bounds:\n", table[missed].round(4).to_string())
