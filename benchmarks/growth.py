"""How cost grows with the number of patients and of rows, and a trial of 10,000 patients.

The cost of a gradient is that of one call of the compiled log density with its gradient, at one
point, compiled once for all sizes. The largest trial is fitted in processes of their own, which
tell their peak memory: by the integrated model, and by the textbook model with as many sampled
patient effects as patients.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayes_msc.density import Density
from bayes_msc.graph import build, data_of
from bayes_msc.model import Model
from bayes_msc.sampler import Sampler, Settings
from benchmarks.agreement import worst_ess
from benchmarks.child import ChildError, ask_child, peak_megabytes
from benchmarks.engines import CARD, in_process
from benchmarks.goals import SPEED
from benchmarks.measures import Measure, repeated, skipped
from benchmarks.peer import Ask
from benchmarks.simulated import crossover
from benchmarks.textbook import Textbook

NAME = "growth"
GRADIENT, FIT = "seconds a gradient", "seconds a gradient within NUTS"
PATIENTS = (9, 30, 100, 300, 1000, 3000, 10_000)
ROWS = (2, 4, 8, 16, 32, 64, 128)
#: Patients of the trials whose number of rows grows.
OF_ROWS = 100
#: Sizes from which the exponent is taken: below, what a call costs by itself still shows.
LARGE_PATIENTS, LARGE_ROWS = 300, 16
SETTINGS = Settings(draws=300, tune=300, chains=2)
CALLS = 5
#: Seconds that the fit of the largest trial may take.
LIMIT = 1800.0
OURS, TEXTBOOK = "bayes_msc", "textbook PyMC"


def run(quick: bool = False) -> list[Measure]:
    """Time gradients and fits of growing trials, then the largest one."""
    patients = PATIENTS[:3] if quick else PATIENTS
    rows = ROWS[:3] if quick else ROWS
    settings = Settings(draws=50, tune=50, chains=2) if quick else SETTINGS
    density = Density(build(Model.load(CARD), crossover(patients[0])))
    return [
        *_gradients(density, "patients", [(n, 2) for n in patients], LARGE_PATIENTS),
        *_gradients(density, "rows", [(OF_ROWS, n) for n in rows], LARGE_ROWS),
        *_fits(patients[:-1], settings),
        *_largest(patients[-1], settings),
    ]


def _gradients(
    density: Density, what: str, sizes: Sequence[tuple[int, int]], large: int
) -> list[Measure]:
    """Seconds a gradient of trials of so many patients and rows, and exponents of growth."""
    model = Model.load(CARD)
    numbers = [dict(zip(("patients", "rows"), size, strict=True))[what] for size in sizes]
    rows, medians = [], []
    for number, size in zip(numbers, sizes, strict=True):
        density.set_data(data_of(model, crossover(*size)))
        seconds = _seconds_a_gradient(density)
        medians.append(float(np.median(seconds)))
        rows.append(repeated(NAME, GRADIENT, f"{number} {what}", seconds, "s"))
        print(f"  {number} {what}: {1e3 * medians[-1]:.3g} ms a gradient", flush=True)
    return [*rows, *_exponents(what, numbers, medians, large)]


def _seconds_a_gradient(density: Density) -> list[float]:
    point = density.start()[None]
    density.logp_and_gradient(point)
    start = time.perf_counter()
    density.logp_and_gradient(point)
    # enough calls at a time for the clock
    calls = int(np.clip(0.05 / (time.perf_counter() - start), 1, 200))
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        for _ in range(calls):
            density.logp_and_gradient(point)
        seconds.append((time.perf_counter() - start) / calls)
    return seconds


def _exponents(
    what: str, numbers: Sequence[int], seconds: Sequence[float], large: int
) -> list[Measure]:
    measure = "exponent of growth"
    whole = exponent(numbers, seconds)
    rows = [Measure(NAME, f"{measure}, all sizes", what, whole, note="1 is linear")]
    chosen = [(n, s) for n, s in zip(numbers, seconds, strict=True) if n >= large]
    if len(chosen) < 2:
        return [*rows, skipped(NAME, measure, what, f"fewer than two sizes from {large} up")]
    steep = exponent(*zip(*chosen, strict=True))
    return [*rows, Measure(NAME, measure, what, steep, note=f"from {large} up; 1 is linear")]


def exponent(numbers: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds on log numbers: 1 where the cost is linear."""
    return float(np.polyfit(np.log(numbers), np.log(seconds), 1)[0])


