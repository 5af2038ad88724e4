"""Seconds of the sensitivity analyses on the founding design, beside the same refits by rstanarm.

Each analysis runs as a user would call it, the start of its processes and the compiling of its
structures included (PyTensor's disk cache is there, as on any day but the first). The ratio takes
rstanarm's time of one refit, with its chains on both cores or a refit on each core, times the
number of refits, as if it could fit every model of the curve.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from bayes_msc.datasets import load_trial
from bayes_msc.model import Model
from bayes_msc.sensitivity import (
    leave_patients_out,
    prior_map,
    specification_curve,
    tipping_point,
)
from benchmarks.child import megabytes
from benchmarks.engines import CARD, TRIAL, start_peer
from benchmarks.measures import Measure, skipped
from benchmarks.peer import PeerError
from benchmarks.speed import ASK

NAME = "sensitivity"
CURVE, LEFT_OUT = "specification curve", "one patient left out"
TIPPING, MAP = "tipping points", "prior map"
SECONDS, RATIO = "seconds", "rstanarm's time over ours"
WORKERS = 2


def run(quick: bool = False) -> list[Measure]:
    """Time every analysis."""
    trial, model = load_trial(TRIAL), Model.load(CARD)
    small = {"choices": {"prior": ("weak",), "baseline": ("none",)}} if quick else {}
    widths = 5 if quick else 41
    analyses: dict[str, Callable[[], int]] = {
        MAP: lambda: len(
            prior_map(
                trial,
                model,
                means=np.linspace(-1.6, 0.7, widths).tolist(),
                sds=np.geomspace(0.1, 2.5, widths).tolist(),
                workers=WORKERS,
            ).cells
        ),
        LEFT_OUT: lambda: len(leave_patients_out(trial, model, workers=WORKERS)),
        TIPPING: lambda: int(
            tipping_point(trial, model, workers=WORKERS, imputations=2 if quick else 12)
            .curve["imputations"]
            .sum()
        ),
        CURVE: lambda: len(
            specification_curve(trial, model, workers=WORKERS, yes=True, **small).specifications
        ),
    }
    theirs, why = _rstanarm(quick)
    measures = []
    for name, analysis in analyses.items():
        start = time.perf_counter()
        refits = analysis()
        seconds = time.perf_counter() - start
        print(f"  {name}: {refits} answers in {seconds:.1f} s", flush=True)
        note = f"{refits} answers"
        measures.append(Measure(NAME, SECONDS, name, seconds, unit="s", note=note))
        measures.append(
            skipped(NAME, RATIO, name, why)
            if why
            else Measure(NAME, RATIO, name, refits * theirs / seconds, unit="times")
        )
        if name == CURVE:
            per = 500 * seconds / refits
            measures.append(Measure(NAME, "seconds for 500 refits", name, per, unit="s"))
    return [*measures, Measure(NAME, "memory at the end", "this process", megabytes(), unit="MB")]


def _rstanarm(quick: bool) -> tuple[float, str]:
    """Seconds of one refit on two cores, or why it is not known."""
    trial = load_trial(TRIAL).by_period()
    model = Model.load(CARD).without_term("baseline")
    with ExitStack() as stack:
        try:
            [engine] = start_peer("rstanarm", model, trial, stack)
            times = []
            for seed in range(1 if quick else 3):
                ask = replace(ASK, seed=seed)
                together = engine.run(replace(ask, cores=WORKERS)).seconds
                alone = engine.run(replace(ask, cores=1)).seconds
                times.append(min(together, alone / WORKERS))
        except PeerError as error:
            return float("nan"), str(error)
    return float(np.median(times)), ""
