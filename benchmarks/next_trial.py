"""The worked cases of the page on the next trial, from simulated trials.

Run it as ``python -m benchmarks.next_trial [--only CASE ...] [--scale S] [--workers N]``: it writes
``docs/_static/next-trial-<case>.csv``; the other cases keep theirs. ``--scale 0.1`` simulates a
tenth of the trials.

The patients of all cases are those of the founding trial, as far as they can be known: a fit of its
reconstruction (not data) gives how often they have lesions, how they differ, and how their counts
scatter; at its posterior medians, or over its whole posterior where a case says so.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_msc.evidence import TAU_PRIORS, Hierarchy, hierarchy
from bayes_msc.prior import Prior, stances
from bayes_msc.published import load_published
from bayes_msc.rule import Rule
from bayes_msc.simulation.assuring import truth_over
from bayes_msc.simulation.design import Design, DropOut
from bayes_msc.simulation.operating import characteristics
from bayes_msc.simulation.rules import PValueRule
from bayes_msc.simulation.sizing import SampleSize, fit_curve, sample_size
from bayes_msc.simulation.summary import share_error
from bayes_msc.simulation.truth import AnyTruth, Truth, UncertainTruth

if TYPE_CHECKING:
    import xarray as xr

FOLDER = Path(__file__).parents[1] / "docs" / "_static"
#: So many trials make a Monte Carlo standard error of 0.01 at the most.
TRIALS = 2500
#: Trials of large sizes, each of which costs as much as many small ones: an error of 0.014.
FEWER = 1250
#: Nine patients, five of whom begin with the active treatment; scans at months 3 and 6 of a period.
FOUNDING = Design("crossover", active=5, control=4, scans=2, baseline=True)
FIRST_PERIOD = Design("parallel", active=5, control=4, scans=2, baseline=True)
RATIOS = (1.0, 0.5, 0.25)
RULE = Rule(1.0, 0.95)
SIZES = (9, 18, 36, 72, 144, 288)


@cache
def founding_fit() -> xr.DataTree:
    """Fit the reconstruction of the founding trial."""
    from bayes_msc.datasets import load_trial
    from bayes_msc.fit import fit

    trial = load_trial("llufriu2014_reconstructed")
    return fit(trial, "crossover-negative-binomial", engine="fast", seed=1)


def truth(rate_ratio: float) -> Truth:
    """Return the founding trial's patients, at the posterior medians, with a treatment effect."""
    return Truth.of_fit(founding_fit(), rate_ratio=rate_ratio)


def patients(scale: float, workers: int) -> pd.DataFrame:
    """What the fit says of the patients: medians, and 95 % of the draws."""
    drawn = UncertainTruth.of_fit(founding_fit())
    assert drawn.draws is not None
    table = drawn.draws.drop(columns="log_rate_ratio").quantile([0.5, 0.025, 0.975]).T
    table.columns = pd.Index(["median", "lower", "upper"])
    table.loc["control_rate"] = np.exp(table.loc["log_rate"])
    table.loc["period_ratio"] = np.exp(table.loc["period_effect"])
    table = table.drop(index=["log_rate", "period_effect"])
    return table.rename_axis("parameter").reset_index().assign(source=drawn.source)


def power(scale: float, workers: int) -> pd.DataFrame:
    """The founding design under each stance: power, and type I error."""
    certain: dict[str, AnyTruth] = {f"RR {ratio:g}": truth(ratio) for ratio in RATIOS}
    found = characteristics(
        {"founding": FOUNDING},
        certain,
        rules=[RULE, Rule(1.0, 0.975)],
        priors=list(stances()),
        trials=round(TRIALS * scale),
        workers=workers,
    )
    ask = found.thresholds(0.05)[["truth", "prior", "rule", "probability", "lower", "upper"]]
    names = {"probability": "ask_for", "lower": "ask_lower", "upper": "ask_upper"}
    return found.table.merge(ask.rename(columns=names), how="left", on=["truth", "prior", "rule"])


def averaged(scale: float, workers: int) -> pd.DataFrame:
    """The founding design over all that the reconstruction leaves open of its patients."""
    over: dict[str, AnyTruth] = {
        f"RR {ratio:g}": UncertainTruth.of_fit(founding_fit(), rate_ratio=ratio) for ratio in RATIOS
    }
    return characteristics(
        {"founding": FOUNDING},
        over,
        rules=[RULE],
        priors=["weak"],
        trials=round(TRIALS * scale),
        workers=workers,
    ).table


def curse(scale: float, workers: int) -> pd.DataFrame:
    """How often the founding trial's own first analysis prints what it printed."""
    # the printed p closes with the printed interval as a Wald test of such a regression
    method = "negative-binomial-dispersion-1-wald"
    rules = {
        "p < 0.07": PValueRule(method, 0.07),
        "p < 0.07 and RR < 0.3": PValueRule(method, 0.07, 0.3),
        "p < 0.05": PValueRule(method, 0.05),
    }
    return characteristics(
        {"first period": FIRST_PERIOD},
        {f"RR {ratio:g}": truth(ratio) for ratio in RATIOS},
        [],
        rules=rules,
        trials=round(4 * TRIALS * scale),
        workers=workers,
    ).table