def _fits(patients: Sequence[int], settings: Settings) -> list[Measure]:
    """Seconds of a whole NUTS fit, and for each gradient in it."""
    model = Model.load(CARD)
    sampler = Sampler.of(model, crossover(patients[0]))
    sampler.sample(model, crossover(patients[0]), Settings(10, 10, 1), seed=1)
    rows, each = [], []
    for n in patients:
        trial = crossover(n)
        start = time.perf_counter()
        trace = sampler.sample(model, trial, settings, seed=1)
        seconds = time.perf_counter() - start
        # steps of the draws that are kept stand for those of the tuning
        steps = float(trace["sample_stats"]["n_steps"].mean())
        each.append(seconds / (steps * (settings.draws + settings.tune)))
        rows += [
            Measure(NAME, "seconds of a NUTS fit", f"{n} patients", seconds, unit="s"),
            Measure(NAME, FIT, f"{n} patients", each[-1], unit="s"),
        ]
        print(f"  NUTS, {n} patients: {seconds:.1f} s, {steps:.1f} gradients a draw", flush=True)
    return rows


def _largest(patients: int, settings: Settings) -> list[Measure]:
    """The largest trial by either model, each in a process of its own."""
    rate, memory = "worst-parameter effective draws a second", "peak memory"
    rows, rates = [], {}
    for name in (OURS, TEXTBOOK):
        case = f"{name}, {patients} patients"
        arguments = (patients, name, settings.draws, settings.tune, settings.chains)
        try:
            found = ask_child("growth", *arguments, limit=LIMIT)
        except ChildError as error:
            print(f"  {case}: {error}", flush=True)
            rows += [skipped(NAME, measure, case, str(error)) for measure in (rate, memory)]
            continue
        print(f"  {case}: {found}", flush=True)
        rates[name] = found["ess"] / found["seconds"]
        note = f"worst: {found['worst']}; {found['divergences']} divergences"
        rows += [
            Measure(NAME, rate, case, rates[name], note=note),
            Measure(NAME, "worst effective size", case, found["ess"]),
            Measure(NAME, "mean of log RR", case, found["mean"], note=f"SD {found['sd']:.4f}"),
            Measure(NAME, "seconds of a NUTS fit", case, found["seconds"], unit="s"),
            Measure(NAME, memory, case, found["megabytes"], unit="MB"),
        ]
    case = f"{TEXTBOOK}, {patients} patients"
    if len(rates) < 2:
        return [*rows, skipped(NAME, SPEED, case, "one of the two was not measured")]
    return [*rows, Measure(NAME, SPEED, case, rates[OURS] / rates[TEXTBOOK], unit="times")]


def fit_alone(patients: int, whose: str, settings: Settings) -> dict[str, object]:
    """Fit one large trial; the time is that of sampling, after compiling and a tiny fit."""
    model, trial = Model.load(CARD), crossover(patients)
    refit = in_process(model, trial) if whose == OURS else Textbook(model, trial).refit
    ask = Ask(
        seed=1,
        chains=settings.chains,
        tune=settings.tune,
        draws=settings.draws,
        cores=os.cpu_count() or 1,
        target_accept=settings.target_accept,
    )
    refit(replace(ask, chains=1, tune=2, draws=2))
    found = refit(ask)
    ess, worst = worst_ess(found.draws)
    ratio = found.draws["log_rate_ratio"]
    return {
        "seconds": found.seconds,
        "ess": ess,
        "worst": worst,
        "mean": float(ratio.mean()),
        "sd": float(ratio.std()),
        "divergences": found.divergences,
        "megabytes": peak_megabytes(),
    }


if __name__ == "__main__":
    n, whose, draws, tune, chains = sys.argv[1:]
    print(json.dumps(fit_alone(int(n), whose, Settings(int(draws), int(tune), int(chains)))))
