"""The textbook PyMC model: what its user writes by hand, with nothing of this package's graphs.

Patient effects are sampled, not centred; the counts are ``pm.NegativeBinomial``; standard
deviations keep PyMC's own logarithm. Compiled once by nutpie, then refitted.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pymc as pm

from bayes_msc.model import Model
from bayes_msc.trial import Trial
from benchmarks.agreement import PARAMETERS
from benchmarks.peer import Ask, Refit, exchange


def textbook(model: Model, trial: Trial) -> pm.Model:
    """Write the model, with the priors and the rows of ours."""
    told = exchange(model, trial)
    prior = told["priors"]
    count, log_exposure, treated, second = (
        np.array(told[name]) for name in ("count", "log_exposure", "treated", "second")
    )
    patient = np.array(told["patient"]) - 1

    def normal(name: str) -> Any:
        return pm.Normal(name, prior[name]["loc"], prior[name]["scale"])

    with pm.Model(coords={"patient": np.unique(patient)}) as written:
        log_rate, ratio, period = map(normal, ("log_rate", "log_rate_ratio", "period_effect"))
        spread = pm.HalfNormal("patient_sd", prior["patient_sd"]["scale"])
        root = pm.HalfNormal("sqrt_overdispersion", prior["sqrt_overdispersion"]["scale"])
        overdispersion = pm.Deterministic("overdispersion", root**2)
        z = pm.Normal("z", dims="patient")
        log_mean = log_rate + ratio * treated + period * second + spread * z[patient] + log_exposure
        pm.NegativeBinomial(
            "count", mu=pm.math.exp(log_mean), alpha=1.0 / overdispersion, observed=count
        )
    return written


class Textbook:
    """The textbook model, compiled."""

    def __init__(self, model: Model, trial: Trial) -> None:
        import nutpie

        self._compiled = nutpie.compile_pymc_model(textbook(model, trial))

    def refit(self, ask: Ask) -> Refit:
        """Refit; the time is that of ``nutpie.sample``."""
        import nutpie

        start = time.perf_counter()
        trace = nutpie.sample(
            self._compiled,
            draws=ask.draws,
            tune=ask.tune,
            chains=ask.chains,
            cores=ask.cores,
            seed=ask.seed,
            target_accept=ask.target_accept,
            save_warmup=False,
            progress_bar=False,
        )
        seconds = time.perf_counter() - start
        draws = {name: trace["posterior"][name].to_numpy() for name in PARAMETERS}
        return Refit(seconds, draws, int(trace["sample_stats"]["diverging"].sum()))