def misspecified(scale: float, workers: int) -> pd.DataFrame:
    """The founding design where the model of the analysis is wrong, or patients leave."""
    leaving = replace(FOUNDING, drop_out=DropOut(0.02, per_doubling=0.7, on_control_only=True))
    kinds: Mapping[str, Callable[[Truth], Truth]] = {
        "as the model says": lambda t: t,
        "a third of the scans always empty": lambda t: replace(
            t, family="zero-inflated-negative-binomial", zero_inflation=1 / 3
        ),
        "one patient at eight times the rate": lambda t: replace(t, outlier=8.0),
        "effects that differ between patients (SD 0.7)": lambda t: replace(t, treatment_sd=0.7),
        "half of the effect carried over": lambda t: replace(t, carryover=0.5),
    }
    truths = {
        f"{words}, RR {ratio:g}": change(truth(ratio))
        for words, change in kinds.items()
        for ratio in (1.0, 0.5)
        if not ("carried" in words and ratio == 1)
    }
    effort = {"trials": round(TRIALS * scale), "workers": workers}
    found = [
        characteristics(
            {"nobody leaves": FOUNDING}, truths, rules=[RULE], priors=["weak"], **effort
        ).table,
        characteristics(
            {"patients leave": leaving},
            {f"those with many lesions leave control, RR {r:g}": truth(r) for r in (1.0, 0.5)},
            rules=[RULE],
            priors=["weak"],
            **effort,
        ).table,
    ]
    return pd.concat(found, ignore_index=True)


def designs(scale: float, workers: int) -> pd.DataFrame:
    """Parallel against crossover at a halved rate."""
    several = {
        "crossover, 18 patients": Design("crossover", active=9, control=9, scans=2, baseline=True),
        "parallel, 18 patients": Design("parallel", active=9, control=9, scans=4, baseline=True),
        "parallel, 36 patients": Design("parallel", active=18, control=18, scans=4, baseline=True),
        "parallel, 72 patients": Design("parallel", active=36, control=36, scans=4, baseline=True),
    }
    half = truth(0.5)
    truths = {"nothing": half, "half of the effect": replace(half, carryover=0.5)}
    trials, found = round(TRIALS * scale), []
    for name, design in several.items():
        # in parallel arms nothing can be carried over
        chosen = truths if design.kind == "crossover" else {"nothing": half}
        found.append(
            characteristics({name: design}, chosen, rules=[RULE], trials=trials, workers=workers)
        )
    return pd.concat([one.table for one in found], ignore_index=True)


def known() -> Hierarchy:
    """What the founding trial and MESEMS say together, normal on the log scale."""
    pairs = []
    for name in ("llufriu2014", "mesems2021"):
        _, effect = load_published(name).effect()
        pairs.append((effect.log_rate_ratio, effect.se))
    estimates, errors = zip(*pairs, strict=True)
    prior = Prior.normal(0.0, 1.0, why="no opinion")
    return hierarchy(estimates, errors, prior, TAU_PRIORS[0])


def assurance(scale: float, workers: int) -> pd.DataFrame:
    """Assurance against size, over the next trial's effect and over what its patients are like."""
    over = known().new_trial
    believed = truth_over(over, UncertainTruth.of_fit(founding_fit()))
    tables = [
        characteristics(
            {str(n): FOUNDING.with_patients(n) for n in sizes},
            {"believed": believed},
            rules=[RULE],
            trials=round(trials * scale),
            workers=workers,
        ).table
        for sizes, trials in ((SIZES[:3], TRIALS), (SIZES[3:], FEWER))
    ]
    table = pd.concat(tables, ignore_index=True)
    n, trials = table["design"].astype(int), table["trials"]
    hits = (table["success"] * trials).round()
    drawn = np.unique(np.geomspace(SIZES[0], SIZES[-1], 120).round())
    curve = fit_curve(n, hits, trials)
    simulated = pd.DataFrame(
        {
            "patients": n,
            "trials": trials,
            "success": table["success"],
            "success_mcse": share_error(hits, trials),
            "kind": "simulated",
        }
    )
    found = pd.concat([simulated, curve.at(drawn).assign(kind="curve")], ignore_index=True)
    ceiling = {"ceiling": float(over.cdf(0.0)), "ceiling_mean": float(known().mean_effect.cdf(0.0))}
    return found.assign(**ceiling, p_fit=curve.p_fit)


def size(scale: float, workers: int) -> pd.DataFrame:
    """Patients for 80 % power at a halved rate, by the search."""
    found = sample_size(
        FOUNDING,
        truth(0.5),
        rule=RULE,
        target=0.8,
        start=(12, 24, 48),
        trials=round(500 * scale),
        budget=round(8000 * scale),
        workers=workers,
    )
    return _as_table(found)


def _as_table(found: SampleSize) -> pd.DataFrame:
    simulated = found.simulated.assign(kind="simulated")
    table = pd.concat([simulated, found.curve.assign(kind="curve")], ignore_index=True)
    return table.assign(
        needed=np.nan if found.patients is None else found.patients,
        needed_lower=found.interval[0],
        needed_upper=found.interval[1],
        p_fit=found.p_fit,
    )


CASES: dict[str, Callable[[float, int], pd.DataFrame]] = {
    "patients": patients,
    "curse": curse,
    "power": power,
    "averaged": averaged,
    "misspecified": misspecified,
    "designs": designs,
    "size": size,
    "assurance": assurance,
}


def main() -> None:
    """Run the cases that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.next_trial")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    for case in chosen.only:
        start = time.perf_counter()
        table = CASES[case](chosen.scale, chosen.workers)
        path = chosen.folder / f"next-trial-{case}.csv"
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        print(f"{case}: {time.perf_counter() - start:.0f} s", flush=True)
        print(table.to_string(), flush=True)


if __name__ == "__main__":
    main()
