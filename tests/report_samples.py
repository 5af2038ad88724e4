"""Small fits and reanalyses for the tests of figures and reports; nothing is sampled."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr

from bayes_msc.model import Model
from bayes_msc.published import load_published
from bayes_msc.reanalysis import Reanalysis, reanalyze
from bayes_msc.reconstruct import Behind, read_paper
from bayes_msc.reconstruct.group import LABEL
from bayes_msc.reconstruct.two_periods import COLUMNS
from bayes_msc.trial import Trial

CHAINS, DRAWS = 4, 750
EVIL = '<script>alert("x")</script>'


@cache
def founding() -> Reanalysis:
    return reanalyze(load_published("llufriu2014"))


@cache
def with_reconstruction() -> Reanalysis:
    """Reanalysis with answers of two made-up data sets in place of those of the reconstruction."""
    rows = [
        (analysis, who, 0.5, 0.1, 2.5, 0.75, 0.002, 0.04, 2, 0, LABEL)
        for who in ("all", "without P4")
        for analysis in ("first period, scan by scan", "both periods: period and baseline")
    ]
    steps = pd.DataFrame({"step": ["totals"], "what": ["complete data sets"], "number": [2.0]})
    made = Behind(read_paper("llufriu2014"), pd.DataFrame(rows, columns=COLUMNS), steps, 2, True)
    return replace(founding(), behind=made)


@cache
def alone() -> Reanalysis:
    return reanalyze(load_published("llufriu2014"), stances=["weak"], external=[])


@cache
def more_is_good() -> Reanalysis:
    published = replace(load_published("mesems2021"), benefit="higher", endpoint="steps walked")
    return reanalyze(published, external=[])


@cache
def hostile_reanalysis() -> Reanalysis:
    published = load_published("llufriu2014")
    active = replace(published.active, label=EVIL)
    return reanalyze(replace(published, title=EVIL, active=active, notes=(EVIL, "a & b")))


def crossover(
    patients: int = 6, first: str = "", provenance: str = "data", missing: bool = True
) -> Trial:
    rng = np.random.default_rng(5)
    rows = []
    for i in range(patients):
        order = ("drug", "placebo") if i % 2 else ("placebo", "drug")
        name = first if first and i == 0 else f"P{i + 1}"
        base = rng.poisson(3)
        for scan in range(4):
            count = float(rng.poisson(1 + 3 * i * (order[scan // 2] == "placebo")))
            seen = not (missing and i == 0 and scan == 3)
            row = (name, scan // 2 + 1, scan + 1, 3.0 * (scan + 1), order[scan // 2])
            rows.append((*row, count if seen else np.nan, base))
    names = ["patient", "period", "scan", "month", "treatment", "count", "baseline"]
    return Trial(
        pd.DataFrame(rows, columns=names),
        design="crossover",
        control="placebo",
        active="drug",
        period="period",
        scan="scan",
        month="month",
        baseline="baseline",
        name="sample",
        title=f"A sample trial {first}".strip(),
        endpoint="lesions",
        provenance=provenance,
        source=f"made for a test {first}".strip(),
    )


def parallel(patients: int = 30) -> Trial:
    rng = np.random.default_rng(6)
    visits = pd.MultiIndex.from_product([range(patients), range(1, 4)], names=["patient", "scan"])
    table = visits.to_frame(index=False)
    table["treatment"] = np.where(table["patient"] % 2 == 0, "placebo", "drug")
    table["count"] = rng.poisson(4, len(table))
    return Trial(table, design="parallel", control="placebo", active="drug", scan="scan")


def constant_data(trial: Trial) -> dict[str, tuple[str, np.ndarray]]:
    seen = trial.seen
    columns = {
        "patient_index": pd.factorize(seen["patient"])[0],
        "treated": (seen["treatment"] == trial.active).to_numpy(int),
        "exposure": seen["exposure"].to_numpy(float),
    }
    if "period" in seen:
        columns["period"] = seen["period"].to_numpy(float)
    return {name: ("observation", values) for name, values in columns.items()}


def fake_fit(trial: Trial, divergent: bool = False, seed: int = 1) -> xr.DataTree:
    """Give draws that no sampler made, with all groups and attributes of a fit."""
    rng = np.random.default_rng(seed)
    card = "crossover-negative-binomial" if trial.design == "crossover" else "count-poisson"
    model = Model.load(card)
    shape = (CHAINS, DRAWS)
    dims = ("chain", "draw")
    posterior: dict[str, object] = {}
    for name, prior in model.priors_for(trial).items():
        value = rng.normal(-0.5 if name == "log_rate_ratio" else 0.3, 0.3, shape)
        posterior[name] = (dims, np.abs(value) if prior.support == "positive" else value)
    if "sqrt_overdispersion" in posterior:
        posterior["overdispersion"] = (dims, posterior["sqrt_overdispersion"][1] ** 2)  # type: ignore[index]
    effects = rng.normal(0, 0.4, (*shape, trial.n_patients))
    observed = trial.seen["count"].to_numpy(int)
    simulated = rng.poisson(np.maximum(observed, 0.5), (*shape, len(observed)))
    patient = {"patient": list(trial.patients)}
    observation = {"observation": np.arange(len(observed))}
    energy = rng.normal(size=shape)
    groups = {
        "posterior": xr.Dataset(
            {**posterior, "patient_effect": ((*dims, "patient"), effects)}, patient
        ),
        "sample_stats": xr.Dataset(
            {"diverging": (dims, np.full(shape, divergent)), "energy": (dims, energy)}
        ),
        "log_likelihood": xr.Dataset(
            {"count": ((*dims, "patient"), rng.normal(-3, 0.2, effects.shape))}, patient
        ),
        "posterior_predictive": xr.Dataset(
            {"count": ((*dims, "observation"), simulated)}, observation
        ),
        "observed_data": xr.Dataset({"count": ("observation", observed)}, observation),
        "constant_data": xr.Dataset(constant_data(trial), observation),
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(
        model_name=model.name,
        model_card=model.to_toml(),
        model_sha256=model.sha256,
        trial=json.dumps(trial.meta()),
        data_csv=trial.to_csv_text(),
        data_sha256=trial.sha256,
        label=trial.label,
        seed=seed,
        engine="none",
        settings=json.dumps({"draws": DRAWS}),
        refitted="divergences 3 (all chains), limit 0" if divergent else "",
        versions=json.dumps({"bayes-msc": "0.1.0"}),
    )
    return tree


def _answers(size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    middle = rng.normal(-0.7, 0.3, size)
    return {
        "median": np.exp(middle),
        "lower": np.exp(middle - 1),
        "upper": np.exp(middle + 1),
        "prob_below_1": rng.uniform(0.7, 0.99, size),
    }


def left_out_table(last: str = "P9", patients: int = 9) -> pd.DataFrame:
    names = ["nobody", *(f"P{i}" for i in range(1, patients)), last]
    return pd.DataFrame({"left_out": names, **_answers(len(names))})


def specification_table() -> pd.DataFrame:
    families, priors, rows = ("poisson", "negative-binomial"), ("weak", "vague", "own"), ("scan",)
    index = pd.MultiIndex.from_product([families, priors, rows], names=["family", "prior", "rows"])
    table = index.to_frame(index=False)
    return table.assign(engine="fast", ok=True, **_answers(len(table)))
