"""The worked cases of the page on the next trial, from simulated trials.

Run it as ``python -m benchmarks.next_trial [--only CASE ...] [--trials N] [--workers N]``: it
writes ``docs/_static/next-trial-<case>.csv``; the other cases keep theirs. ``--trials`` is for
each cell of the cases that are analysed by a model; the classical p-values get four times as many.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msc.evidence import TAU_PRIORS, Hierarchy, hierarchy
from bayes_msc.prior import Prior, stances
from bayes_msc.published import load_published
from bayes_msc.rule import Rule
from bayes_msc.simulation.assuring import truth_over
from bayes_msc.simulation.design import Design
from bayes_msc.simulation.operating import characteristics
from bayes_msc.simulation.rules import PValueRule
from bayes_msc.simulation.sizing import SampleSize, sample_size
from bayes_msc.simulation.truth import Truth

FOLDER = Path(__file__).parents[1] / "docs" / "_static"
TRIALS = 150
#: Nine patients, five of whom begin with the active treatment; scans at months 3 and 6 of a period.
FOUNDING = Design("crossover", active=5, control=4, scans=2)
FIRST_PERIOD = Design("parallel", active=5, control=4, scans=2, baseline=True)
#: Patients as varied as those of the founding trial: a mean of about 5 lesions a scan on control.
PATIENTS = {"control_rate": 3.0, "patient_sd": 1.0, "overdispersion": 0.7}
RULE = Rule(1.0, 0.95)


def truth(rate_ratio: float) -> Truth:
    """Return such patients with a treatment effect."""
    return Truth(rate_ratio, **PATIENTS)


def power(trials: int, workers: int) -> pd.DataFrame:
    """The founding design under each stance: power, and type I error."""
    ratios = (1.0, 0.5, 0.25)
    return characteristics(
        {"founding": FOUNDING},
        {f"RR {ratio:g}": truth(ratio) for ratio in ratios},
        rules=[RULE, Rule(1.0, 0.975)],
        priors=list(stances()),
        trials=trials,
        workers=workers,
    ).table


def curse(trials: int, workers: int) -> pd.DataFrame:
    """How often the founding trial's own first analysis prints what it printed."""
    method = "negative-binomial-dispersion-1"
    rules = {
        "p < 0.07": PValueRule(method, 0.07),
        "p < 0.07 and RR < 0.3": PValueRule(method, 0.07, 0.3),
        "p < 0.05": PValueRule(method, 0.05),
    }
    return characteristics(
        {"first period": FIRST_PERIOD},
        {f"RR {ratio:g}": truth(ratio) for ratio in (1.0, 0.5, 0.25)},
        [],
        rules=rules,
        trials=4 * trials,
        workers=workers,
    ).table


def designs(trials: int, workers: int) -> pd.DataFrame:
    """Parallel against crossover at a halved rate, with as many scans in all."""
    several = {
        "crossover, 18": Design("crossover", active=9, control=9, scans=2),
        "parallel, 18": Design("parallel", active=9, control=9, scans=4),
        "parallel, 36": Design("parallel", active=18, control=18, scans=4),
        "parallel, 72": Design("parallel", active=36, control=36, scans=4),
    }
    return characteristics(
        several, {"RR 0.5": truth(0.5)}, rules=[RULE], trials=trials, workers=workers
    ).table


def known() -> Hierarchy:
    """What the founding trial and MESEMS say together, normal on the log scale."""
    pairs = []
    for name in ("llufriu2014", "mesems2021"):
        _, effect = load_published(name).effect()
        pairs.append((effect.log_rate_ratio, effect.se))
    estimates, errors = zip(*pairs, strict=True)
    prior = Prior.normal(0.0, 1.0, why="no opinion")
    return hierarchy(estimates, errors, prior, TAU_PRIORS[0])


def assurance(trials: int, workers: int) -> pd.DataFrame:
    """Patients for 80 % assurance, where trials may differ in their effects."""
    over = known().new_trial
    found = sample_size(
        FOUNDING,
        truth_over(over, truth(1.0)),
        rule=RULE,
        target=0.8,
        start=(9, 27, 81),
        largest=81,
        trials=trials,
        budget=5 * trials,
        workers=workers,
    )
    return _as_table(found, "new trial", float(over.cdf(0.0)))


def _as_table(found: SampleSize, what: str, benefit: float) -> pd.DataFrame:
    simulated = found.simulated.assign(kind="simulated")
    table = pd.concat([simulated, found.curve.assign(kind="curve")], ignore_index=True)
    return table.assign(
        over=what,
        benefit=benefit,
        needed=np.nan if found.patients is None else found.patients,
        needed_lower=found.interval[0],
        needed_upper=found.interval[1],
        p_fit=found.p_fit,
    )


CASES: dict[str, Callable[[int, int], pd.DataFrame]] = {
    "curse": curse,
    "power": power,
    "designs": designs,
    "assurance": assurance,
}


def main() -> None:
    """Run the cases that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.next_trial")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    for case in chosen.only:
        start = time.perf_counter()
        table = CASES[case](chosen.trials, chosen.workers)
        path = chosen.folder / f"next-trial-{case}.csv"
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        print(f"{case}: {time.perf_counter() - start:.0f} s", flush=True)
        print(table.to_string(), flush=True)


if __name__ == "__main__":
    main()
