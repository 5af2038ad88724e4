"""Bambi, in an environment of its own: the same model and priors, by nutpie.

A half-normal prior on sqrt(overdispersion) is an inverse gamma prior on alpha, which is
1 / overdispersion. Run by ``benchmarks.speed``: it answers as the peers in R do.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import bambi as bmb
import pandas as pd


def build(trial: dict[str, Any]) -> bmb.Model:
    priors = trial["priors"]

    def normal(name: str) -> bmb.Prior:
        return bmb.Prior("Normal", mu=priors[name]["loc"], sigma=priors[name]["scale"])

    rows = pd.DataFrame(
        {name: trial[name] for name in ("count", "treated", "second", "log_exposure")}
    ).assign(count=[int(c) for c in trial["count"]], patient=[str(i) for i in trial["patient"]])
    effect = bmb.Prior("HalfNormal", sigma=priors["patient_sd"]["scale"])
    shape = 0.5 / priors["sqrt_overdispersion"]["scale"] ** 2
    return bmb.Model(
        "count ~ 1 + treated + second + offset(log_exposure) + (1 | patient)",
        rows,
        family="negativebinomial",
        priors={
            "Intercept": normal("log_rate"),
            "treated": normal("log_rate_ratio"),
            "second": normal("period_effect"),
            "1|patient": bmb.Prior("Normal", mu=0, sigma=effect),
            "alpha": bmb.Prior("InverseGamma", alpha=0.5, beta=shape),
        },
        noncentered=True,
        # the prior of the intercept is that of the rate on control in the first period
        center_predictors=False,
    )


def refit(model: bmb.Model, ask: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    fit = model.fit(
        draws=ask["draws"],
        tune=ask["tune"],
        chains=ask["chains"],
        cores=ask["cores"],
        target_accept=ask["target_accept"],
        random_seed=ask["seed"],
        inference_method="nutpie",
        progressbar=False,
    )
    seconds = time.perf_counter() - start
    posterior = fit["posterior"]
    draws = {
        "log_rate": posterior["Intercept"],
        "log_rate_ratio": posterior["treated"],
        "period_effect": posterior["second"],
        "patient_sd": posterior["1|patient_sigma"],
        "overdispersion": 1.0 / posterior["alpha"],
    }
    return {
        "seconds": seconds,
        "divergences": int(fit["sample_stats"]["diverging"].sum()),
        "draws": {name: value.to_numpy().tolist() for name, value in draws.items()},
    }


def main() -> None:
    model = build(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    model.build()
    print("@ready", flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        Path(ask["out"]).write_text(json.dumps(refit(model, ask)), encoding="utf-8")
        print("@done", flush=True)


if __name__ == "__main__":
    main()
